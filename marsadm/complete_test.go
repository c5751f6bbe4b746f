// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-q/size", "4096", "resource-q/data-A", "/dev/x")
	for _, c := range []struct {
		line string
		want string // in this order, or "..." for some of more
	}{
		{"bash -- expl", "explain"},
		{"bash -- log-d", "log-delete log-delete-all"},
		{"bash -- attach ", "r all"}, // q has not been joined by B
		{"bash -- force-attach r", "r"},
		{"bash -- status ", "q r all"},
		{"bash -- join-resource ", "q"},
		{"bash -- --host=A attach ", "q r all"},
		{"bash -- attach --host = ", "A B C"},
		{"bash -- attach --host = B", "B"},
		{"zsh -- attach --host=", "--host=A --host=B --host=C"},
		{"fish -- --time", "--timeout="},
		{"bash -- --json", "--json"},
		{"bash -- wait-resource r is-att", "is-attach is-attach-off is-attach-on is-attached is-attached-off is-attached-on"},
		{"bash -- log ", "dump check"},
		{"bash -- man mars-", "mars-symlinks mars-log mars-json"},
		{"bash -- help expl", "explain"},
		{"bash -- force-prim", "force-primary"},
		{"bash -- view-disk", "view-disk-error view-disk-present view-disk-size view-diskstate view-diskstate-1and1"},
		{"bash -- view-flags r", "r"},
		{"bash -- completion z", "zsh"},
		{"bash -- nonsense ", ""},
		{"bash -- --nonsense attach ", ""},
		{"bash -- log dump ", ""},
		{"bash -- attach --ssh=", ""},
	} {
		args := strings.Split("complete "+c.line, " ")
		s.out.Reset()
		if code := Run(s, args); code != 0 {
			t.Errorf("%s: exit status %d", c.line, code)
		}
		if got := strings.Join(strings.Fields(s.out.String()), " "); got != c.want {
			t.Errorf("%s: %q, expected %q", c.line, got, c.want)
		}
	}
	s.must("complete bash --")
	if got := strings.Fields(s.out.String()); !slices.Contains(got, "create-cluster") || slices.Contains(got, "enrol") || !slices.IsSorted(got) {
		t.Errorf("%q", got)
	}
}

// Without a tree, or for somebody who may not read it, commands are completed
// still.
func TestCompleteWithoutTree(t *testing.T) {
	s := newFake(t, "A")
	s.uid = 1000
	s.must("complete bash -- explai")
	if got := strings.TrimSpace(s.out.String()); got != "explain" {
		t.Errorf("%q", got)
	}
	s.must("complete bash -- attach r")
}

// Names that a shell would take for something else are never offered.
func TestCompleteHostile(t *testing.T) {
	s := newMember(t, "A")
	for _, name := range []string{"resource-$(id)", "resource-a b", "resource-;x", "ips/ip-`id`"} {
		if err := s.fs.Mkdir(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"status ", "--host="} {
		s.out.Reset()
		Run(s, append([]string{"complete", "zsh", "--"}, strings.Split(line, " ")...))
		if strings.ContainsAny(s.out.String(), "$`; ") {
			t.Errorf("%s offers %q", line, s.out.String())
		}
	}
}

// The scripts are what their shells understand, as far as these are here.
func TestCompletionScripts(t *testing.T) {
	s := newFake(t, "A")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		s.must("completion " + shell)
		text := s.out.String()
		if !strings.Contains(text, "marsadm complete "+shell+" -- ") {
			t.Errorf("%s: %s", shell, text)
		}
		// Where it is installed zsh makes a function of it, which the first TAB calls.
		if shell == "zsh" && !strings.HasSuffix(text, "if [[ $funcstack[1] == _marsadm ]]; then # found by its name, at the first TAB\n\t_marsadm \"$@\"\nelse\n\tcompdef _marsadm marsadm\nfi\n") {
			t.Errorf("the first TAB gets nothing: %s", text)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			if shell == "bash" {
				t.Error(err)
			}
			continue // Debian has bash always
		}
		cmd := exec.Command(path, "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s does not like the script: %v %s", shell, err, out)
		}
	}
	s.refused2(t, "completion csh", "no completion for the shell")
}

// refused2 is refused for a host without a file system.
func (s *fakeSys) refused2(t *testing.T, line, text string) {
	t.Helper()
	if code := s.adm(line); code == 0 || !strings.Contains(s.err.String(), text) {
		t.Errorf("marsadm %s: exit status %d, %s", line, code, s.err.String())
	}
}

// TestCompletionInBash runs a real bash with the script and a marsadm that
// answers as the real one does.
func TestCompletionInBash(t *testing.T) {
	s := newFake(t, "A")
	s.must("completion bash")
	script := s.out.String() + `
marsadm() { printf '<%s>' "$@" >&3; echo >&3; printf 'r1\nr2\n'; }
COMP_WORDS=(marsadm attach --host = A ""); COMP_CWORD=5
_marsadm
echo "${COMPREPLY[*]}"
`
	cmd := exec.Command("bash", "-c", "exec 3>&1\n"+script)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "<complete><bash><--><attach><--host><=><A><>\nr1 r2\n" {
		t.Errorf("%v %q", err, out)
	}
}

func TestMan(t *testing.T) {
	s := newFake(t, "A")
	s.must("man marsadm")
	page := s.out.String()
	for _, c := range commandTable() {
		if name := strings.ReplaceAll(c.name, "-", `\-`); strings.Contains(page, `.B "`+name) == c.has(hidden) {
			t.Errorf("marsadm(8): %s is hidden %v, but in the page %v", c.name, c.has(hidden), !c.has(hidden))
		}
	}
	for _, o := range optionTable() {
		if !strings.Contains(page, `.B "\-\-`+strings.ReplaceAll(o.name, "-", `\-`)) {
			t.Errorf("marsadm(8) lacks --%s", o.name)
		}
	}
	for page, words := range map[string][]string{
		"mars-symlinks": {`resource\-RES/verifystatus\-HOST`, ".SH \"MERGE\"", "alive"},
		"mars-log":      {"start magic", "VerdictDamage", ".SH \"THE RECORD\""},
	} {
		s.must("man " + page)
		for _, w := range words {
			if !strings.Contains(s.out.String(), w) {
				t.Errorf("%s lacks %q", page, w)
			}
		}
	}
	s.refused2(t, "man marsd", "marsd prints its own")
}

// TestHelpOf: what is to be known before a command is typed.
func TestHelpOf(t *testing.T) {
	s := newMember(t, "B")
	for line, want := range map[string][]string{
		"help primary":            {"usage: marsadm primary RES\n", "Also for all.", "must be a member", "A marsd must be running.", "no longer than 5s"},
		"help force-pause-replay": {"It must be secondary there, or --force.", "The disk must be attached, or --force.", "A marsd must be running, or --force."},
		"help wait-resource":      {"no longer than 1m0s"},
		"help watch":              {"Goes on for ever", "Understands --json"},
		"help version":            {"usage: marsadm version\n"},
	} {
		s.must(line)
		for _, text := range want {
			if !strings.Contains(s.out.String(), text) {
				t.Errorf("%s: no %q in\n%s", line, text, s.out.String())
			}
		}
	}
	if s.must("help log"); strings.Contains(s.out.String(), "longer than") {
		t.Errorf("it does not wait: %s", s.out.String())
	}
}
