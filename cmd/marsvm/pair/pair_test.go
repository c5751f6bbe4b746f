// SPDX-License-Identifier: GPL-2.0-or-later

package pair

import (
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
	if os.Getenv("MARS_VM") != "1" {
		text := "=== THE SUITE OF TWO GUESTS DID NOT RUN: it wants MARS_VM=1 and a rig (make test-vm) ==="
		t.Log(text)
		fmt.Fprintln(os.Stderr, text)
		return
	}
	bin, err := filepath.Abs(filepath.Join(repository, "bin", "vm"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	names := []string{"A", "B"}
	sums := make([]string, len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		own, other := filepath.Join(dir, name), filepath.Join(dir, names[1-i])
		wg.Go(func() {
			cmd := exec.Command(filepath.Join(repository, "bin", "marsvm"), "exec", "--timeout", "15m", "--cpus", "1",
				"--net", own+":"+other, "--disk", "256M", "--disk", "16M", "--tool", tools, "--file", bin+":/opt/mars",
				"--env", "MARS_GUEST_SUITE=pair", "--env", "MARS_GUEST_ROLE="+name, "--env", "MARS_DEVICE="+os.Getenv("MARS_DEVICE"),
				"--", filepath.Join(bin, "guest.test"), "-test.run", "^TestPair$", "-test.v", "-test.timeout", "15m")
			out, err := cmd.CombinedOutput()
			t.Logf("%s:\n%s", name, out)
			if err != nil {
				t.Errorf("guest %s: %v", name, err)
			}
			if m := regexp.MustCompile(`sum of .: ([0-9a-f]{64})`).FindSubmatch(out); m != nil {
				sums[i] = string(m[1])
			}
		})
	}
	wg.Wait()
	if sums[0] == "" || sums[0] != sums[1] {
		t.Errorf("the sums of the disks are %q", sums)
	}
	if !t.Failed() {
		fmt.Printf("result: pair: two guests, handover over the wire; both disks have SHA-256 %.16s...\n", sums[0])
	}
}
