// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"

	"mars/infra/mutant"
)

// Op is what a Change does.
type Op uint8

// The operations. All paths are those of the tree; for OpMark and OpUnmark it
// is the path whose marker is meant.
const (
	OpSet    Op = iota + 1 // make or replace the link Path with Value and Stamp
	OpRemove               // remove Path, if nothing newer than Stamp stands there
	OpMkdir                // make the directory Path, if it is not there
	OpCreate               // make the empty regular file Path, which must not exist
	OpMark                 // make the deletion marker of Path with Stamp
	OpUnmark               // remove the deletion marker of Path
)

// Any, as the Stamp of an OpRemove, removes whatever stands there.
const Any int64 = 1<<63 - 1

// Change is one change of the tree, to be made durable by Store.Commit.
type Change struct {
	Op    Op
	Path  string
	Value string // OpSet
	Stamp int64  // OpSet, OpMark, OpRemove
	// Instead, of an OpSet, is the stamp of a link that gives way though it is
	// newer, because it is implausibly far ahead; 0: there is none.
	Instead int64
}

// String is the change in words, for the log.
func (c Change) String() string {
	switch c.Op {
	case OpSet:
		return fmt.Sprintf("set %s -> %s @%d", c.Path, c.Value, c.Stamp)
	case OpRemove:
		return fmt.Sprintf("remove %s", c.Path)
	case OpMkdir:
		return fmt.Sprintf("mkdir %s", c.Path)
	case OpCreate:
		return fmt.Sprintf("create %s", c.Path)
	case OpMark:
		return fmt.Sprintf("mark %s as deleted @%d", c.Path, c.Stamp)
	case OpUnmark:
		return fmt.Sprintf("unmark %s", c.Path)
	}
	return fmt.Sprintf("Op(%d) %s", uint8(c.Op), c.Path)
}

// Set is the change that makes or replaces a link.
func Set(path, value string, stamp int64) Change {
	return Change{Op: OpSet, Path: path, Value: value, Stamp: stamp}
}

// Remove is the change that removes whatever stands at path.
func Remove(path string) Change { return Change{Op: OpRemove, Path: path, Stamp: Any} }

// Mkdir is the change that makes a directory.
func Mkdir(path string) Change { return Change{Op: OpMkdir, Path: path} }

// Create is the change that makes an empty logfile.
func Create(path string) Change { return Change{Op: OpCreate, Path: path} }

// Apply makes changes in memory, markers included, as Store.Commit makes them
// on the disk: a link never gives way to an older one (but see Change.Instead), and what is newer than
// the stamp of a removal stays. It returns the changes that were not made.
func Apply(t *Tree, markers map[string]int64, changes []Change) (skipped []Change) {
	for _, c := range changes {
		if !apply(t, markers, c) {
			skipped = append(skipped, c)
		}
	}
	return skipped
}

func apply(t *Tree, markers map[string]int64, c Change) bool {
	old, had := t.Get(c.Path)
	switch c.Op {
	case OpSet:
		e := Entry{Kind: Link, Value: c.Value, Stamp: c.Stamp}
		return !(had && old.Kind == Link && old.Newer(e) && !c.replaces(old.Stamp)) && t.Set(c.Path, e)
	case OpRemove:
		if !had {
			return true
		}
		if old.Kind == Dir {
			return t.Delete(c.Path)
		}
		return old.Stamp <= c.Stamp && t.Delete(c.Path)
	case OpMkdir:
		return had && old.Kind == Dir || !had && t.Set(c.Path, Entry{Kind: Dir})
	case OpCreate:
		return !had && t.Set(c.Path, Entry{Kind: File})
	case OpMark:
		markers[c.Path] = c.Stamp
		return true
	case OpUnmark:
		delete(markers, c.Path)
		return true
	}
	return false
}

// replaces reports whether a link with that stamp gives way in any case.
func (c Change) replaces(stamp int64) bool { return c.Instead != 0 && c.Instead == stamp }

// Newer reports whether the link e wins over o: a newer stamp, or at equal
// stamps the larger value. It is a strict order.
func (e Entry) Newer(o Entry) bool {
	if e.Stamp != o.Stamp {
		return e.Stamp > o.Stamp
	}
	return e.Value > o.Value && !mutant.Is(mutant.NoTieBreak)
}
