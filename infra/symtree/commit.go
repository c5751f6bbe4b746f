// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"mars/infra/env"
	"mars/infra/mutant"
)

// ErrStale is returned by CommitBatch when a link of the batch has got a newer
// stamp meanwhile: load the tree and try again.
var ErrStale = errors.New("the symlink tree has changed meanwhile")

// commit is one Commit under way.
type commit struct {
	*Store
	changes []Change
	temps   []string        // by the changes' places: temporary links not yet renamed, empty for none
	touched map[string]bool // directories to be made durable
	made    []string        // directories made, in order
	there   map[string]bool // directories that were seen to exist
}

// Commit makes changes durable. All new links are first made under temporary
// names, with their stamps, then everything takes effect in the given order;
// of several OpSet of one path only the one that wins counts, at its own place. Each link
// changes atomically. Directories above are made as needed. In the end every
// touched directory is synced once; only after that anything is durable.
//
// A link that is newer than what would replace it stays, and so does what is
// newer than the stamp of its removal: somebody else was faster. Those changes
// are returned as skipped, which is no error; the tree should be read again.
//
// If it fails before the first change takes effect, nothing has changed.
// Afterwards a leading part of the changes may have been made, and may or may
// not be durable.
func (s *Store) Commit(changes []Change) (skipped []Change, err error) {
	changes, skipped = newestSets(changes)
	held, release := s.hold()
	defer release()
	c := &commit{Store: held, changes: changes, temps: make([]string, len(changes)), touched: map[string]bool{}, there: map[string]bool{}}
	if err := c.prepare(); err != nil {
		c.undo()
		return nil, fmt.Errorf("change the symlink tree: %w", err)
	}
	for i, ch := range changes {
		done, err := c.make(i)
		if err != nil {
			c.undoTemps()
			return skipped, errors.Join(fmt.Errorf("change the symlink tree: %v: %w", ch, err), c.syncTouched())
		}
		if !done {
			skipped = append(skipped, ch)
		}
	}
	c.undoTemps() // of what was skipped
	return skipped, c.syncTouched()
}

// newestSets leaves one OpSet of each path, the one that wins by the merge rule:
// what hosts pass on to each other does not arrive in the order of its stamps.
// Those that come behind it and lose are skipped. Of several OpMark of one path
// only the last one counts: the marker has one name.
func newestSets(changes []Change) (out, skipped []Change) {
	best, marks := map[string]int{}, map[string]int{}
	for i, c := range changes {
		if c.Op == OpMark {
			marks[c.Path] = i
		}
		if c.Op != OpSet {
			continue
		}
		j, ok := best[c.Path]
		if !ok || c.Stamp > changes[j].Stamp || c.Stamp == changes[j].Stamp && c.Value >= changes[j].Value {
			best[c.Path] = i
		}
	}
	for i, c := range changes {
		switch {
		case c.Op == OpMark && marks[c.Path] != i:
		case c.Op != OpSet || best[c.Path] == i:
			out = append(out, c)
		case i > best[c.Path]:
			skipped = append(skipped, c)
		}
	}
	return out, skipped
}

// lastSets drops each OpSet that a later one of the same path replaces.
func lastSets(changes []Change) []Change {
	last := map[string]int{}
	for i, c := range changes {
		if c.Op == OpSet {
			last[c.Path] = i
		}
	}
	out := make([]Change, 0, len(changes))
	for i, c := range changes {
		if c.Op != OpSet || last[c.Path] == i {
			out = append(out, c)
		}
	}
	return out
}

// prepare checks the changes and does everything that has no effect yet. What
// needs a directory that is not there comes last, in order.
func (c *commit) prepare() error {
	for _, ch := range c.changes {
		if err := ch.check(); err != nil {
			return fmt.Errorf("%v: %w", ch, err)
		}
	}
	errs := make([]error, len(c.changes))
	c.Each(len(c.changes), func(i int) { errs[i] = c.stage(i) })
	for i, err := range errs {
		ch := c.changes[i]
		switch missing := errors.Is(err, env.ErrNotExist); {
		case ch.Op == OpSet && missing:
			if err = c.mkdirs(Parent(ch.Path)); err == nil {
				err = c.stage(i)
			}
		case ch.Op == OpMark && missing: // a marker alone is no reason to bring a directory back
			err = ignoreMissing(c.stage(i))
		case ch.Op == OpCreate:
			err = c.mkdirs(Parent(ch.Path))
		}
		if err != nil {
			return fmt.Errorf("%v: %w", ch, err)
		}
	}
	return nil
}

// check refuses what must never be written.
func (c Change) check() error {
	n, err := Parse(c.Path)
	if err != nil {
		return err
	}
	ok := true
	switch c.Op {
	case OpSet:
		ok, err = n.Kind.Allows(Link), CheckValue(c.Value)
	case OpMkdir:
		ok = n.Kind.Allows(Dir)
	case OpCreate:
		ok = n.Kind.Allows(File)
	case OpRemove, OpMark, OpUnmark:
	default:
		ok = false
	}
	if !ok {
		return fmt.Errorf("%w: of another sort", ErrGrammar)
	}
	return err
}

// stage makes the temporary link for a change that needs one.
func (c *commit) stage(i int) error {
	ch := c.changes[i]
	value, base := ch.Value, Base(ch.Path)
	switch ch.Op {
	case OpSet:
	case OpMark:
		value, base = "1", MarkerPrefix+base
	default:
		return nil
	}
	temp := join(Parent(ch.Path), c.temp+base)
	err := c.fs.Symlink(value, temp)
	if errors.Is(err, env.ErrExist) { // a leftover of a crash
		if err := ignoreMissing(c.fs.Remove(temp)); err != nil {
			return err
		}
		err = c.fs.Symlink(value, temp)
	}
	if err != nil {
		return err
	}
	c.temps[i] = temp
	return c.fs.Lutimes(temp, ch.Stamp)
}

// mkdirs makes a directory with those above it.
func (c *commit) mkdirs(dir string) error {
	if dir == "." || c.there[dir] {
		return nil
	}
	fi, err := c.fs.Lstat(dir)
	if err == nil {
		if fi.Kind != env.KindDir {
			return fmt.Errorf("%s is no directory", dir)
		}
		c.there[dir] = true
		return nil
	}
	if !errors.Is(err, env.ErrNotExist) {
		return err
	}
	if err := c.mkdirs(Parent(dir)); err != nil {
		return err
	}
	if err := c.fs.Mkdir(dir); err != nil {
		if errors.Is(err, env.ErrExist) {
			return nil // by somebody else, right now
		}
		return err
	}
	c.made = append(c.made, dir)
	c.touch(Parent(dir))
	return nil
}

func (c *commit) touch(dir string) { c.touched[dir] = true }

// syncTouched makes durable what was changed.
func (c *commit) syncTouched() error { return c.sync(slices.Sorted(maps.Keys(c.touched))) }

// make lets one change take effect; false if something newer is in its place.
func (c *commit) make(i int) (bool, error) {
	ch := c.changes[i]
	dir := Parent(ch.Path)
	switch ch.Op {
	case OpSet:
		if newer, err := c.newer(ch); newer || err != nil {
			return false, err
		}
		return true, c.rename(i, ch.Path)
	case OpMark:
		if c.temps[i] == "" {
			return false, nil
		}
		return true, c.rename(i, join(dir, MarkerPrefix+Base(ch.Path)))
	case OpUnmark:
		return true, c.remove(join(dir, MarkerPrefix+Base(ch.Path)))
	case OpMkdir:
		return true, c.mkdirs(ch.Path)
	case OpCreate:
		if !mutant.Is(mutant.NoDirSync) {
			c.touch(dir)
		}
		return true, c.fs.Create(ch.Path)
	}
	fi, err := c.fs.Lstat(ch.Path)
	switch {
	case errors.Is(err, env.ErrNotExist):
		return true, nil
	case err != nil:
		return false, err
	case fi.Kind == env.KindDir:
		return c.rmdir(ch.Path)
	case fi.MtimeNS > ch.Stamp:
		return false, nil
	}
	return true, c.remove(ch.Path)
}

// newer reports whether what stands at the path of an OpSet wins over it. What
// is stamped the same is replaced by the larger value, and by the same value.
func (c *commit) newer(ch Change) (bool, error) {
	fi, err := c.fs.Lstat(ch.Path)
	if errors.Is(err, env.ErrNotExist) || err == nil && fi.Kind != env.KindLink {
		return false, nil // the rename says what is wrong with another sort
	}
	if err == nil && ch.replaces(fi.MtimeNS) {
		return false, nil
	}
	if err != nil || fi.MtimeNS != ch.Stamp {
		return fi.MtimeNS > ch.Stamp, err
	}
	value, err := c.fs.Readlink(ch.Path)
	return value > ch.Value, ignoreMissing(err)
}

func (c *commit) rename(i int, path string) error {
	if err := c.fs.Rename(c.temps[i], path); err != nil {
		return err
	}
	c.temps[i] = ""
	c.touch(Parent(path))
	return nil
}

func (c *commit) remove(path string) error {
	c.touch(Parent(path))
	return ignoreMissing(c.fs.Remove(path))
}

// rmdir removes a directory in which nothing of the tree is left; false if it
// has to stay.
func (c *commit) rmdir(dir string) (bool, error) {
	delete(c.there, dir)
	infos, err := c.fs.ReadDir(dir)
	if err != nil {
		return true, ignoreMissing(err)
	}
	for _, fi := range infos {
		if !Hidden(fi.Name) && !MessageFile(fi.Name) || fi.Kind == env.KindDir {
			return false, nil
		}
	}
	for _, fi := range infos {
		if err := ignoreMissing(c.fs.Remove(join(dir, fi.Name))); err != nil {
			return false, err
		}
	}
	err = c.remove(dir)
	if errors.Is(err, env.ErrExist) {
		return false, nil // somebody was faster: it is not empty any more
	}
	return true, err
}

// undoTemps removes temporary links; undo also the directories made. Leftovers
// are harmless, so that errors do not matter.
func (c *commit) undoTemps() {
	for i, temp := range c.temps {
		if temp != "" {
			_ = c.fs.Remove(temp)
			c.temps[i] = ""
		}
	}
}

func (c *commit) undo() {
	c.undoTemps()
	for _, dir := range slices.Backward(c.made) {
		_ = c.fs.Remove(dir)
	}
}
