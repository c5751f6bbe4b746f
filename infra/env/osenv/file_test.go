// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"mars/infra/env"
)

func fill(b []byte, c byte) []byte {
	for i := range b {
		b[i] = c
	}
	return b
}

func TestFileIO(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		for _, buffered := range []bool{false, true} {
			t.Run(fmt.Sprintf("buffered=%v", buffered), func(t *testing.T) {
				testFileIO(t, force, buffered)
			})
		}
	})
}

func testFileIO(t *testing.T, force, buffered bool) {
	dir := t.TempDir()
	n := newNode(t, Config{MarsDir: dir, ForceWorkers: force})
	e := n.Executor(0)
	f, err := openFile(t, e, "log", env.OpenMode{Create: true, Write: true, Buffered: buffered})
	if err != nil {
		t.Fatal(err)
	}
	if f.Direct() == buffered && buffered || f.Size() != 0 {
		t.Fatalf("direct %v size %d", f.Direct(), f.Size())
	}
	if a := f.Align(); a < 1 || a > 4096 || a&(a-1) != 0 || !f.Direct() && a != 1 {
		t.Fatalf("alignment %d", a)
	}
	mem := func(size int) []byte { return get(t, e, func() []byte { return e.Alloc(size) }) }
	a, b, c := fill(mem(8192), 'a'), fill(mem(4096), 'b'), fill(mem(16384), 'c')

	for i, w := range []*env.IO{
		{Kind: env.Write, Buf: a},
		{Kind: env.Write, Buf: a, Off: 8192, Durable: true},
		{Kind: env.Write, Vec: [][]byte{b, c, b}, Off: 4096},
		{Kind: env.Write, Vec: [][]byte{b, b}, Off: 65536, Durable: true},
	} {
		do(t, e, f, w)
		if w.Err != nil || w.N != size(w) {
			t.Fatalf("write %d: %d bytes, %v", i, w.N, w.Err)
		}
	}
	if s := do(t, e, f, &env.IO{Kind: env.Sync}); s.Err != nil {
		t.Fatal(s.Err)
	}
	want := bytes.Join([][]byte{a[:4096], b, c, b, make([]byte, 65536-28672), b, b}, nil)
	r := do(t, e, f, &env.IO{Kind: env.Read, Buf: mem(128 << 10)})
	if r.Err != nil || r.N != len(want) || !bytes.Equal(r.Buf[:r.N], want) {
		t.Fatalf("read %d of %d bytes, %v", r.N, len(want), r.Err)
	}
	if r := do(t, e, f, &env.IO{Kind: env.Read, Buf: mem(4096), Off: 1 << 20}); r.Err != nil || r.N != 0 {
		t.Fatalf("read behind the end: %d, %v", r.N, r.Err)
	}
	if z := do(t, e, f, &env.IO{Kind: env.Zero, Off: 4096, Len: 4096}); z.Err != nil {
		t.Fatal(z.Err)
	}
	if tr := do(t, e, f, &env.IO{Kind: env.Truncate, Off: 12288 + 7}); tr.Err != nil {
		t.Fatal(tr.Err)
	}
	closeFile(t, e, f)
	got, err := os.ReadFile(filepath.Join(dir, "log"))
	clear(want[4096:8192])
	if err != nil || !bytes.Equal(got, want[:12288+7]) {
		t.Fatalf("file has %d bytes, %v", len(got), err)
	}
	// An end that is not aligned can be read all the same.
	f, err = openFile(t, e, "log", env.OpenMode{Buffered: buffered})
	if err != nil || f.Size() != 12288+7 {
		t.Fatal(f, err)
	}
	if r := do(t, e, f, &env.IO{Kind: env.Read, Buf: mem(64 << 10)}); r.Err != nil || r.N != 12288+7 {
		t.Fatalf("read %d, %v", r.N, r.Err)
	}
	closeFile(t, e, f)
}

func TestFileErrors(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		dir := t.TempDir()
		n := newNode(t, Config{MarsDir: dir, ForceWorkers: force})
		e := n.Executor(0)
		for _, err := range []error{
			os.WriteFile(filepath.Join(dir, "f"), make([]byte, 8192), 0o600),
			os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "hard")),
			os.WriteFile(filepath.Join(dir, "g"), make([]byte, 8192), 0o600),
			os.Symlink("g", filepath.Join(dir, "link")),
			os.Symlink(".", filepath.Join(dir, "dirlink")),
			os.Mkdir(filepath.Join(dir, "dir"), 0o700),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"hard", "f", "link", "dirlink/g", "dir", "../x", "/etc/passwd", "", "a//b", "dir/../g"} {
			if f, err := openFile(t, e, name, env.OpenMode{Create: true, Write: true}); err == nil {
				t.Errorf("%q was opened: %v", name, f)
			}
		}
		if _, err := openFile(t, e, "none", env.OpenMode{}); !errors.Is(err, env.ErrNotExist) {
			t.Error(err)
		}
		f, err := openFile(t, e, "g", env.OpenMode{})
		if err != nil {
			t.Fatal(err)
		}
		for i, io := range []*env.IO{
			{Kind: env.Write, Buf: make([]byte, 512)},
			{Kind: env.Truncate},
			{Kind: env.Zero, Len: 512},
			{Kind: env.Read, Off: -1, Buf: make([]byte, 512)},
			{Kind: env.Write, Vec: make([][]byte, env.MaxVec+1)},
		} {
			if do(t, e, f, io); io.Err == nil {
				t.Errorf("IO %d succeeded", i)
			}
		}
		closeFile(t, e, f)
	})
}

func TestDisk(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force})
		e := n.Executor(0)
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, bytes.Repeat([]byte{7}, 3<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := openDisk(t, e, path)
		if err != nil || d.Size() != 3<<20 {
			t.Fatal(d, err)
		}
		if _, err := openDisk(t, n.Executor(1), path); !errors.Is(err, env.ErrInUse) {
			t.Errorf("second open: %v", err)
		}
		if io := do(t, e, d, &env.IO{Kind: env.Truncate}); io.Err == nil {
			t.Error("a disk was truncated")
		}
		d.(*file).noPunch.Store(true) // as where holes cannot be made
		if io := do(t, e, d, &env.IO{Kind: env.Zero, Off: 4096, Len: 2<<20 + 4096}); io.Err != nil {
			t.Error(io.Err)
		}
		closeFile(t, e, d)
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.Repeat([]byte{7}, 3<<20)
		clear(want[4096 : 4096+2<<20+4096])
		if !bytes.Equal(got, want) {
			t.Error("wrong content after zeroing")
		}
		if d, err = openDisk(t, e, path); err != nil {
			t.Fatal("open after close:", err)
		}
		closeFile(t, e, d)
		if _, err := openDisk(t, e, path+"x"); !errors.Is(err, env.ErrNotExist) {
			t.Error(err)
		}
		if _, err := openDisk(t, e, filepath.Dir(path)); err == nil {
			t.Error("a directory was opened as disk")
		}
	})
}

// TestAllocs drives IO from its own Done and counts allocations.
func TestAllocs(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force})
		e := n.Executor(0)
		f, err := openFile(t, e, "log", env.OpenMode{Create: true, Write: true})
		if err != nil {
			t.Fatal(err)
		}
		const each = 1000
		again := make(chan struct{})
		left := 0
		var ios [4]env.IO
		active := 0
		done := func(io *env.IO) {
			if io.Err != nil {
				t.Error(io.Err)
			}
			if left--; left > 0 {
				f.Submit(io)
				return
			}
			if active--; active == 0 {
				again <- struct{}{}
			}
		}
		start := func() {
			left, active = each, len(ios)
			for i := range ios {
				f.Submit(&ios[i])
			}
		}
		on(t, e, func(ok func()) {
			buf := fill(e.Alloc(4096), 'x')
			vec := [][]byte{buf, buf}
			ios[0] = env.IO{Kind: env.Write, Buf: buf}
			ios[1] = env.IO{Kind: env.Write, Vec: vec, Off: 4096}
			ios[2] = env.IO{Kind: env.Read, Buf: e.Alloc(4096)}
			ios[3] = env.IO{Kind: env.Write, Buf: buf, Off: 16384}
			for i := range ios {
				ios[i].Done = done
			}
			ok()
		})
		run := func() {
			e.Post(start)
			<-again
		}
		for range 5 { // every slot and every worker has been used
			run()
		}
		perRun := testing.AllocsPerRun(5, run)
		// The runtime itself allocates now and then for sleeping goroutines.
		if perRun > each/100 {
			t.Errorf("%v allocations for %d IOs", perRun, each)
		}
		closeFile(t, e, f)
	})
}

// TestCloseInFlight ends a node while IO runs: every IO completes.
func TestCloseInFlight(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force, Executors: 1})
		e := n.Executor(0)
		f, err := openFile(t, e, "log", env.OpenMode{Create: true, Write: true})
		if err != nil {
			t.Fatal(err)
		}
		const count = 50
		completed, closed := 0, false
		on(t, e, func(done func()) {
			buf := e.Alloc(64 << 10)
			for i := range count {
				f.Submit(&env.IO{Kind: env.Write, Durable: true, Buf: buf, Off: int64(i) << 16, Done: func(io *env.IO) {
					completed++
					if io.Err != nil {
						t.Error(io.Err)
					}
				}})
			}
			f.Close(func() { closed = true })
			late := &env.IO{Kind: env.Sync, Done: func(io *env.IO) {
				if !errors.Is(io.Err, env.ErrClosed) {
					t.Error("submitted after Close:", io.Err)
				}
				completed++
			}}
			f.Submit(late)
			done()
		})
		if err := n.Close(patience); err != nil {
			t.Fatal(err)
		}
		if completed != count+1 || !closed {
			t.Errorf("%d of %d completed, closed %v", completed, count+1, closed)
		}
		e.Post(func() { t.Error("a post ran on a closed executor") })
	})
}

// TestManyInFlight submits more than the ring and its memory for pieces hold.
func TestManyInFlight(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		dir := t.TempDir()
		n := newNode(t, Config{ForceWorkers: force, MarsDir: dir})
		e := n.Executor(0)
		f, err := openFile(t, e, "log", env.OpenMode{Create: true, Write: true, Buffered: true})
		if err != nil {
			t.Fatal(err)
		}
		const count, pieces = 1500, 8
		on(t, e, func(done func()) {
			left := count
			for i := range count {
				buf := fill(e.Alloc(512), byte(i))
				io := &env.IO{Kind: env.Write, Off: int64(i) * 4096}
				for range pieces {
					io.Vec = append(io.Vec, buf)
				}
				if i%50 == 0 { // the longest that is allowed
					for len(io.Vec) < env.MaxVec {
						io.Vec = append(io.Vec, nil)
					}
				}
				io.Done = func(io *env.IO) {
					if io.Err != nil || io.N != 4096 {
						t.Errorf("%d bytes, %v", io.N, io.Err)
					}
					e.Free(buf)
					if left--; left == 0 {
						done()
					}
				}
				f.Submit(io)
			}
		})
		closeFile(t, e, f)
		got, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil || len(got) != count*4096 {
			t.Fatal(len(got), err)
		}
		for i := range count {
			if !bytes.Equal(got[i*4096:(i+1)*4096], fill(make([]byte, 4096), byte(i))) {
				t.Fatalf("block %d is wrong", i)
			}
		}
	})
}

// TestNotDirect opens what refuses direct IO.
func TestNotDirect(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force, MarsDir: "/proc"})
		e := n.Executor(0)
		f, err := openFile(t, e, "version", env.OpenMode{})
		if err != nil {
			t.Fatal(err)
		}
		if f.Direct() || f.Align() != 1 {
			t.Errorf("direct %v, alignment %d", f.Direct(), f.Align())
		}
		if r := do(t, e, f, &env.IO{Kind: env.Read, Buf: make([]byte, 1000)}); r.Err != nil || !bytes.HasPrefix(r.Buf, []byte("Linux")) {
			t.Errorf("%d bytes, %v", r.N, r.Err)
		}
		closeFile(t, e, f)
	})
}

func TestTrialAlign(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if a := trialAlign(int(f.Fd()), 4096); a != 4096 {
		t.Errorf("empty file: %d", a)
	}
	if _, err := f.Write(make([]byte, 8192)); err != nil {
		t.Fatal(err)
	}
	if a := trialAlign(int(f.Fd()), 4096); a != 512 {
		t.Errorf("any alignment will do: %d", a)
	}
	if a := trialAlign(-1, 4096); a != 0 {
		t.Errorf("unreadable: %d", a)
	}
}
