// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"unsafe"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// files is env.Files of one executor: opening happens on a worker.
type files struct{ e *Executor }

// Files opens log files and disks.
func (e *Executor) Files() env.Files { return files{e} }

// open runs fn on a worker and hands its file to done on the executor.
func (fs files) open(what, name string, fn func(f *file) error, done func(env.File, error)) {
	e := fs.e
	f := &file{e: e, fd: -1, name: name}
	if e.draining {
		e.Post(func() { done(nil, wrap(what, name, env.ErrClosed)) })
		return
	}
	e.inflight++
	e.node.workers.run(func() {
		err := fn(f)
		if err != nil && f.fd >= 0 {
			_ = unix.Close(f.fd) // nothing was written through it
		}
		e.Post(func() {
			e.inflight--
			if err != nil {
				done(nil, wrap(what, name, err))
				return
			}
			e.files[f] = struct{}{}
			done(f, nil)
		})
	})
}

func (fs files) OpenFile(name string, mode env.OpenMode, done func(env.File, error)) {
	t := fs.e.node.tree
	fs.open("open", name, func(f *file) error {
		f.write = mode.Write
		if err := t.openRegular(f, name, mode); err != nil {
			return err
		}
		if mode.Create {
			if err := unix.Fsync(f.fd); err != nil {
				return err
			}
			if err := (treeFS{t: t}).SyncDir(parent(name)); err != nil {
				return err
			}
		}
		return f.measure()
	}, done)
}

// openRegular opens the file, direct if that is wanted and possible.
func (t *tree) openRegular(f *file, name string, mode env.OpenMode) error {
	flags := unix.O_RDONLY
	if mode.Write {
		flags = unix.O_RDWR
	}
	return t.at(name, func(dir int, base string) (err error) {
		if mode.Create {
			fd, err := regular(dir, base, flags|unix.O_CREAT|unix.O_EXCL, 0o600)
			if err == nil {
				_ = unix.Close(fd) // empty; it is opened again below
			} else if err != unix.EEXIST {
				return err
			}
		}
		f.align = 1
		if !mode.Buffered {
			if f.fd, err = regular(dir, base, flags|unix.O_DIRECT, 0); err == nil {
				if f.align = directAlign(f.fd); f.align > 0 {
					f.direct = true
					return nil
				}
				_ = unix.Close(f.fd)
			} else if err != unix.EINVAL {
				return err
			}
		}
		f.align = 1
		f.fd, err = regular(dir, base, flags, 0)
		return err
	})
}

// directAlign is the alignment that direct IO on fd asks for, or 0 where it is
// not possible or not within env.File's promise of at most 4096.
func directAlign(fd int) int {
	const most = 4096
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err == nil && st.Mask&unix.STATX_DIOALIGN != 0 {
		a := max(st.Dio_mem_align, st.Dio_offset_align)
		if st.Dio_offset_align == 0 || a > most || a&(a-1) != 0 {
			return 0
		}
		return int(a)
	}
	return trialAlign(fd, most)
}

// trialAlign serves where the kernel does not tell: try the smallest. Nothing
// can be learnt from an empty file, which has no block to read.
func trialAlign(fd, most int) int {
	mem := mapMemory(most)
	defer unmap(mem)
	for _, a := range []int{512, most} {
		n, err := unix.Pread(fd, mem[:a], 0)
		if err == nil && (n > 0 || a == most) {
			return a
		}
	}
	return 0
}

// measure notes the size of a regular file.
func (f *file) measure() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	f.size = st.Size
	return nil
}

func (fs files) OpenDisk(path string, done func(env.File, error)) {
	fs.open("open disk", path, func(f *file) error {
		f.write, f.disk = true, true
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return err
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFBLK:
			return f.openBlock(path)
		case unix.S_IFREG:
			return f.openImage(path)
		}
		return fmt.Errorf("%w: neither a block device nor a regular file", unix.EINVAL)
	}, done)
}

// openDirect opens path with O_DIRECT, or without where that is refused.
func (f *file) openDirect(path string, flags int) (err error) {
	f.direct = true
	f.fd, err = openat(unix.AT_FDCWD, path, flags|unix.O_DIRECT, 0)
	if err == unix.EINVAL {
		f.direct, f.align = false, 1
		f.fd, err = openat(unix.AT_FDCWD, path, flags, 0)
	}
	return err
}

func (f *file) openBlock(path string) error {
	if err := f.openDirect(path, unix.O_RDWR|unix.O_EXCL); err != nil {
		return err
	}
	var st unix.Stat_t
	err := unix.Fstat(f.fd, &st)
	if err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("%w: changed while it was opened", unix.EINVAL)
	}
	if f.size, err = capacity(f.fd); err != nil {
		return err
	}
	if !f.direct {
		return nil
	}
	align, err := unix.IoctlGetInt(f.fd, unix.BLKSSZGET)
	if err != nil {
		return err
	}
	if align > 4096 {
		return fmt.Errorf("%w: logical blocks of %d bytes", unix.EINVAL, align)
	}
	f.align = align
	return nil
}

// capacity is the size of a block device or a regular file in bytes.
func capacity(fd int) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return st.Size, err
	}
	var size uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size))); errno != 0 {
		return 0, errno
	}
	return int64(size), nil
}

func (f *file) openImage(path string) error {
	if err := f.openDirect(path, unix.O_RDWR); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%w: changed while it was opened", unix.EINVAL)
	}
	if err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB); err == unix.EWOULDBLOCK {
		return fmt.Errorf("%w: locked", env.ErrInUse)
	} else if err != nil {
		return err
	}
	if f.direct {
		if f.align = directAlign(f.fd); f.align == 0 {
			f.align, f.direct = 1, false
			if err := clearFlag(f.fd, unix.O_DIRECT); err != nil {
				return err
			}
		}
	}
	return f.measure()
}
