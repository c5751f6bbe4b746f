// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// simSys is a host in the simulator: the same code as a coroutine.
type simSys struct {
	fakeSys
	co *simenv.Coroutine
}

func (s *simSys) FS() (env.FS, error)         { return s.co.FS(), nil }
func (s *simSys) Wall() int64                 { return s.co.Wall() }
func (s *simSys) Mono() time.Duration         { return s.co.Mono() }
func (s *simSys) Worked() time.Duration       { return 0 } // nothing takes time in there
func (s *simSys) Sleep(d time.Duration) error { return s.co.Sleep(d) }

// crashCase is a command that the power may end at any moment.
type crashCase struct {
	line  string
	setup func(s *fakeSys)
	// check looks at the tree that is left; done tells whether the command had
	// said that it was successful.
	check func(t *symtree.Tree, done bool) error
}

func crashCases() []crashCase {
	return []crashCase{
		{"create-cluster", func(s *fakeSys) { s.loaded = false }, func(t *symtree.Tree, done bool) error {
			if t.UUID() == "" && !done {
				return nil
			}
			return want(t, "uuid", "", "ips/ip-B", "192.0.2.1", "todo-global/deleted-B", "1")
		}},
		{"create-resource new /dev/disk", setupPair, func(t *symtree.Tree, done bool) error {
			if !t.IsMember("new", "B") && !done {
				return nil
			}
			if !t.Exists("resource-new/log-000000001-B") {
				return fmt.Errorf("no logfile")
			}
			return want(t, "resource-new/size", "65536000", "resource-new/primary", "B", "resource-new/replay-B", "log-000000001-B,0,0",
				"resource-new/version-000000001-B", "", "resource-new/syncstatus-B", "65536000", "resource-new/device-B", "new",
				"resource-new/todo-B/attach", "1", "resource-new/todo-B/sync", "1", "resource-new/todo-B/connect", "1", "resource-new/todo-B/allow-replay", "1")
		}},
		{"join-resource old /dev/disk", setupPair, func(t *symtree.Tree, done bool) error {
			if !t.IsMember("old", "B") && !done {
				return nil
			}
			return want(t, "resource-old/replay-B", "log-000000002-A,0,0", "resource-old/version-000000001-B", "", "resource-old/syncstatus-B", "0",
				"resource-old/syncfrom-B", "A", "resource-old/device-B", "old", "resource-old/todo-B/attach", "1", "resource-old/todo-B/sync", "1")
		}},
		// The disk never counts as consistent with links that speak of another
		// history than the one it was written by.
		{"invalidate r", func(s *fakeSys) {
			setupPair(s)
			s.set("resource-r/replay-B", "log-000000003-B,7,0")
		}, func(t *symtree.Tree, done bool) error {
			old, _ := t.Value("resource-r/replay-B")
			if !done && old == "log-000000003-B,7,0" {
				return nil
			}
			return want(t, "resource-r/syncstatus-B", "0", "resource-r/replay-B", "log-000000001-A,0,0")
		}},
		{"resize r", func(s *fakeSys) {
			setupPair(s)
			s.set("resource-r/primary", "B", "resource-r/actual-B/is-primary", "1", "resource-r/actsize-A", "98304000", "resource-r/actsize-B", "98304000")
		}, func(t *symtree.Tree, done bool) error {
			size, _ := t.Size("r")
			if synced, _ := t.Int("resource-r/syncstatus-B"); synced < size || done && size != 98304000 {
				return fmt.Errorf("size %d, synced %d", size, synced)
			}
			return nil
		}},
	}
}

func setupPair(s *fakeSys) {
	fillMember(s, "B")
	fillPair(s)
	v1 := symtree.VersionValue(1, "A", 900, "")
	s.set("resource-old/size", "65536000", "resource-old/primary", "A", "resource-old/data-A", "/dev/x", "resource-old/replay-A", "log-000000002-A,77,3", "resource-old/version-000000001-A", v1)
}

// want checks links; an empty value is any value.
func want(t *symtree.Tree, pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		v, ok := t.Value(pairs[i])
		if !ok || pairs[i+1] != "" && v != pairs[i+1] {
			return fmt.Errorf("%s -> %q, expected %q", pairs[i], v, pairs[i+1])
		}
	}
	return nil
}

// crashAt runs a case with a power cut at its nth change of the file system,
// and reports whether it came to that.
func crashAt(t *testing.T, c crashCase, nth, seed int, model simenv.CrashModel) bool {
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
	code := -1
	co := n.Go(func(co *simenv.Coroutine) {
		s.co = co
		code = Run(s, strings.Fields(c.line))
	})
	if nth > 0 {
		n.CrashAtFSOp(nth, model)
	}
	if err := w.Run(co.Done, time.Minute); err != nil {
		t.Fatal(err)
	}
	crashed := !n.Up()
	if crashed {
		n.Start()
	}
	tree, _, err := symtree.NewStore(n.FS(), symtree.DaemonTemp).Load()
	if err == nil {
		err = c.check(tree, code == 0)
	}
	if err != nil {
		t.Errorf("%s, power cut at change %d (seed %d, %v), exit status %d: %v\n%s%s%s", c.line, nth, seed, model, code, err, tree, s.out.String(), s.err.String())
	}
	if nth == 0 && code != 0 {
		t.Fatalf("%s fails without a power cut: %s", c.line, s.err.String())
	}
	return crashed
}

func TestPowerCuts(t *testing.T) {
	for _, c := range crashCases() {
		for _, model := range simenv.Models() {
			t.Run(fmt.Sprintf("%s/%s", c.line, model), func(t *testing.T) {
				crashAt(t, c, 0, 0, model)
				nth := 1
				for crashed := true; crashed && !t.Failed(); nth++ {
					for seed := range 6 { // a crash at the same place leaves this or that
						crashed = crashAt(t, c, nth, seed, model)
					}
				}
				if nth < 5 {
					t.Errorf("only %d changes: the power was hardly ever cut", nth)
				}
			})
		}
	}
}
