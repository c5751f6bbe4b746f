// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"strings"

	"mars/infra/env"
)

// listing is what one directory on the disk holds for the tree. Any number of
// directories can be read at once; putting them into a tree is quick.
type listing struct {
	dir     string
	node    *dirNode // names and entries, directories among them
	bytes   int64    // of paths and values
	below   []string // directories to be read
	markers []Item   // by the paths they are for
	err     error
}

// take makes a listing of the entries of a directory, which are sorted.
func (s *Store) take(dir string, infos []env.FileInfo) listing {
	l := listing{dir: dir, node: &dirNode{names: make([]string, 0, len(infos)), entries: make(map[string]Entry, len(infos))}}
	_, filtered := s.fs.(env.DirsReader) // what is not wanted does not come
	in := inDir(dir)
	for _, fi := range infos {
		if name, ok := strings.CutPrefix(fi.Name, MarkerPrefix); ok {
			l.mark(join(dir, name), fi)
			continue
		}
		kind := in.kind(fi.Name)
		if kind == KindNone || Hidden(fi.Name) || !filtered && s.listed(dir, fi.Name) == env.WantNothing {
			continue
		}
		switch {
		case fi.Kind == env.KindDir && kind.Allows(Dir):
			l.put(fi.Name, Entry{Kind: Dir, Stamp: fi.MtimeNS})
			if s.wanted(dir, fi.Name) != env.WantNothing {
				l.below = append(l.below, join(dir, fi.Name))
			}
		case fi.Kind == env.KindFile && kind.Allows(File):
			l.put(fi.Name, Entry{Kind: File, Stamp: fi.MtimeNS, Size: fi.Size})
		case fi.Kind == env.KindLink && kind.Allows(Link):
			e, err := s.readLink(dir, fi)
			if err != nil {
				l.err = err
				return l
			}
			if e.Kind == Link {
				l.put(fi.Name, e)
			}
		}
	}
	return l
}

// put appends an entry.
func (l *listing) put(name string, e Entry) {
	l.node.names = append(l.node.names, name)
	l.node.entries[name] = e
	l.bytes += lenJoined(l.dir, name) + int64(len(e.Value))
}

// mark notes a deletion marker.
func (l *listing) mark(path string, fi env.FileInfo) {
	if _, err := Parse(path); err == nil && fi.Kind == env.KindLink {
		l.markers = append(l.markers, Item{path, Entry{Kind: Link, Stamp: fi.MtimeNS}})
	}
}

// into puts the listing into a tree in which the directory is still empty.
func (l *listing) into(t *Tree, markers map[string]int64) {
	for _, m := range l.markers {
		markers[m.Path] = m.Stamp
	}
	t.dirs[l.dir] = l.node
	t.len += len(l.node.names)
	t.bytes += l.bytes
	for _, name := range l.node.names {
		if l.node.entries[name].Kind == Dir {
			t.dirs[join(l.dir, name)] = newDir()
		}
	}
}

// maxRereads bounds the attempts to see a link's value and stamp together. A
// link that changes faster than it can be read is an error, not a guess.
const maxRereads = 100

// readLink is a link's entry, or one of no kind if it is gone or is no link any more. A
// value that was read apart from the stamp is read until both belong together:
// somebody may rename another one over it at any time.
func (s *Store) readLink(dir string, fi env.FileInfo) (Entry, error) {
	if fi.Value != "" {
		return Entry{Kind: Link, Value: fi.Value, Stamp: fi.MtimeNS}, nil
	}
	path := join(dir, fi.Name)
	for range maxRereads {
		value, err := s.fs.Readlink(path)
		if err == nil {
			var again env.FileInfo
			again, err = s.fs.Lstat(path)
			if err == nil && again.Kind == env.KindLink && again.MtimeNS == fi.MtimeNS {
				return Entry{Kind: Link, Value: value, Stamp: fi.MtimeNS}, nil
			}
			fi = again
		}
		if errors.Is(err, env.ErrNotExist) {
			return Entry{}, nil
		}
		if err != nil {
			return Entry{}, err
		}
		if fi.Kind != env.KindLink {
			return Entry{}, nil
		}
	}
	return Entry{}, fmt.Errorf("%s changes all the time", path)
}
