package simenv

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"mars/infra/env"
)

func TestFSBasics(t *testing.T) {
	r := newRig(t, 1)
	fs := r.n.Env(0).FS()
	must(t, fs.Mkdir("d"), fs.Symlink("v1", "d/l"), fs.Lutimes("d/l", 1234567890123456789), fs.Create("d/f"))
	fi, err := fs.Lstat("d/l")
	if err != nil || fi.Kind != env.KindLink || fi.MtimeNS != 1234567890123456789 || fi.Name != "l" {
		t.Fatal(fi, err)
	}
	must(t, fs.Rename("d/l", "m"), fs.WriteFile("d/f", []byte("hello")))
	if v, err := fs.Readlink("m"); err != nil || v != "v1" {
		t.Fatal(v, err)
	}
	if b, err := fs.ReadFile("d/f", 3); err != nil || string(b) != "hel" {
		t.Fatal(string(b), err)
	}
	buf := make([]byte, 10)
	if n, err := fs.ReadAt("d/f", buf, 1); n != 4 || err != io.EOF {
		t.Fatal(n, err)
	}
	must(t, fs.Truncate("d/f", 2), fs.Truncate("d/f", 8))
	if b, err := fs.ReadFile("d/f", 100); err != nil || string(b) != "he\x00\x00\x00\x00\x00\x00" {
		t.Fatal(b, err)
	}
	list, err := fs.ReadDir(".")
	if err != nil || len(list) != 2 || list[0].Name != "d" || list[1].Name != "m" {
		t.Fatal(list, err)
	}
	for _, tc := range []struct {
		err, want error
	}{
		{fs.Remove("d"), env.ErrExist}, {fs.Symlink("x", "m"), env.ErrExist}, {fs.Create("d"), env.ErrExist},
		{fs.Remove("x"), env.ErrNotExist}, {fs.Rename("x", "y"), env.ErrNotExist}, {fs.Mkdir("x/y"), env.ErrNotExist},
		{fs.Lutimes("x", 1), env.ErrNotExist}, {fs.SyncDir("x"), env.ErrNotExist}, {fs.Rename("m", "d"), env.ErrExist},
	} {
		if !errors.Is(tc.err, tc.want) {
			t.Errorf("%v is not %v", tc.err, tc.want)
		}
	}
	for _, name := range []string{"", "/a", "../a", "a//b", "a/./b", "a/", "d/.."} {
		if fs.Mkdir(name) == nil {
			t.Errorf("Mkdir(%q) succeeded", name)
		}
		if _, err := fs.Lstat(name); err == nil {
			t.Errorf("Lstat(%q) succeeded", name)
		}
	}
	must(t, fs.Remove("d/f"), fs.Remove("d"), fs.Remove("m"))
	if sp, err := fs.Statfs(); err != nil || sp.Free != sp.Total {
		t.Fatal(sp, err)
	}
}

// Unsynced entries must be seen present and absent, in any combination.
func TestEntriesPersistIndependently(t *testing.T) {
	seen := map[string]int{}
	prefix := 0
	for seed := range uint64(200) {
		r := newRig(t, 1)
		fs := r.n.FS()
		must(t, fs.Symlink("0", "base"), fs.SyncDir("."), fs.Symlink("1", "a"), fs.Symlink("2", "b"), fs.Remove("base"))
		state := func(m CrashModel) string {
			s := ""
			list, err := r.n.CrashImage(seed, m).FS().ReadDir(".")
			must(t, err)
			for _, fi := range list {
				s += fi.Name + " "
			}
			return s
		}
		seen[state(Independent(0.5))]++
		switch s := state(Ordered()); s {
		case "base ", "a base ", "a b base ", "a b ":
			prefix++
		default:
			t.Fatal("ordered model gave", s)
		}
		if s := state(Zero()); s != "base " {
			t.Fatal("zero model gave", s)
		}
	}
	if len(seen) != 8 || prefix != 200 {
		t.Fatal(seen)
	}
}

// A link replaced by rename is, after a crash, the old or the new one, and
// with SyncDir the new one.
func TestRenameReplaces(t *testing.T) {
	got := map[string]int{}
	for seed := range uint64(300) {
		r := newRig(t, 1)
		fs := r.n.FS()
		must(t, fs.Symlink("old", "l"), fs.SyncDir("."))
		must(t, fs.Symlink("new", ".tmp"), fs.Lutimes(".tmp", 77), fs.Rename(".tmp", "l"))
		m := Models()[seed%5]
		m.SplitRename = seed%2 == 0
		im := r.n.CrashImage(seed, m).FS()
		v, err := im.Readlink("l")
		must(t, err)
		_, err = im.Lstat(".tmp")
		got[fmt.Sprint(v, err == nil)]++
		must(t, fs.SyncDir("."))
		im = r.n.CrashImage(seed, m).FS()
		if v, err = im.Readlink("l"); err != nil || v != "new" {
			t.Fatal(v, err)
		}
		if fi, err := im.Lstat("l"); err != nil || fi.MtimeNS != 77 {
			t.Fatal(fi, err)
		}
	}
	if got["oldfalse"] == 0 || got["oldtrue"] == 0 || got["newfalse"] == 0 || got["newtrue"] == 0 {
		t.Fatal(got)
	}
}

// A file may have grown without its data under Independent, never under Ordered.
func TestGrowthWithoutData(t *testing.T) {
	holes, shorter := 0, 0
	for seed := range uint64(300) {
		r := newRig(t, seed)
		f := r.file("log")
		must(t, r.do(f, &env.IO{Kind: env.Write, Buf: block(1, 4096)}))
		for _, m := range []CrashModel{Independent(0.5), Ordered()} {
			b, err := r.n.CrashImage(seed, m).FS().ReadFile("log", 8192)
			must(t, err)
			hole := false
			for _, v := range b {
				hole = hole || v == 0
			}
			switch {
			case hole && m.kind == strOrdered:
				t.Fatal("hole under ordered")
			case hole:
				holes++
			case len(b) == 0:
				shorter++
			}
		}
	}
	if holes == 0 || shorter == 0 {
		t.Fatal(holes, shorter)
	}
}

func TestNoSpace(t *testing.T) {
	r := newRig(t, 4)
	f := r.file("log")
	r.n.SetSpace(1<<20, 8192)
	must(t, r.do(f, &env.IO{Kind: env.Write, Buf: block(1, 8192)}))
	if err := r.do(f, &env.IO{Kind: env.Write, Off: 8192, Buf: block(1, 512)}); !errors.Is(err, env.ErrNoSpace) {
		t.Fatal(err)
	}
	fs := r.n.FS()
	if err := fs.Symlink("a", "b"); !errors.Is(err, env.ErrNoSpace) {
		t.Fatal(err)
	}
	must(t, r.do(f, &env.IO{Kind: env.Write, Off: 4096, Buf: block(2, 512)}), r.do(f, &env.IO{Kind: env.Zero, Len: 4096}))
	if sp, err := fs.Statfs(); err != nil || sp.Free != 4096 {
		t.Fatal(sp, err)
	}
	must(t, r.do(f, &env.IO{Kind: env.Write, Off: 8192, Buf: block(1, 512)}))
	must(t, fs.Remove("log"))
	if sp, _ := fs.Statfs(); sp.Free != 0 {
		t.Fatal("space of an open file was freed")
	}
	closed := false
	f.Close(func() { closed = true })
	r.wait(func() bool { return closed })
	if sp, _ := fs.Statfs(); sp.Free != 12288-4096 {
		t.Fatal(sp)
	}
}

func TestFaults(t *testing.T) {
	r := newRig(t, 5)
	disk := r.n.AddDisk("/dev/x", 64<<10)
	d := r.disk("/dev/x")
	disk.Fail(FailNth(env.Write, 2, ErrIO))
	w := func() error { return r.do(d, &env.IO{Kind: env.Write, Buf: block(1, 512)}) }
	must(t, w())
	if err := w(); !errors.Is(err, ErrIO) {
		t.Fatal(err)
	}
	must(t, w())
	if disk.Count(env.Write) != 3 || disk.Faults() != 1 {
		t.Fatal(disk.Count(env.Write), disk.Faults())
	}
	disk.Stall(true)
	n := 0
	d.Submit(&env.IO{Kind: env.Sync, Done: func(*env.IO) { n++ }})
	r.w.RunFor(time.Second)
	if n != 0 {
		t.Fatal("completed while stalled")
	}
	disk.Stall(false)
	r.wait(func() bool { return n == 1 })
	r.n.FailFS(func(op, name string) error {
		if op == "symlink" && name == "bad" {
			return ErrIO
		}
		return nil
	})
	fs := r.n.Env(0).FS()
	must(t, fs.Symlink("x", "good"))
	if err := fs.Symlink("x", "bad"); !errors.Is(err, ErrIO) {
		t.Fatal(err)
	}
}

// A sync that failed may lose data that a later sync does not bring back.
func TestFailedSyncLoses(t *testing.T) {
	lost := 0
	for seed := range uint64(30) {
		r := newRig(t, seed)
		disk := r.n.AddDisk("/dev/x", 64<<10)
		d := r.disk("/dev/x")
		disk.Fail(FailNth(env.Sync, 1, ErrIO))
		must(t, r.do(d, &env.IO{Kind: env.Write, Buf: block(1, 512)}))
		if r.do(d, &env.IO{Kind: env.Sync}) == nil {
			t.Fatal("sync succeeded")
		}
		must(t, r.do(d, &env.IO{Kind: env.Sync}))
		r.n.Crash(Zero())
		buf := make([]byte, 512)
		if _, err := disk.ReadAt(buf, 0); err != nil || buf[0] == 0 {
			lost++
		}
	}
	if lost < 5 || lost > 25 {
		t.Fatal(lost, "of 30 lost")
	}
}

func TestWatch(t *testing.T) {
	r := newRig(t, 6)
	must(t, r.n.FS().Mkdir("d"))
	var got []string
	wt := r.n.Env(0).Watch(func(dir string) { got = append(got, dir) })
	wt.Add("d")
	wt.Add("missing")
	fs := r.n.FS()
	must(t, fs.Symlink("a", "b"), fs.Symlink("a", "d/b"), fs.Symlink("a", "d/c"))
	r.w.RunFor(time.Second)
	if len(got) != 1 || got[0] != "d" {
		t.Fatal(got)
	}
	must(t, fs.Remove("d/b"), fs.Remove("d/c"))
	r.w.RunFor(time.Second)
	must(t, fs.Remove("d"), fs.Mkdir("d"))
	n := len(got)
	must(t, fs.Symlink("a", "d/b"))
	r.w.RunFor(time.Second)
	if n != 2 || len(got) != 2 {
		t.Fatal("a new directory was watched", got)
	}
	wt.Add("d")
	must(t, fs.Symlink("a", "d/c"))
	r.w.RunFor(time.Second)
	wt.Close()
	must(t, fs.Symlink("a", "d/d"))
	r.w.RunFor(time.Second)
	if len(got) != 3 {
		t.Fatal(got)
	}
}

func TestClocks(t *testing.T) {
	w := New(1, Options{Start: 1e18})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{ClockOffset: time.Hour, ClockDrift: 0.5})
	w.RunFor(10 * time.Second)
	n.JumpClock(-2 * time.Hour)
	e := n.Env(0)
	if d := e.Wall() - 1e18; d != int64(15*time.Second-time.Hour) {
		t.Fatal(time.Duration(d))
	}
	n.SetDrift(0)
	w.RunFor(10 * time.Second)
	if d := e.Wall() - 1e18; d != int64(25*time.Second-time.Hour) || e.Mono() != 20*time.Second {
		t.Fatal(time.Duration(d), e.Mono())
	}
	n.Crash(Zero())
	w.RunFor(time.Second)
	n.Start()
	if m := n.Env(0).Mono(); m != 0 {
		t.Fatal(m)
	}
}
