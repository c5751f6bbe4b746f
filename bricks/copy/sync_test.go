package copy_test

import (
	"errors"
	"testing"
	"time"

	"mars/bricks/copy"
	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/wire"
)

// TestOnlyDifferencesTravel counts the bytes on the wire.
func TestOnlyDifferencesTravel(t *testing.T) {
	r := newRig(t, 1, 16<<20)
	r.fill()
	differ := int64(0)
	for _, x := range []struct{ pos, n, blocks int64 }{
		{0, 1, 1}, {4096*5 + 4000, 200, 2}, {64 << 10, 64 << 10, 16}, {3<<20 - 1, 2, 2}, {5 << 20, 3 << 20, 768}, {16<<20 - 1, 1, 1},
	} {
		r.scribble(x.pos, x.n)
		differ += x.blocks * 4096
	}
	r.buildB(false)
	r.startSync(0, r.size, true)
	r.finish()
	r.compare(0, r.size)
	st := r.sync.Stats()
	if st.Travelled != differ || st.Written != differ || st.Compared != r.size || st.Equal != r.size-differ {
		t.Fatalf("%+v, %d differ", st, differ)
	}
	if r.srv.Sent() != differ || r.client.Received() != differ || r.told != r.size {
		t.Fatal(r.srv.Sent(), r.told)
	}
	// Again: nothing travels.
	r.told = 0
	r.startSync(0, r.size, true)
	r.finish()
	if r.srv.Sent() != differ || r.sync.Stats().Equal != 2*r.size-differ {
		t.Fatalf("%+v", r.sync.Stats())
	}
	r.off()
}

func TestSlowSyncCopiesAll(t *testing.T) {
	r := newRig(t, 2, 12<<20)
	r.fill()
	r.scribble(0, r.size)
	r.buildB(false)
	from, to := int64(1<<20+512), int64(11<<20+512)
	r.startSync(from, to, false)
	r.finish()
	r.compare(1<<20, to)
	if n := to - 1<<20; r.sync.Stats() != (copy.SyncStats{Travelled: n, Written: n}) || r.told != to || r.sync.Pos() != to {
		t.Fatalf("%+v, told %d", r.sync.Stats(), r.told)
	}
	b := make([]byte, r.size)
	_, err := r.b.Disk("/dev/b").ReadAt(b, 0)
	r.must(err)
	if b[1<<20-1] != 0x55 || b[to] != 0x55 {
		t.Fatal("written outside of the range")
	}
	r.off()
}

func TestStartRefuses(t *testing.T) {
	r := newRig(t, 3, 1<<20)
	r.buildB(false)
	for _, x := range []struct{ from, to int64 }{{-1, 10}, {10, 9}} {
		if err := r.sync.Start(x.from, x.to, true); !errors.Is(err, block.ErrRange) {
			t.Error(x, err)
		}
	}
	r.startSync(r.size, r.size, true) // nothing to do, but flushed
	if err := r.sync.Start(0, 1, true); !errors.Is(err, copy.ErrRunning) {
		t.Error(err)
	}
	r.finish()
	r.off()
	if err := r.sync.Start(0, 1, true); !errors.Is(err, env.ErrClosed) {
		t.Error(err)
	}
}

// chaos does one bad thing to a sync and leaves it running.
func (r *rig) chaos(fast bool) {
	r.t.Helper()
	switch r.w.Intn(8) {
	case 0:
		r.w.Reset(r.a, r.b)
	case 1:
		r.w.Cut(r.a, r.b, r.w.Intn(2) == 0)
		r.w.RunFor(time.Duration(r.w.Intn(60)) * time.Second)
		r.w.Heal(r.a, r.b)
	case 2:
		r.stop()
		if r.sync.Pos() != r.sync.Durable() {
			r.t.Fatal("position is not durable after a stop")
		}
		if r.done == 0 {
			r.startSync(r.sync.Pos(), r.size, fast)
		}
	case 3: // the disk fails a write or a read, once
		r.b.Disk("/dev/b").Fail(simenv.FailNth(env.Kind(r.w.Intn(2)), 1, simenv.ErrIO))
	case 4:
		r.b.Disk("/dev/b").Fail(simenv.FailNth(env.Sync, 1, simenv.ErrIO))
		r.w.RunFor(3 * time.Second)
		r.stop()
		r.until(func() bool { return r.gb.SwitchAll(false) })
		r.b.Disk("/dev/b").Fail(nil)
		suspect := r.sync.Suspect()
		r.restart(fast, suspect)
	case 5:
		r.ready = false
		r.w.RunFor(time.Duration(r.w.Intn(3000)) * time.Millisecond)
		r.ready = true
	default:
		models := simenv.Models()
		r.b.Crash(models[r.w.Intn(len(models))])
		r.b.Start()
		r.restart(fast, 0)
	}
}

// restart begins anew on what is on b's disk, at the last durable position.
func (r *rig) restart(fast bool, suspect int64) {
	r.t.Helper()
	if r.done > 0 {
		return
	}
	r.buildB(false)
	r.sync.Distrust(suspect)
	r.startSync(r.told, r.size, fast)
}

// TestSyncUnderFire: the source is written to, and everything fails again and
// again; in the end copy and journal make an equal disk.
func TestSyncUnderFire(t *testing.T) {
	for seed := range many(30) {
		r := newRig(t, 1000+seed, 4<<20)
		fast := seed%3 > 0
		r.fill()
		for range 100 {
			r.scribble(int64(r.w.Intn(1000))<<12, 4096)
		}
		r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: 20 * time.Millisecond}, 3<<20)
		r.buildB(false)
		r.startSync(0, r.size, fast)
		for i := 0; r.done == 0; i++ {
			for range r.w.Intn(4) {
				n := int64(1+r.w.Intn(16)) << 9
				r.write(int64(r.w.Intn(int(r.size-n)>>9))<<9, r.random(n))
			}
			r.w.RunFor(time.Duration(r.w.Intn(200)) * time.Millisecond)
			if r.done == 0 && i%3 == 0 && i < 30 {
				r.chaos(fast)
			}
			if i > 2000 {
				t.Fatal("seed", seed, "no end", r.errs[max(0, len(r.errs)-3):])
			}
		}
		r.must(r.doneErr)
		r.w.RunFor(time.Second)
		if r.told != r.size {
			t.Fatal("told", r.told)
		}
		r.b.Crash(simenv.Zero()) // all of it is durable
		r.compare(0, r.size)
		r.b.Start()
	}
}

// TestRemoteRefuses: errors of the peer are told with their code, and the copy
// goes on when they are over.
func TestRemoteRefuses(t *testing.T) {
	r := newRig(t, 4, 1<<20)
	r.fill()
	r.scribble(0, r.size)
	r.ready = false
	r.buildB(false)
	r.startSync(0, r.size, true)
	r.w.RunFor(time.Minute)
	if n := len(r.errs); n < 5 || n > 20 || r.sides[0] != copy.SideA || !errors.Is(r.errs[0], &wire.Error{Code: wire.CodeNotPrimary}) || r.sync.Err(copy.SideA) == nil {
		t.Fatal(n, r.errs)
	}
	r.ready = true
	r.finish()
	if r.sync.Err(copy.SideA) != nil || r.sync.Err(copy.SideB) != nil {
		t.Fatal("still an error")
	}
	r.compare(0, r.size)
	r.off()
}

// TestTargetFails: a failing write is tried again; a failing flush takes the
// copy back to what is durable.
func TestTargetFails(t *testing.T) {
	r := newRig(t, 5, 1<<20)
	r.fill()
	r.scribble(0, r.size)
	d := r.b.Disk("/dev/b")
	d.Fail(simenv.FailKind(env.Write, simenv.ErrIO))
	r.buildB(false)
	r.startSync(0, r.size, true)
	r.w.RunFor(time.Minute)
	if n := len(r.errs); n < 5 || n > 20 || r.sides[0] != copy.SideB || !errors.Is(r.errs[n-1], simenv.ErrIO) || r.sync.Pos() != 0 {
		t.Fatal(n, r.errs, r.sync.Pos())
	}
	d.Fail(nil)
	d.Fail(simenv.FailNth(env.Sync, 1, simenv.ErrIO))
	r.w.RunFor(time.Minute)
	if r.done != 0 || r.told != 0 || r.sync.Durable() != 0 {
		t.Fatal("done although nothing is durable")
	}
	r.stop()
	suspect := r.sync.Suspect()
	if r.sync.Pos() != 0 || suspect != r.size {
		t.Fatal("position", r.sync.Pos(), "suspect", suspect)
	}
	r.until(func() bool { return r.gb.SwitchAll(false) })
	r.restart(true, suspect)
	r.finish()
	if r.sync.Suspect() != 0 || r.sync.Stats().Compared != 0 {
		t.Fatal("trusted what a failed flush may have lost")
	}
	r.b.Crash(simenv.Zero())
	r.compare(0, r.size)
}

// TestStopIsPrompt: a peer that does not answer does not hold up a stop.
func TestStopIsPrompt(t *testing.T) {
	r := newRig(t, 6, 4<<20)
	r.fill()
	r.scribble(0, r.size)
	r.timeout = 0
	r.buildB(false)
	r.startSync(0, r.size, true)
	r.until(func() bool { return r.client.Outstanding() > 0 })
	r.w.Cut(r.a, r.b, false)
	r.w.RunFor(time.Minute)
	at := r.w.Now()
	r.stop()
	if d := r.w.Now() - at; d > 100*time.Millisecond || r.stopped != 1 || len(r.errs) != 0 {
		t.Fatal("took", d, r.errs)
	}
	r.startSync(r.sync.Pos(), r.size, true)
	r.w.RunFor(time.Second)
	r.until(func() bool { return r.gb.SwitchAll(false) }) // stops it, too
	if r.stopped != 2 {
		t.Fatal("not told")
	}
	r.w.Heal(r.a, r.b)
	r.off()
}

// TestThinLine: on 64 kbit/s nothing runs into a timeout.
func TestThinLine(t *testing.T) {
	for _, fast := range []bool{true, false} {
		r := newRig(t, 7, 1<<20)
		r.fill()
		r.scribble(0, r.size)
		r.w.SetLink(r.a, r.b, simenv.Span{Min: 300 * time.Millisecond, Max: 400 * time.Millisecond}, 8<<10)
		r.buildB(false)
		r.startSync(0, r.size, fast)
		at := r.w.Now()
		r.w.RunFor(time.Minute)
		if rate := r.sync.Travel(); rate < 4<<10 || rate > 12<<10 {
			t.Fatal(rate, "bytes per second")
		}
		r.finish()
		if d := r.w.Now() - at; len(r.errs) != 0 || d > 3*time.Minute || r.client.Received() != r.size {
			t.Fatal("took", d, r.errs)
		}
		r.compare(0, r.size)
		r.off()
	}
}

// TestManyInterruptions: each slice of time brings the sync forward.
func TestManyInterruptions(t *testing.T) {
	r := newRig(t, 8, 8<<20)
	r.fill()
	r.scribble(0, r.size)
	r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: 2 * time.Millisecond}, 1<<20)
	r.buildB(false)
	slices := 0
	for r.told < r.size {
		r.startSync(r.told, r.size, true)
		r.w.RunFor(1500 * time.Millisecond)
		r.stop()
		if slices++; slices > 50 {
			t.Fatal("only at", r.told)
		}
	}
	r.compare(0, r.size)
	if n := r.client.Received(); n > 3*r.size {
		t.Fatal(n, "bytes travelled")
	}
	r.off()
}

func TestThrottle(t *testing.T) {
	r := newRig(t, 9, 4<<20)
	r.fill()
	r.scribble(0, r.size)
	budget, last := int64(0), time.Duration(0)
	r.slow = func(n int64) time.Duration { // 1 MiB/s
		now := r.w.Now()
		budget = min(budget+int64(float64(now-last)/float64(time.Second)*(1<<20)), 2<<20)
		last = now
		if budget < 0 {
			return time.Duration(float64(-budget) / (1 << 20) * float64(time.Second))
		}
		budget -= n
		return 0
	}
	r.buildB(false)
	at := r.w.Now()
	r.startSync(0, r.size, true)
	r.finish()
	if d := r.w.Now() - at; d < 2*time.Second || d > 6*time.Second {
		t.Fatal("took", d)
	}
	r.compare(0, r.size)
	r.off()
}

func TestDeterministic(t *testing.T) {
	run := func() uint64 {
		r := newRig(t, 10, 2<<20)
		r.fill()
		r.scribble(100<<10, 1<<20)
		r.buildB(false)
		r.startSync(0, r.size, true)
		r.w.RunFor(2 * time.Millisecond)
		r.w.Reset(r.a, r.b)
		if r.done > 0 {
			t.Fatal("too late")
		}
		r.finish()
		r.off()
		return r.w.Hash()
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("%x, then %x", a, b)
	}
}
