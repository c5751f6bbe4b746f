// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// splitBrain is three nodes whose first two have gone different ways.
type splitBrain struct {
	c       *cluster
	a, b, n *node   // n is the third one, which only watches
	wa, wb  *writer // wa has the device of A open
	common  uint64
}

// newSplitBrain makes B primary by force while A goes on. C was behind the
// place where they part.
func newSplitBrain(t *testing.T) *splitBrain {
	t.Helper()
	c := replicated(t, 3, diskSize)
	s := &splitBrain{c: c, a: c.nodes[0], b: c.nodes[1], n: c.nodes[2]}
	s.wa = newWriter(s.a, 0)
	s.wa.write(100)
	s.b.awaitVersion(100)
	s.n.awaitVersion(100)
	s.n.pauseReplay()
	s.wa.open()
	s.more(s.wa, 100)
	s.common = 200
	s.b.awaitVersion(s.common)
	s.b.ok("disconnect", res)
	s.b.awaitFact("B", "is-copying", "0")
	s.more(s.wa, 50)
	s.b.awaitVersion(s.common)
	s.b.ok("primary", res, "--force")
	s.b.ok("wait-resource", res, "is-device")
	s.wb = newWriter(s.b, s.common)
	s.wb.side = branch
	s.wb.write(60)
	s.more(s.wa, 20)
	return s
}

// more writes on a device that is open.
func (s *splitBrain) more(w *writer, count int) {
	s.c.t.Helper()
	for range count {
		if err := w.one(); err != nil {
			s.c.t.Fatalf("write %d at %s: %v", w.acked.Load()+1, w.n.name, err)
		}
	}
}

// awaitClaims waits until both claims have arrived at C: that A has more of the
// first log than B had when it began the second one.
func (s *splitBrain) awaitClaims() {
	s.c.t.Helper()
	dir := "resource-" + res + "/version-00000000"
	s.c.await("both versions to be known at C", func() string {
		atA, atB, next := position(s.n.link(dir+"1-A")), position(s.n.link(dir+"1-B")), s.n.link(dir+"2-B")
		if atA <= atB || next == "" {
			return fmt.Sprintf("A %d, B %d, then '%s'", atA, atB, next)
		}
		return ""
	})
}

// position is the length of the log that a version link names.
func position(version string) int64 {
	f := strings.Split(strings.TrimSuffix(version, ":"), ",")
	if len(f) < 3 {
		return -1
	}
	n, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// watch: C goes up to where the two part, no further, and says so.
func (s *splitBrain) watch() {
	t := s.c.t
	t.Helper()
	s.awaitClaims()
	s.n.ok("resume-replay", res)
	s.n.awaitVersion(s.common)
	text := s.n.awaitStatus("SPLIT BRAIN", "Outdated")
	s.n.settle()
	if m := s.n.restVersion(); m != s.common {
		t.Errorf("C has gone to %#x, behind the last common write %d", m, s.common)
	}
	if out := s.n.ok("cstate", res); out != "SplitBrain\n" {
		t.Errorf("cstate of C: %q", out)
	}
	if r := s.n.adm("show-errors", res); r.code == 0 || !strings.Contains(r.out, "SPLIT BRAIN") {
		t.Errorf("show-errors of C: exit status %d, %s", r.code, r.out)
	}
	if r := s.n.adm("primary", res); r.code != 1 || !strings.Contains(r.err, "DYING: split brain detected") {
		t.Errorf("primary at C: exit status %d\n%s%s", r.code, r.out, r.err)
	}
	if p := s.n.link("resource-" + res + "/primary"); p != "B" {
		t.Errorf("the refused command has left '%s' as the designated primary", p)
	}
	for _, n := range []*node{s.a, s.b} {
		n.awaitStatus("SPLIT BRAIN")
	}
	// Both sides go on all the same.
	s.more(s.wa, 10)
	s.wb.write(10)
	if t.Failed() {
		t.Log(text)
	}
}

// release closes the device at A, which becomes secondary with all of its own
// logs applied.
func (s *splitBrain) release() {
	t := s.c.t
	t.Helper()
	s.wa.close()
	s.a.ok("wait-resource", res, "is-primary-off", "--timeout=30")
	s.a.awaitVersion(s.wa.last())
	s.b.awaitLink("resource-"+res+"/primary", "B")
}

// TestSplitBrainDestroy: all others take over the right version (manual
// 1.4.3.1).
func TestSplitBrainDestroy(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	s := newSplitBrain(t)
	s.watch()
	s.release()
	s.b.ok("primary", res, "--force")
	for _, n := range []*node{s.a, s.n} {
		n.ok("invalidate", res, "--timeout=30")
		n.awaitUpToDate()
		n.awaitVersion(s.wb.last())
	}
	s.wb.write(40)
	for _, n := range []*node{s.a, s.n} {
		n.awaitVersion(s.wb.last())
		if text := n.awaitStatus("UpToDate"); strings.Contains(text, "SPLIT") {
			t.Errorf("after the resolution %s still speaks of a split brain:\n%s", n.name, text)
		}
	}
	s.c.sameDisks()
}

// TestSplitBrainKeep: the other version lives on under a new name (manual
// 1.4.3.2).
func TestSplitBrainKeep(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	const other = "mynewdata"
	s := newSplitBrain(t)
	s.watch()
	s.release()
	s.a.ok("down", res)
	s.a.ok("leave-resource", res)
	if err := exclusive(s.a.disk); err != nil {
		t.Errorf("after leave-resource the disk of A is not free: %v", err)
	}
	s.a.ok("create-resource", other, s.a.disk)
	s.a.ok("wait-resource", other, "is-device")
	if got, err := version(s.a, s.a.path("dev", other)); err != nil || got != s.wa.last() {
		t.Errorf("the new resource shows write %#x, %v, expected %#x", got, err, s.wa.last())
	}
	s.n.ok("invalidate", res, "--timeout=30")
	s.n.awaitUpToDate()
	s.wb.write(40)
	s.n.awaitVersion(s.wb.last())
	if text := s.n.awaitStatus("UpToDate"); strings.Contains(text, "SPLIT") {
		t.Errorf("after the resolution C still speaks of a split brain:\n%s", text)
	}
	s.a.stop()
	if m := s.a.diskVersion(); m != s.wa.last() {
		t.Errorf("the disk of the new resource holds write %#x, expected %#x", m, s.wa.last())
	}
	s.c.nodes = s.c.nodes[1:]
	defer func() { s.c.nodes = append(s.c.nodes, s.a) }()
	s.c.sameDisks()
}
