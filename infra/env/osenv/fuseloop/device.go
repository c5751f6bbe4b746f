// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// device is one live front end; it implements env.Device.
type device struct {
	h    *Host
	name string
	fs   *fileSystem
	loop loopDev
	rdev uint64

	// op lets one of Probe, Resize, Close and the watching goroutine at the
	// device; all below belongs to its holder.
	op     sync.Mutex
	closed bool
	use    usage
	count  int // as reported last
}

// create makes everything, or nothing.
func (h *Host) create(cfg env.DeviceConfig, dh env.DeviceHandler, post func(func())) (made *device, err error) {
	if cfg.BlockSize != 512 && cfg.BlockSize != 4096 {
		return nil, fmt.Errorf("block size %d is neither 512 nor 4096", cfg.BlockSize)
	}
	if err := checkSize(cfg.Size, int64(cfg.BlockSize)); err != nil {
		return nil, err
	}
	if err := h.devs.Reserve(cfg.Name); err != nil {
		return nil, err
	}
	var undo []func()
	defer func() {
		if err == nil {
			return
		}
		for i := len(undo) - 1; i >= 0; i-- {
			undo[i]()
		}
		h.devs.Release(cfg.Name)
	}()
	d := &device{h: h, name: cfg.Name, fs: newFileSystem(cfg, dh, post)}
	d.fs.dev = d
	dir := h.mountPoint(cfg.Name)
	if list, err := mountsOn(dir); err != nil || len(list) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s is mounted: %w", dir, env.ErrExist))
	}
	if err := leftover(filepath.Join(dir, cfg.Name)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	undo = append(undo, func() { _ = os.Remove(dir) })
	fd, err := mountFuse(dir, cfg.Name)
	if err != nil {
		return nil, err
	}
	undo = append(undo, func() { _ = unmountDead(dir) })
	if err := d.fs.serve(fd, h.log); err != nil {
		return nil, fmt.Errorf("serve %s: %w", dir, err)
	}
	if err := asideDo(func() error { return d.bind(filepath.Join(dir, cfg.Name), cfg.BlockSize) }); err != nil {
		return nil, err
	}
	undo = append(undo, func() { _ = asideDo(d.loop.drop) })
	if err := devnode.MakeLink(d.loop.path(), h.link(cfg.Name)); err != nil {
		return nil, err
	}
	return d, nil
}

func checkSize(size, block int64) error {
	if size <= 0 || size%block != 0 {
		return fmt.Errorf("size %d is no positive multiple of the block size %d", size, block)
	}
	return nil
}

// bind opens the file, for the only time, and puts a loop device over it. On
// an aside.
func (d *device) bind(path string, blockSize int) error {
	file, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(file)
	d.loop, err = bindLoop(file, loopID(path), blockSize)
	d.fs.openable.Store(false)
	if err != nil {
		return err
	}
	if d.rdev, err = d.loop.rdev(); err != nil {
		return errors.Join(err, d.loop.drop())
	}
	return nil
}

// Path is the symlink.
func (d *device) Path() string { return d.h.link(d.name) }

// Complete answers a request.
func (d *device) Complete(r *env.DevRequest, err error) { r.Impl.(*request).done <- err }

// Size is the capacity in bytes.
func (d *device) Size() int64 { return d.fs.size.Load() }

// Hold can not be done: the users of the device do not outlive this process.
func (d *device) Hold(done func(error)) {
	d.fs.post(func() { done(fmt.Errorf("hold device %s: %w", d.name, env.ErrUnsupported)) })
}

// Probe counts the openers.
func (d *device) Probe(done func(n int, err error)) {
	go func() {
		n, err := d.probe()
		if err != nil {
			err = fmt.Errorf("probe device %s: %w", d.name, err)
		}
		d.fs.post(func() { done(n, err) })
	}()
}

func (d *device) probe() (int, error) {
	d.op.Lock()
	defer d.op.Unlock()
	if d.closed {
		return 0, env.ErrClosed
	}
	var busy bool
	if err := asideDo(func() (err error) { busy, err = d.loop.exclusive(); return err }); err != nil {
		return d.count, err
	}
	plain := map[uint64]int{d.rdev: 0}
	if err := devnode.ScanOpeners(plain); err != nil {
		return d.count, err
	}
	d.use.busy, d.use.plain = busy, plain[d.rdev]
	d.report()
	return d.count, nil
}

// report tells the handler the count if it changed.
func (d *device) report() {
	n := d.use.count()
	if n == d.count {
		return
	}
	d.count = n
	d.fs.post(func() { d.fs.handler.OpenCount(n) })
}

// Resize changes the capacity.
func (d *device) Resize(size int64, done func(error)) {
	go func() {
		err := d.resize(size)
		if err != nil {
			err = fmt.Errorf("resize device %s to %d: %w", d.name, size, err)
		}
		d.fs.post(func() { done(err) })
	}()
}

func (d *device) resize(size int64) error {
	d.op.Lock()
	defer d.op.Unlock()
	if d.closed {
		return env.ErrClosed
	}
	if err := checkSize(size, d.fs.block); err != nil {
		return err
	}
	old := d.fs.size.Swap(size)
	err := asideDo(func() error { return d.applySize(size) })
	if err != nil {
		d.fs.size.Store(old)
		err = errors.Join(err, asideDo(func() error { return d.applySize(old) }))
	}
	return err
}

func (d *device) applySize(size int64) error {
	// The driver believes the inode, which this refreshes.
	var st unix.Statx_t
	path := filepath.Join(d.h.mountPoint(d.name), d.name)
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &st); err != nil {
		return fmt.Errorf("stat %s: %w", path, err)
	}
	if err := d.loop.resize(); err != nil {
		return err
	}
	if n, err := d.loop.capacity(); err != nil || n != size {
		return errors.Join(err, fmt.Errorf("%s has %d bytes afterwards", d.loop.path(), n))
	}
	return nil
}

// Close removes the device.
func (d *device) Close(force bool, done func(error)) {
	go func() {
		err := d.close(force)
		if err != nil {
			err = fmt.Errorf("close device %s: %w", d.name, err)
		}
		d.fs.post(func() { done(err) })
	}()
}

func (d *device) close(force bool) error {
	d.op.Lock()
	defer d.op.Unlock()
	if d.closed {
		return env.ErrClosed
	}
	var err error
	if force {
		err = d.tearDown()
	} else {
		err = d.closeUnused()
	}
	if err != nil {
		return err
	}
	d.closed = true
	d.h.devs.Release(d.name)
	if err := os.Remove(d.h.mountPoint(d.name)); err != nil {
		d.h.log.Warn("mount point stays", "device", d.name, "err", err)
	}
	return nil
}

// closeUnused tears the device down if nobody has it open; otherwise nothing
// is changed.
func (d *device) closeUnused() error {
	a := newAside()
	defer a.end()
	fd, err := d.claim(a)
	d.report()
	if err != nil {
		return err
	}
	// What somebody left in the page cache goes out first.
	if err := a.do(func() error { return unix.Fsync(fd) }); err != nil {
		d.h.log.Warn("data was lost before closing", "device", d.name, "err", err)
	}
	link := d.h.link(d.name)
	if err := devnode.RemoveLink(link); err != nil {
		return errors.Join(err, a.do(func() error { return unix.Close(fd) }))
	}
	if err := a.do(func() error { return d.giveUp(fd) }); err != nil {
		d.use.busy = true
		d.report()
		return errors.Join(err, devnode.MakeLink(d.loop.path(), link))
	}
	if err := unmountIdle(d.h.mountPoint(d.name)); err != nil {
		d.h.log.Warn("mount stays", "device", d.name, "err", err)
	}
	d.awaitServer()
	return nil
}

// giveUp detaches the loop device unless there is another opener than fd,
// which is closed. On an aside.
func (d *device) giveUp(fd int) error {
	if err := d.loop.detach(fd); err != nil || !d.owned() {
		return err
	}
	// Somebody opened it in the last moment: as you were.
	if err := d.loop.reattach(); err != nil {
		if !d.owned() { // and went away again
			return nil
		}
		return err
	}
	return fmt.Errorf("%w: opened meanwhile", env.ErrInUse)
}

// claim opens the device exclusively, on the aside, and finds no other opener.
// Short visits, as udev's, are waited for. Afterwards use is up to date.
func (d *device) claim(a *aside) (fd int, err error) {
	var who []string
	for range 5 {
		err = a.do(func() error { fd, err = d.loop.open(unix.O_RDONLY | unix.O_EXCL); return err })
		switch {
		case err == nil:
			plain := map[uint64]int{d.rdev: 0}
			err = devnode.ScanOpeners(plain)
			d.use = usage{plain: plain[d.rdev]}
			if err == nil && d.use.plain == 0 {
				return fd, nil
			}
			if cerr := a.do(func() error { return unix.Close(fd) }); err != nil || cerr != nil {
				return -1, errors.Join(err, cerr)
			}
			who = devnode.Openers(d.rdev)
		case errors.Is(err, unix.EBUSY):
			d.use.busy = true
			who = devnode.Holders(d.loop.path(), d.rdev)
		default:
			return -1, err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return -1, fmt.Errorf("%w: %s", env.ErrInUse, devnode.Sentence(who))
}

// owned tells whether the loop device still has our file. On an aside.
func (d *device) owned() bool {
	if !d.loop.bound() {
		return false
	}
	info, err := d.loop.status()
	return err == nil && cString(info.File_name[:]) == loopID(filepath.Join(d.h.mountPoint(d.name), d.name))
}

// tearDown removes the device under its users: requests fail from now on, and
// the loop device goes when the last of them leaves it.
func (d *device) tearDown() error {
	d.fs.dead.Store(true)
	if err := devnode.RemoveLink(d.h.link(d.name)); err != nil {
		d.h.log.Warn("symlink stays", "device", d.name, "err", err)
	}
	// First the connection, so that nothing below can wait for an answer.
	if err := unmountDead(d.h.mountPoint(d.name)); err != nil {
		return err
	}
	if err := d.loop.drop(); err != nil {
		return err
	}
	if d.owned() {
		d.h.log.Warn("device closed while in use; its users get IO errors", "device", d.name,
			"loop", d.loop.path(), "users", devnode.Sentence(users(d.loop, d.rdev)))
	}
	return nil
}

// awaitServer waits until the FUSE server has ended, which is a moment after
// the last user of the mount is gone.
func (d *device) awaitServer() {
	select {
	case <-d.fs.served:
	case <-time.After(5 * time.Second):
		d.h.log.Warn("the file system is still used by somebody", "device", d.name)
	}
}
