// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const manyDevices = 20

// TestMany: many resources are created, used and removed; nothing is left of
// them.
func TestMany(t *testing.T) {
	if !inGuest(t, "many") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "")
	a := s.hosts[0]
	s.must("mkfs.ext4", "-q", "-F", "/dev/vdb")
	s.must("mount", "-t", "ext4", "/dev/vdb", "/mnt")
	loops := make([]string, manyDevices)
	for i := range loops {
		loops[i] = newLoop(s, filepath.Join("/mnt", itoa(i)), 8<<20)
	}
	seen := map[string]bool{}
	for i, loop := range loops {
		res := fmt.Sprintf("res%d", i)
		a.ok("create-resource", res, loop)
		dev := a.device(res)
		seen[dev] = true
		useDevice(t, dev, byte(i+1))
		t.Logf("%s is %s", res, dev)
	}
	if len(seen) != manyDevices {
		t.Errorf("%d devices for %d resources: %v", len(seen), manyDevices, seen)
	}
	for i := range loops {
		useDevice(t, a.device(fmt.Sprintf("res%d", i)), byte(i+1))
	}
	removeAll(a)
	s.await("the devices to be gone", func() string {
		left, err := filepath.Glob(a.inside("/dev/mars/*"))
		return strings.Join(left, " ") + errText(err)
	})
	for dev := range seen {
		if _, err := os.Stat(filepath.Join("/sys/block", filepath.Base(dev))); err == nil && strings.HasPrefix(dev, "/dev/ublkb") {
			t.Errorf("%s is left while marsd runs", dev)
		}
	}
	a.stop()
	for _, loop := range loops {
		s.must("losetup", "-d", loop)
	}
	s.must("umount", "/mnt")
	s.dmesgClean()
	s.nothingLeft()
	result(t, "many", "%d devices created, used and removed; nothing is left", manyDevices)
}

// removeAll stops all devices at once and removes their resources.
func removeAll(a *host) {
	a.t.Helper()
	for _, command := range []string{"secondary", "down", "leave-resource"} {
		a.ok(command, "all")
		a.t.Logf("%s all is done", command)
	}
	a.s.await("the memberships to be gone", func() string {
		left, err := filepath.Glob(a.inside("/mars/resource-*/data-A"))
		return strings.Join(left, " ") + errText(err)
	})
	for i := range manyDevices {
		a.ok("delete-resource", fmt.Sprintf("res%d", i))
	}
}

// newLoop makes a disk of a file.
func newLoop(s *stage, file string, size int64) string {
	s.t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Truncate(file, size); err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(s.must("losetup", "--find", "--show", file))
}

// useDevice writes a mark, or finds the one that is there, and leaves it.
func useDevice(t *testing.T, dev string, mark byte) {
	t.Helper()
	d := openDev(t, dev)
	defer d.close(t)
	buf, want := alignedBuf(t, 4096), bytes.Repeat([]byte{mark}, 4096)
	if err := d.read(buf, 1<<20); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(buf, make([]byte, 4096)) {
		copy(buf, want)
		if err := d.writeDurably(buf, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(buf, want) {
		t.Errorf("%s holds %#x, want %#x", dev, buf[0], mark)
	}
}
