// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestWatchEndsWithItsReader: who watches a quiet cluster and goes away leaves no
// watch behind; an interrupt is its normal end.
func TestWatchEndsWithItsReader(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "marsadm"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, interrupt := range []bool{false, true} {
		cmd := exec.Command(filepath.Join(dir, "marsadm"), "watch", "--timeout=120")
		cmd.Env = append(os.Environ(), "MARS_HOST=B", "MARS_DIR="+syncingTree(t), "MARS_RUN_DIR="+dir, "MARS_PATH="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, `"event":"exists"`) {
			t.Errorf("%q, %v", line, err)
		}
		if interrupt {
			err = cmd.Process.Signal(syscall.SIGINT)
		} else {
			err = out.Close()
		}
		if err != nil {
			t.Error(err)
		}
		begin := time.Now()
		state, err := cmd.Process.Wait()
		if d := time.Since(begin); err != nil || state.ExitCode() != 0 || d > time.Minute {
			t.Errorf("interrupt %v: %v, %v, after %v", interrupt, state, err, d)
		}
	}
}
