// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		text string
	}{
		{"", 2, "command argument is missing"},
		{"frobnicate", 2, "unknown command 'frobnicate'"},
		{"show --frobnicate", 2, "unknown option '--frobnicate'"},
		{"--timeout=soon show", 2, "--timeout must be a number"},
		{"--timeout=-2 show", 2, "--timeout must be a number"},
		{"show --timeout", 2, "needs a value"},
		{"show --force=1", 2, "takes no value"},
		{"pause-sync", 2, "resource argument is missing"},
		{"pause-sync r now", 2, "surplus argument 'now'"},
		{"pause-sync r.s", 2, "disallowed characters"},
		{"pause-sync q", 1, "resource 'q' does not exist"},
		{"pause-sync all -f", 2, "Combination of 'all' with --force is disallowed"},
		{"pause-sync r --host=D", 1, "host 'D' is not a member"},
		{"pause-sync r --host=../x", 2, "--host: host name"},
		{"pause-sync r --host=C", 1, "host 'C' has not yet joined to resource 'r'"},
		{"pause-sync r --mars-dir=mars", 2, "--mars-dir must be an absolute path"},
		{"verify r", 1, "cannot be used with MARS"},
		{"invalidate-remote r", 1, "cannot be used with MARS"},
		{"set-link x /mars/resource-r/size", 1, "must be inside /mars/userspace/"},
		{"set-link x /mars/userspace/../uuid", 2, "not below /mars"},
		{"set-link x /etc/passwd", 2, "not below /mars"},
		{"set-link x /mars/resource-q/userspace/k", 1, "directory '/mars/resource-q' does not exist"},
		{"set-link x /mars/resource-q/userspace/k --force", 1, "directory '/mars/resource-q' does not exist"},
		{"set-link x", 2, "argument is missing"},
		{"set-link x /mars/userspace/a y", 2, "did not supply a symlink destination"},
		{"delete-file /mars/uuid", 1, "must be inside"},
		{"delete-file /mars/uuid -f", 1, "can not be deleted"},
		{"get-link /mars/userspace/none", 1, "cannot read symlink"},
		{"cat /etc/passwd", 2, "not below /mars"},
		{"help frobnicate", 2, "unknown command"},
		{"wait-resource r is-nonsense", 2, "actual indicator 'nonsense' does not exist"},
		{"wait-resource r nonsense", 2, "button 'nonsense' does not exist"},
	} {
		t.Run(c.line, func(t *testing.T) {
			newPair(t, "B").refused(c.line, c.code, c.text)
		})
	}
}

func TestOptionsStandAnywhere(t *testing.T) {
	for _, line := range []string{
		"--timeout=7 -v show r", "show --timeout 7 r -v", "show r --verbose --timeout=-1", "-f show r", "force-show r", "show --host B r", "show -- r",
	} {
		s := newPair(t, "B")
		s.must(line)
		if !strings.Contains(s.out.String(), "resource-r/size=65536000\n") {
			t.Errorf("%s: %s", line, s.out.String())
		}
	}
}

func TestHelp(t *testing.T) {
	s := newSys(t, "A")
	s.fs, s.uid = nil, 1000
	s.must("help")
	text := s.out.String()
	for _, c := range commandTable() {
		if shown := strings.Contains(text, "  "+c.name+" "); shown == c.has(hidden) {
			t.Errorf("help shows %s: %v", c.name, shown)
		}
		if c.brief == "" || c.group == "" || (c.run == nil) == (c.phases == nil) {
			t.Errorf("%s is incomplete", c.name)
		}
		s.must("help " + c.name)
	}
	s.must("version")
	s.must("--help")
	s.must("-h")
	s.must("--version")
}

// The manual names these; none may be missing.
func TestAllCommandsOfTheManual(t *testing.T) {
	words := "create-cluster join-cluster leave-cluster wait-cluster create-resource join-resource leave-resource wait-resource attach detach " +
		"connect connect-local connect-global disconnect disconnect-local disconnect-global up down primary secondary wait-umount resize " +
		"log-rotate log-delete log-delete-all invalidate fake-sync set-replay role state cstate dstate status show-state show-info show show-errors cat " +
		"wait-connect set-link delete-file syncer new-current-uuid create-md dump-md dump get-gi show-gi outdate adjust hidden-commands invalidate-remote verify help version"
	for _, x := range []string{"sync", "replay"} {
		for _, y := range []string{"pause-", "resume-"} {
			words += fmt.Sprintf(" %[1]s%[2]s %[1]s%[2]s-local %[1]s%[2]s-global", y, x)
		}
	}
	seen := map[string]bool{}
	for _, c := range commandTable() {
		if seen[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		seen[c.name] = true
	}
	for _, w := range strings.Fields(words) {
		if !seen[w] {
			t.Errorf("%s is missing", w)
		}
	}
}

func TestSwitches(t *testing.T) {
	for _, c := range []struct {
		word, key string
		on        bool
		role      bool
	}{
		{"pause-sync", "sync", false, false}, {"resume-sync", "sync", true, false},
		{"pause-replay", "allow-replay", false, true}, {"resume-replay", "allow-replay", true, true},
		{"disconnect", "connect", false, true}, {"connect", "connect", true, true},
		{"pause-fetch", "connect", false, true}, {"resume-fetch", "connect", true, true},
	} {
		for _, form := range []string{"", "-local", "-global"} {
			t.Run(c.word+form, func(t *testing.T) {
				s := newPair(t, "B")
				was, want := symtree.FormatBool(!c.on), symtree.FormatBool(c.on)
				s.set("resource-r/todo-A/"+c.key, was, "resource-r/todo-B/"+c.key, was)
				s.must(c.word + form + " r")
				s.has("resource-r/todo-B/"+c.key, want)
				if form == "-global" {
					was = want
				}
				s.has("resource-r/todo-A/"+c.key, was)

				s.must(c.word + form + " r")
				if again := strings.Contains(s.out.String(), "is already activated"); again != c.on {
					t.Errorf("again: %s", s.out.String())
				}
				detached(t, c.word+form, form == "-global")
				onPrimary(t, c.word+form, form == "-global" || !c.role)
			})
		}
	}
}

func detached(t *testing.T, word string, allowed bool) {
	s := newPair(t, "B")
	s.set("resource-r/todo-B/attach", "0", "resource-r/actual-B/is-attached", "0")
	if allowed {
		s.must(word + " r")
		return
	}
	s.refused(word+" r", 1, "its disk is detached")
	s.must(word + " r --force")
}

func onPrimary(t *testing.T, word string, allowed bool) {
	s := newPair(t, "A")
	if allowed {
		s.must(word + " r")
		return
	}
	s.refused(word+" r", 1, "cannot be executed on designated primary")
	s.must(word + " all") // skipped, with a note
	if !strings.Contains(s.out.String(), "skipping resource r") {
		t.Errorf("%s all: %s", word, s.out.String())
	}
}

func TestAttachDetach(t *testing.T) {
	s := newPair(t, "B")
	s.refused("detach r", 1, "todo-B/sync' must have value '0'")
	s.must("pause-sync r")
	s.refused("detach r", 1, "todo-B/allow-replay' must have value '0'")
	s.must("pause-replay r")
	if code := s.adm("detach r"); code != 1 || !strings.Contains(s.err.String(), timeoutText) {
		t.Errorf("exit status %d, %s", code, s.err.String())
	}
	s.has("resource-r/todo-B/attach", "0") // marsd does it as soon as it can
	s.must("detach r --timeout=0")
	s.set("resource-r/actual-B/is-attached", "0")
	s.must("detach r")
	s.refused("pause-sync r", 1, "its disk is detached")
	delete(s.disks, "/dev/disk")
	s.refused("attach r", 1, "exclusive rw access")
	s.disks["/dev/disk"] = 4096
	s.refused("attach r", 1, "smaller than the logical")
	s.disks["/dev/disk"] = 65536000
	s.react = func() { s.set("resource-r/actual-B/is-attached", "1"); s.react = nil }
	s.must("attach r")
	s.must("attach r")
	s.refused("detach nope", 1, "does not exist")
	a := newPair(t, "A")
	a.refused("detach r", 1, "cannot be executed on designated primary")
	a.set("resource-r/actual-A/open-count", "3")
	a.refused("detach r --force", 1, "is in use (3 times)")
}

// TestDetachTorn: a disk that was left between two versions is not called free of
// mars without a word.
func TestDetachTorn(t *testing.T) {
	const torn = "300 bytes of logs behind log-000000001-A,100 may be on it in part"
	for _, line := range []string{"detach r", "down r", "down all"} {
		for value, want := range map[string]string{"log-000000001-A,100,300": torn, "log-000000001-A,500,0": ""} {
			s := newPair(t, "B")
			if line == "detach r" {
				s.must("pause-sync r")
				s.must("pause-replay r")
			}
			s.react = func() { s.set("resource-r/actual-B/is-attached", "0", "resource-r/replay-B", value); s.react = nil }
			s.must(line)
			if got := s.err.String(); (want == "") != (got == "") || !strings.Contains(got, want) {
				t.Errorf("%s at %s: %q, want %q", line, value, got, want)
			}
			if s.must("status r"); strings.Contains(s.out.String(), "in the middle of a write") != (want != "") {
				t.Errorf("at %s: %s", value, s.out.String())
			}
		}
	}
	s := newPair(t, "B") // attached: what is behind the position is on its way
	s.set("resource-r/replay-B", "log-000000001-A,100,300")
	s.must("down r --timeout=0")
	if strings.Contains(s.err.String(), "in part") {
		t.Error(s.err.String())
	}
}

func TestUpDown(t *testing.T) {
	s := newPair(t, "B")
	s.react = func() {
		s.set("resource-r/actual-B/is-attached", s.get("resource-r/todo-B/attach"))
	}
	s.must("down r")
	for _, key := range []string{"attach", "connect", "sync", "allow-replay"} {
		s.has("resource-r/todo-B/"+key, "0")
	}
	s.must("down r")
	s.must("up r")
	for _, key := range []string{"attach", "connect", "sync", "allow-replay"} {
		s.has("resource-r/todo-B/"+key, "1")
	}
	s.must("up r")
	a := newPair(t, "A")
	a.must("up r")
	a.refused("down r", 1, "cannot be executed on designated primary")
}

func TestAll(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-q/data-B", "/dev/q", "resource-q/todo-B/attach", "1", "resource-q/actual-B/is-attached", "1", "resource-q/todo-B/sync", "1", "resource-p/data-A", "/dev/p")
	if code := s.adm("pause-sync all"); code != 1 || !strings.Contains(s.err.String(), "resource q: cannot read symlink '/mars/resource-q/size'") {
		t.Errorf("exit status %d, %s", code, s.err.String())
	}
	s.has("resource-r/todo-B/sync", "0", "resource-q/todo-B/sync", "1")
	c := newMember(t, "C")
	c.must("pause-sync all")
	if !strings.Contains(c.out.String(), "I am not member of any resource") {
		t.Error(c.out.String())
	}
}

func TestSenseless(t *testing.T) {
	for _, word := range []string{"syncer", "adjust", "outdate", "get-gi", "create-md", "dump", "new-current-uuid"} {
		s := newPair(t, "B")
		before := s.dump()
		s.must(word + " r some arguments")
		if s.dump() != before {
			t.Errorf("%s changes something", word)
		}
	}
}

func TestLinks(t *testing.T) {
	s := newPair(t, "B")
	s.must("set-link my-value /mars/userspace/key-B second /mars/resource-r/userspace/a/b")
	s.has("userspace/key-B", "my-value", "resource-r/userspace/a/b", "second")
	s.must("get-link /mars/userspace/key-B")
	if s.out.String() != "my-value\n" {
		t.Error(s.out.String())
	}
	s.must("set-link a/b::c /mars/userspace/key-B")
	s.must("delete-file /mars/userspace/key-B")
	if got := s.targets(); !slices.Equal(got, []string{"userspace/key-B"}) {
		t.Error(got)
	}
	s.must("set-link 77 /mars/resource-r/size --force")
	s.has("resource-r/size", "77")
}

// A link that has a stamp from the future is overtaken, not lost against.
func TestStampBeatsTheNewest(t *testing.T) {
	s := newPair(t, "B")
	s.set("userspace/x", "1")
	future := s.wall + 1e15
	if err := s.fs.Lutimes("userspace/x", future); err != nil {
		t.Fatal(err)
	}
	s.must("set-link 2 /mars/userspace/x")
	if stamp, _ := s.tree().Stamp("userspace/x"); stamp != future+1 {
		t.Errorf("stamp %d, expected %d", stamp, future+1)
	}
}

func TestLogRotate(t *testing.T) {
	s := newPair(t, "A")
	s.must("log-rotate r")
	if !s.tree().Exists("resource-r/log-000000002-A") {
		t.Error("no new logfile")
	}
	before := s.dump()
	s.must("log-rotate r")
	if s.dump() != before || !strings.Contains(s.out.String(), "nothing to do") {
		t.Errorf("it rotates an empty logfile: %s", s.out.String())
	}
	s.file("resource-r/log-000000003-B", 1)
	s.file("resource-r/log-000000002-A", 1)
	s.refused("log-rotate r", 1, "from another host")
	b := newPair(t, "B")
	b.refused("log-rotate r", 1, "designated primary")
	b.must("log-rotate all")
	a := newPair(t, "A")
	a.set("resource-r/actual-A/is-primary", "0")
	a.refused("log-rotate r", 1, "I need to be primary")
}

func TestLogDelete(t *testing.T) {
	make4 := func() *fakeSys {
		s := newPair(t, "B")
		for n, v := 1, ""; n <= 4; n++ {
			v = symtree.VersionValue(n, "A", 500, v)
			s.file(symtree.LogPath("r", n, "A"), 500)
			s.set(symtree.VersionPath("r", n, "A"), v)
		}
		s.file(symtree.LogPath("r", 1, "B"), 5)
		s.set("resource-r/replay-A", "log-000000004-A,9,0", "resource-r/replay-B", "log-000000003-A,500,0")
		return s
	}
	s := make4()
	s.must("log-delete r")
	if got := strings.Join(s.targets(), " "); got != "resource-r/log-000000001-A resource-r/log-000000001-B" {
		t.Errorf("log-delete: %s", got)
	}
	s = make4()
	s.must("log-delete-all r")
	if got := strings.Join(s.targets(), " "); got != "resource-r/log-000000001-A resource-r/log-000000001-B resource-r/log-000000002-A resource-r/version-000000001-A resource-r/version-000000001-B" {
		t.Errorf("log-delete-all: %s", got)
	}
	before := s.dump()
	s.must("log-delete-all all")
	if s.dump() != before {
		t.Error("what was ordered is ordered again")
	}
	s = make4()
	s.set("resource-r/replay-B", "log-000000001-A,7,0", "resource-r/todo-B/allow-replay", "0", "resource-r/todo-B/connect", "0")
	s.must("log-delete-all r")
	if len(s.targets()) > 0 {
		t.Errorf("a paused member still needs %v", s.targets())
	}
	s = make4()
	s.set("resource-r/replay-C", "rubbish") // a member that nothing is known of
	s.refused("log-delete-all r", 1, "nothing can be deleted")
	s = newPair(t, "A")
	s.must("log-delete-all r")
	if len(s.targets()) > 0 {
		t.Errorf("%v", s.targets())
	}
}

// What a failing phase has collected is not written along with the others.
func TestFailedPhaseWritesNothing(t *testing.T) {
	s := newPair(t, "B")
	x := &run{sys: s, host: "B", tree: s.tree(), cmd: &command{}}
	j := &job{run: x, res: "r"}
	err := j.runPhase(1, phase{"fail", func(j *job) error {
		j.set("userspace/x", "1")
		j.order("userspace/y")
		return die("no")
	}})
	if err == nil || len(j.changes) > 0 || len(j.orders) > 0 {
		t.Errorf("%v, %v, %v", err, j.changes, j.orders)
	}
}
