// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"errors"
	"strings"
	"sync"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// maxHeld bounds the directories that are kept open; fewer where the process has
// few descriptors.
const maxHeld = 512

// held are directories that stay open for a while. Its methods, but for release, may
// be called from several goroutines.
type held struct {
	t   *tree
	max int

	mu   sync.Mutex // of what follows
	dirs map[string]int
	old  []int // of names that meanwhile lead elsewhere, still in use perhaps
}

// Hold implements env.Holder.
func (f treeFS) Hold() (env.FS, func()) {
	if f.held != nil {
		return f, func() {}
	}
	h := &held{t: f.t, max: maxHeld, dirs: map[string]int{}}
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur/4 < maxHeld {
		h.max = int(lim.Cur / 4)
	}
	return treeFS{t: f.t, held: h}, h.release
}

func (h *held) release() {
	for _, fd := range h.dirs { // order does not matter: all are closed
		_ = unix.Close(fd) // nothing was written through it
	}
	for _, fd := range h.old {
		_ = unix.Close(fd)
	}
	h.dirs, h.old = nil, nil
}

// dir is the descriptor of a directory; the caller closes it if it is not kept.
func (h *held) dir(name string) (fd int, kept bool, err error) {
	if fd, ok := h.open(name); ok {
		return fd, true, nil
	}
	fd, err = h.t.dir(name, unix.O_RDONLY)
	if err != nil {
		return fd, false, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.dirs[name]; ok || h.dirs == nil || len(h.dirs)+len(h.old) >= h.max {
		return fd, false, nil
	}
	h.dirs[name] = fd
	return fd, true, nil
}

// open is the descriptor of a directory that is kept already.
func (h *held) open(name string) (fd int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd, ok = h.dirs[name]
	return fd, ok
}

// at is tree.at. In a directory that somebody has removed nothing is found and
// nothing can be made: then it is looked for anew.
func (h *held) at(name string, fn func(dir int, base string) error) error {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return h.t.at(name, fn)
	}
	if err := check(name); err != nil {
		return err
	}
	_, had := h.open(name[:i])
	err := h.once(name[:i], name[i+1:], fn)
	if had && errors.Is(err, unix.ENOENT) {
		h.forget(name[:i])
		err = h.once(name[:i], name[i+1:], fn)
	}
	return err
}

func (h *held) once(dir, base string, fn func(dir int, base string) error) error {
	fd, kept, err := h.dir(dir)
	if err != nil {
		return err
	}
	if !kept {
		defer unix.Close(fd)
	}
	return retry(func() error { return fn(fd, base) })
}

func (h *held) forget(dir string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if fd, ok := h.dirs[dir]; ok {
		h.old = append(h.old, fd)
		delete(h.dirs, dir)
	}
}
