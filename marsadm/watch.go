// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"fmt"
	"time"

	"mars/infra/status"
)

// watchInterval is how often watch looks at the tree.
const watchInterval = time.Second

// listener is a Sys that knows whether anybody can still read what it says.
type listener interface {
	// StdoutClosed tells that the other end of stdout has gone.
	StdoutClosed() bool
}

// watch prints an event for all that is there, then one for every change, each
// as one line of JSON, until the time is over (by default never) or somebody
// interrupts it: that is its normal end.
func watch(x *run) error {
	if _, err := x.shown(); err != nil {
		return err
	}
	var old *status.Status
	var meter status.Meter
	for {
		s := x.look(&meter)
		if err := x.sayEvents(old, s, x.tree.Newest()); err != nil {
			return err
		}
		old = s
		if l, ok := bare(x.sys).(listener); ok && l.StdoutClosed() {
			return nil // nobody listens any more; without events nothing else would tell
		}
		if x.never || !x.forever && x.sys.Mono() >= x.deadline {
			return nil
		}
		if x.sys.Sleep(watchInterval) != nil {
			return nil // interrupted
		}
		if err := x.reload(); err != nil {
			return err
		}
	}
}

// look is the status now. A resource that was asked for may disappear: then it
// has none.
func (x *run) look(meter *status.Meter) *status.Status {
	list := []string{x.word}
	if x.word == "" || x.word == all {
		list = x.tree.Resources()
	}
	s := x.status(list)
	meter.Observe(s, max(x.sys.Wall(), x.tree.Newest()))
	return s
}

func (x *run) sayEvents(old, s *status.Status, newest int64) error {
	events, err := status.Diff(old, s, newest)
	if err != nil {
		return err
	}
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if _, err := x.sys.Stdout().Write(append(visibleJSON(line), '\n')); err != nil {
			return fmt.Errorf("nobody listens: %w", err)
		}
	}
	return nil
}
