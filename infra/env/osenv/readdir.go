// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// Trees are read whole, and often: what counts here is the number of system
// calls for a link.

// maxLink is PATH_MAX, with which no link's value is cut.
const maxLink = 4096

// bufSize is room for many entries of a directory at once, bytes.
const bufSize = 32 << 10

// ReadDir lists a directory, with the values of its links.
func (f treeFS) ReadDir(name string) ([]env.FileInfo, error) {
	return f.readDir(name, nil, make([]byte, bufSize))
}

// ReadDirs is ReadDir of several, on all cores.
func (f treeFS) ReadDirs(names []string, want func(dir, base string) bool) ([][]env.FileInfo, []error) {
	infos, errs := make([][]env.FileInfo, len(names)), make([]error, len(names))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			buf := make([]byte, bufSize)
			for {
				i := int(next.Add(1)) - 1
				if i >= len(names) {
					return
				}
				infos[i], errs[i] = f.readDir(names[i], want, buf)
			}
		})
	}
	wg.Wait()
	return infos, errs
}

func (f treeFS) readDir(name string, want func(dir, base string) bool, buf []byte) ([]env.FileInfo, error) {
	fd, err := f.t.dir(name, unix.O_RDONLY)
	if err != nil {
		return nil, wrap("readdir", name, err)
	}
	defer unix.Close(fd)
	quiet, err := watchDir(fd)
	if err != nil {
		return nil, wrap("readdir", name, err)
	}
	names, err := entries(fd, buf)
	if err != nil {
		return nil, wrap("readdir", name, err)
	}
	out := make([]env.FileInfo, 0, len(names))
	for _, base := range names {
		if want != nil && !want(name, base) {
			continue
		}
		fi, err := lstat(fd, base)
		if err == nil && fi.Kind == env.KindLink {
			fi.Value, err = readlink(fd, base, buf)
		}
		if err == unix.ENOENT { // gone since
			continue
		}
		if err != nil {
			return nil, wrap("readdir", name+"/"+base, err)
		}
		out = append(out, fi)
	}
	still, err := quiet()
	if err != nil {
		return nil, wrap("readdir", name, err)
	}
	if !still {
		compare(fd, out)
	}
	return out, nil
}

// compare looks at each link again: one that has another mtime now may have had
// its value from either.
func compare(dir int, infos []env.FileInfo) {
	for i := range infos {
		fi := &infos[i]
		if fi.Kind != env.KindLink {
			continue
		}
		again, err := lstat(dir, fi.Name)
		if err != nil || again.Kind != fi.Kind || again.MtimeNS != fi.MtimeNS {
			fi.Value = ""
		}
	}
}

// entries are the names in a directory, sorted.
func entries(fd int, buf []byte) ([]string, error) {
	var names []string
	for {
		n := 0
		err := retry(func() (err error) { n, err = unix.ReadDirent(fd, buf); return err })
		if err != nil || n == 0 {
			slices.Sort(names)
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// readlink is empty for what is no link any more.
func readlink(dir int, base string, buf []byte) (string, error) {
	n, err := unix.Readlinkat(dir, base, buf[:maxLink])
	if err == unix.EINVAL {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// grain is more than the resolution of the kernel's time stamps of files.
const grain = 50e6 // ns

// watchDir begins to watch a directory; quiet tells whether no name in it has
// changed since, by its time of change. That says nothing while the last change
// is so young that another one could carry the same time.
func watchDir(fd int) (quiet func() (bool, error), err error) {
	var before, now unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return nil, err
	}
	age := time.Now().UnixNano() - before.Ctim.Nano()
	return func() (bool, error) {
		if age < grain {
			return false, nil
		}
		err := unix.Fstat(fd, &now)
		return now.Ctim == before.Ctim && now.Mtim == before.Mtim, err
	}, nil
}
