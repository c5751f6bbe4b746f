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

// Wanted tells how much of an entry of a resource's directory is to be read: by
// the name of that directory, and what is below it, empty for itself.
type Wanted func(resDir, below string) env.Want

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
		_, err = s.take(t, markers, dir, infos)
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
		infos, errs := s.readDirs(dirs)
		for i, dir := range dirs {
			if errors.Is(errs[i], env.ErrNotExist) && dir != "." {
				t.Delete(dir)
				continue
			}
			if errs[i] != nil {
				return errs[i]
			}
			more, err := s.take(t, markers, dir, infos[i])
			if err != nil {
				return err
			}
			below = append(below, more...)
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

func (s *Store) readDirs(dirs []string) ([][]env.FileInfo, []error) {
	if many, ok := s.fs.(env.DirsReader); ok {
		var want func(dir, base string) env.Want
		if s.want != nil {
			want = s.listed
		}
		return many.ReadDirs(dirs, want)
	}
	infos, errs := make([][]env.FileInfo, len(dirs)), make([]error, len(dirs))
	for i, dir := range dirs {
		infos[i], errs[i] = s.fs.ReadDir(dir)
	}
	return infos, errs
}

// wanted tells how much of an entry is to be read.
func (s *Store) wanted(dir, base string) env.Want {
	switch {
	case s.want == nil || strings.HasPrefix(base, MarkerPrefix):
		return env.WantAll
	case dir == "." && strings.HasPrefix(base, resourcePrefix):
		return s.want(base, "")
	case !strings.HasPrefix(dir, resourcePrefix):
		return env.WantAll
	}
	resDir, below, inside := strings.Cut(dir, "/")
	if !inside {
		return s.want(resDir, base)
	}
	return s.want(resDir, below+"/"+base)
}

// listed is wanted, but that directories of resources always appear.
func (s *Store) listed(dir, base string) env.Want {
	if dir == "." {
		return max(s.wanted(dir, base), env.WantValue)
	}
	return s.wanted(dir, base)
}

// take puts the entries of one directory into t and returns those that are
// directories, which are still empty there.
func (s *Store) take(t *Tree, markers map[string]int64, dir string, infos []env.FileInfo) (below []string, err error) {
	t.expect(dir, len(infos))
	_, filtered := s.fs.(env.DirsReader) // what is not wanted does not come
	in, d := inDir(dir), t.dirs[dir]
	put := func(name string, e Entry) {
		if d == nil || !t.append(d, dir, name, e) {
			t.put(dir, name, e)
		}
	}
	for _, fi := range infos {
		if name, ok := strings.CutPrefix(fi.Name, MarkerPrefix); ok {
			path := join(dir, name)
			if _, err := Parse(path); err == nil && fi.Kind == env.KindLink {
				markers[path] = fi.MtimeNS
			}
			continue
		}
		kind := in.kind(fi.Name)
		if kind == KindNone || Hidden(fi.Name) {
			continue
		}
		if !filtered && s.listed(dir, fi.Name) == env.WantNothing {
			continue
		}
		switch {
		case fi.Kind == env.KindDir && kind.Allows(Dir):
			path := join(dir, fi.Name)
			t.Set(path, Entry{Kind: Dir, Stamp: fi.MtimeNS})
			if s.wanted(dir, fi.Name) != env.WantNothing {
				below = append(below, path)
			}
		case fi.Kind == env.KindFile && kind.Allows(File):
			put(fi.Name, Entry{Kind: File, Stamp: fi.MtimeNS, Size: fi.Size})
		case fi.Kind == env.KindLink && kind.Allows(Link) && fi.Value != "":
			put(fi.Name, Entry{Kind: Link, Value: fi.Value, Stamp: fi.MtimeNS})
		case fi.Kind == env.KindLink && kind.Allows(Link):
			if err := s.loadLink(t, join(dir, fi.Name), fi); err != nil {
				return nil, err
			}
		}
	}
	return below, nil
}

// maxRereads bounds the attempts to see a link's value and stamp together. A
// link that changes faster than it can be read is an error, not a guess.
const maxRereads = 100

// loadLink reads a link's value and makes sure that it belongs to the stamp:
// somebody may rename another one over it at any time.
func (s *Store) loadLink(t *Tree, path string, fi env.FileInfo) error {
	for range maxRereads {
		value, err := s.fs.Readlink(path)
		if err == nil {
			var again env.FileInfo
			again, err = s.fs.Lstat(path)
			if err == nil && again.Kind == env.KindLink && again.MtimeNS == fi.MtimeNS {
				t.SetLink(path, value, fi.MtimeNS)
				return nil
			}
			fi = again
		}
		if errors.Is(err, env.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if fi.Kind != env.KindLink {
			return nil
		}
	}
	return fmt.Errorf("%s changes all the time", path)
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
	return s.sync(touched)
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
	dirs = slices.Clone(dirs)
	slices.Sort(dirs)
	for _, dir := range slices.Compact(dirs) {
		if err := ignoreMissing(s.fs.SyncDir(dir)); err != nil {
			return fmt.Errorf("make %s durable: %w", dir, err)
		}
	}
	return nil
}
