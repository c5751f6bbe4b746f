// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"errors"
	"fmt"

	"mars/infra/block"
	"mars/infra/env"
)

// Resize makes the device larger; done is never called from inside. Without a
// device the size is that of the next one. Where the capacity of a device can
// not change while it is open, done comes at once without an error: the device
// is made anew, with the new size, as soon as nobody has it open; see Waiting.
func (b *Brick) Resize(size int64, done func(error)) {
	var err error
	old := b.size
	switch {
	case size < old:
		err = fmt.Errorf("%s: from %d to %d bytes: %w", b.Name, old, size, ErrShrink)
	case b.state == gone:
		b.size = size
	case b.state != live:
		err = fmt.Errorf("resize %s: %w", b.Name, ErrTransition)
	case size%b.align != 0 || size > block.OpsOf(b.Input(0)).Info().Size:
		err = fmt.Errorf("resize %s to %d: %w", b.Name, size, block.ErrRange)
	case size > old:
		b.bound = max(b.bound, size) // requests come before the answer
		b.dev.Resize(size, func(err error) {
			switch {
			case err == nil:
				b.size, b.grow = max(b.size, size), 0
			case errors.Is(err, env.ErrUnsupported):
				err = nil
				b.grow = max(b.grow, size)
				b.step()
			}
			done(err)
		})
		return
	}
	b.env.Post(func() { done(err) })
}

// Waiting is the size in bytes that the device will have when it was closed by
// all who have it open; 0 when nothing waits for that.
func (b *Brick) Waiting() int64 { return b.grow }

// tryGrow closes a device that is to be made anew with another size, if nobody
// has it open. The button stays on, so it comes back at once.
func (b *Brick) tryGrow() {
	if b.grow == 0 || b.state != live || b.stats.InFlight > 0 {
		return // the end of a request comes here again
	}
	if b.count > 0 {
		b.retry.Reset(retryProbe)
		return
	}
	b.state = closing
	b.dev.Close(false, func(err error) {
		if err == nil || errors.Is(err, env.ErrClosed) {
			b.away()
			return
		}
		b.state = live
		if !errors.Is(err, env.ErrInUse) {
			b.tell(err)
		}
		if !b.Button() {
			b.step()
			return
		}
		b.retry.Reset(retryProbe)
	})
}
