// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"testing"
	"time"

	"mars/infra/env"
)

// TestConditions: every form of a condition, on B, which is attached, has
// switched everything on, and is secondary (manual 3.3.2).
func TestConditions(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/actual-B/is-replaying", "1")
	for word, holds := range map[string]bool{
		"attach": true, "is-attach": true, "is-attached": true, "has-attach": true, "attach-on": true, "attach-off": false, "is-attach-off": false, "todo-attach": true, "todo-attach-0": false,
		"is-replay": true, "replay-1": true, "is-replaying-0": false, "is-sync": false, "sync": true, "is-sync-off": true, "connect": true, "fetch": true, "is-fetch": false, "is-copying-off": true,
		"primary": false, "is-primary": false, "primary-off": true, "is-primary-off": true, "secondary": true, "is-secondary": true, "secondary-off": false,
		"device": false, "is-device": false, "device-off": true, "is-device-off": true,
	} {
		code := s.adm("wait-resource r " + word + " --timeout=0")
		if (code == 0) != holds {
			t.Errorf("wait-resource r %s: exit status %d, expected it to hold: %v\n%s", word, code, holds, s.err.String())
		}
	}
	for _, word := range []string{"nonsense", "is-nonsense", "todo-nonsense", "", "-off", "is-", "attach-"} {
		if code := Run(s, []string{"wait-resource", "--timeout=0", "--", "r", word}); code != exitUsage {
			t.Errorf("wait-resource r '%s': exit status %d", word, code)
		}
	}
}

// A condition that comes true is waited for, by default for a minute.
func TestWaitResourceWaits(t *testing.T) {
	s := newPair(t, "B")
	s.refused("wait-resource r is-primary", 1, timeoutText)
	if s.mono < 60e9 || s.mono > 61e9 {
		t.Errorf("it has waited %v", s.mono)
	}
	polls := 0
	s.react = func() {
		if polls++; polls == 10 {
			s.set("resource-r/actual-B/is-primary", "1")
		}
	}
	s.must("wait-resource r is-primary")
}

// slowDirs takes its time for each directory that is read.
type slowDirs struct {
	env.FS
	s     *fakeSys
	takes time.Duration
	share int // of that it works so many hundredths
	spent time.Duration
}

func (f *slowDirs) ReadDir(name string) ([]env.FileInfo, error) {
	f.s.mono += f.takes
	f.s.worked += f.takes * time.Duration(f.share) / 100
	f.spent += f.takes
	return f.FS.ReadDir(name)
}

// TestWaitLeavesTheMachine: looking again and again takes at most a quarter of
// the time, however slow the machine is, and the time-out still holds.
func TestWaitLeavesTheMachine(t *testing.T) {
	for _, takes := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond} {
		s := newPair(t, "B")
		slow := &slowDirs{FS: s.fs, s: s, takes: takes, share: 100}
		s.fs = slow
		looks, first, began := 0, time.Duration(0), time.Duration(0)
		s.react = func() {
			if looks++; looks == 1 { // what comes before is no wait
				first, began = slow.spent, s.mono
			}
		}
		s.refused("wait-resource r is-primary --timeout=60", 1, timeoutText)
		if limit := 61*time.Second + 20*takes; s.mono < time.Minute || s.mono > limit {
			t.Errorf("%v a directory: it has waited %v, want at most %v", takes, s.mono, limit)
		}
		if share := (slow.spent - first).Seconds() / (s.mono - began).Seconds(); share > 0.26 {
			t.Errorf("%v a directory: looking took %.2f of the time", takes, share)
		}
		if looks < 30 {
			t.Errorf("%v a directory: only %d looks a minute", takes, looks)
		}
	}
}

// TestWaitOnABusyMachine: a look that takes long because others work is followed by
// a pause as long, and not by three: a handover has four waits.
func TestWaitOnABusyMachine(t *testing.T) {
	looks := map[int]int{}
	for _, share := range []int{5, 100} {
		s := newPair(t, "B")
		s.fs = &slowDirs{FS: s.fs, s: s, takes: 30 * time.Millisecond, share: share}
		s.react = func() { looks[share]++ }
		s.refused("wait-resource r is-primary --timeout=60", 1, timeoutText)
	}
	if busy, slow := looks[5], looks[100]; busy*10 < slow*18 {
		t.Errorf("%d looks a minute on a busy machine, %d on a slow one: want almost twice as many", busy, slow)
	}
}
