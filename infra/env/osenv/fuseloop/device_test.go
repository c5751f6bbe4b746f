// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

func openDirect(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestReadWriteFlush(t *testing.T) {
	for _, bs := range []int{512, 4096} {
		t.Run(fmt.Sprint(bs), func(t *testing.T) {
			r := newRig(t, 16<<20)
			if r == nil {
				return
			}
			d := r.create("lv", bs)
			fd := openDirect(t, d.Path())
			defer unix.Close(fd)
			if got, err := unix.IoctlGetInt(fd, unix.BLKSSZGET); got != bs {
				t.Errorf("logical block size %d, %v", got, err)
			}
			// From one block to more than one request of FUSE.
			for i, n := range []int{bs, 4096, 65536, 1 << 20, 3 << 20} {
				out, in, off := aligned(n), aligned(n), int64(i)*int64(bs)
				for j := range out {
					out[j] = byte(j*7 + i + j>>8)
				}
				if k, err := unix.Pwrite(fd, out, off); k != n || err != nil {
					t.Fatalf("write of %d: %d, %v", n, k, err)
				}
				if k, err := unix.Pread(fd, in, off); k != n || err != nil {
					t.Fatalf("read of %d: %d, %v", n, k, err)
				}
				r.disk.with(func(data []byte) {
					if !bytes.Equal(in, out) || !bytes.Equal(data[off:off+int64(n)], out) {
						t.Fatalf("%d bytes at %d differ", n, off)
					}
				})
			}
			before := r.disk.done(env.DevFlush)
			if err := unix.Fsync(fd); err != nil || r.disk.done(env.DevFlush) <= before {
				t.Errorf("fsync: %v, %d flushes", err, r.disk.done(env.DevFlush)-before)
			}
			testZeroing(t, r, fd)
		})
	}
}

func testZeroing(t *testing.T, r *rig, fd int) {
	for _, c := range []struct {
		what string
		req  uintptr
		ops  []env.DevOp
	}{
		{"BLKDISCARD", unix.BLKDISCARD, []env.DevOp{env.DevDiscard}},
		{"BLKZEROOUT", unix.BLKZEROOUT, []env.DevOp{env.DevDiscard, env.DevWriteZeroes}},
	} {
		r.disk.with(func(data []byte) {
			for i := range data {
				data[i] = 0xee
			}
		})
		count := func() (n int) {
			for _, op := range c.ops {
				n += r.disk.done(op)
			}
			return n
		}
		before := count()
		rng := [2]uint64{64 << 10, 128 << 10}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), c.req, uintptr(unsafe.Pointer(&rng))); errno != 0 {
			t.Errorf("%s: %v", c.what, errno)
			continue
		}
		if n := count() - before; n == 0 {
			t.Errorf("%s arrived as no request of the kinds %v", c.what, c.ops)
		}
		r.disk.with(func(d []byte) {
			if d[64<<10-1] == 0 || d[64<<10] != 0 || d[192<<10-1] != 0 || d[192<<10] == 0 {
				t.Errorf("%s cleared the wrong range", c.what)
			}
		})
	}
}

func TestParallel(t *testing.T) {
	r := newRig(t, 16<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 4096)
	fd := openDirect(t, d.Path())
	defer unix.Close(fd)
	const workers, rounds = 32, 30
	errs := make(chan error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			out, in, off := aligned(8192), aligned(8192), int64(w)*8192
			for i := range rounds {
				for j := range out {
					out[j] = byte(w + i + j)
				}
				_, werr := unix.Pwrite(fd, out, off)
				_, rerr := unix.Pread(fd, in, off)
				if werr != nil || rerr != nil || !bytes.Equal(in, out) {
					errs <- fmt.Errorf("worker %d: %v, %v, same %v", w, werr, rerr, bytes.Equal(in, out))
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// TestErrors: errors arrive, and a failed operation is not taken for a missing one.
func TestErrors(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 512)
	fd := openDirect(t, d.Path())
	defer unix.Close(fd)
	buf := aligned(4096)
	for _, c := range []struct {
		op env.DevOp
		do func() error
	}{
		{env.DevRead, func() error { _, err := unix.Pread(fd, buf, 0); return err }},
		{env.DevWrite, func() error { _, err := unix.Pwrite(fd, buf, 0); return err }},
		{env.DevFlush, func() error { return unix.Fsync(fd) }},
	} {
		if err := c.do(); err != nil {
			t.Fatalf("op %d before: %v", c.op, err)
		}
		r.disk.fail(c.op, unix.ENOSYS)
		for range 2 {
			if err := c.do(); !errors.Is(err, unix.EIO) {
				t.Errorf("op %d: %v, want EIO", c.op, err)
			}
		}
		r.disk.fail(c.op, nil)
		if err := c.do(); err != nil {
			t.Errorf("op %d afterwards: %v", c.op, err)
		}
	}
}

// TestFileOnlyOnce: nobody gets at the content but through the loop device.
func TestFileOnlyOnce(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	r.create("lv", 512)
	fd, err := unix.Open(filepath.Join(r.host.mountPoint("lv"), "lv"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("opening the file: %v", err)
		_ = unix.Close(fd)
	}
}

func TestFileSystemOnTop(t *testing.T) {
	r := newRig(t, 32<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 4096)
	run(t, "mkfs.ext4", "-q", "-F", d.Path())
	mnt := t.TempDir()
	mount(t, d.Path(), mnt)
	mounted := true
	t.Cleanup(func() {
		if mounted {
			_ = unix.Unmount(mnt, unix.MNT_DETACH)
		}
	})
	data := bytes.Repeat([]byte("mars"), 1<<18)
	if err := os.WriteFile(filepath.Join(mnt, "file"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := r.probe(d); n != 1 {
		t.Errorf("mounted, but probed %d", n)
	}
	if n := wait(t, "open count", r.disk.counts); n != 1 {
		t.Errorf("mounted, but reported %d", n)
	}
	err := r.close(d, false)
	if !errors.Is(err, env.ErrInUse) || !strings.Contains(err.Error(), "umount "+mnt+" first") {
		t.Errorf("close while mounted: %v", err)
	}
	if err := unix.Unmount(mnt, 0); err != nil {
		t.Fatal(err)
	}
	mounted = false
	run(t, "e2fsck", "-f", "-n", d.Path())
	mount(t, d.Path(), mnt)
	mounted = true
	if got, err := os.ReadFile(filepath.Join(mnt, "file")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("file differs, %v", err)
	}
	if err := unix.Unmount(mnt, 0); err != nil {
		t.Fatal(err)
	}
	mounted = false
	if n := r.probe(d); n != 0 {
		t.Errorf("not used, but probed %d", n)
	}
	if err := r.close(d, false); err != nil {
		t.Error(err)
	}
	r.gone(d)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func mount(t *testing.T, dev, dir string) {
	t.Helper()
	if err := unix.Mount(dev, dir, "ext4", 0, ""); err != nil {
		t.Fatalf("mount %s: %v", dev, err)
	}
}

// gone checks that nothing of a device is left.
func (r *rig) gone(d env.Device) {
	r.t.Helper()
	if l, err := os.Readlink(d.Path()); err == nil {
		r.t.Errorf("the link is still there, to %s", l)
	}
	r.nothing(filepath.Base(d.Path()))
	if l := d.(*device).loop; l.bound() {
		if info, err := l.status(); err == nil && strings.Contains(cString(info.File_name[:]), r.dir) {
			r.t.Errorf("%s is still bound", l.path())
		}
	}
}

// nothing checks that there is neither mount nor directory nor loop device.
func (r *rig) nothing(name string) {
	r.t.Helper()
	dir := r.host.mountPoint(name)
	if list, err := mountsOn(dir); err != nil || len(list) > 0 {
		r.t.Errorf("%d mounts on %s, %v", len(list), dir, err)
	}
	if _, err := os.Lstat(dir); err == nil {
		r.t.Errorf("%s is still there", dir)
	}
	if l, err := boundLoops(filepath.Join(dir, name)); err != nil || len(l) > 0 {
		r.t.Errorf("loop devices %v, %v", l, err)
	}
}

func TestPlainOpener(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 4096)
	cmd, in, line := child(t, "opener", d.Path())
	if line != "open" {
		t.Fatal(line)
	}
	// Found by the watching goroutine, without being asked.
	if n := wait(t, "open count", r.disk.counts); n != 1 {
		t.Errorf("open, but reported %d", n)
	}
	err := r.close(d, false)
	if !errors.Is(err, env.ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("process %d ", cmd.Process.Pid)) {
		t.Errorf("close while open: %v", err)
	}
	if _, err := os.Stat(d.Path()); err != nil {
		t.Errorf("after the refusal: %v", err)
	}
	if n := r.probe(d); n != 1 {
		t.Errorf("open, but probed %d", n)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("read after the refusal: %v", err)
	}
	if n := wait(t, "open count", r.disk.counts); n != 0 {
		t.Errorf("closed, but reported %d", n)
	}
	if err := r.close(d, false); err != nil {
		t.Error(err)
	}
	r.gone(d)
	if err := r.close(d, false); !errors.Is(err, env.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
}

func TestForce(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 4096)
	cmd, in, line := child(t, "opener", d.Path())
	if line != "open" {
		t.Fatal(line)
	}
	// A write is on its way and not answered.
	r.disk.mu.Lock()
	r.disk.hold = true
	r.disk.mu.Unlock()
	wrote := make(chan error, 1)
	go func() {
		fd, err := unix.Open(d.Path(), unix.O_WRONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
		if err == nil {
			_, err = unix.Pwrite(fd, aligned(4096), 0)
			_ = unix.Close(fd)
		}
		wrote <- err
	}()
	for r.disk.done(env.DevWrite) == 0 {
		r.probe(d) // gives time
	}
	if err := r.close(d, true); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, "the write fails", wrote); !errors.Is(err, unix.EIO) {
		t.Errorf("write in flight: %v", err)
	}
	_ = in.Close()
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("the opener's read went like this: %v", err)
	}
	r.disk.mu.Lock()
	held := r.disk.held
	r.disk.mu.Unlock()
	if len(held) != 1 {
		t.Fatalf("%d requests held", len(held))
	}
	d.Complete(held[0], nil) // late, and harmless
	r.gone(d)
}

func TestResize(t *testing.T) {
	r := newRig(t, 4<<20)
	if r == nil {
		return
	}
	r.disk.setSize(1 << 20)
	d := r.create("lv", 4096)
	r.disk.setSize(4 << 20)
	fd := openDirect(t, d.Path())
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, aligned(4096), 1<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write behind the end: %v", err)
	}
	resize := func(n int64) error {
		return r.ask("resize", func(done func(error)) { d.Resize(n, done) })
	}
	if err := resize(4 << 20); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Pwrite(fd, aligned(4096), 4<<20-4096); n != 4096 || err != nil {
		t.Errorf("write at the new end: %d, %v", n, err)
	}
	if _, err := unix.Pwrite(fd, aligned(4096), 4<<20); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("write behind the new end: %v", err)
	}
	if err := resize(1000); err == nil {
		t.Error("a crooked size was accepted")
	}
	if n, err := d.(*device).loop.capacity(); n != 4<<20 {
		t.Errorf("capacity %d, %v", n, err)
	}
}

func TestCreateRefuses(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	if _, err := r.tryCreate("../lv", 4096); err == nil {
		t.Error("a bad name was accepted")
	}
	if _, err := r.tryCreate("lv", 1024); err == nil {
		t.Error("a bad block size was accepted")
	}
	// The symlink cannot be made: everything is undone.
	if err := os.MkdirAll(r.host.link("lv"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tryCreate("lv", 4096); !errors.Is(err, env.ErrExist) {
		t.Errorf("device name is a directory: %v", err)
	}
	r.nothing("lv")
	if err := os.Remove(r.host.link("lv")); err != nil {
		t.Fatal(err)
	}
	d := r.create("lv", 4096)
	if _, err := r.tryCreate("lv", 4096); !errors.Is(err, env.ErrExist) {
		t.Errorf("second device of that name: %v", err)
	}
	r.disk.setDev(d)
	if err := r.cleanup("lv"); !errors.Is(err, env.ErrExist) {
		t.Errorf("cleaning up a living device: %v", err)
	}
	if n := r.probe(d); n != 0 {
		t.Errorf("probed %d", n)
	}
}
