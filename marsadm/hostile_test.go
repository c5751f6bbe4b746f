// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/symtree"

	"golang.org/x/sys/unix"
)

// hostileNames are what nobody shall be called.
func hostileNames() []string {
	return []string{
		"a\nb", "..", ".", "../r", "r/../../etc", "/etc/passwd", "$(touch /tmp/owned)", "`id`", "r;reboot", "r|cat", "r&", "r>x", "-oProxyCommand=x", "r r", "r\tr",
		"*", "?", "[a]", "~root", "r\x00r", "\x1b[2J", "r\r", strings.Repeat("r", 64), strings.Repeat("r", 255), strings.Repeat("r", 5000), "", " ",
		"ｒ", "r\u200b", "\u202er", "mуdata" /* a Cyrillic letter */, "ré", "\xff\xfe", "(none)", ".tmp.r", ".deleted-r",
	}
}

// bystander watches what no command may touch: ssh, and a directory outside.
type bystander struct {
	*fakeSys
	outside string
	calls   [][]string
}

func newBystander(t testing.TB, host string) *bystander {
	t.Helper()
	b := &bystander{fakeSys: newMember(t, host), outside: memDir(t)}
	fillPair(b.fakeSys)
	b.ssh = func(host string, _ []byte, command []string) ([]byte, error) {
		b.calls = append(b.calls, append([]string{host}, command...))
		return nil, os.ErrPermission
	}
	return b
}

// run runs words, which may hold anything, and checks what always holds.
func (b *bystander) run(words ...string) int {
	b.t.Helper()
	b.out.Reset()
	b.err.Reset()
	b.mono = 0
	code := Run(b.fakeSys, words)
	if code < 0 || code > 2 {
		b.t.Errorf("%q: exit status %d", words, code)
	}
	for _, call := range b.calls {
		for _, word := range call {
			if strings.ContainsAny(word, "\n;|&$`<>*?~ \x00\x1b/") || strings.HasPrefix(word, "-") {
				b.t.Errorf("%q: %q reaches ssh", words, call)
			}
		}
	}
	if list, err := os.ReadDir(b.outside); err != nil || len(list) > 0 {
		b.t.Errorf("%q: outside there is %v, %v", words, list, err)
	}
	return code
}

// quiet checks that nothing can steer the terminal.
func (b *bystander) quiet(words ...string) {
	b.t.Helper()
	for _, text := range []string{b.out.String(), b.err.String()} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0x202e }); i >= 0 {
			b.t.Errorf("%q puts out %q", words, text)
			return
		}
	}
}

// TestHostileNames: in every place where a command takes a name.
func TestHostileNames(t *testing.T) {
	b := newBystander(t, "B")
	before := b.dump()
	for i, name := range hostileNames() {
		for k, c := range commandTable() {
			if testing.Short() && (i+k)%5 != 0 {
				continue
			}
			lines := [][]string{{c.name, name}, {c.name, "r", name}, {c.name, "r", "/dev/disk", name}, {c.name, "r", "--host=" + name}, {c.name, "--", name}, {c.name, "/mars/" + name}, {"set-link", "x", "/mars/" + name}, {"view-" + name, "r"}}
			for _, words := range lines {
				words = append([]string{"--timeout=0", "--dry-run"}, words...)
				if c.name == "enrol" || c.name == "help" {
					continue
				}
				b.run(words...)
				if c.name != "get-link" {
					b.quiet(words...)
				}
			}
		}
	}
	if after := b.dump(); after != before {
		t.Errorf("the tree has changed to\n%s", after)
	}
}

// Without --dry-run, refused as they are.
func TestHostileNamesAreRefused(t *testing.T) {
	for _, name := range hostileNames() {
		b := newBystander(t, "B")
		for _, words := range [][]string{
			{"pause-sync", "--", name}, {"create-resource", "--", name, "/dev/disk"}, {"create-resource", "--", "new", "/dev/disk", name}, {"join-resource", "--", name, "/dev/disk"},
			{"delete-file", "--", name}, {"set-link", "--", "v", name}, {"pause-sync", "r", "--host", name}, {"wait-resource", "--timeout=0", "--", "r", name},
		} {
			before := b.dump()
			if code := b.run(words...); code == 0 && name != "" {
				t.Errorf("%q succeeds: %s", words, b.out.String())
			}
			if b.dump() != before {
				t.Errorf("%q changes the tree", words)
			}
		}
	}
}

// hostileValues are what anybody may write into a link.
func hostileValues() []string {
	return []string{
		"\x1b[2J\x1b]0;owned\x07", "a\nuuid=owned", "../../../etc/passwd", "$(reboot)", "-1", "99999999999999999999", "1e9", "0x10", "(none)", "none", "all",
		"log-000000001-A,1", "log-1-A,1,1", "log-000000001-A,-5,0", "log-999999999-A,9223372036854775807,9223372036854775807", "log-000000001-../A,0,0",
		strings.Repeat("0", 32) + ",log-000000001-A,0:", strings.Repeat("0", 32) + ",log-000000001-A,0:" + strings.Repeat("f", 32) + ",log-000000001-A,0",
		strings.Repeat("x", 4000), "\xff\xfe\xfd", ",,,", ":", " ", "\u202eabc", "%{res}%die{}", ".deleted",
	}
}

// TestHostileValues: whatever stands in whatever link, commands say something
// sensible or refuse, and do not crash.
func TestHostileValues(t *testing.T) {
	lines := [][]string{{"status"}, {"show", "all"}, {"view", "all"}, {"role", "r"}, {"show-state", "r"}, {"cstate", "r"}, {"dstate", "r"}, {"show-errors", "r"},
		{"status", "all", "--json"}, {"explain", "all"}, {"explain", "r", "--json"}, {"watch", "all"}, {"show-info", "all"}, {"mars-state", "all"}, {"view-flags", "all"}, {"view-resource-errors", "r"}, {"complete", "bash", "--", "status", ""},
		{"complete", "bash", "--", "pause-sync", "--host="}, {"get-emergency-limit", "r"}, {"wait-cluster"}, {"wait-connect", "r"}, {"get-gi", "r"},
		{"log-delete-all", "r"}, {"log-purge-all", "r"}, {"primary", "r"}, {"invalidate", "r"}, {"resize", "r"}, {"leave-resource", "r", "--force"}, {"delete-resource", "r", "--force"},
		{"pause-sync-global", "r"}, {"up", "all"}, {"leave-cluster", "--force"}, {"wait-resource", "r", "is-attach"}, {"create-resource", "new", "/dev/disk"}, {"cron"}}
	base := newBystander(t, "B")
	base.heard()
	base.set("resource-r/connect-A", "B", "resource-r/syncpos-B", "log-000000001-A,5,0", "todo-global/delete-000000007-A", "/mars/userspace/x", "todo-global/acked-B", "A:1:1", "resource-r/actual-B/why", "none")
	everything := "--macro=" + showAllMacros()
	paths := []string{}
	base.tree().Walk(func(path string, e symtree.Entry) bool {
		if e.Kind == symtree.Link {
			paths = append(paths, path)
		}
		return true
	})
	for i, path := range paths {
		for k, value := range hostileValues() {
			if testing.Short() && (i+k)%7 != 0 {
				continue
			}
			old, _ := base.fs.Readlink(path)
			base.plant(path, value)
			line := lines[(i*len(hostileValues())+k)%len(lines)]
			for _, words := range [][]string{line, {"status"}, {"view", "r"}, {"view-x", "r", everything}} {
				words = append([]string{"--timeout=0", "--dry-run"}, words...)
				base.run(words...)
				base.quiet(words...)
			}
			base.plant(path, old)
		}
	}
}

// plant writes a link as an enemy would: with no respect for the grammar.
func (s *fakeSys) plant(path, value string) {
	s.t.Helper()
	full := filepath.Join(s.place.MarsDir, path)
	if err := os.Remove(full); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Symlink(value, full); err != nil {
		s.t.Fatal(err)
	}
	if err := s.fs.Lutimes(path, s.Wall()); err != nil {
		s.t.Fatal(err)
	}
}

// TestDirectoriesReplaced: a directory that has become a link to somewhere else
// leads nowhere.
func TestDirectoriesReplaced(t *testing.T) {
	for _, dir := range []string{"resource-r", "resource-r/todo-B", "resource-r/actual-B", "userspace", "todo-global", "ips", "resource-r/userspace"} {
		b := newBystander(t, "B")
		b.set("userspace/k", "v", "resource-r/userspace/k", "v")
		full := filepath.Join(b.place.MarsDir, dir)
		if err := os.RemoveAll(full); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(b.outside, full); err != nil {
			t.Fatal(err)
		}
		for _, words := range [][]string{
			{"pause-sync", "r"}, {"down", "r"}, {"invalidate", "r"}, {"leave-resource", "r", "--force"}, {"set-link", "v", "/mars/userspace/k"}, {"set-link", "v", "/mars/resource-r/userspace/k"},
			{"delete-file", "/mars/userspace/k"}, {"log-rotate", "r"}, {"log-delete-all", "r"}, {"cron"}, {"status"}, {"show"}, {"view", "all"}, {"cat", "/mars/" + dir + "/x"}, {"create-resource", "new", "/dev/disk"},
			{"leave-cluster", "--force"}, {"delete-resource", "r", "--force"}, {"status", "--json"}, {"explain"}, {"watch"}, {"show-errors", "all"}, {"show-info", "all"}, {"show-state", "all"},
			{"view-flags", "all"}, {"complete", "bash", "--", "status", ""}, {"get-link", "/mars/" + dir + "/k"}, {"log", "dump", filepath.Join(full, "log-000000001-A")},
		} {
			b.run(append([]string{"--timeout=0"}, words...)...)
		}
		if value, err := os.Readlink(full); err != nil || value != b.outside {
			t.Errorf("%s is now %q, %v", dir, value, err)
		}
	}
}

// TestHostileTexts: what others have said comes to a terminal as text only, also
// where it is printed as it is: values of links, messages in files, variables of
// macros. Programs get a link's value unchanged.
func TestHostileTexts(t *testing.T) {
	const bad, shown = "a\x1b[2J\u009b2J\u202eb\x07", `a\x1b[2J\u009b2J\u202eb\a`
	b := newBystander(t, "B")
	b.set("userspace/k", bad, "userspace/x\u202ey", "v")
	b.plant("ips/ip-B", bad)
	for _, file := range []string{"5.total.status", "resource-r/logstatus-B.status"} {
		if err := b.fs.WriteFile(file, []byte("error: "+bad+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	for want, words := range map[string][]string{
		"error: " + shown + "\n":  {"cat", "/mars/5.total.status"},
		"error: " + shown + " \n": {"show-info", "r"},
		shown + "\n":              {"view-x", "r", "--macro=%{ip}"},
		`/mars/userspace/k /mars/userspace/x\u202ey ` + "\n": {"view-x", "r", "--macro=%foreach-glob{/mars/userspace/*}{p}{%{p} }"},
	} {
		b.run(words...)
		b.quiet(words...)
		if got := b.out.String(); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%q puts out %q, expected %q", words, got, want)
		}
	}
	for columns, want := range map[int]string{0: bad, 80: shown} {
		b.out.Reset()
		if code := Run(screen{b.fakeSys, columns}, []string{"get-link", "/mars/userspace/k"}); code != 0 || b.out.String() != want+"\n" {
			t.Errorf("%d columns: exit status %d, %q", columns, code, b.out.String())
		}
	}
}

// TestFifos: what waits for a writer is not opened.
func TestFifos(t *testing.T) {
	b := newBystander(t, "A")
	b.devices["r"] = true
	for _, name := range []string{"resource-r/log-000000002-A", "resource-r/log-000000001-B", "resource-r/logstatus-A.status", "5.total.status", "resource-r/data-C"} {
		if err := unix.Mkfifo(filepath.Join(b.place.MarsDir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{
		{"cat", "/mars/5.total.status"}, {"cat", "/mars/resource-r/log-000000002-A"}, {"show-info", "r"}, {"show-errors", "r"}, {"status"}, {"view", "all"}, {"status", "--json"}, {"explain"}, {"watch"}, {"show", "all"},
		{"log", "dump", filepath.Join(b.place.MarsDir, "resource-r/log-000000002-A")}, {"log", "check", filepath.Join(b.place.MarsDir, "resource-r/log-000000001-B")}, {"complete", "bash", "--", "log", "check", ""},
		{"log-rotate", "r"}, {"log-delete-all", "r"}, {"log-purge-all", "r"}, {"cron"}, {"leave-resource", "r", "--force"},
	} {
		b.run(append([]string{"--timeout=0"}, words...)...)
	}
	if b.run("log-rotate", "r"); b.tree().Exists("resource-r/log-000000002-A") {
		t.Error("a fifo counts as a logfile")
	}
}

// FuzzCommandLine: no command line whatever makes it crash, reach ssh with
// anything but names, or change the tree in a dry run.
func FuzzCommandLine(f *testing.F) {
	for _, line := range []string{"status r", "create-resource\x00x\x00/dev/disk\x00y\x001m", "set-link\x00v\x00/mars/userspace/../x", "view-flags\x00r", "view\x00--macro=%{", "join-cluster\x00;", "cat\x00/mars/../etc/passwd",
		"invalidate\x00r\x00--host=A", "--timeout\x00-1\x00wait-cluster", "resize\x00r\x001e99", "set-replay\x00r\x00-5", "help\x00macros", "force-primary\x00r"} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"))
	}
	b := newBystander(f, "B")
	before := b.dump()
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, "\x00")
		for _, w := range words {
			if w == "--" || strings.HasPrefix(w, "--timeout") || strings.HasPrefix(w, "--mars-dir") || strings.Contains(w, "sleep") || strings.HasPrefix(w, "--run-dir") || strings.Contains(w, "-dir") {
				return // they would undo what comes below
			}
		}
		b.t = t
		b.run(append([]string{"--dry-run", "--timeout=0"}, words...)...)
		if b.dump() != before {
			t.Errorf("%q changes the tree", words)
		}
	})
}

// FuzzValue: no value of a link makes an inspection crash or steer the terminal.
func FuzzValue(f *testing.F) {
	b := newBystander(f, "B")
	b.heard()
	var paths []string
	b.tree().Walk(func(path string, e symtree.Entry) bool {
		if e.Kind == symtree.Link {
			paths = append(paths, path)
		}
		return true
	})
	for i, v := range hostileValues() {
		f.Add(uint(i), v)
	}
	everything := "--macro=" + showAllMacros()
	f.Fuzz(func(t *testing.T, which uint, value string) {
		path := paths[which%uint(len(paths))]
		if symtree.CheckValue(value) != nil {
			return
		}
		b.t = t
		old, err := b.fs.Readlink(path)
		if err != nil {
			t.Fatal(err)
		}
		b.plant(path, value)
		for _, words := range [][]string{{"status"}, {"view-x", "r", everything}, {"show", "all"}, {"primary", "r"}, {"log-purge-all", "r"}, {"leave-resource", "r", "--force"}, {"explain", "r"}, {"status", "--json"}, {"explain", "--json"}} {
			b.run(append([]string{"--dry-run", "--timeout=0"}, words...)...)
			b.quiet(words...)
			if words[len(words)-1] == "--json" && b.out.Len() > 0 && !json.Valid(b.out.Bytes()) {
				t.Errorf("%q with %s -> %q: no JSON: %s", words, path, value, b.out.String())
			}
		}
		b.plant(path, old)
	})
}
