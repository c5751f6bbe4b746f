// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
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
	return append(switchCases(), []repeatCase{
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
		{"enrol", func(s *fakeSys) { setupPair(s); s.in = []byte(joinOfD) }, "", []string{"ips/ip-D", "192.0.2.4", "pki/cert-D", ""}},
		{"down all --timeout=0", setupPair, "", []string{r("todo-B/attach"), "0", r("todo-B/sync"), "0"}},
		{"primary r --force", old, "", []string{r("primary"), "B"}},
		{"primary r", func(s *fakeSys) { old(s); s.set("alive-A", "0") }, "still device '/dev/mars/r' not yet present", []string{r("primary"), "B"}},
		{"secondary r --timeout=0", primary, "", []string{r("primary"), "(none)"}},
		{"resize r", primary, "only increases", []string{r("size"), "98304000", r("syncstatus-B"), "98304000"}},
		{"log-rotate r", primary, "", nil},
		{"log-delete r", primary, "", nil},
		{"log-delete-all r", primary, "", nil},
		{"log-purge-all r", primary, "", nil},
		{"cron", primary, "", nil},
		{"invalidate r --timeout=0", setupPair, "", []string{r("syncstatus-B"), "0", r("replay-B"), "log-000000001-A,0,0"}},
		{"fake-sync r --timeout=0", setupPair, "", []string{r("syncstatus-B"), "65536000"}},
		{"set-replay r 1 --force", func(s *fakeSys) { setupPair(s); s.set(r("todo-B/allow-replay"), "0") }, "", []string{r("replay-B"), "log-000000001-A,0,0"}},
		{"set-emergency-limit r 10", setupPair, "", []string{r("todo-B/emergency-limit"), "10"}},
		{"set-link v /mars/userspace/k w /mars/userspace/l", setupPair, "", []string{"userspace/k", "v", "userspace/l", "w"}},
		{"delete-file /mars/userspace/k", setupPair, "", nil},
	}...)
}

// switchCases are all commands that turn one switch.
func switchCases() (list []repeatCase) {
	for _, d := range switchDefs() {
		for value, word := range map[string]string{"1": d.on, "0": d.off} {
			before := "0"
			if value == "0" {
				before = "1"
			}
			setup := func(s *fakeSys) {
				setupPair(s)
				s.set(symtree.TodoPath("r", "A", d.key), before, symtree.TodoPath("r", "B", d.key), before)
			}
			own, everybody := []string{symtree.TodoPath("r", "B", d.key), value, symtree.TodoPath("r", "A", d.key), before}, []string{symtree.TodoPath("r", "A", d.key), value, symtree.TodoPath("r", "B", d.key), value}
			list = append(list, repeatCase{word + " r", setup, "", own}, repeatCase{word + "-local r", setup, "", own}, repeatCase{word + "-global r", setup, "", everybody})
		}
	}
	return list
}

// joinOfD is the request of a host that wants to join.
const joinOfD = `{"mars":1,"host":"D","ip":"192.0.2.4","request":"please D"}`

// writesNothing are commands that neither only inspect nor are repeated above.
func writesNothing() []string {
	return strings.Fields("wait-cluster wait-connect wait-resource wait-umount " +
		"syncer get-gi show-gi outdate adjust hidden-commands check-resize create-md dump-md dump new-current-uuid invalidate-remote verify")
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
}

// TestAllAreRepeated: no command that writes is left out above, and those that are
// said to write nothing do not.
func TestAllAreRepeated(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range repeatCases() {
		word, _, _ := strings.Cut(c.line, " ")
		covered[word] = true
	}
	for _, c := range commandTable() {
		if c.has(inspects) || covered[c.name] {
			continue
		}
		if !slices.Contains(writesNothing(), c.name) {
			t.Errorf("%s writes, and is not killed and repeated", c.name)
			continue
		}
		for _, line := range []string{c.name + " r", c.name + " r is-attach", c.name} {
			s := newPair(t, "B")
			s.heard()
			before := s.dump()
			s.adm(line + " --timeout=0")
			if s.dump() != before {
				t.Errorf("marsadm %s changes the tree", line)
			}
		}
	}
}
