// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// makeDisk gives the node a disk of its own.
func (n *node) makeDisk(size int64) { n.t.Helper(); n.disk = n.loop("disk.img", size) }

// loop makes a loop device on a sparse file.
func (n *node) loop(name string, size int64) string {
	n.t.Helper()
	img := n.path(name)
	f, err := os.Create(img)
	if err == nil {
		err = errors.Join(f.Truncate(size), f.Close())
	}
	if err != nil {
		n.t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", img).CombinedOutput()
	if err != nil {
		out, err = exec.Command("losetup", "--find", "--show", img).CombinedOutput()
	}
	if err != nil {
		n.t.Fatalf("losetup: %v: %s", err, out)
	}
	return string(bytes.TrimSpace(out))
}

// giveBack detaches all loop devices of the node.
func (n *node) giveBack() {
	cleanupMounts(n.dir)
}

// cleanupMounts detaches loop devices on files below dir, and mounts there.
func cleanupMounts(dir string) {
	out, _ := exec.Command("losetup", "-n", "-O", "NAME,BACK-FILE").Output()
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[1], dir+"/") {
			_ = exec.Command("losetup", "-d", f[0]).Run()
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.HasPrefix(f[1], dir+"/") {
			_ = exec.Command("umount", "-l", f[1]).Run()
		}
	}
}

// join joins a resource with the node's disk as soon as it is known here.
func (n *node) join(name string) {
	n.t.Helper()
	n.c.await("resource "+name+" to appear at "+n.name, func() string {
		primary := n.link("resource-" + name + "/primary")
		if primary == "" || n.link("resource-"+name+"/size") == "" || n.link("resource-"+name+"/data-"+primary) == "" {
			return "it has not arrived"
		}
		return ""
	})
	n.ok("join-resource", name, n.disk)
}

// aligned is a buffer for direct IO.
func aligned(t *testing.T, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// openDirect opens a device past the page cache.
func openDirect(name string, flags int) (*os.File, error) {
	return os.OpenFile(name, flags|unix.O_DIRECT, 0)
}

// fill writes bytes that follow from seed to a disk behind the stamped blocks.
func (n *node) fill(disk string, seed byte, size int64) {
	n.t.Helper()
	f, err := openDirect(disk, os.O_WRONLY)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	buf := aligned(n.t, 1<<20)
	src := rand.NewChaCha8([32]byte{seed})
	for off := int64(hot * blockSize); off < size; {
		part := buf[:min(int64(len(buf)), size-off)]
		_, _ = src.Read(part)
		if _, err := f.WriteAt(part, off); err != nil {
			n.t.Fatal(err)
		}
		off += int64(len(part))
	}
}

// sumDisk is the digest of a whole disk.
func (n *node) sumDisk(disk string) [32]byte { n.t.Helper(); return n.sumUpTo(disk, 1<<62) }

// sumUpTo is the digest of what a disk holds in front of a place, a multiple of a
// mebibyte.
func (n *node) sumUpTo(disk string, end int64) [32]byte {
	n.t.Helper()
	f, err := openDirect(disk, os.O_RDONLY)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	buf := aligned(n.t, 1<<20)
	for {
		k, err := f.Read(buf)
		h.Write(buf[:k])
		if end -= int64(k); errors.Is(err, io.EOF) || end <= 0 {
			return [32]byte(h.Sum(nil))
		}
		if err != nil {
			n.t.Fatal(err)
		}
	}
}

// sameDisks stops the daemons of all nodes and compares their disks.
func (c *cluster) sameDisks() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.cmd != nil {
			n.stop()
		}
	}
	first := c.nodes[0].sumDisk(c.nodes[0].disk)
	for _, n := range c.nodes[1:] {
		if n.disk != "" && n.sumDisk(n.disk) != first {
			c.t.Errorf("at rest, the disks of %s and %s differ", c.nodes[0].name, n.name)
		}
	}
}

// holdOpen opens a node's replicated device until the returned function is
// called; with unix.O_EXCL as a mount does.
func (n *node) holdOpen(flags int) (f *os.File, release func()) {
	n.t.Helper()
	f, err := openDirect(n.device(), os.O_RDWR|flags)
	if err != nil {
		n.t.Fatal(err)
	}
	return f, func() {
		if err := f.Close(); err != nil {
			n.t.Error(err)
		}
	}
}
