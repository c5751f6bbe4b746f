// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// roleVar names this guest in a pair: A or B.
const roleVar = "MARS_GUEST_ROLE"

// addresses of the guests on their wire.
var addresses = map[string]string{"A": "10.9.1.1", "B": "10.9.1.2"}

// wholeGuest is a host that has a guest of its own.
func wholeGuest(t *testing.T, name string) *host {
	t.Helper()
	s := &stage{t: t, set: noLimits, dir: t.TempDir()}
	h := &host{t: t, s: s, name: name, ip: addresses[name], log: filepath.Join(s.dir, "marsd.log"), disk: "/dev/vdb"}
	s.before = s.look()
	t.Setenv("PATH", binDir+":"+os.Getenv("PATH")) // for commands of the other guest
	for _, dir := range privateDirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		t.Fatal(err)
	}
	s.must("ip", "addr", "add", h.ip+"/24", "dev", "eth0")
	s.must("ip", "link", "set", "eth0", "up")
	s.must("mkfs.ext4", "-q", "-F", "/dev/vda")
	s.must("mount", "-t", "ext4", "/dev/vda", "/mars")
	script := "#!/bin/sh\nhost=" + addresses["A"] + "\nshift\nexport " + remoteVar + "=1\nexec " + binDir + "/guest.test $host \"$@\"\n"
	if err := os.WriteFile(sshScript, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- the end of marsd's log on %s\n%s\n--- status\n%s", name, lastLines(h.journal(), 40), h.status("all"))
		}
		h.kill()
	})
	return h
}

const pairSize = 16 << 20

// TestPair is one half of a cluster of two guests, which share a wire and
// nothing else: A is written to, B joins, takes over and is written to; then
// both disks must have the same sum (the host compares them).
func TestPair(t *testing.T) {
	if !inGuest(t, "pair") {
		return
	}
	role := os.Getenv(roleVar)
	h := wholeGuest(t, role)
	if role == "A" {
		pairFirst(t, h)
	} else {
		pairSecond(t, h)
	}
	h.stop()
	h.s.must("umount", "/mars")
	h.s.dmesgClean()
	h.s.nothingLeft()
	printSum(t, role, h.disk, pairSize)
}

// printSum prints the sum of a disk for the host.
func printSum(t *testing.T, role, disk string, size int64) {
	t.Helper()
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.CopyN(sum, f, size); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("sum of %s: %x\n", role, sum.Sum(nil))
}

// pairFirst founds the cluster, writes, and follows B in the end.
func pairFirst(t *testing.T, h *host) {
	t.Helper()
	h.ok("create-cluster")
	h.start()
	h.ok("create-resource", "pair", h.disk)
	h.ok("wait-resource", "pair", "is-device")
	mark(t, h.device("pair"), 'A')
	remoteServer(t, h.ip)
	h.s.awaitFor(5*patience, "B's writes on A's disk", func() string { // nor of B's sync
		d := openDev(t, h.disk)
		defer d.close(t)
		buf := alignedBuf(t, 4096)
		if err := d.read(buf, markEnd); err != nil {
			return hopeless + err.Error()
		}
		if buf[0] != 'B' {
			return h.status("pair")
		}
		return ""
	})
	h.awaitUpToDate("pair")
}

// pairSecond joins, takes the role over, writes, and waits for A to follow and
// to end.
func pairSecond(t *testing.T, h *host) {
	t.Helper()
	peer := net.JoinHostPort(addresses["A"], remotePort)
	h.s.awaitFor(5*patience, "A to be there", func() string { // nothing is seen of its boot
		c, err := net.DialTimeout("tcp", peer, time.Second)
		if err == nil {
			c.Close()
		}
		return errText(err)
	})
	h.ok("join-cluster", "A")
	h.start()
	h.s.await("the resource to be known", func() string {
		_, err := os.Readlink("/mars/resource-pair/primary")
		return errText(err)
	})
	h.ok("join-resource", "pair", h.disk)
	h.awaitUpToDate("pair")
	h.ok("wait-umount", "pair")
	h.ok("primary", "pair")
	mark(t, h.device("pair"), 'B')
	h.s.await("A to have followed, and to end", func() string {
		c, err := net.DialTimeout("tcp", peer, time.Second)
		if err != nil {
			return ""
		}
		c.Close()
		return h.status("pair")
	})
}

// markEnd is the last place that mark writes to.
const markEnd = pairSize - 4096

// mark writes all over a device.
func mark(t *testing.T, dev string, letter byte) {
	t.Helper()
	d := openDev(t, dev)
	defer d.close(t)
	buf := alignedBuf(t, 4096)
	copy(buf, bytes.Repeat([]byte{letter}, len(buf)))
	for off := int64(0); off < pairSize; off += pairSize / 64 {
		if err := d.write(buf, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.writeDurably(buf, markEnd); err != nil {
		t.Fatal(err)
	}
}
