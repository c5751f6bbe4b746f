// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// Links returns what is sent to other hosts: all links that are replicated. It
// begins with the members, the deletion orders and the acknowledgements, which
// the receiver should know before it judges the rest, then follows the order of
// Walk. Orders of one creator come in the order of their numbers, which the
// deletion protocol relies on.
func (t *Tree) Links() []Item {
	var items []Item
	t.EachLink("", nil, func(path string, e Entry) bool {
		items = append(items, Item{path, e})
		return true
	})
	return items
}

// EachLink calls f for the links of Links that come behind the path after, ""
// for all of them, until f returns false. So a tree can be sent in parts while it
// changes: what has gone is left out, what is new comes if its place has not
// passed. First tells which part should be sent as one.
//
// Directories whose Sum is among have, which is sorted, are left out, but for
// the signs of life in the root. What is below them is looked at by itself.
func (t *Tree) EachLink(after string, have []Sum, f func(path string, e Entry) bool) {
	w := linkWalk{t, have, f}
	for _, dir := range []string{IPsDir(), TodoGlobalDir()} {
		if after != "" && after != dir && Parent(after) != dir {
			continue
		}
		if !w.dir(dir, after) {
			return
		}
		after = ""
	}
	w.dir(".", after)
}

// First reports whether a path is of the leading part of Links, in which later
// entries must not overtake earlier ones. The start, "", is too.
func First(path string) bool {
	dir := Parent(path)
	return path == "" || dir == IPsDir() || dir == TodoGlobalDir()
}

// linkWalk is an EachLink under way.
type linkWalk struct {
	t    *Tree
	have []Sum
	f    func(string, Entry) bool
}

// dir visits what is in a directory, and behind the path after.
func (w *linkWalk) dir(dir, after string) bool {
	d := w.t.dirs[dir]
	if d == nil {
		return true
	}
	known := false
	if sum, ok := w.t.sum(dir, d); ok && len(w.have) > 0 {
		_, known = slices.BinarySearchFunc(w.have, sum, Sum.Compare)
	}
	in, i := inDir(dir), 0
	if after != "" {
		rest := after
		if dir != "." {
			rest = after[len(dir)+1:]
		}
		name, below, _ := strings.Cut(rest, "/")
		var there bool
		if i, there = slices.BinarySearch(d.names, name); there {
			i++
			if below == "" {
				after = "" // all that is in it is behind it
			}
			if d.entries[name].Kind == Dir && !w.dir(join(dir, name), after) {
				return false
			}
		}
	}
	for ; i < len(d.names); i++ {
		name := d.names[i]
		e := d.entries[name]
		switch {
		case e.Kind == Dir:
			if path := join(dir, name); path != IPsDir() && path != TodoGlobalDir() && !w.dir(path, "") {
				return false
			}
		case e.Kind != Link, known && !lifeSign(dir, name), !in.kind(name).Replicated():
		case !w.f(join(dir, name), e):
			return false
		}
	}
	return true
}

// lifeSign tells the links that every host renews all the time.
func lifeSign(dir, name string) bool {
	return dir == "." && (strings.HasPrefix(name, "alive-") || strings.HasPrefix(name, "time-"))
}

// Sum tells whether the links of a directory, without those of the directories
// below, are the same on two hosts: names, values and stamps. The signs of life
// do not count.
type Sum [16]byte

// Compare orders sums, for Tree.EachLink.
func (s Sum) Compare(o Sum) int { return strings.Compare(string(s[:]), string(o[:])) }

// Sums are those of the directories that have links which are sent, at most
// that many, sorted. What has been computed is kept until the directory changes;
// so Sums and EachLink count as changes of the tree.
func (t *Tree) Sums(most int) []Sum {
	var list []Sum
	add := func(dir string) {
		if sum, ok := t.sum(dir, t.dirs[dir]); ok && len(list) < most {
			list = append(list, sum)
		}
	}
	add(".")
	t.Walk(func(path string, e Entry) bool {
		if e.Kind == Dir {
			add(path)
		}
		return len(list) < most
	})
	slices.SortFunc(list, Sum.Compare)
	return list
}

// sum is that of one directory; false if nothing of it is sent.
func (t *Tree) sum(dir string, d *dirNode) (Sum, bool) {
	if d.summed {
		return d.sum, d.sum != Sum{}
	}
	d.sum, d.summed = Sum{}, true
	h, in, any := sha256.New(), inDir(dir), false
	b := append([]byte("directory of a symlink tree\x00"), dir...)
	for _, name := range d.names {
		e := d.entries[name]
		if e.Kind != Link || lifeSign(dir, name) || !in.kind(name).Replicated() {
			continue
		}
		// Neither names nor values have a NUL in them.
		b = append(append(append(append(b, 0), name...), 0), e.Value...)
		b = binary.LittleEndian.AppendUint64(append(b, 0), uint64(e.Stamp))
		h.Write(b)
		b, any = b[:0], true
	}
	if any {
		copy(d.sum[:], h.Sum(nil))
	}
	return d.sum, any
}
