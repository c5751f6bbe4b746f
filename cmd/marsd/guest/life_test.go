// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mars/ublkdev"
)

// load writes files until it is stopped, and knows what must be there.
type load struct {
	t    *testing.T
	dir  string
	sums map[string][32]byte
	n    atomic.Int64
	stop chan struct{}
	end  chan error
}

func startLoad(t *testing.T, dir string) *load {
	l := &load{t: t, dir: dir, sums: map[string][32]byte{}, stop: make(chan struct{}), end: make(chan error, 1)}
	go func() { l.end <- l.run() }()
	return l
}

func (l *load) run() error {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return nil
		default:
		}
		name := filepath.Join(l.dir, fmt.Sprint("f", i%200))
		data := make([]byte, 1+rng.IntN(200<<10))
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		if err := write(name, data); err != nil {
			return err
		}
		l.sums[name] = sha256.Sum256(data)
		l.n.Add(1)
	}
}

func write(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// finish ends the load, which must not have seen an error, and compares.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	select {
	case err := <-l.end:
		if err != nil {
			l.t.Fatalf("the application got an error: %v", err)
		}
	case <-time.After(patience):
		l.t.Fatal("the application hangs")
	}
	l.compare()
}

func (l *load) compare() {
	l.t.Helper()
	for name, want := range l.sums {
		data, err := os.ReadFile(name)
		if err != nil || sha256.Sum256(data) != want {
			l.t.Fatalf("%s is not what was written: %v", name, err)
		}
	}
}

// goesOn waits until the application has done more.
func (l *load) goesOn(h *host) {
	l.t.Helper()
	was := l.n.Load()
	h.until("the application to go on", func() bool {
		if len(l.end) > 0 {
			l.t.Fatalf("the application got an error: %v", <-l.end)
		}
		return l.n.Load() > was+3
	})
}

// Killing and restarting the daemon under a file system in use is a pause.
func TestKill(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 96)
	l := startLoad(t, h.mount("mydata"))
	for i, pause := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second, 0, time.Second} {
		l.goesOn(h)
		h.kill()
		<-time.After(pause)
		start := time.Now()
		h.start()
		l.goesOn(h)
		t.Logf("kill %d: back %v after the start", i, time.Since(start))
	}
	l.finish()
	h.umount()
	run(t, "mount", "-t", "ext4", h.device("mydata"), h.path("fs"))
	l.compare() // from the device, not from the cache
	h.umount()
	run(t, "e2fsck", "-fn", h.device("mydata"))
	h.until("the device to be closed", func() bool { return h.openCount("mydata") == "0" })
	h.ok("secondary", "mydata", "--timeout=60")
	h.until("the device to be gone", func() bool { return len(ublkDevices(t)) == 0 })
	h.stop()
}

// A clean stop and a new start under a file system in use, as in an upgrade, are
// a pause, and are soon over.
func TestUpgrade(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 96)
	l := startLoad(t, h.mount("mydata"))
	for range 3 {
		l.goesOn(h)
		h.until("the open count", func() bool { return h.openCount("mydata") != "0" })
		h.stop()
		if n := h.openCount("mydata"); n == "0" {
			t.Error("stopped with an open device, and told that it is closed")
		}
		h.start()
		l.goesOn(h)
	}
	l.finish()
	h.umount()
	run(t, "e2fsck", "-fn", h.device("mydata"))
	h.stop()
	if left := ublkDevices(t); len(left) > 0 {
		t.Errorf("a clean stop left %v", left)
	}
}

// A device that is open keeps the host primary, whoever has it open.
func TestSecondary(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 64)
	h.mount("mydata")
	h.until("the mount to be noticed", func() bool { return h.openCount("mydata") != "0" })
	h.refused("in use", "secondary", "mydata", "--timeout=2")
	h.umount()
	start := time.Now()
	h.until("the umount to be noticed", func() bool { return h.openCount("mydata") == "0" })
	t.Logf("the umount was noticed after %v", time.Since(start))
	release := holdOpen(t, h.device("mydata"))
	h.until("the opener to be noticed", func() bool { return h.openCount("mydata") == "1" })
	h.refused("in use", "secondary", "mydata", "--timeout=2")
	release()
	h.until("the close to be noticed", func() bool { return h.openCount("mydata") == "0" })
	// A file system that is out of sight, but alive.
	run(t, "mount", "-t", "ext4", h.device("mydata"), h.path("fs"))
	f, err := os.Create(filepath.Join(h.path("fs"), "open"))
	if err != nil {
		t.Fatal(err)
	}
	run(t, "umount", "-l", h.path("fs"))
	h.until("the hidden file system to be noticed", func() bool { return h.openCount("mydata") == "1" })
	<-time.After(2 * time.Second) // it is not forgotten either
	h.refused("in use", "secondary", "mydata", "--timeout=2")
	f.Close()
	h.until("its end to be noticed", func() bool { return h.openCount("mydata") == "0" })
	h.ok("secondary", "mydata", "--timeout=60")
	h.until("the device to be gone", func() bool { return len(ublkDevices(t)) == 0 })
	if _, err := os.Lstat(h.device("mydata")); !os.IsNotExist(err) {
		t.Errorf("the name is still there: %v", err)
	}
	h.ok("primary", "mydata", "--timeout=60")
	h.ok("wait-resource", "mydata", "is-device", "--timeout=60")
	h.stop()
}

// Looking who has a device open is in nobody's way: mkfs and mount open it
// exclusively, and must not fail for that.
func TestExclusive(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 64)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR | unix.O_EXCL} { // each changes the reference count
			fd, err := unix.Open(h.device("mydata"), flags|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatalf("open with flags %#x: %v", flags, err)
			}
			_ = unix.Close(fd)
		}
	}
	h.stop()
}

// kernelRelease is that of the guest.
func kernelRelease(t *testing.T) ublkdev.Release {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	return ublkdev.ParseRelease(unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]))
}

// A larger disk becomes a larger device: at once where the kernel can, else when
// it was closed.
func TestResize(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	disk := h.resource("mydata", 64)
	h.mount("mydata")
	if err := os.Truncate(h.path("mydata.img"), 96<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "losetup", "-c", disk)
	h.until("the size of the disk to be noticed", func() bool {
		v, _ := os.Readlink(h.path("mars/resource-mydata/actsize-a"))
		return v == fmt.Sprint(96<<20)
	})
	h.ok("resize", "mydata")
	size := func() string { // "" in the moment when it is made anew
		out, _ := exec.Command("blockdev", "--getsize64", h.device("mydata")).Output()
		return strings.TrimSpace(string(out))
	}
	live := !kernelRelease(t).Before(6, 16, 0)
	h.until("the new size, or word that it waits", func() bool {
		why, _ := os.Readlink(h.path("mars/resource-mydata/actual-a/why"))
		if live {
			return size() == fmt.Sprint(96<<20)
		}
		return strings.Contains(why, "new size of 100663296 bytes when it was closed")
	})
	h.umount()
	h.until("the new size", func() bool { return size() == fmt.Sprint(96<<20) })
	run(t, "mount", "-t", "ext4", h.device("mydata"), h.path("fs"))
	run(t, "resize2fs", h.device("mydata"))
	l := startLoad(t, h.path("fs"))
	l.goesOn(h)
	l.finish()
	h.umount()
	run(t, "e2fsck", "-fn", h.device("mydata"))
	h.stop()
}

// What a daemon left that never came back is found and removed, but for what is
// open.
func TestCleanup(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 64)
	h.resource("other", 64)
	if out, ok := h.program("marsd", "cleanup"); ok || !strings.Contains(out, "is running") {
		t.Fatalf("cleanup beside a daemon: %s", out)
	}
	release := holdOpen(t, h.device("mydata"))
	h.kill()
	out, ok := h.program("marsd", "cleanup")
	if ok || !strings.Contains(out, "in use") || !strings.Contains(out, "(other)") {
		t.Fatalf("cleanup of what is open: %s", out)
	}
	if left := ublkDevices(t); len(left) != 3 {
		t.Errorf("left: %v", left)
	}
	release()
	if out, ok := h.program("marsd", "cleanup"); !ok || !strings.Contains(out, "removed") {
		t.Fatalf("cleanup: %s", out)
	}
	if out, ok := h.program("marsd", "cleanup"); !ok || !strings.Contains(out, "nothing is left") {
		t.Fatalf("second cleanup: %s", out)
	}
	if left := ublkDevices(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	h.start()
	h.ok("wait-resource", "mydata", "is-device", "--timeout=60")
	h.stop()
}

// Many devices come and go, and leave nothing.
func TestMany(t *testing.T) {
	if !inGuest(t) {
		return
	}
	const many = 20
	h := newHost(t)
	var names []string
	for i := range many {
		names = append(names, fmt.Sprint("r", i))
		h.ok("create-resource", names[i], h.disk(names[i], 8))
	}
	h.until("all devices", func() bool {
		list, _ := filepath.Glob(h.path("dev/r*"))
		return len(list) == many
	})
	data := make([]byte, 64<<10)
	for i := range data {
		data[i] = byte(i * 7)
	}
	for _, n := range names {
		if err := os.WriteFile(h.device(n), data, 0); err != nil {
			t.Fatal(err)
		}
	}
	h.kill()
	h.start()
	for _, n := range names {
		f, err := os.Open(h.device(n)) // its name is there, and reading waits
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(data))
		_, err = f.ReadAt(got, 0)
		f.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", n, err)
		}
	}
	h.stop()
	if left := ublkDevices(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if list, _ := filepath.Glob(h.path("dev/*")); len(list) > 0 {
		t.Errorf("left: %v", list)
	}
	if list, _ := filepath.Glob(h.path("run/ublk/*")); len(list) > 0 {
		t.Errorf("left: %v", list)
	}
}
