// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

func TestEmergencyLimit(t *testing.T) {
	s := newPair(t, "B")
	s.refused("get-emergency-limit r", 1, "cannot read symlink '/mars/resource-r/todo-B/emergency-limit'")
	for _, bad := range []string{"x", "5x", "1.5", "101", "-1", "99999999999999999999"} {
		s.refused("set-emergency-limit r "+bad, 2, "percent argument '"+bad+"'")
	}
	s.refused("set-emergency-limit r", 2, "argument is missing")
	s.must("set-emergency-limit r 80")
	s.has("resource-r/todo-B/emergency-limit", "80")
	s.must("get-emergency-limit r")
	if s.out.String() != "80\n" {
		t.Error(s.out.String())
	}
	s.must("set-emergency-limit all 0 --host=A")
	s.has("resource-r/todo-A/emergency-limit", "0")
}

func TestDeleteResource(t *testing.T) {
	s := newPair(t, "B")
	s.refused("delete-resource r", 1, "first remove the hosts 'A,B' via leave-resource")
	s.refused("delete-resource q", 1, "resource 'q' does not exist")
	c := newMember(t, "C")
	c.set("resource-r/size", "65536000", "resource-r/primary", "(none)", "resource-r/version-000000007-A", symtree.VersionValue(7, "A", 5, ""),
		"resource-r/userspace/a/b", "x", "resource-r/todo-A/sync", "1", "resource-r/maxnr", "3")
	c.must("delete-resource r")
	c.has("resource-r/maxnr", "7")
	got := c.targets()
	for _, want := range []string{"size", "primary", "version-000000007-A", "userspace/a/b", "userspace/a", "todo-A"} {
		if !slices.Contains(got, "resource-r/"+want) {
			t.Errorf("no order for %s: %v", want, got)
		}
	}
	if slices.Contains(got, "resource-r/maxnr") || slices.Index(got, "resource-r/userspace/a/b") > slices.Index(got, "resource-r/userspace/a") {
		t.Errorf("orders %v", got)
	}
	c.must("delete-resource r") // may be repeated
	c.has("resource-r/maxnr", "7")
}

// TestDeleteResourceWaits: what leave-resource has ordered is waited for.
func TestDeleteResourceWaits(t *testing.T) {
	s := newPair(t, "B")
	for _, h := range []string{"A", "B"} {
		s.set("resource-r/primary", "(none)", "resource-r/actual-"+h+"/is-primary", "0", "resource-r/actual-"+h+"/is-attached", "0", "resource-r/actual-"+h+"/is-replaying", "0",
			"resource-r/actual-"+h+"/is-copying", "0", "resource-r/todo-"+h+"/attach", "0", "resource-r/todo-"+h+"/connect", "0", "resource-r/todo-"+h+"/sync", "0", "resource-r/todo-"+h+"/allow-replay", "0")
	}
	s.must("leave-resource r")
	s.refused("delete-resource r", 1, "first remove the hosts 'A,B' via leave-resource")
	s.must("leave-resource r --host=A --force")
	s.refused("delete-resource r --timeout=0", 1, "the links of hosts 'A,B', which have left resource 'r', are still being deleted")
	s.refused("delete-resource r --timeout=1", 1, "Timeout reached")
	s.loaded = false
	s.refused("delete-resource r", 1, "no marsd is running here that would delete their links")
	s.loaded = true
	s.react = func() {
		tree := s.tree()
		for _, o := range tree.Orders() {
			if e, ok := tree.Get(o.Target); ok && e.Kind == symtree.Link {
				s.remove(o.Target)
			}
		}
	}
	s.must("delete-resource r")
	if !strings.Contains(s.out.String(), "resource 'r' is deleted") {
		t.Errorf("it says %s", s.out.String())
	}
}

func TestDeleteResourceByForce(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actual-A/open-count", "1")
	s.refused("delete-resource r --force", 1, "is in use here (1 times)")
	s.refused("delete-resource all --force", 2, "Combination of 'all'")
	s.set("resource-r/actual-A/open-count", "0")
	s.must("delete-resource r --force")
	if !strings.Contains(s.err.String(), "BRUTE FORCE") || !slices.Contains(s.targets(), "resource-r/data-B") {
		t.Errorf("%s %v", s.err.String(), s.targets())
	}
}

// branches is B after a split brain that A has won: B made log 2 of its own,
// and has been invalidated; A goes on in its log 3.
func branches(t *testing.T) *fakeSys {
	s := newPair(t, "B")
	v1 := symtree.VersionValue(1, "A", 500, "")
	a2, b2 := symtree.VersionValue(2, "A", 70, v1), symtree.VersionValue(2, "B", 30, v1)
	s.set("resource-r/version-000000002-A", a2, "resource-r/version-000000003-A", symtree.VersionValue(3, "A", 9, a2), "resource-r/replay-A", "log-000000003-A,9,0",
		"resource-r/version-000000002-B", b2, "resource-r/version-000000003-B", symtree.VersionValue(3, "B", 4, b2))
	for _, l := range []string{"000000002-A", "000000003-A", "000000002-B", "000000003-B", "000000004-A"} {
		s.file("resource-r/log-"+l, 10)
	}
	return s
}

func TestLogPurge(t *testing.T) {
	s := branches(t)
	s.must("log-purge-all r")
	if got := s.targets(); len(got) != 0 {
		// B stands in log 1: it may still go the one way or the other.
		t.Errorf("while both branches can be reached: %v", got)
	}
	s.set("resource-r/replay-B", "log-000000002-A,5,0")
	s.must("log-purge-all r")
	want := []string{"resource-r/version-000000002-B", "resource-r/version-000000003-B", "resource-r/log-000000002-B", "resource-r/log-000000003-B"}
	if got := s.targets(); !slices.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
	s = branches(t)
	s.set("resource-r/replay-B", "log-000000002-A,5,0", "resource-r/version-000000002-C", symtree.VersionValue(2, "C", 3, ""))
	s.must("log-purge-all r --force")
	if !slices.Contains(s.targets(), "resource-r/version-000000002-C") || slices.Contains(s.targets(), "resource-r/log-000000004-A") {
		t.Errorf("%v", s.targets())
	}
	for _, damaged := range []string{"replay-A", "version-000000002-A"} {
		s = branches(t)
		s.set("resource-r/"+damaged, "rubbish")
		s.refused("log-purge-all r", 1, "is not parsable")
	}
}

// Where two hosts are primary, neither loses anything.
func TestLogPurgeInSplitBrain(t *testing.T) {
	s := branches(t)
	s.set("resource-r/replay-B", "log-000000003-B,4,0", "resource-r/actual-B/is-primary", "1")
	s.file("resource-r/log-000000004-B", 0)
	s.must("log-purge-all r --force")
	if got := s.targets(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestCron(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/replay-A", "log-000000002-A,0,0", "resource-r/replay-B", "log-000000002-A,0,0", "resource-q/data-B", "/dev/q", "resource-q/size", "1")
	s.file("resource-r/log-000000002-A", 10)
	s.must("cron")
	if !s.tree().Exists("resource-r/log-000000003-A") {
		t.Error("it does not rotate")
	}
	if got := s.targets(); !slices.Equal(got, []string{"resource-r/log-000000001-A"}) {
		t.Errorf("it deletes %v", got)
	}
	b := newPair(t, "B")
	before := b.dump()
	b.must("cron")
	if b.dump() != before || strings.Contains(b.out.String(), "skipping") {
		t.Errorf("on a secondary: %s", b.out.String())
	}
}

func TestDryRun(t *testing.T) {
	for _, line := range []string{
		"pause-sync r", "down r", "up r", "detach r --force", "invalidate r", "fake-sync r", "leave-resource r --force", "primary r", "primary r --force", "secondary r",
		"log-delete-all r", "log-purge-all r", "cron", "set-link x /mars/userspace/y", "delete-file /mars/userspace/y", "pause-replay-global r",
		"set-emergency-limit r 5", "join-resource old /dev/disk", "create-resource new /dev/disk", "leave-cluster --force", "delete-resource r --force", "resume-sync all",
	} {
		s := newPair(t, "B")
		v1 := symtree.VersionValue(1, "A", 900, "")
		s.set("resource-old/size", "65536000", "resource-old/primary", "A", "resource-old/data-A", "/dev/x", "resource-old/replay-A", "log-000000002-A,77,3", "resource-old/version-000000001-A", v1)
		before := s.dump()
		s.must(line + " --dry-run")
		if s.dump() != before || len(s.triggers) > 1 {
			t.Errorf("marsadm %s --dry-run changes something", line)
		}
		dry := s.out.String()
		if strings.Contains(line, "fake") && !strings.Contains(dry, "would renew symlink '/mars/resource-r/syncstatus-B' -> '65536000'") {
			t.Errorf("marsadm %s --dry-run: %s", line, dry)
		}
	}
	s := newSys(t, "A")
	s.must("create-cluster --dry-run")
	if s.keys.have != "" || s.tree().Len() != 0 || !strings.Contains(s.out.String(), "would create symlink '/mars/ips/ip-A' -> '192.0.2.1'") {
		t.Errorf("create-cluster --dry-run: %s", s.out.String())
	}
	s.must("join-cluster B --dry-run")
	// A refusal is one.
	newPair(t, "B").refused("resize r --dry-run", 1, "I need to be primary")
}
