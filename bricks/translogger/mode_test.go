package translogger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env/simenv"
	"mars/infra/translog"
)

// TestSemantics: with 1 and 0 writes are answered early, but flushes and FUA
// wait for every earlier record.
func TestSemantics(t *testing.T) {
	for sem := 0; sem <= 2; sem++ {
		t.Run(fmt.Sprint(sem), func(t *testing.T) {
			r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Semantics = sem })
			r.start()
			r.w.RunFor(time.Second)
			log := r.n.File(r.logs[0].Name())
			log.Stall(true)
			var order []string
			note := func(s string) func(*block.Mref, error) {
				return func(*block.Mref, error) { order = append(order, s) }
			}
			r.do(block.Write, 0, 4096, false, note("write"))
			now := len(order) == 1
			r.w.RunFor(time.Second)
			later := len(order) == 1
			if now != (sem == 0) || later != (sem <= 1) {
				t.Fatalf("answered at once %v, when submitted %v", now, later)
			}
			r.do(block.Write, 4096, 4096, true, note("fua"))
			r.do(block.Flush, 0, 0, false, note("flush"))
			r.do(block.Write, 8192, 4096, false, note("last"))
			r.w.RunFor(time.Second)
			for _, s := range order {
				if s == "fua" || s == "flush" {
					t.Fatalf("%s answered with nothing durable", s)
				}
			}
			log.Stall(false)
			r.sync()
			if sem == 2 && fmt.Sprint(order) != "[write fua flush last]" {
				t.Fatalf("order %v", order)
			}
			r.readBack()
			r.off()
			r.raw()
		})
	}
}

// TestFlushedSurvives: whatever the semantics, what a flush covered survives.
func TestFlushedSurvives(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		r := newRig(t, seed, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Semantics = int(seed % 2) })
		r.start()
		checks := 0
		r.w.After(func() {
			if r.w.Intn(20) == 0 {
				checks++
				r.crashCheck(models()[r.w.Intn(len(models()))]) // a prefix, with what FUA covers
				r.flushedCheck()
			}
		})
		r.newLoad(200, 8, 64<<10, false).run()
		r.readBack()
		r.off()
		r.raw()
		if checks == 0 {
			t.Error("no checks")
		}
	}
}

// TestLastSector: a last write of 512 bytes must not get lost in a crash (the
// original treated a short rest of the log as applied).
func TestLastSector(t *testing.T) {
	for _, align := range []int{512, 4096} {
		for _, direct := range []bool{true, false} {
			r := newRig(t, 1, 1<<20, simenv.NodeOptions{FileAlign: align, NoDirect: !direct}, nil)
			r.start()
			for i := int64(0); i < 20; i++ {
				r.do(block.Write, i*4096+512, 512, false, nil)
				r.sync()
				for _, m := range models() {
					r.crashCheck(m)
				}
			}
			r.off()
		}
	}
}

// TestWhenDurable: marks are reached with the batch that holds them.
func TestWhenDurable(t *testing.T) {
	r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	at := 0
	r.lg.WhenDurable(r.lg.Mark(), func() { at++ })
	if at != 1 {
		t.Fatal("not durable at rest")
	}
	r.w.RunFor(time.Second)
	log := r.n.File(r.logs[0].Name())
	log.Stall(true)
	r.do(block.Write, 0, 4096, false, nil)
	first := r.lg.Mark()
	r.do(block.Write, 0, 4096, false, nil)
	r.lg.WhenDurable(r.lg.Mark(), func() { at += 10 })
	r.lg.WhenDurable(first, func() { at += 100 })
	r.w.RunFor(time.Second)
	if at != 1 {
		t.Fatalf("durable too early: %d", at)
	}
	if r.lg.AppendPos() <= r.lg.DurableEnd() {
		t.Fatalf("append position %d, durable end %d", r.lg.AppendPos(), r.lg.DurableEnd())
	}
	log.Stall(false)
	r.sync()
	if at != 111 || r.lg.AppendPos() != r.lg.DurableEnd() || r.ends[1] != r.lg.DurableEnd() {
		t.Fatalf("%d; append position %d, durable end %d, told %v", at, r.lg.AppendPos(), r.lg.DurableEnd(), r.ends)
	}
	r.off()
}

// TestRefused: what the control interface and Get refuse.
func TestRefused(t *testing.T) {
	r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, nil)
	if err := r.lg.Press(true); err != nil || !r.lg.Off() {
		t.Fatalf("on with nothing to do: %v", err)
	}
	r.must(r.lg.Press(false))
	id := translog.Identity{Resource: "r", Number: 1, Origin: "a", Nonce: [16]byte{1}}
	for what, err := range map[string]error{
		"log at the disk's input": r.lg.StartLog(InputDisk, id),
		"log that is not there":   r.lg.StartLog(InputLog1, id),
		"next log while off":      r.lg.SetNextLog(InputLog1, id),
		"bypass while off":        r.lg.SetBypass(),
		"end of no replay":        r.lg.SetReplayEnd(1),
		"replay without a log":    r.lg.StartReplay(ReplayParams{Input: InputLog1}),
		"replay backwards":        r.lg.StartReplay(ReplayParams{Input: InputLog1, Start: 5, End: 4}),
	} {
		if !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", what, err)
		}
	}
	r.must(r.n.FS().WriteFile(id.Name(), make([]byte, 512)))
	r.connect(InputLog1, id.Name(), 1, envWrite)
	if err := r.lg.StartLog(InputLog1, id); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("log that is not empty: %v", err)
	}
	r.must(r.n.FS().Truncate(id.Name(), 0))
	r.disconnect(InputLog1)
	r.start()
	for _, s := range []error{r.lg.StartLog(InputLog2, id), r.lg.StartBypass(), r.lg.StartReplay(ReplayParams{Input: InputLog1})} {
		if !errors.Is(s, ErrState) {
			t.Errorf("start while on: %v", s)
		}
	}
	if err := r.lg.SetNextLog(InputLog1, id); !errors.Is(err, ErrBusy) {
		t.Errorf("next log at the same input: %v", err)
	}
	ops := r.lg.Output(0).Ops.(block.Ops)
	for _, c := range []struct {
		m    block.Mref
		want error
	}{
		{block.Mref{Op: block.Read, Pos: 1<<20 - 512, Len: 1024}, block.ErrRange},
		{block.Mref{Op: block.Write, Pos: -512, Len: 512}, block.ErrRange},
		{block.Mref{Op: block.Discard, Pos: 1 << 40, Len: 512}, block.ErrRange},
		{block.Mref{Op: block.Write, Pos: 100, Len: 512}, nil},
		{block.Mref{Op: block.Truncate}, ErrState},
		{block.Mref{Op: block.Digest, Len: 4096}, nil},
	} {
		if err := ops.Get(&c.m); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s at %d: %v", c.m.Op, c.m.Pos, err)
		}
	}
	m := block.Mref{Op: block.Discard, Pos: 0, Len: 1 << 20}
	if ops.Get(&m); m.Len != MaxRequest || m.TotalSize != 1<<20 {
		t.Errorf("length %d, size %d", m.Len, m.TotalSize)
	}
	r.off()
	if err := ops.Get(&m); !errors.Is(err, ErrOff) {
		t.Errorf("request while off: %v", err)
	}
}

// TestBypassFromStart: no log at all.
func TestBypassFromStart(t *testing.T) {
	r := newRig(t, 2, 1<<20, simenv.NodeOptions{}, nil)
	r.must(r.lg.StartBypass())
	r.on()
	r.w.After(func() {
		if r.w.Intn(30) == 0 {
			r.flushedCheck()
		}
	})
	r.newLoad(100, 8, 64<<10, false).run()
	r.readBack()
	r.off()
	r.raw()
	if len(r.logs) != 0 || len(r.positions) != 0 {
		t.Fatalf("positions %v", r.positions)
	}
}

// TestIdle: a logger at rest has no timer armed and does nothing.
func TestIdle(t *testing.T) {
	r := newRig(t, 3, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	r.newLoad(50, 8, 64<<10, false).run()
	r.w.RunFor(10 * time.Second)
	before := r.w.Events()
	if err := r.w.Run(nil, time.Hour); !errors.Is(err, simenv.ErrIdle) {
		t.Fatalf("something is left to happen: %v", err)
	}
	if n := r.w.Events() - before; n != 0 {
		t.Fatalf("%d events in an idle hour", n)
	}
	if r.lg.MemUsed() != 0 {
		t.Fatalf("%d bytes in the memory buffer", r.lg.MemUsed())
	}
	if n := len(r.lg.buf.freeBufs); n > spare {
		t.Fatalf("%d spare snapshots", n)
	}
	r.off()
}

// TestPrepared: small batches are written into space that was zeroed and
// flushed before; only the first ones may let the file grow.
func TestPrepared(t *testing.T) {
	r := newRig(t, 4, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	r.w.RunFor(time.Second)
	if p := r.lg.Prepared(); p < 1<<20 || p > 1<<20+zeroPiece {
		t.Fatalf("%d bytes prepared", p)
	}
	grown := 0
	r.w.After(func() {
		if g := r.lg.cur; g != nil && g.inFlight > 0 && g.appendPos > g.prep.flushed {
			grown++
		}
	})
	for i := 0; i < 20; i++ {
		r.newLoad(40, 8, 64<<10, false).run()
		r.w.RunFor(time.Millisecond)
	}
	if grown > 0 {
		t.Errorf("%d turns with a batch in unprepared space", grown)
	}
	if p := r.lg.Prepared(); p > 64<<20 {
		t.Errorf("%d bytes prepared", p)
	}
	r.off()
}

// TestPreparedGivenBack: without a limit the file ends where the log does.
func TestPreparedGivenBack(t *testing.T) {
	r := newRig(t, 5, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	size := func() int64 {
		fi, err := r.n.FS().Lstat(r.logs[0].Name())
		r.must(err)
		return fi.Size
	}
	r.newLoad(40, 8, 64<<10, false).run()
	r.w.RunFor(time.Second)
	if size() <= r.lg.DurableEnd() {
		t.Fatal("nothing is prepared")
	}
	tune := r.lg.tune
	tune.PrepareMax = 0
	r.lg.SetTuning(tune)
	r.newLoad(40, 8, 64<<10, false).run()
	r.w.RunFor(time.Second)
	if size() != r.lg.DurableEnd() || r.lg.Prepared() != 0 {
		t.Fatalf("size %d, durable end %d, prepared %d", size(), r.lg.DurableEnd(), r.lg.Prepared())
	}
	r.w.After(func() {
		if r.w.Intn(30) == 0 {
			r.crashCheck(models()[r.w.Intn(len(models()))])
		}
	})
	for i := 0; i < 10; i++ {
		tune.PrepareMax = int64(i%2) << 20
		r.lg.SetTuning(tune)
		r.newLoad(40, 8, 64<<10, i%3 == 0).run()
	}
	r.readBack()
	r.off()
	r.raw()
}

// TestWritebackLimit: the writeback keeps its limit until memory presses.
func TestWritebackLimit(t *testing.T) {
	r := newRig(t, 6, 4<<20, simenv.NodeOptions{}, func(tu *Tuning) {
		tu.WritebackLimit, tu.MemLimit = 256<<10, 64<<20
	})
	r.start()
	for i := int64(0); i < 4; i++ {
		r.do(block.Write, i<<20, 1<<20, false, nil)
	}
	r.sync()
	r.w.RunFor(8 * time.Second)
	if n := r.lg.Stats().DiskBytes; n < 1<<20 || n > 3<<20 {
		t.Fatalf("%d bytes written back in 8 s at 256 KiB/s", n)
	}
	tune := r.lg.tune
	tune.MemLimit = 1 << 20
	r.lg.SetTuning(tune)
	r.w.RunFor(time.Second)
	if n := r.lg.Stats().DiskBytes; n < 7<<19 {
		t.Fatalf("%d bytes written back under pressure", n)
	}
	r.off()
	r.raw()
}

// TestDeterminism: one seed, one history.
func TestDeterminism(t *testing.T) {
	run := func() uint64 {
		r := newRig(t, 5, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.MemLimit = 256 << 10 })
		r.start()
		ld := r.newLoad(300, 12, 64<<10, true)
		ld.extra = func(i int) {
			if i%50 == 0 {
				r.w.In(1, r.rotateLater)
			}
		}
		ld.run()
		r.off()
		return r.w.Hash()
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("two runs of one seed: %x and %x", a, b)
	}
}

// TestRestart switches the same brick off and on.
func TestRestart(t *testing.T) {
	r := newRig(t, 6, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	for i := 0; i < 3; i++ {
		r.newLoad(40, 8, 64<<10, false).run()
		r.must(r.top.Press(false))
		r.must(r.g.Find("above").Press(false))
		r.must(r.lg.Press(false))
		r.wait("off", r.lg.Off)
		r.raw()
		id := r.addLog(InputLog1)
		r.must(r.lg.StartLog(InputLog1, id))
		r.on()
	}
	r.readBack()
	r.off()
}

var _ brick.Worker = (*Logger)(nil)
