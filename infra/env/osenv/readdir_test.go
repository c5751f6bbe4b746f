// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"mars/infra/env"
)

// TestReadDirPairs: a value never comes with the mtime of another one, however
// fast the link is replaced. Each value here is its own mtime.
func TestReadDirPairs(t *testing.T) {
	f, err := NewFS(t.TempDir())
	ok(t, err)
	defer f.(io.Closer).Close()
	ok(t, f.Mkdir("d"))
	put := func(n int64) {
		ok(t, f.Symlink(strconv.FormatInt(n, 10), "d/.tmp"))
		ok(t, f.Lutimes("d/.tmp", n))
		ok(t, f.Rename("d/.tmp", "d/link"))
	}
	put(1)
	var rounds atomic.Int64
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for n := int64(2); ; n++ {
			select {
			case <-stop:
				return
			default:
				put(n)
				rounds.Store(n)
			}
		}
	}()
	values, reads := 0, 0
	for ; reads < 20_000 && (reads < 2_000 || rounds.Load() < 2_000); reads++ {
		list, err := f.ReadDir("d")
		ok(t, err)
		for _, fi := range list {
			if fi.Value == "" || fi.Name != "link" {
				continue
			}
			values++
			if fi.Value != strconv.FormatInt(fi.MtimeNS, 10) {
				t.Fatalf("value %s with mtime %d", fi.Value, fi.MtimeNS)
			}
		}
	}
	close(stop)
	<-done
	if values == 0 || rounds.Load() < 10 {
		t.Errorf("%d values in %d reads, %d changes: it tested nothing", values, reads, rounds.Load())
	}
}

// TestPacker: what was packed stays what it is, however much follows.
func TestPacker(t *testing.T) {
	var p packer
	var got, want []string
	text := make([]byte, 0, 3*packSize)
	for i := range 3 * packSize {
		text = append(text[:i%700], byte('a'+i%26), 0)
		if i%500 == 0 {
			text = append(text, make([]byte, 2*packSize)...) // longer than what lies together
		}
		got, want = append(got, p.string(text)), append(want, string(text))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%d: %q, want %q", i, got[i], want[i])
		}
	}
	if n := testing.AllocsPerRun(100, func() { p.string([]byte("12345678")) }); n > 0.5 {
		t.Errorf("%v allocations for a short string", n)
	}
}

// readDirs is ReadDirs, in order.
func readDirs(f env.FS, names []string, want func(dir, base string) env.Want) ([][]env.FileInfo, []error) {
	infos, errs := make([][]env.FileInfo, len(names)), make([]error, len(names))
	f.(env.DirsReader).ReadDirs(names, want, func(i int, list []env.FileInfo, err error) { infos[i], errs[i] = slices.Clone(list), err })
	return infos, errs
}

// TestEach: each piece of work is done once, whatever their number.
func TestEach(t *testing.T) {
	f, err := NewFS(t.TempDir())
	ok(t, err)
	defer f.(io.Closer).Close()
	for n := range 70 {
		done := make([]atomic.Int32, n)
		f.(env.Parallel).Each(n, func(i int) { done[i].Add(1) })
		for i := range done {
			if got := done[i].Load(); got != 1 {
				t.Errorf("%d of %d is done %d times", i, n, got)
			}
		}
	}
}

func TestReadDirs(t *testing.T) {
	f, err := NewFS(t.TempDir())
	ok(t, err)
	defer f.(io.Closer).Close()
	var names []string
	for i := range 40 {
		dir := fmt.Sprintf("d%d", i)
		ok(t, f.Mkdir(dir))
		ok(t, f.Symlink(dir+"'s", dir+"/link"))
		names = append(names, dir)
	}
	names[7] = "gone"
	ok(t, f.Symlink("d1", "elsewhere"))
	names[8] = "elsewhere"
	infos, errs := readDirs(f, names, nil)
	for i, name := range names {
		switch {
		case i == 7:
			is(t, errs[i], env.ErrNotExist)
		case i == 8:
			if errs[i] == nil {
				t.Error("a link to a directory is followed")
			}
		case errs[i] != nil || len(infos[i]) != 1 || infos[i][0].Value != name+"'s":
			t.Errorf("%s: %+v, %v", name, infos[i], errs[i])
		}
	}
	infos, errs = readDirs(f, names[:2], func(dir, base string) env.Want {
		if dir == "d0" && base == "link" {
			return env.WantAll
		}
		return env.WantNothing
	})
	if len(infos[0]) != 1 || len(infos[1]) != 0 || errs[0] != nil || errs[1] != nil {
		t.Errorf("of what is wanted: %v, %v", infos, errs)
	}
	ok(t, f.Create("d0/file"))
	ok(t, f.Mkdir("d0/sub"))
	infos, errs = readDirs(f, []string{"d0"}, func(_, base string) env.Want { return env.WantValue })
	ok(t, errs[0])
	for i, want := range []env.FileInfo{{Name: "file", Kind: env.KindFile}, {Name: "link", Kind: env.KindLink, Value: "d0's"}, {Name: "sub", Kind: env.KindDir}} {
		got := infos[0][i]
		if got.Kind == env.KindFile {
			got = env.FileInfo{Name: got.Name, Kind: got.Kind} // files are always looked at
		}
		if got != want {
			t.Errorf("of values only: %+v, want %+v", got, want)
		}
	}
	if infos, errs := readDirs(f, nil, nil); len(infos)+len(errs) != 0 {
		t.Errorf("of nothing: %v, %v", infos, errs)
	}
}
