// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"errors"

	"mars/infra/env"
)

// Leave switches off for the end of the process: what nobody has open is closed,
// what somebody has open is left to a successor (env.Device.Hold), and waits with
// its users. Where that is not possible it is as if the button was pressed off.
func (b *Brick) Leave() error {
	b.leave = true
	return b.Press(false)
}

// Held is the open count of the device that was left to a successor, 0 if there
// is none.
func (b *Brick) Held() int { return b.held }

// Leaving tells that the device is being left: answers to requests are waited
// for. When that takes too long the process may just end: to the device that is
// the same.
func (b *Brick) Leaving() bool { return b.holding }

// hold leaves the device, without waiting for its users.
func (b *Brick) hold() {
	b.retry.Stop()
	b.state, b.holding = closing, true
	b.dev.Hold(func(err error) {
		b.holding = false
		if err == nil {
			b.held = max(b.count, 1)
			b.err = nil
			b.away()
			return
		}
		b.state, b.leave = live, false
		if !errors.Is(err, env.ErrUnsupported) {
			b.err = err
			b.tell(err)
		}
		b.step()
	})
}
