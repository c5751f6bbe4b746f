// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// deadAnswer is how long a dead loop device may take to fail a read.
const deadAnswer = 5 * time.Second

// cleanup removes what a killed predecessor left for name. Each step does
// nothing when there is nothing, so it may be repeated.
func (h *Host) cleanup(name string) error {
	dir := h.mountPoint(name)
	loops, err := boundLoops(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	mounts, err := mountsOn(dir)
	if err != nil {
		return err
	}
	if err := devnode.RemoveLinkTo("/dev/loop", h.link(name)); err != nil {
		return err
	}
	var mine []loopDev
	for _, l := range loops {
		on, err := l.status()
		if err != nil {
			continue // gone since
		}
		for _, m := range mounts {
			if on.Device == unix.Mkdev(uint32(m.Major), uint32(m.Minor)) {
				mine = append(mine, l)
			}
		}
	}
	// Abort first: whatever waits for the dead fails now.
	if err := unmountDead(dir); err != nil {
		return err
	}
	var errs []error
	for _, l := range loops {
		errs = append(errs, h.release1(l, contains(mine, l)))
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Leftovers lists the names of devices of which a dead daemon left something.
// It is for a process that serves none.
func (h *Host) Leftovers() ([]string, error) {
	list, err := os.ReadDir(filepath.Join(h.cfg.RunDir, "fuse"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, nil
}

// Remove removes what is left of a device. When somebody has it open that is
// refused, unless force: its users have IO errors anyway.
func (h *Host) Remove(name string, force bool) error {
	loops, err := boundLoops(filepath.Join(h.mountPoint(name), name))
	if err != nil {
		return err
	}
	for _, l := range loops {
		rdev, err := l.rdev()
		if err != nil {
			return err
		}
		if who := users(l, rdev); len(who) > 0 && !force {
			return fmt.Errorf("%s is %w: %s", l.path(), env.ErrInUse, devnode.Sentence(who))
		}
	}
	return h.cleanup(name)
}

// leftover refuses to make a device beside what a dead predecessor left, which
// Cleanup has to see first: its users must not believe that the new device is
// theirs. Plain openers that Cleanup has let go do not matter.
func leftover(path string) error {
	loops, err := boundLoops(path)
	if err != nil {
		return err
	}
	for _, l := range loops {
		dead, err := l.dead()
		if err != nil {
			return err
		}
		info, err := l.status()
		if !dead || err != nil {
			continue // of a living process elsewhere, or gone since
		}
		busy, err := l.exclusive()
		if info.Flags&unix.LO_FLAGS_AUTOCLEAR == 0 || busy || err != nil {
			return errors.Join(err, fmt.Errorf("%s of a dead predecessor: %w", l.path(), env.ErrExist))
		}
	}
	return nil
}

func contains(list []loopDev, l loopDev) bool {
	for _, x := range list {
		if x == l {
			return true
		}
	}
	return false
}

// release1 detaches a loop device that has a file of our name. Unless it was
// found on our own mount it might belong to a living process with the same
// paths in another mount namespace; then it answers reads, and is left alone.
func (h *Host) release1(l loopDev, mine bool) error {
	if !mine {
		if dead, err := l.dead(); err != nil || !dead {
			return err
		}
	}
	rdev, err := l.rdev()
	if err != nil {
		return err
	}
	fd, err := l.open(unix.O_RDONLY | unix.O_EXCL)
	var who []string
	if errors.Is(err, unix.EBUSY) {
		who = devnode.Holders(l.path(), rdev)
		fd, err = l.open(unix.O_RDONLY)
	}
	if err != nil {
		return err
	}
	// With other openers left, the driver waits for the last of them.
	if err := l.detach(fd); err != nil {
		return err
	}
	if !l.bound() {
		return nil
	}
	if len(who) == 0 { // plain openers: they do no harm to a new device
		h.log.Warn("dead loop device stays until it is closed", "loop", l.path(), "users", devnode.Sentence(devnode.Openers(rdev)))
		return nil
	}
	return fmt.Errorf("%s of a dead predecessor is %w: %s", l.path(), env.ErrInUse, devnode.Sentence(who))
}

// dead tells whether reads fail. It waits for the answer in a goroutine, which
// is given up when there is none.
func (l loopDev) dead() (bool, error) {
	fd, err := l.open(unix.O_RDONLY | unix.O_DIRECT)
	if err != nil {
		return false, err
	}
	answer := make(chan error, 1)
	go func() {
		buf, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err == nil {
			_, err = unix.Pread(fd, buf, 0)
			_ = unix.Munmap(buf)
		}
		_ = unix.Close(fd) // before the answer: the caller looks for openers
		answer <- err
	}()
	select {
	case err := <-answer:
		return errors.Is(err, unix.EIO), nil
	case <-time.After(deadAnswer):
		return false, fmt.Errorf("%s does not answer", l.path())
	}
}
