// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// tree resolves names below one directory. It never follows a symlink and
// never leaves the directory: openat2 does it, or, where that is refused, a
// walk component by component. Safe for concurrent use.
type tree struct {
	path string
	fd   int
	walk atomic.Bool // openat2 is refused here
}

func openTree(dir string) (*tree, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, wrap("open", dir, err)
	}
	return &tree{path: dir, fd: fd}, nil
}

func (t *tree) close() error { return unix.Close(t.fd) }

// openat is the system call, tried again when interrupted.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// check refuses names that are not clean relative paths.
func check(name string) error {
	if name == "." {
		return nil
	}
	for c := range strings.SplitSeq(name, "/") {
		if c == "" || c == "." || c == ".." || strings.IndexByte(c, 0) >= 0 {
			return fmt.Errorf("%w: name %q", fs.ErrInvalid, name)
		}
	}
	return nil
}

// dir opens a directory below the tree; flags is O_RDONLY or O_PATH.
func (t *tree) dir(name string, flags int) (int, error) {
	if err := check(name); err != nil {
		return -1, err
	}
	flags |= unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !t.walk.Load() {
		how := unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		for {
			fd, err := unix.Openat2(t.fd, name, &how)
			switch err {
			case unix.EINTR, unix.EAGAIN: // EAGAIN: a rename raced with the look-up
				continue
			case unix.ENOSYS, unix.EPERM:
				t.walk.Store(true)
			default:
				return fd, err
			}
			break
		}
	}
	return t.walkDir(name, flags)
}

func (t *tree) walkDir(name string, flags int) (int, error) {
	at := t.fd
	for {
		first, rest, more := strings.Cut(name, "/")
		f := flags
		if more {
			f = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
		}
		fd, err := openat(at, first, f, 0)
		if at != t.fd {
			_ = unix.Close(at) // an O_PATH descriptor has nothing to lose
		}
		if err != nil || !more {
			return fd, err
		}
		at, name = fd, rest
	}
}

// at calls fn with the directory that holds the last component of name, and
// that component.
func (t *tree) at(name string, fn func(dir int, base string) error) error {
	if err := check(name); err != nil {
		return err
	}
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return retry(func() error { return fn(t.fd, name) })
	}
	dir, err := t.dir(name[:i], unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return retry(func() error { return fn(dir, name[i+1:]) })
}

func retry(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}

// regular opens the regular file base, which must have one name only, so that
// nothing outside can be reached through a hard link. Anything else is not
// even opened: opening a device or a fifo can have effects.
func regular(dir int, base string, flags int, mode uint32) (int, error) {
	if flags&unix.O_EXCL == 0 {
		if err := checkRegular(func(st *unix.Stat_t) error {
			return unix.Fstatat(dir, base, st, unix.AT_SYMLINK_NOFOLLOW)
		}); err != nil {
			return -1, err
		}
	}
	fd, err := openat(dir, base, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, mode)
	if err != nil {
		return -1, err
	}
	err = checkRegular(func(st *unix.Stat_t) error { return unix.Fstat(fd, st) })
	if err == nil {
		// io_uring takes O_NONBLOCK for "rather fail than wait".
		err = clearFlag(fd, unix.O_NONBLOCK)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

var (
	errNotRegular = errors.New("not a regular file")
	errHardLinked = errors.New("a hard-linked file")
)

func checkRegular(stat func(*unix.Stat_t) error) error {
	var st unix.Stat_t
	if err := stat(&st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errNotRegular
	}
	if st.Nlink > 1 {
		return errHardLinked
	}
	return nil
}

func clearFlag(fd, flag int) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags&^flag)
	return err
}

// kind is the env error behind an errno, or nil.
func kind(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return env.ErrNotExist
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOTEMPTY):
		return env.ErrExist
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return env.ErrNoSpace
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EADDRINUSE):
		return env.ErrInUse
	}
	return nil
}

// wrap names what failed and adds the env error a caller decides on.
func wrap(what, name string, err error) error {
	if err == nil {
		return nil
	}
	if k := kind(err); k != nil && !errors.Is(err, k) {
		return fmt.Errorf("%s %s: %w: %w", what, name, k, err)
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}
