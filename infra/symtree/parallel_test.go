// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/env/osenv"

	"github.com/google/go-cmp/cmp"
)

// TestCommitParallel: where the file system is used on all cores many changes have the
// same effect as one after the other; and if one of them can not be made, nothing of
// them is there, nor of what was made for them.
func TestCommitParallel(t *testing.T) {
	dir := t.TempDir()
	real, err := osenv.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer real.(io.Closer).Close()
	stores := []*Store{NewStore(real, DaemonTemp), NewStore(newMemFS(), DaemonTemp)}
	trees := make([]string, len(stores))
	for i, s := range stores {
		for round := range 3 { // new directories, present links, both
			if skipped, err := s.Commit(manyChanges(300, 100*round, 50*(round+1), int64(1+round))); err != nil || len(skipped) > 0 {
				t.Fatal(skipped, err)
			}
		}
		tree, markers, err := s.Load()
		if err != nil {
			t.Fatal(err)
		}
		trees[i] = fmt.Sprint(tree, markers)
	}
	if diff := cmp.Diff(trees[1], trees[0]); diff != "" {
		t.Errorf("one after the other, and on all cores:\n%s", diff)
	}
	if err := os.Symlink("resource-r1", filepath.Join(dir, "resource-r70")); err != nil {
		t.Fatal(err)
	}
	before := listed(t, dir)
	if _, err := stores[0].Commit(manyChanges(300, 0, 150, 9)); err == nil {
		t.Error("a directory that is a link is written through")
	}
	if diff := cmp.Diff(before, listed(t, dir)); diff != "" {
		t.Errorf("the changes that can not be made have left:\n%s", diff)
	}
}

// manyChanges are links and markers in the directories of n resources, from the one
// with that number on.
func manyChanges(n, from, to int, stamp int64) (list []Change) {
	for i := range to {
		res := fmt.Sprintf("r%d", (from+i)%n)
		list = append(list, Set(SizePath(res), fmt.Sprint(from+i), stamp), Set(TodoPath(res, "a", TodoSync), "1", stamp))
		if i%3 == 0 { // in a directory that the links before may have brought
			list = append(list, Change{Op: OpMark, Path: PrimaryPath(res), Stamp: stamp})
		}
	}
	return list
}

// listed is what is in a directory, times and temporary names included.
func listed(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			fmt.Fprintln(&b, path)
			return err
		}
		fi, err := d.Info()
		if err == nil {
			value, _ := os.Readlink(path)
			fmt.Fprintln(&b, path, value, fi.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
