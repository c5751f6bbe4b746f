// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binDir has the binaries under test; empty if the tests cannot run here.
var binDir string

// lacking says what this machine lacks to run the tests; empty for nothing.
func lacking() string {
	if os.Geteuid() != 0 {
		return "these tests need root (loop devices)"
	}
	for _, dev := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(dev); err != nil {
			return fmt.Sprintf("these tests need %s: %v", dev, err)
		}
	}
	return ""
}

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

// runTests builds the binaries once, for all tests.
func runTests(m *testing.M) int {
	if lacking() != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "mars-e2e-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"marsd", "marsadm"} {
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), "mars/cmd/"+name).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", name, err, out)
			return 1
		}
	}
	binDir = dir
	return m.Run()
}

// ready tells whether the tests can run here; it fails the test where they
// must.
func ready(t *testing.T) bool {
	t.Helper()
	why := lacking()
	if why == "" {
		return true
	}
	if os.Getenv("MARS_NEED_ROOT") == "1" {
		t.Fatal(why)
	}
	t.Log(why)
	return false
}
