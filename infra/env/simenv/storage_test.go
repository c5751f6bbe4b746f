package simenv

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"mars/infra/env"
)

// A workload that syncs survives every model; one that does not is caught.
func TestSyncedSurvivesUnsyncedIsLost(t *testing.T) {
	for _, model := range Models() {
		for _, sync := range []bool{true, false} {
			lost := 0
			for seed := range uint64(40) {
				r := newRig(t, seed)
				r.n.AddDisk("/dev/x", 64<<10)
				d, f := r.disk("/dev/x"), r.file("log")
				for _, g := range []env.File{d, f} {
					if err := r.do(g, &env.IO{Kind: env.Write, Off: 512, Buf: block(7, 2048)}); err != nil {
						t.Fatal(err)
					}
					if sync {
						if err := r.do(g, &env.IO{Kind: env.Sync}); err != nil {
							t.Fatal(err)
						}
					}
				}
				r.n.Crash(model)
				buf := make([]byte, 2048)
				_, err1 := r.n.Disk("/dev/x").ReadAt(buf, 512)
				ok := err1 == nil && bytes.Equal(buf, block(7, 2048))
				clear(buf)
				_, err2 := r.n.FS().ReadAt("log", buf, 512)
				if !ok || err2 != nil || !bytes.Equal(buf, block(7, 2048)) {
					lost++
				}
			}
			if sync != (lost == 0) {
				t.Errorf("%v: sync %v: lost %d of 40", model, sync, lost)
			}
		}
	}
}

// Sync covers what completed before it was submitted, and nothing else.
func TestSyncCoversOnlyCompleted(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		r := newRig(t, seed)
		disk := r.n.AddDisk("/dev/x", 64<<10)
		d := r.disk("/dev/x")
		disk.SetLatency(IOLatency{Write: Span{10 * time.Microsecond, 10 * time.Microsecond},
			Sync: Span{time.Millisecond, time.Millisecond}})
		n := 0
		done := func(*env.IO) { n++ }
		d.Submit(&env.IO{Kind: env.Write, Buf: block(1, 512), Done: done})
		d.Submit(&env.IO{Kind: env.Sync, Done: done})
		r.wait(func() bool { return n == 2 })
		buf := make([]byte, 512)
		if _, err := r.n.CrashImage(seed, Zero()).Disk("/dev/x").ReadAt(buf, 0); err != nil {
			t.Fatal(err)
		}
		if buf[0] == 0 {
			lost++
		}
		if err := r.do(d, &env.IO{Kind: env.Sync}); err != nil {
			t.Fatal(err)
		}
		r.n.Crash(Zero())
		if _, err := disk.ReadAt(buf, 0); err != nil || buf[0] != 1 {
			t.Fatal("synced write lost", err)
		}
	}
	if lost != 50 {
		t.Errorf("a sync covered a write in flight: %d of 50 lost", lost)
	}
}

func TestTornWritesKeepSectors(t *testing.T) {
	torn := 0
	for seed := range uint64(200) {
		r := newRig(t, seed)
		disk := r.n.AddDisk("/dev/x", 64<<10)
		d := r.disk("/dev/x")
		if err := r.do(d, &env.IO{Kind: env.Write, Off: 1024, Buf: block(9, 4096)}); err != nil {
			t.Fatal(err)
		}
		r.n.Crash(Independent(0.9))
		buf := make([]byte, 4096)
		if _, err := disk.ReadAt(buf, 1024); err != nil {
			t.Fatal(err)
		}
		have := 0
		for i := 0; i < len(buf); i += 512 {
			switch s := buf[i : i+512]; {
			case bytes.Equal(s, block(9, 512)):
				have++
			case !bytes.Equal(s, block(0, 512)):
				t.Fatal("a sector is torn")
			}
		}
		if have > 0 && have < 8 {
			torn++
		}
	}
	if torn < 10 || torn > 120 {
		t.Errorf("%d of 200 writes torn", torn)
	}
}

// A newer durable write must not give way to an older one that was not.
func TestDurableWriteMasksOlder(t *testing.T) {
	for seed := range uint64(50) {
		r := newRig(t, seed)
		disk := r.n.AddDisk("/dev/x", 64<<10)
		d := r.disk("/dev/x")
		for v, dur := range []bool{false, true} {
			if err := r.do(d, &env.IO{Kind: env.Write, Durable: dur, Buf: block(byte(v+1), 1024)}); err != nil {
				t.Fatal(err)
			}
		}
		r.n.Crash(Independent(0.9))
		buf := make([]byte, 1024)
		if _, err := disk.ReadAt(buf, 0); err != nil || !bytes.Equal(buf, block(2, 1024)) {
			t.Fatal("durable write lost", err)
		}
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An image does not disturb the world, and is the same for the same seed.
func TestCrashImageIsIndependent(t *testing.T) {
	run := func(images bool) uint64 {
		r := newRig(t, 5)
		r.n.AddDisk("/dev/x", 64<<10)
		d, f := r.disk("/dev/x"), r.file("log")
		fs := r.n.Env(0).FS()
		for i := range 20 {
			must(t, r.do(d, &env.IO{Kind: env.Write, Off: int64(i) * 512, Buf: block(byte(i), 1024)}),
				r.do(f, &env.IO{Kind: env.Write, Off: int64(i) * 512, Buf: block(byte(i), 512)}),
				fs.Symlink("v", fmt.Sprint("l", i)))
			if images {
				a, b := r.n.CrashImage(uint64(i), Independent(0.5)), r.n.CrashImage(uint64(i), Independent(0.5))
				x, y := make([]byte, 64<<10), make([]byte, 64<<10)
				_, err1 := a.Disk("/dev/x").ReadAt(x, 0)
				_, err2 := b.Disk("/dev/x").ReadAt(y, 0)
				must(t, err1, err2)
				if !bytes.Equal(x, y) {
					t.Fatal("two images of one seed differ")
				}
				must(t, a.FS().Mkdir("only-here"))
				if _, err := a.Disk("/dev/x").WriteAt(block(255, 512), 0); err != nil {
					t.Fatal(err)
				}
				w2 := New(1, Options{})
				n2 := a.Node(w2)
				if _, err := n2.FS().Lstat("only-here"); err != nil {
					t.Fatal(err)
				}
				if n2.Disk("/dev/x").ReadAt(x, 0); x[0] != 255 {
					t.Fatal("change of the image lost")
				}
			}
		}
		buf := make([]byte, 512)
		if _, err := r.n.Disk("/dev/x").ReadAt(buf, 0); err != nil || buf[0] != 0 {
			t.Fatal("the image wrote through to the world")
		}
		return r.w.Hash()
	}
	if run(true) != run(false) {
		t.Fatal("images disturb the world")
	}
}

func TestKillKeepsWhatWasWritten(t *testing.T) {
	r := newRig(t, 3)
	r.n.AddDisk("/dev/x", 64<<10)
	d := r.disk("/dev/x")
	must(t, r.do(d, &env.IO{Kind: env.Write, Buf: block(4, 512)}), r.n.Env(0).FS().Symlink("a", "b"))
	old := r.n.Env(0)
	d.Submit(&env.IO{Kind: env.Write, Off: 512, Buf: block(5, 512), Done: func(*env.IO) { t.Error("callback of a dead process") }})
	r.n.Kill()
	old.Post(func() { t.Error("post of a dead process") })
	if err := old.FS().Symlink("x", "y"); !errors.Is(err, env.ErrCrashed) {
		t.Error(err)
	}
	r.n.Start()
	r.w.RunFor(time.Second)
	rd := &env.IO{Kind: env.Read, Buf: make([]byte, 512)}
	if err := r.do(r.disk("/dev/x"), rd); err != nil || rd.Buf[0] != 4 {
		t.Fatal("content lost", err)
	}
	if v, err := r.n.FS().Readlink("b"); err != nil || v != "a" {
		t.Fatal(v, err)
	}
}

func TestCrashAtFSOp(t *testing.T) {
	for n := 1; n <= 4; n++ {
		r := newRig(t, uint64(n))
		e := r.n.Env(0)
		r.n.CrashAtFSOp(n, Independent(1))
		var errs []error
		e.Offload(func() {
			errs = append(errs, e.FS().Symlink("1", "l1"), e.FS().Symlink("2", "l2"), e.FS().SyncDir("."), e.FS().Symlink("3", "l3"))
		}, func() { t.Error("done after the crash") })
		r.w.RunFor(time.Second)
		if r.n.Up() {
			t.Fatal("node is up")
		}
		for i, err := range errs {
			if (i+1 >= n) != errors.Is(err, env.ErrCrashed) {
				t.Errorf("crash at %d: call %d: %v", n, i+1, err)
			}
		}
		list, err := r.n.FS().ReadDir(".")
		must(t, err)
		if want := min(n-1, 2); len(list) != want {
			t.Errorf("crash at %d: %d links, want %d", n, len(list), want)
		}
	}
}
