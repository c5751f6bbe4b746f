package simenv

import (
	"errors"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
)

func TestDeviceServerCalls(t *testing.T) {
	w := New(3, Options{})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{SilentOpens: true})
	r := &rig{t: t, w: w, n: n}
	m := &ram{data: make([]byte, 128<<10)}
	d := r.device(m)
	if m.dev.Path() != "/dev/mars/res" || d.Size() != 64<<10 || d.BlockSize() != 512 {
		t.Fatal(m.dev.Path(), d.Size(), d.BlockSize())
	}
	must(t, d.Open())
	r.w.RunFor(time.Second)
	if m.opens != 0 || d.Openers() != 1 {
		t.Fatal("open was told without Probe")
	}
	calls := 0
	m.dev.Probe(func(n int, err error) {
		must(t, err)
		calls += n
	})
	m.dev.Resize(128<<10, func(err error) { must(t, err); calls++ })
	m.dev.Resize(100, func(err error) {
		if err == nil {
			t.Error("bad size")
		}
		calls++
	})
	n.Env(1).Devices().Create(env.DeviceConfig{Name: "res", Size: 512, BlockSize: 512}, m, func(_ env.Device, err error) {
		if !errors.Is(err, env.ErrExist) {
			t.Error(err)
		}
		calls++
	})
	r.wait(func() bool { return calls == 4 })
	if m.opens != 1 || d.Size() != 128<<10 {
		t.Fatal(m.opens, d.Size())
	}
	m.hold = true
	var got error
	d.Write(0, block(1, 512), false, func(err error) { got = err })
	r.wait(func() bool { return len(m.held) == 1 })
	closed := false
	m.dev.Close(true, func(err error) { must(t, err); closed = true })
	r.wait(func() bool { return closed && got != nil })
	m.dev.Complete(m.held[0], nil) // too late, harmless
	if !errors.Is(got, ErrIO) || n.Allocated() != 0 {
		t.Fatal(got, n.Allocated())
	}
}

func TestDevicesWithoutRecovery(t *testing.T) {
	for _, fuse := range []bool{true, false} {
		w := New(4, Options{})
		n := w.AddNode("a", "10.0.0.1", NodeOptions{FuseDevices: fuse})
		r := &rig{t: t, w: w, n: n}
		m := &ram{data: make([]byte, 64<<10), hold: true}
		d := r.device(m)
		var got error
		d.Flush(func(err error) { got = err })
		r.wait(func() bool { return len(m.held) == 1 })
		n.Kill()
		n.Start()
		w.RunFor(time.Second)
		if d.Gone() != fuse || (got != nil) != fuse {
			t.Fatal(fuse, d.Gone(), got)
		}
		cleaned := false
		n.Env(0).Devices().Cleanup("res", false, func(err error) { must(t, err); cleaned = true })
		r.wait(func() bool { return cleaned && got != nil })
		if n.Device("res") != nil {
			t.Fatal("left behind")
		}
	}
}

func TestFileKinds(t *testing.T) {
	w := New(5, Options{CheckMemory: true})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{FileAlign: 4096})
	r := &rig{t: t, w: w, n: n}
	f := r.file("log")
	if !f.Direct() || f.Align() != 4096 || f.Size() != 0 {
		t.Fatal(f.Direct(), f.Align(), f.Size())
	}
	e := n.Env(0)
	b := e.Alloc(8192)
	must(t, r.do(f, &env.IO{Kind: env.Write, Buf: b, Durable: true}))
	for _, bad := range []*env.IO{{Kind: env.Write, Buf: b[512 : 512+4096]}, {Kind: env.Read, Buf: b[:512]},
		{Kind: env.Write, Vec: make([][]byte, env.MaxVec+1)}} {
		if r.do(f, bad) == nil {
			t.Error("misaligned IO succeeded")
		}
	}
	must(t, r.do(f, &env.IO{Kind: env.Truncate, Off: 5000}), n.FS().Symlink("log", "link"))
	open := func(name string, mode env.OpenMode) (got env.File, err error) {
		done := false
		e.Files().OpenFile(name, mode, func(g env.File, e error) { got, err, done = g, e, true })
		r.wait(func() bool { return done })
		return got, err
	}
	g, err := open("log", env.OpenMode{Buffered: true})
	must(t, err)
	if g.Direct() || g.Align() != 1 || g.Size() != 5000 {
		t.Fatal(g.Direct(), g.Align(), g.Size())
	}
	rd := &env.IO{Kind: env.Read, Off: 4999, Buf: make([]byte, 7)}
	if must(t, r.do(g, rd)); rd.N != 1 {
		t.Fatal("read", rd.N)
	}
	if r.do(g, &env.IO{Kind: env.Write, Buf: b}) == nil {
		t.Fatal("wrote to a file opened for reading")
	}
	if _, err := open("link", env.OpenMode{}); err == nil {
		t.Fatal("followed a symlink")
	}
	if _, err := open("none", env.OpenMode{}); !errors.Is(err, env.ErrNotExist) {
		t.Fatal(err)
	}
	// Close waits, and what comes later fails.
	order := ""
	f.Submit(&env.IO{Kind: env.Sync, Done: func(*env.IO) { order += "io " }})
	f.Close(func() { order += "close" })
	r.wait(func() bool { return order == "io close" })
	if err := r.do(f, &env.IO{Kind: env.Sync}); !errors.Is(err, env.ErrClosed) {
		t.Fatal(err)
	}
}

func TestSlowMediumAndSyncAll(t *testing.T) {
	r := newRig(t, 6)
	disk := r.n.AddDisk("/dev/x", 64<<10)
	r.n.SetLatency(IOLatency{Write: Span{time.Millisecond, time.Millisecond}})
	disk.SetSlow(10)
	d := r.disk("/dev/x")
	start := r.w.Now()
	must(t, r.do(d, &env.IO{Kind: env.Write, Buf: block(1, 512)}))
	if took := r.w.Now() - start; took != 10*time.Millisecond {
		t.Fatal(took)
	}
	must(t, r.n.FS().Symlink("v", "l"))
	if disk.Unsynced() != 1 || !disk.Held() {
		t.Fatal(disk.Unsynced())
	}
	r.n.SyncAll()
	r.n.Crash(Zero())
	buf := make([]byte, 512)
	_, err1 := disk.ReadAt(buf, 0)
	_, err2 := r.n.FS().Readlink("l")
	if must(t, err1, err2); buf[0] != 1 || disk.Held() {
		t.Fatal("SyncAll did not")
	}
	disk.Fail(FailKind(env.Read, ErrIO))
	r.n.Start()
	if err := r.do(r.disk("/dev/x"), &env.IO{Kind: env.Read, Buf: buf}); !errors.Is(err, ErrIO) {
		t.Fatal(err)
	}
	disk.Fail(nil)
	if len(disk.faults) != 0 || len(r.n.Disks()) != 1 || disk.Path() != "/dev/x" || disk.Size() != 64<<10 {
		t.Fatal("faults stayed")
	}
}

func TestLogAndHooks(t *testing.T) {
	var sb strings.Builder
	w := New(7, Options{Log: &sb, Start: 1e18})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{})
	hooks := 0
	w.After(func() { hooks++ })
	e := n.Env(1)
	e.Post(func() { e.Log().With("k", 1).WithGroup("g").Info("hello", "x", 2) })
	w.RunFor(time.Second)
	if s := sb.String(); !strings.Contains(s, "2001-09-09T01:46:40") || !strings.Contains(s, "node=a/1 k=1 g.x=2") {
		t.Fatal(s)
	}
	if hooks != int(w.Events()) || hooks != 1 {
		t.Fatal(hooks, w.Events())
	}
}

// A directory's entries are lost with the directory, and survive with it.
func TestNestedDirectories(t *testing.T) {
	r := newRig(t, 8)
	fs := r.n.FS()
	must(t, fs.Mkdir("d"), fs.Symlink("v", "d/l"), fs.SyncDir("d"))
	if list, err := r.n.CrashImage(1, Zero()).FS().ReadDir("."); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	must(t, fs.SyncDir("."))
	if v, err := r.n.CrashImage(1, Zero()).FS().Readlink("d/l"); err != nil || v != "v" {
		t.Fatal(v, err)
	}
	// A rename across directories is durable as a whole.
	must(t, fs.Mkdir("e"), fs.SyncDir("."), fs.Rename("d/l", "e/m"), fs.SyncDir("d"))
	im := r.n.CrashImage(1, Zero()).FS()
	if v, err := im.Readlink("e/m"); err != nil || v != "v" {
		t.Fatal(v, err)
	}
	if _, err := im.Lstat("d/l"); !errors.Is(err, env.ErrNotExist) {
		t.Fatal(err)
	}
}

// A truncation that was not synced comes back or not, never half.
func TestTruncateAtCrash(t *testing.T) {
	sizes := map[int64]int{}
	for seed := range uint64(100) {
		r := newRig(t, 1)
		f := r.file("log")
		must(t, r.do(f, &env.IO{Kind: env.Write, Buf: block(1, 8192), Durable: true}), r.do(f, &env.IO{Kind: env.Truncate, Off: 512}))
		b, err := r.n.CrashImage(seed, Models()[seed%5]).FS().ReadFile("log", 1<<20)
		must(t, err)
		sizes[int64(len(b))]++
		for _, v := range b {
			if v != 1 {
				t.Fatal("content lost")
			}
		}
	}
	if sizes[512] == 0 || sizes[8192] == 0 || len(sizes) != 2 {
		t.Fatal(sizes)
	}
}
