// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mars/infra/env"
)

// Prefixes of the temporary names of the two writers. They differ so that
// neither takes away what the other is about to rename.
const (
	DaemonTemp = TempPrefix + "-" // marsd
	AdmTemp    = TempPrefix + "." // marsadm; see AdmTempOf
)

// AdmTempOf is the temporary prefix of one marsadm process, so that two of them
// do not meet: ".tmp.PID.".
func AdmTempOf(pid int) string { return fmt.Sprintf("%s%d.", AdmTemp, pid) }

// Store is the symlink tree on the disk. Its methods block: they are called
// from Env.Offload or from programs of their own, never on an executor. One
// Store serves one caller at a time; several processes may each have one on the
// same directory.
type Store struct {
	fs   env.FS
	temp string
	want Wanted // nil: all
}

// NewStore returns the tree in fs. temp is the prefix of temporary names:
// DaemonTemp, AdmTemp or AdmTempOf.
func NewStore(fs env.FS, temp string) *Store { return &Store{fs: fs, temp: temp} }

// Load reads the whole tree, and the deletion markers by the paths they are
// for. Temporary names, names that are not in the grammar and entries of the
// wrong sort are left out. What disappears while it is being read is treated
// as if it had never been there; any other error is returned, and no tree: a
// partial tree would look like deletions.
func (s *Store) Load() (*Tree, map[string]int64, error) {
	t, markers := New(), map[string]int64{}
	if err := s.loadBelow(t, markers, "."); err != nil {
		return nil, nil, fmt.Errorf("read the symlink tree: %w", err)
	}
	return t, markers, nil
}

// LoadOnly is Load, but of what is in the resources' directories only those
// entries are read that are wanted; the others do not appear,
// but for the directories of the resources, which are empty then. Of those
// wanted by their values the stamps may be 0. For commands that need little of a
// large tree. want is called from several goroutines; nil is Load.
func (s *Store) LoadOnly(want Wanted) (*Tree, map[string]int64, error) {
	s2 := *s
	s2.want = want
	return s2.Load()
}

// RescanFlat reads what is in one directory, but not in the directories below:
// they appear empty, whatever is in them. For looking again at a directory that
// changed. A directory that does not exist gives an empty tree.
func (s *Store) RescanFlat(dir string) (*Tree, map[string]int64, error) {
	t, markers := New(), map[string]int64{}
	if n, err := Parse(dir); dir != "." && (err != nil || !n.Kind.Allows(Dir)) {
		return t, markers, nil
	}
	infos, err := s.fs.ReadDir(dir)
	if errors.Is(err, env.ErrNotExist) && dir != "." {
		return t, markers, nil
	}
	if err == nil {
		if dir != "." {
			t.Set(dir, Entry{Kind: Dir})
		}
		read := s.take(dir, infos)
		read.into(t, markers)
		err = read.err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the symlink tree: %w", err)
	}
	return t, markers, nil
}

// Rescan reads what is in one directory and below it, like Load. The trees of
// two directories fit together by Tree.Replace. A directory that does not exist
// gives an empty tree.
func (s *Store) Rescan(dir string) (*Tree, map[string]int64, error) {
	if dir == "." {
		return s.Load()
	}
	t, markers := New(), map[string]int64{}
	if n, err := Parse(dir); err != nil || !n.Kind.Allows(Dir) {
		return t, markers, nil
	}
	fi, err := s.fs.Lstat(dir)
	if errors.Is(err, env.ErrNotExist) || err == nil && fi.Kind != env.KindDir {
		return t, markers, nil
	}
	if err == nil {
		t.Set(dir, Entry{Kind: Dir, Stamp: fi.MtimeNS})
		err = s.loadBelow(t, markers, dir)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the symlink tree: %w", err)
	}
	return t, markers, nil
}

// loadBelow reads what is in directories that t has already, level by level:
// many at once is faster. One that is gone since was never there.
func (s *Store) loadBelow(t *Tree, markers map[string]int64, dirs ...string) error {
	for len(dirs) > 0 {
		var below []string
		for _, read := range s.readDirs(dirs) {
			if errors.Is(read.err, env.ErrNotExist) && read.dir != "." {
				t.Delete(read.dir)
				continue
			}
			if read.err != nil {
				return read.err
			}
			read.into(t, markers)
			below = append(below, read.below...)
		}
		dirs = below
	}
	return nil
}

// hold is the store with an FS that keeps its directories open, until release.
func (s *Store) hold() (held *Store, release func()) {
	h, ok := s.fs.(env.Holder)
	if !ok {
		return s, func() {}
	}
	s2 := *s
	s2.fs, release = h.Hold()
	return &s2, release
}

// readDirs reads directories, in the order of dirs.
func (s *Store) readDirs(dirs []string) []listing {
	list := make([]listing, len(dirs))
	each := func(i int, infos []env.FileInfo, err error) {
		if err != nil {
			list[i] = listing{dir: dirs[i], err: err}
			return
		}
		list[i] = s.take(dirs[i], infos)
	}
	if many, ok := s.fs.(env.DirsReader); ok {
		var want func(dir, base string) env.Want
		if s.want != nil {
			want = s.listed
		}
		many.ReadDirs(dirs, want, each)
		return list
	}
	for i, dir := range dirs {
		infos, err := s.fs.ReadDir(dir)
		each(i, infos, err)
	}
	return list
}

// Clean removes the temporary names that a crash has left: those of this
// store's own prefix, and others' that are older than the stamp before (ns).
// marsd does it at its start. Directories that are not in the grammar are not
// looked into.
func (s *Store) Clean(before int64) error {
	touched, err := s.clean(".", before, nil)
	if err != nil {
		return fmt.Errorf("clean the symlink tree: %w", err)
	}
	slices.Sort(touched)
	return s.sync(slices.Compact(touched))
}

func (s *Store) clean(dir string, before int64, touched []string) ([]string, error) {
	infos, err := s.fs.ReadDir(dir)
	if err != nil {
		return touched, ignoreMissing(err)
	}
	for _, fi := range infos {
		path := join(dir, fi.Name)
		switch {
		case fi.Kind == env.KindDir:
			if n, err := Parse(path); err == nil && n.Kind.Allows(Dir) {
				if touched, err = s.clean(path, before, touched); err != nil {
					return touched, err
				}
			}
		case strings.HasPrefix(fi.Name, s.temp) || strings.HasPrefix(fi.Name, TempPrefix) && fi.MtimeNS < before:
			if err := ignoreMissing(s.fs.Remove(path)); err != nil {
				return touched, err
			}
			touched = append(touched, dir)
		}
	}
	return touched, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, env.ErrNotExist) {
		return nil
	}
	return err
}

// sync makes the entries of directories durable, each once. One that is gone
// needs it no more.
func (s *Store) sync(dirs []string) error {
	errs := make([]error, len(dirs))
	s.Each(len(dirs), func(i int) { errs[i] = ignoreMissing(s.fs.SyncDir(dirs[i])) })
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("make %s durable: %w", dirs[i], err)
		}
	}
	return nil
}

// Each calls fn for 0 to n-1, on all cores where the FS allows that, else in order.
func (s *Store) Each(n int, fn func(i int)) {
	if p, ok := s.fs.(env.Parallel); ok {
		p.Each(n, fn)
		return
	}
	for i := range n {
		fn(i)
	}
}
