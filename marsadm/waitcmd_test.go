// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import "testing"

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
