// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shellPatience is how long a shell may take to say what is waited for.
const shellPatience = 20 * time.Second

// typist is somebody at a terminal with a shell in it.
type typist struct {
	t    *testing.T
	ours *os.File
	seen string // not yet waited for
}

func (y *typist) types(keys string) {
	y.t.Helper()
	if _, err := y.ours.WriteString(keys); err != nil {
		y.t.Fatal(err)
	}
}

// awaits reads until the shell has said the text.
func (y *typist) awaits(text string) {
	y.t.Helper()
	end := time.Now().Add(shellPatience)
	buf := make([]byte, 4096)
	for !strings.Contains(y.seen, text) {
		poll := []unix.PollFd{{Fd: int32(y.ours.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(poll, int(max(time.Until(end), 0)/time.Millisecond)); err == unix.EINTR {
			continue
		} else if n <= 0 {
			y.t.Fatalf("the shell does not say %q, but %q: %v", text, y.seen, err)
		}
		n, err := y.ours.Read(buf)
		y.seen += strings.ReplaceAll(string(buf[:n]), "\a", "") // the bell of several candidates
		if err != nil {
			y.t.Fatalf("the shell does not say %q, but %q: %v", text, y.seen, err)
		}
	}
	_, y.seen, _ = strings.Cut(y.seen, text)
}

// TestCompletionAtTheShell: what an administrator gets who types TAB, in a real
// bash with the script, the program, and a tree.
func TestCompletionAtTheShell(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "marsadm"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ours, its := newTerminal(t, 200)
	cmd := exec.Command("bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MARS_HOST=B", "MARS_DIR="+syncingTree(t), "MARS_RUN_DIR="+dir, "MARS_PATH="+dir, "INPUTRC=/dev/null", "TERM=dumb", "PS1=> ", "HISTFILE=")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = its, its, its
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	its.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	y := &typist{t: t, ours: ours}
	y.awaits("> ")
	y.types("source <(marsadm completion bash); echo lo''aded\n")
	y.awaits("loaded\r\n> ")
	for _, c := range []struct{ keys, want string }{
		{"marsadm expl\t", "marsadm explain "},
		{"marsadm attach \tr", "marsadm attach r"}, // nothing yet: r or all
		{"marsadm attach al\t", "marsadm attach all "},
		{"marsadm status --host=\t\t", "A  B"},
		{"marsadm --host=B wait-resource r is-sync\t-of\t", "is-sync-off "},
		{"marsadm --timeo\t5", "marsadm --timeout=5"}, // no blank behind =
		{"marsadm force-prim\t", "marsadm force-primary "},
		{"marsadm view-diskst\t-1\t", "marsadm view-diskstate-1and1 "},
		{"marsadm log check " + dir + "/mars\t", dir + "/marsadm "}, // a file
	} {
		y.types(c.keys)
		y.awaits(c.want)
		y.types("\x15") // the line is taken back
	}
	y.types("exit\n")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
