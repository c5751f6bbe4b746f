// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

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
	return f.readDir(name, wantAll, newScratch())
}

// ReadDirs is ReadDir of several, on all cores.
func (f treeFS) ReadDirs(names []string, want func(dir, base string) env.Want, each func(i int, infos []env.FileInfo, err error)) {
	if want == nil {
		want = wantAll
	}
	onAllCores(len(names), newScratch, func(s *scratch, i int) {
		infos, err := f.readDir(names[i], want, s)
		each(i, infos, err)
	})
}

// Each implements env.Parallel.
func (f treeFS) Each(n int, fn func(i int)) {
	onAllCores(n, func() struct{} { return struct{}{} }, func(_ struct{}, i int) { fn(i) })
}

const (
	// stride is how many pieces of work that lie beside each other a core takes at
	// once: the names of one directory mostly do, which is locked while it is changed.
	stride = 4
	// worthwhile is how many pieces pay for one more core; a few are done sooner
	// than another thread wakes up.
	worthwhile = 16
	// maxCores bounds the threads: more of them wait for the same locks of the kernel.
	maxCores = 8
)

// onAllCores calls fn for 0 to n-1, on each core with a tool of its own.
func onAllCores[T any](n int, tool func() T, fn func(t T, i int)) {
	var next atomic.Int64
	work := func() {
		t := tool()
		for {
			end := int(next.Add(stride))
			if end-stride >= n {
				return
			}
			for i := end - stride; i < min(end, n); i++ {
				fn(t, i)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxCores, n/worthwhile+1) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

func wantAll(string, string) env.Want { return env.WantAll }

// scratch is what one directory after the other is read with.
type scratch struct {
	buf   []byte
	list  []dirent
	out   []env.FileInfo // of the last directory
	timed []int
	pack  packer
}

func newScratch() *scratch { return &scratch{buf: make([]byte, bufSize)} }

func (f treeFS) readDir(name string, want func(dir, base string) env.Want, s *scratch) ([]env.FileInfo, error) {
	fd, err := f.t.dir(name, unix.O_RDONLY)
	if err != nil {
		return nil, wrap("readdir", name, err)
	}
	defer unix.Close(fd)
	if err := s.entries(fd); err != nil {
		return nil, wrap("readdir", name, err)
	}
	r := dirReader{fd: fd, buf: s.buf, pack: &s.pack, out: slices.Grow(s.out[:0], len(s.list)), timed: s.timed[:0]}
	defer func() { s.out, s.timed = r.out, r.timed }()
	for _, e := range s.list {
		how := want(name, e.name)
		if how == env.WantNothing {
			continue
		}
		if err := r.read(e, how); err != nil && err != unix.ENOENT { // gone since
			return nil, wrap("readdir", name+"/"+e.name, err)
		}
	}
	return r.out, wrap("readdir", name, r.settle())
}

// dirReader reads the entries of one directory.
type dirReader struct {
	fd    int
	buf   []byte
	pack  *packer
	stat  unix.Stat_t
	out   []env.FileInfo
	timed []int                // places in out of entries with times
	quiet func() (bool, error) // of those, nil: there are none
}

func (r *dirReader) read(e dirent, how env.Want) (err error) {
	fi := env.FileInfo{Name: e.name, Kind: e.kind}
	timed := how == env.WantAll || e.kind == env.KindOther
	if timed && r.quiet == nil {
		if r.quiet, err = watchDir(r.fd); err != nil {
			return err
		}
	}
	if timed {
		fi, err = r.lstat(e)
	}
	if err == nil && fi.Kind == env.KindLink {
		fi.Value, err = readlink(r.fd, e, r.buf, r.pack)
	}
	if err != nil {
		return err
	}
	if timed {
		r.timed = append(r.timed, len(r.out))
	}
	r.out = append(r.out, fi)
	return nil
}

// lstat spares the copy of the name that unix.Fstatat makes to end it with a zero
// byte, like readlink.
func (r *dirReader) lstat(e dirent) (env.FileInfo, error) {
	_, _, errno := unix.Syscall6(unix.SYS_NEWFSTATAT, uintptr(r.fd), uintptr(unsafe.Pointer(unsafe.StringData(e.name))), uintptr(unsafe.Pointer(&r.stat)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if errno != 0 {
		return env.FileInfo{}, errno
	}
	return fileInfo(e.name, &r.stat), nil
}

// settle sees to it that values and times belong together.
func (r *dirReader) settle() error {
	if r.quiet == nil {
		return nil
	}
	still, err := r.quiet()
	if err == nil && !still {
		r.compare()
	}
	return err
}

// compare looks at each link again: one that has another mtime now may have had
// its value from either.
func (r *dirReader) compare() {
	for _, i := range r.timed {
		fi := &r.out[i]
		if fi.Kind != env.KindLink {
			continue
		}
		again, err := lstat(r.fd, fi.Name)
		if err != nil || again.Kind != fi.Kind || again.MtimeNS != fi.MtimeNS {
			fi.Value = ""
		}
	}
}

// dirent is a name in a directory, with a zero byte behind it in memory. Its kind
// is KindOther where it must be looked at: it is a file, which has a length, or
// the file system does not tell.
type dirent struct {
	name string
	kind env.FileKind
}

// packSize is how many bytes of names and values lie together. One that is kept
// keeps them all, so it is not more.
const packSize = 1 << 10

// packer puts short strings behind one another: a tree has tens of thousands,
// and memory for each of its own costs more than to read it.
type packer struct {
	b strings.Builder
	n int // bytes in b
}

// string is a copy of text. A Builder never changes what it has given out.
func (p *packer) string(text []byte) string {
	if p.b.Cap()-p.n < len(text) {
		p.b.Reset()
		p.b.Grow(max(packSize, len(text)))
		p.n = 0
	}
	p.b.Write(text)
	at := p.n
	p.n += len(text)
	return p.b.String()[at:]
}

// entries makes list the names in a directory, sorted.
func (s *scratch) entries(fd int) error {
	s.list = s.list[:0]
	for {
		n := 0
		err := retry(func() (err error) { n, err = unix.ReadDirent(fd, s.buf); return err })
		if err != nil || n == 0 {
			slices.SortFunc(s.list, func(a, b dirent) int { return strings.Compare(a.name, b.name) })
			return err
		}
		s.list = parseDirents(s.buf[:n], s.list, &s.pack)
	}
}

// Offsets in struct linux_dirent64.
const (
	direntLen  = 16
	direntType = 18
	direntName = 19
)

func parseDirents(buf []byte, list []dirent, pack *packer) []dirent {
	for len(buf) > direntName {
		n := int(binary.NativeEndian.Uint16(buf[direntLen:]))
		if n <= direntName || n > len(buf) {
			break
		}
		end := bytes.IndexByte(buf[direntName:n], 0)
		if end < 0 {
			break // the kernel ends every name
		}
		name := buf[direntName : direntName+end]
		if string(name) == "." || string(name) == ".." {
			buf = buf[n:]
			continue
		}
		e := dirent{name: pack.string(buf[direntName : direntName+end+1])[:end]}
		switch buf[direntType] {
		case unix.DT_LNK:
			e.kind = env.KindLink
		case unix.DT_DIR:
			e.kind = env.KindDir
		}
		list = append(list, e)
		buf = buf[n:]
	}
	return list
}

// readlink is empty for what is no link any more. unix.Readlinkat would copy the
// name to end it with a zero byte.
func readlink(dir int, e dirent, buf []byte, pack *packer) (string, error) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(unsafe.StringData(e.name))), uintptr(unsafe.Pointer(&buf[0])), maxLink, 0, 0)
	switch errno {
	case 0:
		return pack.string(buf[:n]), nil
	case unix.EINVAL:
		return "", nil
	}
	return "", errno
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
