package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"
)

// File types of a cpio entry's mode.
const (
	typeMask    = 0o170000
	typeDir     = 0o040000
	typeChar    = 0o020000
	typeFile    = 0o100000
	typeSymlink = 0o120000
)

// maxEntry bounds a file: the format has 32 bits for the size.
const maxEntry = 1<<32 - 1

// entry is one file of an archive.
type entry struct {
	mode         uint32 // type and permissions
	major, minor uint32 // of a device node
	size         int64
	open         func() (io.ReadCloser, error) // nil if size is 0
}

// archive is the content of an initramfs: what the kernel unpacks into the
// guest's root. Names are absolute; parents are made as needed. The zero value
// is empty and ready.
type archive struct {
	entries map[string]entry
}

// put adds a file under a cleaned absolute name; the last one put wins, except
// that a directory put twice keeps its first mode.
func (a *archive) put(name string, e entry) {
	name = path.Clean("/" + name)
	if name == "/" {
		return
	}
	if a.entries == nil {
		a.entries = make(map[string]entry)
	}
	if old, ok := a.entries[name]; ok && old.mode&typeMask == typeDir && e.mode&typeMask == typeDir {
		return
	}
	a.entries[name] = e
	if dir := path.Dir(name); dir != "/" {
		if _, ok := a.entries[dir]; !ok {
			a.putDir(dir, 0o755)
		}
	}
}

// putDir adds a directory.
func (a *archive) putDir(name string, perm uint32) { a.put(name, entry{mode: typeDir | perm}) }

// putBytes adds a file with the given content.
func (a *archive) putBytes(name string, perm uint32, data string) {
	a.put(name, entry{mode: typeFile | perm, size: int64(len(data)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(data)), nil
	}})
}

// putLink adds a symbolic link.
func (a *archive) putLink(name, target string) {
	a.put(name, entry{mode: typeSymlink | 0o777, size: int64(len(target)), open: func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(target)), nil
	}})
}

// writeTo writes the archive in the "newc" format, names sorted, so that a
// directory comes before what is in it.
func (a *archive) writeTo(w io.Writer) error {
	names := make([]string, 0, len(a.entries))
	for name := range a.entries {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		if err := writeEntry(w, name[1:], uint32(i+1), a.entries[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return writeEntry(w, "TRAILER!!!", 0, entry{})
}

// writeEntry writes header, name and content, each padded to 4 bytes. An inode
// number of its own keeps the kernel from taking files for hard links.
func writeEntry(w io.Writer, name string, inode uint32, e entry) error {
	if e.size < 0 || e.size > maxEntry {
		return fmt.Errorf("%d bytes do not fit into the archive", e.size)
	}
	fields := []uint32{inode, e.mode, 0, 0, 1, 0, uint32(e.size), 0, 0, e.major, e.minor, uint32(len(name) + 1), 0}
	var head strings.Builder
	head.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&head, "%08X", f)
	}
	head.WriteString(name + "\x00" + pad(int64(head.Len()+len(name)+1)))
	if _, err := io.WriteString(w, head.String()); err != nil || e.size == 0 {
		return err
	}
	r, err := e.open()
	if err != nil {
		return err
	}
	_, err = io.CopyN(w, r, e.size)
	if err == nil {
		_, err = io.WriteString(w, pad(e.size))
	}
	return errors.Join(err, r.Close())
}

// pad returns the zeros from length n to the next multiple of 4.
func pad(n int64) string { return "\x00\x00\x00"[:(4-n%4)%4] }
