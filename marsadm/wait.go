// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"strings"
	"time"

	"mars/infra/symtree"
)

const (
	defaultTimeout = 5 * time.Second
	pollInterval   = 50 * time.Millisecond
	maxPoll        = 2 * time.Second
	pollShare      = 3           // a look works one part of the time, the pause behind it is three
	sayInterval    = time.Second // between messages about what is waited for
)

const timeoutText = "Timeout reached. You may retry with --timeout=-1 to ensure waiting until progress is possible."

// errTimeout is found by errors.Is in a wait that ran out of time.
var errTimeout = errors.New("timeout")

// timeoutError is a wait that failed.
type timeoutError struct{ *dying }

func (e timeoutError) Unwrap() []error { return []error{e.dying, errTimeout} }

// startClock starts the one budget of time that all waits of a command share.
func (x *run) startClock() {
	limit := defaultTimeout
	if x.cmd.timeout != 0 {
		limit = x.cmd.timeout
	}
	if x.opt.timeout != nil {
		limit = *x.opt.timeout
	}
	x.forever, x.never = limit < 0, limit == 0
	x.deadline = x.sys.Mono() + limit
}

// condition looks at the tree and says what is still missing; nothing if it
// holds. An error ends the wait.
type condition func() (missing string, err error)

// await waits for a precondition. With --timeout=0 it must hold already.
func (x *run) await(cond condition) error {
	said, next := "", x.sys.Mono()
	m := x.newMeter()
	defer m.clear()
	for look, worked := x.sys.Mono(), x.sys.Worked(); ; {
		missing, err := cond()
		if err != nil || missing == "" {
			return err
		}
		if x.opt.dryRun {
			x.say("would wait: %s", missing)
			return nil
		}
		if x.never {
			return dieHint("give it time: --timeout=SECONDS, or -1 to wait for ever", "cannot execute %s: %s", x.cmd.name, missing)
		}
		if !x.forever && x.sys.Mono() >= x.deadline {
			return timeoutError{&dying{text: timeoutText, hint: "still " + missing}}
		}
		if now := x.sys.Mono(); missing != said && now >= next {
			m.clear()
			x.say("waiting: %s", strings.TrimPrefix(missing, "waiting "))
			said, next = missing, now+sayInterval
		}
		m.show()
		if err := x.sys.Sleep(x.pause(x.sys.Mono()-look, x.sys.Worked()-worked)); err != nil {
			return err
		}
		look, worked = x.sys.Mono(), x.sys.Worked()
		if err := x.reload(); err != nil {
			return err
		}
	}
}

// pause is how long a wait does nothing after a look that took so long and worked
// so much of that. On a slow machine, or with a large tree, looks would else keep
// marsd from what is being waited for. What others took of the machine meanwhile
// counts once: on a busy one what has long happened would be seen late.
func (x *run) pause(took, worked time.Duration) time.Duration {
	d := min(max(pollInterval, pollShare*worked, took), maxPoll)
	if !x.forever {
		d = min(d, max(x.deadline-x.sys.Mono(), pollInterval))
	}
	return d
}

// closeLag is how late a living marsd may notice that a device was closed: the
// device tells nobody, and who has it open is looked for every five seconds.
const closeLag = 6 * time.Second

// opened is how often the acting host's device is open. What is closed just now
// still counts for a moment, which this bears; longer waits are wait-umount's.
func (j *job) opened() (int64, error) {
	count := func() int64 {
		n, _ := j.tree.Int(symtree.ActualPath(j.res, j.host, symtree.ActualOpenCount))
		return n
	}
	if n := count(); n > 0 && !j.never {
		j.say("device '/dev/mars/%s' is %d times in use; it may just be being closed", j.deviceName(), n)
	}
	end := j.sys.Mono() + closeLag
	if !j.forever {
		end = min(end, j.deadline)
	}
	for count() > 0 && !j.foreign() && !j.never && !j.opt.dryRun && j.sys.Loaded() && j.sys.Mono() < end {
		if err := j.sys.Sleep(pollInterval); err != nil {
			return 0, err
		}
		if err := j.reload(); err != nil {
			return 0, err
		}
	}
	return count(), nil
}

// effect waits for what marsd makes of a change. Nobody waits with --timeout=0,
// or where no marsd runs.
func (x *run) effect(cond condition) error {
	missing, err := cond()
	if err != nil || missing == "" {
		return err
	}
	switch {
	case x.opt.dryRun:
		x.say("would wait: %s", missing)
		return nil
	case x.never:
		x.say("not waiting (--timeout=0): %s", missing)
		return nil
	case !x.sys.Loaded():
		if !x.toldDead {
			x.warn("no marsd is running here: the change takes effect when it is started")
		}
		x.toldDead = true
		return nil
	}
	return x.await(cond)
}
