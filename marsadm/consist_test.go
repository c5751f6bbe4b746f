// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

// newSplit is B after a split brain: A has gone on in log 2 of its own and
// rotated to 3, B has written 2 and 3. Before, B was primary in log 1.
func newSplit(t *testing.T) *fakeSys {
	t.Helper()
	s := newPair(t, "B")
	v1 := symtree.VersionValue(1, "B", 500, "")
	for _, h := range []string{"A", "B"} {
		v2 := symtree.VersionValue(2, h, 30, v1)
		s.set("resource-r/version-000000001-"+h, v1, "resource-r/version-000000002-"+h, v2,
			"resource-r/version-000000003-"+h, symtree.VersionValue(3, h, 7, v2), "resource-r/replay-"+h, "log-000000003-"+h+",7,0")
	}
	for _, l := range []string{"log-000000001-B", "log-000000002-B", "log-000000003-B", "log-000000003-A"} {
		s.file("resource-r/"+l, 7)
	}
	return s
}

func TestInvalidate(t *testing.T) {
	s := newSplit(t)
	s.set("resource-r/actual-B/is-replaying", "1", "resource-r/syncpos-B", "log-000000002-B,5,0", "resource-r/todo-B/sync", "0")
	stopped := false
	s.react = func() {
		if !stopped && s.get("resource-r/todo-B/allow-replay") == "0" {
			stopped = true
			s.set("resource-r/actual-B/is-replaying", "0")
		}
	}
	s.must("invalidate r")
	at := "resource-r/"
	s.has(at+"syncstatus-B", "0", at+"syncfrom-B", "A", at+"replay-B", "log-000000003-A,0,0", at+"syncpos-B", "log-000000003-A,0,0",
		at+"version-000000002-B", s.get(at+"version-000000002-A"), at+"version-000000003-B", s.get(at+"version-000000003-A"),
		at+"todo-B/allow-replay", "1", at+"todo-B/sync", "0") // the sync switch stays as it was
	if got := strings.Join(s.targets(), " "); got != at+"version-000000001-B "+at+"log-000000001-B "+at+"log-000000002-B "+at+"log-000000003-B" {
		t.Errorf("orders for %s", got)
	}
	// Once the orders are carried out the split brain is gone.
	s.remove(s.targets()...)
	way, ok := walkFrom(s.tree(), "r", "B")
	if !ok || way.Split != nil {
		t.Errorf("split %+v", way.Split)
	}
}

// A third member that has followed the branch keeps its logs.
func TestInvalidateKeepsLogsOfOthers(t *testing.T) {
	s := newSplit(t)
	s.set("resource-r/data-C", "/dev/x", "resource-r/replay-C", "log-000000002-B,10,0", "resource-r/version-000000002-C", s.get("resource-r/version-000000002-B"))
	s.must("invalidate r")
	got := s.targets()
	if slices.Contains(got, "resource-r/log-000000002-B") || !slices.Contains(got, "resource-r/log-000000001-B") {
		t.Errorf("orders for %v", got)
	}
}

func TestInvalidateRestoresSwitches(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/actual-B/is-syncing", "1")
	old := s.get("resource-r/replay-B")
	if code := s.adm("invalidate r"); code != 1 || !strings.Contains(s.err.String(), timeoutText) {
		t.Errorf("exit status %d, %s", code, s.err.String())
	}
	s.has("resource-r/todo-B/sync", "1", "resource-r/todo-B/allow-replay", "1", "resource-r/replay-B", old, "resource-r/syncstatus-B", "65536000")
}

func TestInvalidateRefusals(t *testing.T) {
	newPair(t, "A").refused("invalidate r", 1, "cannot be executed on designated primary")
	s := newPair(t, "B")
	s.set("resource-r/primary", "(none)")
	s.refused("invalidate r", 1, "nobody is designated primary")
	s = newPair(t, "B")
	s.set("resource-r/actual-B/is-primary", "1")
	s.refused("invalidate r", 1, timeoutText)
	s = newPair(t, "B")
	s.set("resource-r/replay-A", "rubbish")
	s.refused("invalidate r", 1, "is not parsable")
}

// TestStopWithoutWaiting: with --timeout=0 nothing is done where a wait would be
// needed: the switches are not even turned off and on again.
func TestStopWithoutWaiting(t *testing.T) {
	for line, facts := range map[string][]string{
		"invalidate r": {symtree.ActualIsSyncing, symtree.ActualIsReplaying}, "fake-sync r": {symtree.ActualIsSyncing},
	} {
		for _, fact := range facts {
			s := newPair(t, "B")
			s.set(symtree.ActualPath("r", "B", fact), "1")
			stamps := s.tree().String()
			s.refused(line+" --timeout=0", 1, "'"+fact+"' of resource 'r' must reach the value '0' first")
			if s.tree().String() != stamps {
				t.Errorf("%s: something was written", line)
			}
			s.set(symtree.ActualPath("r", "B", fact), "0")
			s.must(line + " --timeout=0")
		}
	}
}

func TestFakeSync(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/syncstatus-B", "4096", "resource-r/actual-B/is-syncing", "1", "resource-r/syncpos-B", "log-000000001-A,501,0")
	s.react = func() {
		if s.get("resource-r/todo-B/sync") == "0" {
			s.set("resource-r/actual-B/is-syncing", "0")
			s.react = nil
		}
	}
	s.must("fake-sync r")
	s.has("resource-r/syncstatus-B", "65536000", "resource-r/todo-B/sync", "1", "resource-r/syncpos-B", "log-000000001-A,500,0")
	newPair(t, "A").refused("fake-sync r", 1, "cannot be executed on designated primary")
}

// What only the host itself may write is done there.
func TestInvalidateElsewhere(t *testing.T) {
	a, b := newPair(t, "A"), newPair(t, "B")
	over(a, b)
	before := a.dump()
	a.must("invalidate r --host=B")
	if a.dump() != before {
		t.Error("it changes the tree here")
	}
	b.has("resource-r/syncstatus-B", "0")
	for line, want := range map[string]string{
		"invalidate r --host=B --timeout=60":                 "marsadm invalidate r --timeout=60",
		"force-fake-sync r --host=B -v --timeout=-1":         "marsadm fake-sync r --force --verbose --timeout=-1",
		"fake-sync r --host=B --mars-dir=" + a.place.MarsDir: "marsadm fake-sync r",
	} {
		said := ""
		a.ssh = func(_ string, _ []byte, command []string) ([]byte, error) {
			said = strings.Join(command, " ")
			return nil, nil
		}
		if a.must(line); said != want {
			t.Errorf("%s runs %q there, want %q", line, said, want)
		}
	}
	a.ssh = nil
	a.refused("invalidate r --host=B", 1, "could not be reached")
}

func TestSetReplay(t *testing.T) {
	s := newSplit(t)
	s.refused("set-replay r 2", 1, "allow-replay' must have value '0'")
	s.set("resource-r/todo-B/allow-replay", "0", "resource-r/primary", "(none)")
	s.refused("set-replay r x", 2, "numeric logfile number")
	s.refused("set-replay r 2", 1, "Cannot select between them -- no primary preference given.")
	s.refused("set-replay r 9", 1, "you would need --force")
	s.set("resource-r/primary", "A")
	s.must("set-replay r 2")
	s.has("resource-r/replay-B", "log-000000002-A,0,0", "resource-r/skip-check-B", "2")
}

func TestWaitResource(t *testing.T) {
	for _, c := range []struct {
		cond string
		set  []string // what makes it true
	}{
		{"is-attach", []string{"actual-B/is-attached", "1"}}, {"is-attach-on", []string{"actual-B/is-attached", "1"}},
		{"is-attach-off", []string{"actual-B/is-attached", "0"}}, {"attach-off", []string{"todo-B/attach", "0"}}, {"attach", []string{"todo-B/attach", "1"}},
		{"is-primary", []string{"actual-B/is-primary", "1"}}, {"is-primary-off", []string{"actual-B/is-primary", "0"}},
		{"primary", []string{"primary", "B"}}, {"primary-off", []string{"primary", "A"}}, {"device-on", []string{"primary", "B"}}, {"device-off", []string{"primary", "A"}},
		{"is-replay", []string{"actual-B/is-replaying", "1"}}, {"replay-off", []string{"todo-B/allow-replay", "0"}},
		{"is-sync-off", []string{"actual-B/is-syncing", "0"}}, {"is-sync", []string{"actual-B/is-syncing", "1"}}, {"sync", []string{"todo-B/sync", "1"}},
		{"is-fetch", []string{"actual-B/is-copying", "1"}}, {"is-connect-off", []string{"actual-B/is-copying", "0"}}, {"connect", []string{"todo-B/connect", "1"}}, {"fetch-off", []string{"todo-B/connect", "0"}},
	} {
		t.Run(c.cond, func(t *testing.T) {
			s := newPair(t, "B")
			s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, "")) // there is something to apply
			path := "resource-r/" + c.set[0]
			s.set(path, map[string]string{"0": "1", "1": "0", "A": "B", "B": "A"}[c.set[1]])
			s.refused("wait-resource r "+c.cond+" --timeout=1", 1, timeoutText)
			s.refused("wait-resource r "+c.cond+" --timeout=0", 1, "cannot execute wait-resource")
			s.react = func() { s.set(path, c.set[1]); s.react = nil }
			s.must("wait-resource r " + c.cond)
		})
	}
	s := newPair(t, "B")
	s.must("wait-resource r is-device-off")
	s.devices["r"] = true // what a daemon left behind that died
	s.must("wait-resource r is-device-off")
	s.react = func() { s.set("resource-r/actual-B/device-r", "1") }
	s.must("wait-resource r is-device")
	s.react = nil
	start := s.mono
	s.refused("wait-resource r is-device-off", 1, timeoutText)
	if waited := (s.mono - start).Seconds(); waited < 60 || waited > 61 {
		t.Errorf("waited %v s, expected 60", waited)
	}
}

func TestWaitCluster(t *testing.T) {
	s := newPair(t, "A")
	s.set("time-B", "1.000000000", "time-C", "1.000000000")
	s.refused("wait-cluster", 1, timeoutText)
	if s.mono.Seconds() < 30 || s.mono.Seconds() > 31 {
		t.Errorf("waited %v, expected 30 s", s.mono)
	}
	s.react = func() { s.set("time-B", "2.000000000") }
	s.must("wait-connect r")
	s.must("wait-resource r")
	s.refusedButB("wait-cluster --timeout=1")
	s.must("wait-cluster --timeout=1 --force")
	s.react = func() { s.set("time-B", "2.000000000", "time-C", "2.000000000") }
	s.must("wait-cluster")
	if !strings.Contains(s.out.String(), "all 2 peer(s) seem to be alive") {
		t.Error(s.out.String())
	}
}

func (s *fakeSys) refusedButB(line string) {
	s.t.Helper()
	if code := s.adm(line); code != 1 || !strings.Contains(s.err.String(), "1 peer(s) seem to be alive, and 1 peer(s) seem to be dead / not reachable: C") {
		s.t.Errorf("exit status %d: %s", code, s.err.String())
	}
}

func TestWaitUmount(t *testing.T) {
	s := newPair(t, "B")
	s.must("wait-umount r")
	s.set("resource-r/actual-A/open-count", "2")
	s.refused("wait-umount r", 1, timeoutText)
	s.react = func() { s.set("resource-r/actual-A/open-count", "0") }
	s.must("wait-umount r --timeout=-1")
}
