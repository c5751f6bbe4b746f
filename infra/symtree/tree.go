// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// EntryKind is the sort of an entry.
type EntryKind uint8

// The sorts of entries.
const (
	Link EntryKind = iota + 1 // a symlink: value and stamp
	Dir                       // a directory: only its existence counts
	File                      // a regular file: a logfile, or a sparse disk
)

// String names the sort.
func (k EntryKind) String() string {
	switch k {
	case Link:
		return "link"
	case Dir:
		return "directory"
	case File:
		return "file"
	}
	return fmt.Sprintf("EntryKind(%d)", uint8(k))
}

// Entry is what stands under one path.
type Entry struct {
	Kind  EntryKind
	Value string // of a link
	// Stamp is a link's Lamport stamp in nanoseconds since the epoch. For
	// files and directories it is their mtime by the local system clock,
	// which no other host knows.
	Stamp int64
	Size  int64 // of a file, bytes
}

// Item is an entry with its path.
type Item struct {
	Path string
	Entry
}

// Tree is the symlink tree in memory: a map of paths to entries, sorted. Every
// directory above an entry is there too. The zero Tree is not usable; see New.
// A Tree belongs to one user at a time; while nobody changes it, any number may
// read it.
type Tree struct {
	dirs  map[string]*dirNode // "." is the root
	len   int
	bytes int64 // of paths and values
}

// dirNode is one directory of a tree.
type dirNode struct {
	names   []string // sorted
	entries map[string]Entry
	sum     Sum  // if summed; zero: nothing in it is sent
	summed  bool // since the last change
}

// New returns an empty tree.
func New() *Tree { return &Tree{dirs: map[string]*dirNode{".": newDir()}} }

func newDir() *dirNode { return &dirNode{entries: map[string]Entry{}} }

// Len is the number of entries, directories included.
func (t *Tree) Len() int { return t.len }

// Bytes is the length of all paths and values together.
func (t *Tree) Bytes() int64 { return t.bytes }

// Get returns the entry at path.
func (t *Tree) Get(path string) (Entry, bool) {
	d := t.dirs[Parent(path)]
	if d == nil {
		return Entry{}, false
	}
	e, ok := d.entries[Base(path)]
	return e, ok
}

// Exists reports whether there is an entry at path.
func (t *Tree) Exists(path string) bool {
	_, ok := t.Get(path)
	return ok
}

// Set puts an entry at path, which must be clean and relative; directories
// above are made as needed. Where a link stands in the way of a directory or a
// directory with entries in it in the way of a link, nothing changes and Set
// returns false.
func (t *Tree) Set(path string, e Entry) bool { return t.put(Parent(path), Base(path), e) }

// put is Set for a path that is in two parts already.
func (t *Tree) put(dir, base string, e Entry) bool {
	d := t.dirs[dir]
	if d == nil {
		if !t.Set(dir, Entry{Kind: Dir}) {
			return false
		}
		d = t.dirs[dir]
	}
	old, had := d.entries[base]
	if had && old.Kind == Dir && e.Kind != Dir {
		if path := join(dir, base); len(t.dirs[path].names) > 0 {
			return false
		}
		delete(t.dirs, join(dir, base))
	}
	if had && old.Kind != Dir && e.Kind == Dir {
		return false
	}
	if !had {
		t.note(d, dir, base)
	}
	t.bytes += int64(len(e.Value) - len(old.Value))
	d.entries[base] = e
	d.summed = d.summed && lifeSign(dir, base)
	if e.Kind == Dir {
		if path := join(dir, base); t.dirs[path] == nil {
			t.dirs[path] = newDir()
		}
	}
	return true
}

// note takes in a new name.
func (t *Tree) note(d *dirNode, dir, base string) {
	d.insert(base)
	t.len++
	t.bytes += lenJoined(dir, base)
}

// insert keeps the names sorted; most often they come in order.
func (d *dirNode) insert(base string) {
	if n := len(d.names); n == 0 || d.names[n-1] < base {
		d.names = append(d.names, base)
		return
	}
	i, _ := slices.BinarySearch(d.names, base)
	d.names = slices.Insert(d.names, i, base)
}

// SetLink is Set for a link.
func (t *Tree) SetLink(path, value string, stamp int64) bool {
	return t.Set(path, Entry{Kind: Link, Value: value, Stamp: stamp})
}

// Delete removes the entry at path and reports whether there was one. A
// directory with entries in it stays.
func (t *Tree) Delete(path string) bool {
	dir, base := Parent(path), Base(path)
	d := t.dirs[dir]
	if d == nil {
		return false
	}
	e, ok := d.entries[base]
	if !ok || e.Kind == Dir && len(t.dirs[path].names) > 0 {
		return false
	}
	if e.Kind == Dir {
		delete(t.dirs, path)
	}
	i, _ := slices.BinarySearch(d.names, base)
	d.names = slices.Delete(d.names, i, i+1)
	delete(d.entries, base)
	d.summed = d.summed && lifeSign(dir, base)
	t.len--
	t.bytes -= int64(len(path) + len(e.Value))
	return true
}

// List returns the entries of a directory, sorted by name; "." is the root.
// There are none if the directory does not exist.
func (t *Tree) List(dir string) []Item {
	d := t.dirs[dir]
	if d == nil {
		return nil
	}
	items := make([]Item, len(d.names))
	for i, name := range d.names {
		items[i] = Item{join(dir, name), d.entries[name]}
	}
	return items
}

// Walk calls f for every entry in a fixed order: by name within a directory,
// a directory before what is in it. It stops when f returns false. f must not
// change the tree.
func (t *Tree) Walk(f func(path string, e Entry) bool) { t.walk(".", f) }

// WalkDir is Walk for what is below one directory, itself not included.
func (t *Tree) WalkDir(dir string, f func(path string, e Entry) bool) { t.walk(dir, f) }

func (t *Tree) walk(dir string, f func(string, Entry) bool) bool {
	d := t.dirs[dir]
	if d == nil {
		return true
	}
	for _, name := range d.names {
		path, e := join(dir, name), d.entries[name]
		if !f(path, e) || e.Kind == Dir && !t.walk(path, f) {
			return false
		}
	}
	return true
}

// Items returns all entries in the order of Walk.
func (t *Tree) Items() []Item {
	items := make([]Item, 0, t.len)
	t.Walk(func(path string, e Entry) bool {
		items = append(items, Item{path, e})
		return true
	})
	return items
}

// Newest is the newest stamp of any link, 0 in a tree without links.
func (t *Tree) Newest() int64 { return t.newest(func(string) bool { return true }) }

// NewestOfCluster is the newest stamp of the links outside the resources, such as
// those by which hosts tell that they are alive; 0 if there is none.
func (t *Tree) NewestOfCluster() int64 {
	return t.newest(func(dir string) bool { return !strings.HasPrefix(dir, resourcePrefix) })
}

func (t *Tree) newest(counts func(dir string) bool) int64 {
	newest := int64(math.MinInt64)
	for dir, d := range t.dirs { // order does not matter: a maximum
		if !counts(dir) {
			continue
		}
		for _, e := range d.entries { // order does not matter: a maximum
			if e.Kind == Link {
				newest = max(newest, e.Stamp)
			}
		}
	}
	if newest == math.MinInt64 {
		return 0
	}
	return newest
}

// Clone returns a copy that shares nothing with t.
func (t *Tree) Clone() *Tree {
	c := &Tree{dirs: make(map[string]*dirNode, len(t.dirs)), len: t.len, bytes: t.bytes}
	for path, d := range t.dirs { // order does not matter: a map is copied
		c.dirs[path] = &dirNode{slices.Clone(d.names), maps.Clone(d.entries), d.sum, d.summed}
	}
	return c
}

// Replace takes everything below dir out of t and puts in what from has there,
// as after a rescan of that directory. "." replaces all.
func (t *Tree) Replace(dir string, from *Tree) {
	var gone []string
	t.WalkDir(dir, func(path string, _ Entry) bool {
		gone = append(gone, path)
		return true
	})
	for _, path := range slices.Backward(gone) { // contents before directories
		t.Delete(path)
	}
	if dir != "." {
		if e, ok := from.Get(dir); ok {
			t.Set(dir, e)
		} else {
			t.Delete(dir)
		}
	}
	from.WalkDir(dir, func(path string, e Entry) bool {
		t.Set(path, e)
		return true
	})
}

// ReplaceMarkers is Replace for the deletion markers of what is below dir.
func ReplaceMarkers(markers map[string]int64, dir string, from map[string]int64) {
	maps.DeleteFunc(markers, func(path string, _ int64) bool { return dir == "." || strings.HasPrefix(path, dir+"/") })
	maps.Copy(markers, from)
}

// Diff lists what leads from the tree old to t: entries to set in the order of
// Walk, then paths to remove, contents before directories. Of directories and
// files only the existence is compared.
func (t *Tree) Diff(old *Tree) []Change {
	var changes, removed []Change
	t.Walk(func(path string, e Entry) bool {
		o, ok := old.Get(path)
		switch {
		case ok && (o == e || o.Kind == e.Kind && e.Kind != Link):
		case e.Kind == Link:
			changes = append(changes, Change{Op: OpSet, Path: path, Value: e.Value, Stamp: e.Stamp})
		case e.Kind == Dir:
			changes = append(changes, Change{Op: OpMkdir, Path: path})
		case e.Kind == File:
			changes = append(changes, Change{Op: OpCreate, Path: path})
		}
		return true
	})
	old.Walk(func(path string, e Entry) bool {
		if !t.Exists(path) {
			removed = append(removed, Change{Op: OpRemove, Path: path, Stamp: e.Stamp})
		}
		return true
	})
	slices.Reverse(removed)
	return append(changes, removed...)
}

// String lists the tree, one entry a line, for tests and messages.
func (t *Tree) String() string {
	var b strings.Builder
	t.Walk(func(path string, e Entry) bool {
		switch e.Kind {
		case Link:
			fmt.Fprintf(&b, "%s -> %s @%d\n", path, e.Value, e.Stamp)
		case Dir:
			fmt.Fprintf(&b, "%s/\n", path)
		case File:
			fmt.Fprintf(&b, "%s %d bytes\n", path, e.Size)
		}
		return true
	})
	return b.String()
}
