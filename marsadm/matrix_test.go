// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"testing"
)

// manualRow is what chapter 3 of the manual says about commands: written down
// here from the manual, not from the table of the program.
type manualRow struct {
	words string
	args  string // behind the resource
	kind  string // letters, see below
	plain string // why it is refused on a secondary that runs and is attached; empty: it is not
}

// The letters of kind.
const (
	takesRes    = 'R' // a resource, or all
	optionalRes = 'o' // a resource, all, or nothing
	needsMarsd  = 'l' // the module must be loaded
	always      = 'L' // even with --force
	needsMember = 'm'
	secondaries = 's' // not on a primary
	needsDisk   = 'a' // in attached state
	looks       = 'i' // changes nothing
	byAnybody   = 'u' // not only root
	noHost      = 'h' // makes no sense with --host
	free        = 'f' // any number of arguments
	treeless    = 't' // needs no cluster
	mustExist   = 'e' // looks at a resource that exists
	makesNew    = 'n' // of a resource that does not exist yet
)

func manualRows() []manualRow {
	return []manualRow{
		{"attach up", "", "Rlm", ""},
		{"detach", "", "Rlms", "must have value '0'"},
		{"down", "", "Rlms", ""},
		{"pause-sync pause-sync-local resume-sync resume-sync-local", "", "Rlma", ""},
		{"pause-replay pause-replay-local resume-replay resume-replay-local connect connect-local disconnect disconnect-local", "", "Rlmas", ""},
		{"pause-fetch pause-fetch-local resume-fetch resume-fetch-local", "", "Rlmas", ""},
		{"pause-sync-global resume-sync-global pause-replay-global resume-replay-global connect-global disconnect-global pause-fetch-global resume-fetch-global", "", "Rlm", ""},
		{"primary", "", "RLm", "without waiting"},
		{"secondary", "", "Rlm", ""},
		{"wait-umount", "", "Rlm", ""},
		{"wait-resource", "is-attach", "Rlm", ""},
		{"wait-connect", "", "Rlmh", "no message from peer(s): A"},
		{"wait-cluster", "", "lh", "no message from peer(s): A C"},
		{"resize", "", "Rlmah", "I need to be primary"},
		{"log-rotate", "", "Rlm", "designated primary"},
		{"log-delete log-delete-all log-purge-all", "", "Rlm", ""},
		{"cron", "", "olm", ""},
		{"invalidate fake-sync", "", "Rlms", ""},
		{"set-replay", "1", "Rlmsh", "must have value '0'"},
		{"leave-resource", "", "Rlms", "its disk must be detached"},
		{"delete-resource", "", "Rh", "is not empty"},
		{"set-emergency-limit", "10", "Rm", ""},
		{"get-emergency-limit", "", "Rmi", "cannot read symlink"},
		{"role state cstate dstate show-state mars-state", "", "Rmi", ""},
		{"show-info mars-info", "", "Rie", ""},
		{"show-errors", "", "Rie", ""},
		{"status show", "", "oi", ""},
		{"view", "", "oiuft", ""},
		{"syncer get-gi show-gi outdate adjust check-resize create-md dump-md dump new-current-uuid", "", "Rmf", ""},
		{"hidden-commands", "", "omf", ""},
		{"invalidate-remote verify", "", "Rmf", "cannot be used with MARS"},
		{"set-link", "v /mars/userspace/k", "f", ""},
		{"get-link", "/mars/userspace/key-B", "fi", ""},
		{"delete-file", "/mars/userspace/key-B", "f", ""},
		{"cat", "/mars/5.total.status", "fiuth", ""},
		{"leave-cluster", "", "l", "is member of some resources"},
		{"help version", "", "iutx", ""},
		{"watch explain", "", "oi", ""},
		{"completion", "bash", "iutx", ""},
		{"man", "mars-log", "iutx", ""},
		{"log", "check /mars/none", "ifhtx", "cannot open"},
		{"create-cluster", "", "ht", "already created"},
		{"join-cluster", "A", "ht", "already created"},
		{"enrol", "", "h", "the request is not understood"},
		{"join-resource", "/dev/disk", "Rlhne", "already joined"},
		{"create-resource", "/dev/disk", "Rlhn", "already exists"},
	}
}

// situation is something that is wrong, and what a command says about it.
type situation struct {
	name string
	make func(s *fakeSys)
	line func(word, args string) string
	code int
	text string
	hits func(kind string) bool // which commands mind
}

func situations() []situation {
	has := func(letters string) func(string) bool {
		return func(kind string) bool { return strings.ContainsAny(kind, letters) }
	}
	plain := func(res, more string) func(word, args string) string {
		return func(word, args string) string { return strings.Join([]string{word, res, args, more}, " ") }
	}
	nothing := func(*fakeSys) {}
	tree := func(kind string) bool { return !strings.ContainsRune(kind, treeless) }
	return []situation{
		{"not root", func(s *fakeSys) { s.uid = 1000 }, plain("r", ""), 1, "only root", func(k string) bool { return !has("u")(k) }},
		{"no directory", func(s *fakeSys) { s.fs = nil }, plain("r", ""), 1, "does not exist", func(k string) bool { return !has("x")(k) }},
		{"no cluster", func(s *fakeSys) { s.remove("uuid") }, plain("r", ""), 1, "No valid cluster UUID", tree},
		{"not in the cluster", func(s *fakeSys) { s.remove("ips/ip-B") }, plain("r", ""), 1, "is not a member of this cluster", func(k string) bool { return tree(k) && !has("i")(k) }},
		{"no marsd", func(s *fakeSys) { s.loaded = false }, plain("r", ""), 1, "no marsd is running", has("lL")},
		{"no marsd, force", func(s *fakeSys) { s.loaded = false }, plain("r", "--force"), 1, "no marsd is running", has("L")},
		{"no such resource", nothing, plain("q", ""), 1, "resource 'q' does not exist", func(k string) bool { return has("Ro")(k) && (has("moe")(k) || !has("in")(k)) }},
		{"not joined", func(s *fakeSys) { s.remove("resource-r/data-B") }, plain("r", ""), 1, "has not yet joined", has("m")},
		{"detached", func(s *fakeSys) { s.set("resource-r/todo-B/attach", "0", "resource-r/actual-B/is-attached", "0") }, plain("r", ""), 1, "its disk is detached", has("a")},
		{"on the primary", func(s *fakeSys) { s.set("resource-r/primary", "B", "resource-r/actual-B/is-primary", "1") }, plain("r", ""), 1, "cannot be executed on designated primary", has("s")},
		{"bad name", nothing, plain("r;reboot", ""), 2, "disallowed characters", has("Ro")},
		{"no resource", nothing, func(word, _ string) string { return word }, 2, "argument is missing", has("R")},
		{"surplus", nothing, func(word, args string) string { return word + " r " + args + " one two three four" }, 2, "surplus argument", func(k string) bool { return !has("f")(k) }},
		{"all and force", nothing, plain("all", "--force"), 2, "Combination of 'all' with --force", func(k string) bool { return has("R")(k) && !has("n")(k) || k == "olm" || k == "omf" }},
		{"all new ones", nothing, plain("all", ""), 2, "you must explicitly name a single new resource", has("n")},
		{"bad option", nothing, plain("r", "--colour"), 2, "unknown option '--colour'", func(string) bool { return true }},
		{"bad timeout", nothing, plain("r", "--timeout=1s"), 2, "--timeout must be a number", func(string) bool { return true }},
		{"unknown host", nothing, plain("r", "--host=Z"), 1, "host 'Z' is not a member", func(k string) bool { return tree(k) && !has("h")(k) }},
		{"bad host", nothing, plain("r", "--host=$(reboot)"), 2, "--host: host name", func(string) bool { return true }},
		{"host not allowed", nothing, plain("r", "--host=A"), 2, "can not be combined with --host", has("h")},
	}
}

// mars is B, secondary of r, as in the situations.
func matrixHost(t *testing.T) *fakeSys {
	s := newPair(t, "B")
	s.set("userspace/key-B", "hello")
	return s
}

// TestMatrix walks all commands through all situations.
func TestMatrix(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range manualRows() {
		for word := range strings.FieldsSeq(row.words) {
			seen[word] = true
			for _, sit := range situations() {
				if !sit.hits(row.kind) {
					continue
				}
				s := matrixHost(t)
				sit.make(s)
				line := sit.line(word, row.args)
				if !strings.ContainsAny(row.kind, "Ro") { // no resource
					line = strings.Replace(strings.Replace(line, " r ", " ", 1), " all ", " ", 1)
				}
				if !strings.Contains(line, "--timeout") {
					line += " --timeout=0"
				}
				t.Run(sit.name+"/"+line, func(t *testing.T) {
					s.t = t
					if s.fs == nil {
						if code := s.adm(line); code != sit.code || !strings.Contains(s.err.String(), sit.text) {
							t.Errorf("exit status %d: %s", code, s.err.String())
						}
						return
					}
					s.refused(line, sit.code, sit.text)
				})
			}
			plainRow(t, row, word)
		}
	}
	for _, c := range commandTable() {
		if !seen[c.name] && c.name != "complete" { // which takes everything for words, see TestComplete

			t.Errorf("command %s is not in this test", c.name)
		}
	}
}

// plainRow: where all is as it should be, the command works, for the resource,
// for all, with --verbose and for another host, or says why not.
func plainRow(t *testing.T, row manualRow, word string) {
	forms := []string{"r", "all"}
	if !strings.ContainsAny(row.kind, "Ro") {
		forms = []string{""}
	}
	if strings.ContainsRune(row.kind, makesNew) {
		forms = []string{"r"}
	}
	for _, form := range forms {
		line := fmt.Sprintf("%s %s %s --timeout=0 --verbose", word, form, row.args)
		t.Run("plain/"+line, func(t *testing.T) {
			s := matrixHost(t)
			if row.plain != "" && (form == "r" || form == "") {
				s.refused(line, 1, row.plain)
				return
			}
			before := s.dump()
			dry := s.adm(line + " --dry-run")
			waits := strings.Contains(s.out.String(), "would wait") // nobody can know for what
			if s.dump() != before {
				t.Error("--dry-run changes the tree")
			}
			code := s.adm(line)
			if (dry == 0) != (code == 0) && !waits {
				t.Errorf("exit status %d, with --dry-run %d", code, dry)
			}
			if code != 0 && !strings.Contains(s.err.String(), row.plain) || code != 0 && row.plain == "" {
				t.Errorf("exit status %d: %s", code, s.err.String())
			}
			if strings.ContainsRune(row.kind, looks) && s.dump() != before {
				t.Error("it only shows something, but the tree has changed")
			}
		})
	}
	if strings.ContainsAny(row.kind, "ht") || row.plain != "" || strings.HasPrefix(word, "invalidate") || word == "fake-sync" {
		return
	}
	t.Run("host/"+word, func(t *testing.T) {
		s := matrixHost(t)
		s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0")
		s.must(strings.Join([]string{word, strings.Trim(forms[0], " "), row.args, "--host=A --timeout=0"}, " "))
		if !strings.ContainsRune(row.kind, looks) && !strings.Contains(s.out.String(), "acting as if I were host 'A'") {
			t.Errorf("it does not say for whom it acts: %s", s.out.String())
		}
	})
}
