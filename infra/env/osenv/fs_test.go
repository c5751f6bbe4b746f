// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// fsVariants runs a test with openat2 and without.
func fsVariants(t *testing.T, fn func(t *testing.T, f treeFS, dir string)) {
	t.Helper()
	for name, walk := range map[string]bool{"openat2": false, "walk": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := NewFS(dir)
			if err != nil {
				t.Fatal(err)
			}
			tfs := f.(treeFS)
			tfs.t.walk.Store(walk)
			t.Cleanup(func() {
				if err := f.(io.Closer).Close(); err != nil {
					t.Error(err)
				}
			})
			fn(t, tfs, dir)
		})
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%v is not %v", err, target)
	}
}

func TestFS(t *testing.T) {
	fsVariants(t, func(t *testing.T, f treeFS, dir string) {
		ok(t, f.Mkdir("resource-x"))
		is(t, f.Mkdir("resource-x"), env.ErrExist)
		is(t, f.Mkdir("none/x"), env.ErrNotExist)
		ok(t, f.Symlink("value with spaces", "resource-x/size"))
		is(t, f.Symlink("v", "resource-x/size"), env.ErrExist)
		const stamp = 1234567890_123456789
		ok(t, f.Lutimes("resource-x/size", stamp))
		ok(t, f.Create("resource-x/log"))
		is(t, f.Create("resource-x/log"), env.ErrExist)
		is(t, f.Create("resource-x/size"), env.ErrExist)
		ok(t, unix.Mkfifo(filepath.Join(dir, "resource-x/fifo"), 0o600))

		v, err := f.Readlink("resource-x/size")
		ok(t, err)
		if v != "value with spaces" {
			t.Errorf("%q", v)
		}
		_, err = f.Readlink("resource-x/none")
		is(t, err, env.ErrNotExist)
		if _, err = f.Readlink("resource-x/log"); err == nil {
			t.Error("a file was read as link")
		}
		list, err := f.ReadDir("resource-x")
		ok(t, err)
		want := []env.FileInfo{
			{Name: "fifo", Kind: env.KindOther, Nlink: 1},
			{Name: "log", Kind: env.KindFile, Nlink: 1},
			{Name: "size", Kind: env.KindLink, Size: 17, MtimeNS: stamp, Nlink: 1, Value: "value with spaces"},
		}
		for i := range list {
			if list[i].Kind != env.KindLink {
				list[i].MtimeNS = 0
			}
			if i >= len(want) || list[i] != want[i] {
				t.Errorf("entry %d is %+v", i, list[i])
			}
		}
		if len(list) != len(want) {
			t.Errorf("%d entries", len(list))
		}
		fi, err := f.Lstat("resource-x")
		ok(t, err)
		if fi.Kind != env.KindDir || fi.Name != "resource-x" {
			t.Errorf("%+v", fi)
		}
		is(t, f.Remove("resource-x"), env.ErrExist)
		ok(t, f.Rename("resource-x/size", "size"))
		ok(t, f.Remove("resource-x/fifo"))
		ok(t, f.Remove("resource-x/log"))
		ok(t, f.SyncDir("resource-x"))
		ok(t, f.SyncDir("."))
		ok(t, f.Remove("resource-x"))
		is(t, f.Remove("resource-x"), env.ErrNotExist)
		sp, err := f.Statfs()
		ok(t, err)
		if sp.Free <= 0 || sp.Total < sp.Free {
			t.Errorf("%+v", sp)
		}
	})
}

func TestFSContent(t *testing.T) {
	fsVariants(t, func(t *testing.T, f treeFS, dir string) {
		ok(t, f.Mkdir("d"))
		ok(t, f.WriteFile("d/f", []byte("old")))
		ok(t, f.Create("d/.tmp.f")) // left over from a crash
		ok(t, f.WriteFile("d/f", bytes.Repeat([]byte("new"), 10000)))
		b, err := f.ReadFile("d/f", 5)
		ok(t, err)
		if string(b) != "newne" {
			t.Errorf("%q", b)
		}
		ok(t, f.Truncate("d/f", 4))
		ok(t, f.SyncFile("d/f"))
		p := make([]byte, 3)
		if n, err := f.ReadAt("d/f", p, 2); n != 2 || err != io.EOF || string(p[:n]) != "wn" {
			t.Errorf("%d %v %q", n, err, p[:n])
		}
		if n, err := f.ReadAt("d/f", p, 1); n != 3 || err != nil {
			t.Errorf("%d %v", n, err)
		}
		_, err = f.ReadFile("d/none", 5)
		is(t, err, env.ErrNotExist)
		list, err := f.ReadDir("d")
		ok(t, err)
		if len(list) != 1 {
			t.Errorf("left over: %+v", list)
		}
		if st, err := os.Stat(filepath.Join(dir, "d/f")); err != nil || st.Mode().Perm() != 0o600 {
			t.Error(st.Mode(), err)
		}
	})
}

// TestFSEscape tries all doors of the directory.
func TestFSEscape(t *testing.T) {
	fsVariants(t, func(t *testing.T, f treeFS, dir string) {
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret")
		ok(t, os.WriteFile(secret, []byte("secret"), 0o600))
		ok(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, "real/file"), nil, 0o600))
		ok(t, os.Symlink(outside, filepath.Join(dir, "out")))
		ok(t, os.Symlink("real", filepath.Join(dir, "in")))
		ok(t, os.Symlink(secret, filepath.Join(dir, "link")))
		ok(t, os.Link(secret, filepath.Join(dir, "hard")))
		ok(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
		names := []string{"", "/", "..", "../x", "real/../real/file", "real//file", "./real/file", "real/", "a\x00b",
			secret, "out/secret", "in/file"}
		for _, name := range names {
			_, err1 := f.Lstat(name)
			_, err2 := f.ReadDir(name)
			_, err3 := f.ReadFile(name, 10)
			for i, err := range []error{err1, err2, err3, f.WriteFile(name, nil), f.Symlink("v", name), f.Remove(name),
				f.Rename("real/file", name), f.Rename(name, "new"), f.Lutimes(name, 1), f.Mkdir(name), f.SyncDir(name)} {
				if err == nil {
					t.Errorf("%q: operation %d succeeded", name, i)
				}
			}
		}
		for _, name := range []string{"link", "hard", "fifo", "real", "in"} {
			_, err1 := f.ReadFile(name, 10)
			_, err2 := f.ReadAt(name, make([]byte, 1), 0)
			for i, err := range []error{err1, err2, f.Truncate(name, 0), f.SyncFile(name)} {
				if err == nil {
					t.Errorf("%q: operation %d succeeded", name, i)
				}
			}
		}
		// A directory behind a link is not a directory.
		for _, name := range []string{"in", "out"} {
			if err := f.SyncDir(name); err == nil {
				t.Errorf("%q was followed", name)
			}
		}
		if err := f.WriteFile("link", nil); err == nil {
			t.Error("a link was replaced by a file")
		}
		if b, err := os.ReadFile(secret); string(b) != "secret" {
			t.Error(b, err)
		}
	})
}
