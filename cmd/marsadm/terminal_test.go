// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mars/infra/symtree"

	"golang.org/x/sys/unix"
)

// newTerminal is a pseudo terminal of so many columns: our end, and that of a
// program.
func newTerminal(t *testing.T, columns uint16) (ours, its *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	n, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		its, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		t.Cleanup(func() { its.Close() })
		err = unix.IoctlSetWinsize(int(its.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	return ours, its
}

// syncingTree is the tree of B, which is being synced.
func syncingTree(t *testing.T) string {
	dir := t.TempDir()
	for path, value := range map[string]string{
		"uuid": "u", "ips/ip-A": "192.0.2.1", "ips/ip-B": "192.0.2.2", symtree.SizePath("r"): "104857600", symtree.PrimaryPath("r"): "A",
		symtree.DataPath("r", "A"): "/dev/x", symtree.DataPath("r", "B"): "/dev/x", symtree.ReplayPath("r", "B"): "log-000000001-A,0,0",
		symtree.SyncStatusPath("r", "B"): "26214400", symtree.TodoPath("r", "B", symtree.TodoSync): "1",
		symtree.ActualPath("r", "B", symtree.ActualIsSyncing): "1", symtree.ActualPath("r", "B", symtree.ActualSyncRate): "1024",
	} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(value, full); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestProgressOnTerminal: who waits for a sync at a terminal sees how far it is,
// how fast, and how long it will take; in a pipe there is nothing of it.
func TestProgressOnTerminal(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "marsadm")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	runDir := t.TempDir()
	lock, err := os.Create(filepath.Join(runDir, "lock")) // as if a marsd were running
	if err == nil {
		defer lock.Close()
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(stderr *os.File) *exec.Cmd {
		cmd := exec.Command(bin, "wait-resource", "r", "is-sync-off", "--timeout=2")
		cmd.Env = append(os.Environ(), "MARS_HOST=B", "MARS_DIR="+syncingTree(t), "MARS_RUN_DIR="+runDir, "MARS_DEV_DIR="+t.TempDir(), "MARS_PATH="+t.TempDir())
		cmd.Stderr = stderr
		return cmd
	}
	ours, its := newTerminal(t, 120)
	cmd := run(its)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	its.Close()
	var said strings.Builder
	buf := make([]byte, 4096)
	for { // until the last one has closed the terminal, which is EIO
		n, err := ours.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if cmd.Wait() == nil {
		t.Error("the wait did not time out")
	}
	if want := `\rr sync \[[^]]*\] 25\.0 % \(25\.\d+ MiB of 100\.\d+ MiB\), 1\.\d+ MiB/s, 00:01:15 to go`; !regexp.MustCompile(want).MatchString(said.String()) {
		t.Errorf("no progress with rate and time: %q", said.String())
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd = run(w)
	if cmd.Run() == nil {
		t.Error("the wait did not time out")
	}
	w.Close()
	n, _ := r.Read(buf)
	if strings.ContainsAny(string(buf[:n]), "\r\x1b") {
		t.Errorf("a pipe gets %q", buf[:n])
	}
}
