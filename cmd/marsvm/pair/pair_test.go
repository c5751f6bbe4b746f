// SPDX-License-Identifier: GPL-2.0-or-later

package pair

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

// repository is the top of the source, seen from here.
const repository = "../../.."

const tools = "sh,ip,mkfs.ext4,mount,umount,losetup,dmesg"

// TestTwoGuests boots both, and compares the sums they print in the end.
func TestTwoGuests(t *testing.T) {
	if sum := both(t, "pair", "TestPair", tools, "256M", "32M"); sum != "" {
		fmt.Printf("result: pair: two guests, handover over the wire; both disks have SHA-256 %.16s...\n", sum)
	}
}

// TestClocks does so with guests whose clocks are stepped.
func TestClocks(t *testing.T) {
	if sum := both(t, "clock", "TestClock", tools+",date,touch,readlink,sleep", "256M", "4M", "4M"); sum != "" {
		fmt.Printf("result: clock: both disks have SHA-256 %.16s...\n", sum)
	}
}

// said runs a guest and returns what it says, which can be followed in a file.
func said(cmd *exec.Cmd, name string) ([]byte, error) {
	dir := filepath.Join(repository, "bin", "vm-log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = f, f
	err = errors.Join(cmd.Run(), f.Close())
	out, err2 := os.ReadFile(f.Name())
	return out, errors.Join(err, err2)
}

// both boots two guests for the two halves of a test, and returns the sum of
// their disks; nothing if that is not the same, or if they did not run.
func both(t *testing.T, suite, test, tools string, disks ...string) string {
	t.Helper()
	if os.Getenv("MARS_VM") != "1" {
		text := "=== THE SUITE OF TWO GUESTS DID NOT RUN: it wants MARS_VM=1 and a rig (make test-vm) ==="
		t.Log(text)
		fmt.Fprintln(os.Stderr, text)
		return ""
	}
	bin, err := filepath.Abs(filepath.Join(repository, "bin", "vm"))
	if err != nil {
		t.Fatal(err)
	}
	limit := "25m"
	if rounds := os.Getenv("MARS_FAULT_ROUNDS"); rounds != "" && rounds != "1" {
		limit = "3h"
	}
	dir := t.TempDir()
	names := []string{"A", "B"}
	sums := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		own, other := filepath.Join(dir, name), filepath.Join(dir, names[1-i])
		args := []string{"exec", "--timeout", limit, "--cpus", "1", "--net", own + ":" + other, "--tool", tools, "--file", bin + ":/opt/mars",
			"--env", "MARS_GUEST_SUITE=" + suite, "--env", "MARS_GUEST_ROLE=" + name, "--env", "MARS_DEVICE=" + os.Getenv("MARS_DEVICE")}
		for _, d := range disks {
			args = append(args, "--disk", d)
		}
		args = append(args, "--", filepath.Join(bin, "guest.test"), "-test.run", "^"+test+"$", "-test.v", "-test.timeout", limit)
		wg.Go(func() {
			cmd := exec.Command(filepath.Join(repository, "bin", "marsvm"), args...)
			out, err := said(cmd, suite+"-"+name)
			t.Logf("%s:\n%s", name, out)
			if err != nil {
				t.Errorf("guest %s: %v", name, err)
			}
			if m := regexp.MustCompile(`sum of .: ([0-9a-f]{64})`).FindSubmatch(out); m != nil {
				sums[i] = string(m[1])
			}
			for _, m := range regexp.MustCompile(`(?m)^result: .*$`).FindAll(out, -1) {
				fmt.Printf("%s\n", m)
			}
		})
	}
	wg.Wait()
	if sums[0] == "" || sums[0] != sums[1] {
		t.Errorf("the sums of the disks are %q", sums)
	}
	if t.Failed() {
		return ""
	}
	return sums[0]
}
