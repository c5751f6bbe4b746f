// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// killed has another process make the device lv and kills it after do.
func (r *rig) killed(do func(path string)) {
	r.t.Helper()
	cmd, _, path := child(r.t, "server", r.dir)
	if path != r.host.link("lv") {
		r.t.Fatalf("server says %q", path)
	}
	if do != nil {
		do(path)
	}
	if err := cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = cmd.Wait()
	if l, err := boundLoops(filepath.Join(r.host.mountPoint("lv"), "lv")); err != nil || len(l) != 1 {
		r.t.Fatalf("loop devices of the dead: %v, %v", l, err)
	}
}

func (r *rig) cleanTwice() {
	r.t.Helper()
	for range 2 {
		if err := r.cleanup("lv"); err != nil {
			r.t.Fatal(err)
		}
		r.nothing("lv")
		if _, err := os.Lstat(r.host.link("lv")); err == nil {
			r.t.Error("the link is still there")
		}
	}
}

func TestCleanupNothing(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	r.cleanTwice()
	if err := r.cleanup("../etc"); err == nil {
		t.Error("a bad name was accepted")
	}
}

func TestCleanupAfterKill(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	r.killed(nil)
	if _, err := r.tryCreate("lv", 4096); !errors.Is(err, env.ErrExist) {
		t.Errorf("create over the dead: %v", err)
	}
	r.cleanTwice()
	d := r.create("lv", 4096)
	fd := openDirect(t, d.Path())
	defer unix.Close(fd)
	if n, err := unix.Pwrite(fd, aligned(4096), 0); n != 4096 {
		t.Errorf("the new device: %v", err)
	}
}

// TestCleanupHalf: the predecessor got only so far, or somebody tidied up.
func TestCleanupHalf(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	r.killed(nil)
	if err := unix.Unmount(r.host.mountPoint("lv"), unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if _, err := r.tryCreate("lv", 4096); !errors.Is(err, env.ErrExist) {
		t.Errorf("create beside the dead: %v", err)
	}
	r.cleanTwice()

	dir := r.host.mountPoint("lv")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := mountFuse(dir, "lv")
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	r.cleanTwice()
}

func TestCleanupMounted(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	mnt := t.TempDir()
	r.killed(func(path string) {
		run(t, "mkfs.ext4", "-q", "-F", path)
		mount(t, path, mnt)
		if err := os.WriteFile(filepath.Join(mnt, "file"), bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	for range 2 {
		err := r.cleanup("lv")
		if !errors.Is(err, env.ErrInUse) || !strings.Contains(err.Error(), "umount "+mnt+" first") {
			t.Fatalf("cleanup while mounted: %v", err)
		}
		if _, err := r.tryCreate("lv", 4096); !errors.Is(err, env.ErrExist) {
			t.Fatalf("create while the dead is mounted: %v", err)
		}
	}
	// A file keeps it busy even when it is out of sight.
	f, err := unix.Open(mnt, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(mnt, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	err = r.cleanup("lv")
	if !errors.Is(err, env.ErrInUse) || !strings.Contains(err.Error(), "lazily") {
		t.Errorf("cleanup while lazily unmounted: %v", err)
	}
	if err := unix.Close(f); err != nil {
		t.Fatal(err)
	}
	// The kernel may take the file system down a moment later.
	for r.cleanup("lv") != nil {
		if t.Context().Err() != nil {
			t.Fatal("never cleaned up")
		}
	}
	r.cleanTwice()
}

func TestCleanupPlainOpener(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	var finish func()
	r.killed(func(path string) {
		cmd, in, line := child(t, "opener", path)
		if line != "open" {
			t.Fatal(line)
		}
		finish = func() {
			_ = in.Close()
			if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
				t.Errorf("the opener of the dead ended with %d", cmd.ProcessState.ExitCode())
			}
		}
	})
	if err := r.cleanup("lv"); err != nil {
		t.Fatal(err)
	}
	d := r.create("lv", 4096) // beside the dead one
	if err := r.close(d, false); err != nil {
		t.Error(err)
	}
	finish()
	r.cleanTwice()
}

// TestCleanupForeign: a living device with the same paths in another mount
// namespace is left alone.
func TestCleanupForeign(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	d := r.create("lv", 4096)
	l := d.(*device).loop
	if err := r.host.release1(l, false); err != nil {
		t.Errorf("a living device of somebody else: %v", err)
	}
	if err := leftover(filepath.Join(r.host.mountPoint("lv"), "lv")); err != nil {
		t.Errorf("a living device was taken for a dead one: %v", err)
	}
	if !l.bound() {
		t.Error("the device is gone")
	}
}

// TestKilledWhileWaiting: a process that is killed while it waits for itself
// does end.
func TestKilledWhileWaiting(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	cmd, _, line := child(t, "stuck", r.dir)
	if line != "stuck" {
		t.Fatalf("child says %q", line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	_ = wait(t, "the killed process ends", ended)
	r.cleanTwice()
}
