// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"mars/infra/env"
)

// openFiles is how many descriptors this process has.
func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	ok(t, err)
	return len(list)
}

// TestHold: what is held does the same, notices that a directory was replaced,
// and gives everything back.
func TestHold(t *testing.T) {
	top := t.TempDir()
	f, err := NewFS(top)
	ok(t, err)
	defer f.(io.Closer).Close()
	before := openFiles(t)
	h, release := f.(env.Holder).Hold()
	for i := range maxHeld + 3 {
		dir := fmt.Sprintf("d%d", i)
		ok(t, h.Mkdir(dir))
		ok(t, h.Symlink("1", dir+"/.tmp"))
		ok(t, h.Lutimes(dir+"/.tmp", 5))
		ok(t, h.Rename(dir+"/.tmp", dir+"/link"))
		ok(t, h.SyncDir(dir))
	}
	if n := openFiles(t) - before; n > maxHeld {
		t.Errorf("%d directories are held", n)
	}
	ok(t, os.RemoveAll(filepath.Join(top, "d0")))
	is(t, h.Symlink("2", "d0/link"), env.ErrNotExist)
	ok(t, f.Mkdir("d0"))
	ok(t, h.Symlink("2", "d0/link"))
	ok(t, os.RemoveAll(filepath.Join(top, "d1")))
	ok(t, f.Mkdir("d1"))
	ok(t, h.Symlink("3", "d1/.tmp"))
	ok(t, h.Rename("d1/.tmp", "d1/link"))
	ok(t, os.RemoveAll(filepath.Join(top, "d2")))
	ok(t, os.Symlink("d3", filepath.Join(top, "d2")))
	if err := h.Symlink("4", "d2/other"); err == nil {
		t.Error("a directory that became a link is followed")
	}
	release()
	if n := openFiles(t); n != before {
		t.Errorf("%d descriptors before, %d afterwards", before, n)
	}
	for dir, want := range map[string]string{"d0": "2", "d1": "3", fmt.Sprintf("d%d", maxHeld+2): "1"} {
		v, err := f.Readlink(dir + "/link")
		ok(t, err)
		if v != want {
			t.Errorf("%s/link is %s, want %s", dir, v, want)
		}
	}
}

// TestHoldParallel: what is held may be used from several goroutines, in the same
// directories and while they are replaced, and gives everything back.
func TestHoldParallel(t *testing.T) {
	f, err := NewFS(t.TempDir())
	ok(t, err)
	defer f.(io.Closer).Close()
	before := openFiles(t)
	h, release := f.(env.Holder).Hold()
	const dirs, links = 8, 400
	for i := range dirs {
		ok(t, f.Mkdir(fmt.Sprintf("d%d", i)))
	}
	errs := make([]error, links)
	h.(env.Parallel).Each(links, func(i int) {
		dir := fmt.Sprintf("d%d", i%dirs)
		temp := fmt.Sprintf("%s/.tmp-%d", dir, i)
		errs[i] = errors.Join(h.Symlink("1", temp), h.Rename(temp, fmt.Sprintf("%s/%d", dir, i)), h.SyncDir(dir))
		if i%50 == 0 {
			again := fmt.Sprintf("again%d", i)
			errs[i] = errors.Join(errs[i], h.Mkdir(again), h.Symlink("1", again+"/x"), h.Remove(again+"/x"), h.Remove(again), h.Mkdir(again), h.Symlink("2", again+"/x"))
		}
	})
	ok(t, errors.Join(errs...))
	release()
	if n := openFiles(t); n != before {
		t.Errorf("%d descriptors before, %d afterwards", before, n)
	}
	for i := range links {
		if _, err := f.Readlink(fmt.Sprintf("d%d/%d", i%dirs, i)); err != nil {
			t.Error(err)
		}
	}
}
