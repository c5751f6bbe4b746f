// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"
	"testing"

	"mars/infra/symtree"
)

// follow makes the marsds of A and B do what the designated primary asks for.
func (s *fakeSys) follow() {
	seen := ""
	s.react = func() {
		now := s.get("resource-r/primary")
		if now == seen {
			return
		}
		seen = now
		s.set("resource-r/actual-A/is-primary", symtree.FormatBool(now == "A"), "resource-r/actual-B/is-primary", symtree.FormatBool(now == "B"))
		s.devices["r"] = now == s.place.Host
	}
}

func TestPrimaryPlanned(t *testing.T) {
	s := newPair(t, "B")
	s.follow()
	s.must("primary r")
	s.has("resource-r/primary", "B")
	if out := s.out.String(); !strings.Contains(out, "from 'A' to '(none)'") || !strings.Contains(out, "from '(none)' to 'B'") {
		t.Errorf("the role went another way: %s", out)
	}
	before := s.dump()
	s.must("primary r")
	if s.dump() != before {
		t.Error("primary on the primary changes something")
	}
}

// The logs come first: while they are missing, nothing is changed.
func TestPrimaryWaitsForLogs(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""))
	s.refused("primary r", 1, timeoutText)
	s.refused("primary r --timeout=0", 1, "without waiting")
	s.follow()
	follow, polls := s.react, 0
	s.react = func() {
		if polls++; polls == 4 {
			s.set("resource-r/version-000000001-B", symtree.VersionValue(1, "A", 700, ""), "resource-r/replay-B", "log-000000001-A,700,0")
		}
		if polls < 4 {
			s.has("resource-r/primary", "A")
		}
		follow()
	}
	s.must("primary r")
	s.has("resource-r/primary", "B")
}

// The last words of the old primary are applied before the role is taken.
func TestPrimaryWaitsForLastLogs(t *testing.T) {
	s := newPair(t, "B")
	phase := 0
	s.react = func() {
		switch {
		case phase == 0 && s.get("resource-r/primary") == "(none)":
			s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 900, ""), "resource-r/actual-A/is-primary", "0")
			phase = 1
		case phase == 1:
			s.has("resource-r/primary", "(none)")
			s.set("resource-r/version-000000001-B", symtree.VersionValue(1, "A", 900, ""), "resource-r/replay-B", "log-000000001-A,900,0")
			phase = 2
		case phase == 2 && s.get("resource-r/primary") == "B":
			s.devices["r"] = true
			s.set("resource-r/actual-B/is-primary", "1")
			phase = 3
		}
	}
	s.must("primary r")
}

func TestPrimaryHandsBack(t *testing.T) {
	for name, react := range map[string]func(s *fakeSys){
		"old one stays":   func(*fakeSys) {},
		"no device":       func(s *fakeSys) { s.set("resource-r/actual-A/is-primary", "0") },
		"silent old logs": func(s *fakeSys) { s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 900, "")) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t, "B")
			s.react = func() { react(s); s.react = nil }
			if name == "silent old logs" {
				s.react = func() {
					if s.get("resource-r/primary") == "(none)" {
						s.set("resource-r/actual-A/is-primary", "0")
						react(s)
						s.react = nil
					}
				}
			}
			if code := s.adm("primary r"); code != 1 || !strings.Contains(s.err.String(), "was handed back") || !strings.Contains(s.err.String(), timeoutText) {
				t.Errorf("exit status %d, %s", code, s.err.String())
			}
			s.has("resource-r/primary", "A")
		})
	}
}

// A designated primary that nobody has heard of may be in use all the same.
func TestPrimaryAsksForASign(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/actual-A/is-primary", "0")
	if code := s.adm("primary r"); code != 1 || !strings.Contains(s.err.String(), "host 'A' has not answered yet") {
		t.Errorf("exit status %d, %s", code, s.err.String())
	}
	s.has("resource-r/primary", "A")
	s.set("alive-A", "0") // it has said goodbye
	s.follow()
	s.must("primary r")
	s.has("resource-r/primary", "B")
}

// After "secondary" elsewhere there is no primary, but its logs count.
func TestPrimaryAfterSecondary(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0", "resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""))
	s.refused("primary r", 1, timeoutText)
	s.set("resource-r/version-000000001-B", symtree.VersionValue(1, "A", 700, ""), "resource-r/replay-B", "log-000000001-A,700,0")
	s.follow()
	s.must("primary r")
}

func TestPrimaryRefusals(t *testing.T) {
	v1 := symtree.VersionValue(1, "A", 500, "")
	for name, c := range map[string]struct {
		set    []string
		text   string
		forced bool // refused even with force
	}{
		"in use":           {[]string{"actual-A/open-count", "2"}, "first you must umount/close the device (on host 'A')", false},
		"sync":             {[]string{"syncstatus-B", "4096"}, "sync has not yet finished, only 4096 / 65536000 bytes", true},
		"syncpos":          {[]string{"syncpos-B", "log-000000001-A,501,0"}, "replay has not yet passed", true},
		"disconnected":     {[]string{"todo-B/connect", "0"}, "'/mars/resource-r/todo-B/connect' must have value '1'", false},
		"replay off":       {[]string{"todo-B/allow-replay", "0"}, "allow-replay' must have value '1'", false},
		"detached":         {[]string{"todo-B/attach", "0"}, "its disk is detached", true},
		"not attached":     {[]string{"actual-B/is-attached", "0"}, timeoutText, false},
		"split, walked":    {[]string{"version-000000002-A", symtree.VersionValue(2, "A", 9, v1), "version-000000002-B", symtree.VersionValue(2, "B", 9, v1), "replay-B", "log-000000002-B,9,0"}, "split brain detected", false},
		"split, told":      {[]string{"actual-B/split-brain", "log 1 at 500"}, "split brain detected on resource 'r': log 1 at 500", false},
		"too small a disk": {[]string{"actsize-B", "4096"}, "smaller than the logical resource size", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t, "B")
			for i := 0; i < len(c.set); i += 2 {
				s.set("resource-r/"+c.set[i], c.set[i+1])
			}
			s.refused("primary r", 1, c.text)
			if c.forced {
				s.refused("primary r --force", 1, c.text)
				return
			}
			s.must("force-primary r")
			s.has("resource-r/primary", "B")
		})
	}
	s := newPair(t, "B")
	s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0", "resource-r/actual-B/split-brain", "log 1")
	s.remove("resource-r/version-000000001-A") // nobody is ahead
	s.refused("primary r", 1, "split brain detected")
	s = newPair(t, "B")
	s.loaded = false
	s.refused("primary r --force", 1, "no marsd is running")
}

func TestPrimaryForceWarns(t *testing.T) {
	s := newPair(t, "B")
	s.must("primary r --force")
	s.has("resource-r/primary", "B")
	if !strings.Contains(s.err.String(), "SPLIT BRAIN") {
		t.Errorf("no warning: %s", s.err.String())
	}
	if s.mono != 0 {
		t.Errorf("it has waited %v", s.mono)
	}
}

// A host that is designated by its own knowledge only must win all the same
// (manual 1.4.3.1, step 2).
func TestPrimaryForceIsAlwaysWritten(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/syncstatus-A", "4096") // not even this keeps the primary from staying it
	before, _ := s.tree().Stamp("resource-r/primary")
	newest := s.tree().Newest()
	s.must("primary r --force")
	s.has("resource-r/primary", "A")
	if stamp, _ := s.tree().Stamp("resource-r/primary"); stamp <= newest {
		t.Errorf("stamp %d, was %d, expected it to be newer than all, %d", stamp, before, newest)
	}
}

func TestSecondary(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actual-A/open-count", "1")
	s.refused("secondary r", 1, "is 1 times in use")
	s.set("resource-r/actual-A/open-count", "0")
	s.follow()
	s.must("secondary r")
	s.has("resource-r/primary", "(none)")
	before := s.dump()
	s.must("secondary r")
	if s.dump() != before {
		t.Error("secondary on a secondary changes something")
	}
	b := newPair(t, "B")
	b.must("secondary r")
	b.has("resource-r/primary", "A")
}

// The zero digest of create-resource equals the one that a daemon computes.
func TestSameVersion(t *testing.T) {
	first := symtree.InitialVersion(1, "A")
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{first, first, true},
		{first, symtree.VersionValue(1, "A", 0, ""), true},
		{first, symtree.VersionValue(1, "B", 0, ""), false},
		{first, symtree.VersionValue(1, "A", 1, ""), false},
		{first, strings.Replace(first, "0", "1", 1), false},
		{symtree.VersionValue(2, "A", 5, first), symtree.VersionValue(2, "A", 5, symtree.VersionValue(1, "A", 0, "")), false},
	} {
		if got := sameVersion(c.a, c.b); got != c.same {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}
