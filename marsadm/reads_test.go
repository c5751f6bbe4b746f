// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"testing"

	"mars/infra/symtree"
)

// readScenes are trees in which commands go different ways.
func readScenes() map[string]func(s *fakeSys) {
	return map[string]func(s *fakeSys){
		"plain":    func(*fakeSys) {},
		"detached": func(s *fakeSys) { s.set("resource-r/todo-B/attach", "0", "resource-r/actual-B/is-attached", "0") },
		"torn": func(s *fakeSys) {
			s.set("resource-r/todo-B/attach", "0", "resource-r/actual-B/is-attached", "0", "resource-r/replay-B", "log-000000001-A,100,300")
		},
		"primary": func(s *fakeSys) {
			s.set("resource-r/primary", "B", "resource-r/actual-B/is-primary", "1", "resource-r/actual-A/is-primary", "0")
			s.file(symtree.LogPath("r", 2, "B"), 10)
		},
		"nobody": func(s *fakeSys) { s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0") },
		"behind": func(s *fakeSys) {
			v := symtree.VersionValue(1, "A", 900, "")
			s.set("resource-r/version-000000001-A", v, "resource-r/version-000000002-A", symtree.VersionValue(2, "A", 7, v), "resource-r/replay-A", "log-000000002-A,7,0")
		},
		"passed": func(s *fakeSys) {
			v := symtree.VersionValue(1, "A", 500, "")
			for _, h := range []string{"A", "B"} {
				s.set("resource-r/version-000000002-"+h, symtree.VersionValue(2, "A", 7, v), "resource-r/replay-"+h, "log-000000002-A,7,0")
			}
		},
		"split": func(s *fakeSys) {
			v := symtree.VersionValue(1, "A", 500, "")
			s.set("resource-r/version-000000002-A", symtree.VersionValue(2, "A", 9, v), "resource-r/version-000000002-B", symtree.VersionValue(2, "B", 9, v), "resource-r/replay-B", "log-000000002-B,9,0")
		},
		"syncing": func(s *fakeSys) { s.set("resource-r/syncstatus-B", "4096", "resource-r/actual-B/is-syncing", "1") },
		"healing": func(s *fakeSys) { s.set("resource-r/syncpos-B", "log-000000001-A,501,0") },
		"small":   func(s *fakeSys) { s.set("resource-r/actsize-B", "4096") },
		"chosen": func(s *fakeSys) { // B was made a copy of A, behind a fork of C
			v := symtree.VersionValue(1, "A", 500, "")
			s.set("resource-r/data-C", "/dev/c", "resource-r/version-000000001-C", symtree.VersionValue(1, "A", 300, ""), "resource-r/version-000000002-C", symtree.VersionValue(2, "C", 30, symtree.VersionValue(1, "A", 300, "")),
				"resource-r/version-000000002-A", symtree.VersionValue(2, "A", 9, v), "resource-r/version-000000002-B", symtree.VersionValue(2, "A", 9, v), "resource-r/replay-A", "log-000000002-A,9,0",
				"resource-r/replay-B", "log-000000002-A,9,0", "resource-r/syncpos-B", "log-000000002-A,0,0", "resource-r/syncfrom-B", "A", "resource-r/primary", "B")
		},
		"peer": func(s *fakeSys) {
			s.set("resource-r/actual-A/open-count", "2", "resource-r/actual-A/is-attached", "0", "resource-r/actual-A/has-emergency", "1", "resource-r/actual-A/disk-error", "no such device",
				"resource-r/actual-A/log-error", "no space", "resource-r/actual-A/why", "because", "resource-r/actual-A/split-brain", "says A", "resource-r/actual-A/msg-x", "text",
				"resource-r/syncstatus-A", "4096", "resource-r/todo-A/sync", "0", "resource-r/skip-check-B", "1", "resource-r/device-A", "dev")
		},
		"laggard": func(s *fakeSys) {
			v := symtree.VersionValue(1, "B", 900, "")
			s.set("resource-r/primary", "B", "resource-r/actual-B/is-primary", "1", "resource-r/actual-A/is-primary", "0", "resource-r/version-000000001-B", v,
				"resource-r/version-000000002-B", symtree.VersionValue(2, "B", 7, v), "resource-r/replay-B", "log-000000002-B,7,0", "resource-r/todo-A/connect", "0", "resource-r/actual-A/why", "because")
		},
	}
}

// TestReads: a command that reads only a part of the tree says and does what it
// would if it had read all of it.
func TestReads(t *testing.T) {
	for name, scene := range readScenes() {
		if testing.Short() && name != "plain" && name != "split" && name != "chosen" {
			continue
		}
		r := &readers{t: t, name: name, scene: scene}
		for _, row := range append(manualRows(), manualRow{"explain", "", "R", ""}, manualRow{"status explain", "--json", "R", ""},
			manualRow{strings.Join(ownViews(), " "), "", "R", ""}) {
			for word := range strings.FieldsSeq(row.words) {
				for _, form := range []string{"r", "all", "r --host=A"} {
					if !strings.ContainsAny(row.kind, "Ro") && form != "r" {
						continue
					}
					line := fmt.Sprintf("%s %s %s --timeout=0 --verbose", word, form, row.args)
					if !strings.ContainsAny(row.kind, "Ro") {
						line = fmt.Sprintf("%s %s --timeout=0 --verbose", word, row.args)
					}
					r.compare(line)
				}
			}
		}
	}
}

// readers are two hosts in the same scene. They are kept for one command after the
// other as long as none of them changes the tree.
type readers struct {
	t     *testing.T
	name  string
	scene func(s *fakeSys)
	hosts [2]*fakeSys // the second one reads all; nil: to be made
	trees [2]string
}

func (r *readers) compare(line string) {
	r.t.Helper()
	var said [2]string
	var changed bool
	for i := range r.hosts {
		if r.hosts[i] == nil {
			r.hosts[i] = r.host()
			r.trees[i] = r.hosts[i].dump()
		}
		s := r.hosts[i]
		s.out.Reset()
		s.err.Reset()
		code := (&run{sys: s, readAll: i == 1}).main(strings.Fields(line))
		tree := s.dump()
		changed = changed || tree != r.trees[i]
		text := fmt.Sprintf("exit status %d\n%s%s%s", code, s.out.String(), s.err.String(), tree)
		said[i] = strings.ReplaceAll(text, s.place.MarsDir, "/mars") // each has a directory of its own
	}
	if changed {
		clear(r.hosts[:])
	}
	if said[0] != said[1] {
		r.t.Errorf("%s: marsadm %s: having read a part:\n%s\nhaving read all:\n%s", r.name, line, said[0], said[1])
	}
}

func (r *readers) host() *fakeSys {
	s := matrixHost(r.t)
	s.heard()
	s.set("resource-other/data-B", "/dev/x", "resource-other/size", "65536000", "resource-other/primary", "A", "resource-other/actual-A/is-primary", "1", "resource-other/data-A", "/dev/x",
		"resource-other/todo-B/attach", "1", "resource-other/todo-A/attach", "1", "resource-other/actual-B/is-attached", "1")
	r.scene(s)
	return s
}
