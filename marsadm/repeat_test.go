// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// repeatCase is a command that may be killed anywhere and then be given again.
type repeatCase struct {
	line  string
	setup func(s *fakeSys)
	// done is how the second one may be refused: all was done already. Empty:
	// it must succeed.
	done string
	// want are links afterwards; an empty value is any.
	want []string
}

func repeatCases() []repeatCase {
	r := func(p string) string { return "resource-r/" + p }
	old := func(s *fakeSys) {
		setupPair(s)
		s.set(r("primary"), "(none)", r("actual-A/is-primary"), "0")
	}
	detached := func(s *fakeSys) {
		setupPair(s)
		s.set(r("todo-B/attach"), "0", r("actual-B/is-attached"), "0")
	}
	primary := func(s *fakeSys) {
		setupPair(s)
		s.set(r("primary"), "B", r("actual-B/is-primary"), "1", r("actual-A/is-primary"), "0", r("actsize-A"), "98304000", r("actsize-B"), "98304000")
		s.file(symtree.LogPath("r", 2, "B"), 100)
	}
	return []repeatCase{
		{"create-cluster", func(s *fakeSys) { s.loaded = false }, "already created", []string{"uuid", "", "ips/ip-B", "192.0.2.1"}},
		{"join-cluster A", func(s *fakeSys) { s.loaded, s.ssh = false, answersJoin }, "already created", []string{"uuid", testUUID, "ips/ip-A", "192.0.2.9", "ips/ip-B", "192.0.2.1", "userspace/x", "y"}},
		{"create-resource new /dev/disk", setupPair, "already exists", []string{"resource-new/data-B", "/dev/disk", "resource-new/size", "65536000", "resource-new/primary", "B"}},
		{"join-resource old /dev/disk", setupPair, "already joined", []string{"resource-old/data-B", "/dev/disk", "resource-old/replay-B", ""}},
		{"leave-resource r", detached, "has not yet joined", nil},
		{"leave-cluster --force", setupPair, "", nil},
		{"delete-resource r --force", setupPair, "", nil},
		{"attach r --timeout=0", detached, "", []string{r("todo-B/attach"), "1"}},
		{"detach r --force --timeout=0", setupPair, "", []string{r("todo-B/attach"), "0"}},
		{"up r --timeout=0", detached, "", []string{r("todo-B/attach"), "1", r("todo-B/sync"), "1"}},
		{"down r --timeout=0", setupPair, "", []string{r("todo-B/attach"), "0", r("todo-B/sync"), "0", r("todo-B/connect"), "0", r("todo-B/allow-replay"), "0"}},
		{"pause-sync r", setupPair, "", []string{r("todo-B/sync"), "0"}},
		{"pause-fetch r", setupPair, "", []string{r("todo-B/connect"), "0"}},
		{"pause-replay-global r", setupPair, "", []string{r("todo-A/allow-replay"), "0", r("todo-B/allow-replay"), "0"}},
		{"primary r --force", old, "", []string{r("primary"), "B"}},
		{"secondary r --timeout=0", primary, "", []string{r("primary"), "(none)"}},
		{"resize r", primary, "only increases", []string{r("size"), "98304000", r("syncstatus-B"), "98304000"}},
		{"log-rotate r", primary, "", nil},
		{"log-delete-all r", primary, "", nil},
		{"log-purge-all r", primary, "", nil},
		{"cron", primary, "", nil},
		{"invalidate r --timeout=0", setupPair, "", []string{r("syncstatus-B"), "0", r("replay-B"), "log-000000001-A,0,0"}},
		{"fake-sync r --timeout=0", setupPair, "", []string{r("syncstatus-B"), "65536000"}},
		{"set-replay r 1 --force", func(s *fakeSys) { setupPair(s); s.set(r("todo-B/allow-replay"), "0") }, "", []string{r("replay-B"), "log-000000001-A,0,0"}},
		{"set-emergency-limit r 10", setupPair, "", []string{r("todo-B/emergency-limit"), "10"}},
		{"set-link v /mars/userspace/k w /mars/userspace/l", setupPair, "", []string{"userspace/k", "v", "userspace/l", "w"}},
		{"delete-file /mars/userspace/k", setupPair, "", nil},
	}
}

// answersJoin is a peer that admits B.
func answersJoin(string, []byte, []string) ([]byte, error) {
	return []byte(`{"mars":1,"uuid":"` + testUUID + `","insecure":false,"keys":"` + testUUID + `/B","links":[{"path":"uuid","value":"` + testUUID +
		`","stamp":1},{"path":"ips/ip-A","value":"192.0.2.9","stamp":2},{"path":"ips/ip-B","value":"192.0.2.1","stamp":3},{"path":"userspace/x","value":"y","stamp":4}]}`), nil
}

// repeatAt kills a command at its nth change and gives it again. It tells
// whether the command was killed.
func repeatAt(t *testing.T, c repeatCase, nth, seed int) bool {
	t.Helper()
	w := simenv.New(uint64(1000*seed+nth), simenv.Options{})
	defer w.Close()
	n := w.AddNode("B", "192.0.2.2", simenv.NodeOptions{})
	s := &simSys{}
	s.fakeSys = *newFake(t, "B")
	s.fakeSys.fs = n.FS()
	s.loaded = true
	c.setup(&s.fakeSys)
	n.SyncAll()
	run := func() int {
		code := -1
		s.out.Reset()
		s.err.Reset()
		co := n.Go(func(co *simenv.Coroutine) {
			s.co = co
			code = Run(s, strings.Fields(c.line))
		})
		if err := w.Run(co.Done, 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		return code
	}
	n.CrashAtFSOp(nth, simenv.Models()[seed%len(simenv.Models())])
	run()
	killed := !n.Up()
	if killed {
		n.Start()
	}
	n.CrashAtFSOp(0, simenv.Models()[0])
	code := run()
	refused := s.err.String()
	if code != 0 && (c.done == "" || !strings.Contains(refused, c.done)) {
		t.Errorf("%s, killed at change %d (seed %d), again: exit status %d\n%s%s", c.line, nth, seed, code, s.out.String(), refused)
	}
	tree, _, err := symtree.NewStore(n.FS(), symtree.DaemonTemp).Load()
	if err == nil {
		err = want(tree, c.want...)
	}
	if err != nil {
		t.Errorf("%s, killed at change %d (seed %d), again: %v\n%s", c.line, nth, seed, err, tree)
	}
	return killed
}

// TestKilledAndRepeated: every command that changes something can be killed at
// any point and then be repeated.
func TestKilledAndRepeated(t *testing.T) {
	for _, c := range repeatCases() {
		t.Run(c.line, func(t *testing.T) {
			nth, seeds := 1, 2*len(simenv.Models())
			if testing.Short() {
				seeds = len(simenv.Models())
			}
			for killed := true; killed && !t.Failed(); nth++ {
				for seed := range seeds {
					killed = repeatAt(t, c, nth, seed)
				}
			}
			if nth > 400 {
				t.Errorf("%d changes", nth)
			}
		})
	}
	covered := ""
	for _, c := range repeatCases() {
		covered += " " + c.line
	}
	for _, row := range manualRows() {
		if strings.ContainsAny(row.kind, "i") || strings.HasPrefix(row.words, "wait-") || strings.Contains(row.kind, "f") {
			continue
		}
		found := false
		for word := range strings.FieldsSeq(row.words) {
			found = found || strings.Contains(covered, " "+word)
		}
		if !found {
			t.Error(fmt.Errorf("none of %s is repeated", row.words))
		}
	}
}
