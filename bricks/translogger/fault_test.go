package translogger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

// failDurable fails the nth durable write, and all after it if more is set.
func failDurable(n int, more bool, err error) func(*env.IO) error {
	return func(io *env.IO) error {
		if io.Kind != env.Write || !io.Durable {
			return nil
		}
		if n--; n == 0 || more && n < 0 {
			return err
		}
		return nil
	}
}

// TestLogFails lets every batch fail in turn: the log is cut at what was
// answered, the rest goes into the next log, no request fails.
func TestLogFails(t *testing.T) {
	for nth := 1; nth <= int(many(24)); nth++ {
		for _, kind := range []string{"write", "all writes", "no space", "sync", "cut"} {
			t.Run(fmt.Sprintf("%s/%d", kind, nth), func(t *testing.T) { logFails(t, nth, kind) })
		}
	}
}

func logFails(t *testing.T, nth int, kind string) {
	r := newRig(t, uint64(nth), 1<<20, simenv.NodeOptions{}, func(tu *Tuning) {
		tu.SecondBatch = 8 << 10 // two in flight more often
		tu.PrepareMin = 256 << 10
		tu.RetryMin = time.Millisecond
	})
	r.start()
	f := r.n.File(r.logs[0].Name())
	switch kind {
	case "write":
		f.Fail(failDurable(nth, false, simenv.ErrIO))
	case "all writes":
		f.Fail(failDurable(nth, true, simenv.ErrIO))
	case "no space":
		f.Fail(failDurable(nth, true, env.ErrNoSpace))
	case "sync":
		f.Fail(simenv.FailNth(env.Sync, nth/6+1, simenv.ErrIO))
	case "cut":
		f.Fail(failDurable(nth, true, simenv.ErrIO))
		f.Fail(simenv.FailKind(env.Truncate, simenv.ErrIO))
	}
	errs := 0
	r.w.After(func() {
		if len(r.logErrs) > errs {
			errs++
			r.w.In(time.Duration(r.w.Intn(20))*time.Millisecond, r.rotateLater)
		}
		if r.w.Intn(50) == 0 {
			r.crashCheck(models()[r.w.Intn(len(models()))])
		}
	})
	ld := r.newLoad(80, 12, 64<<10, nth%2 == 0)
	ld.run()
	r.readBack()
	if len(r.logErrs) == 0 && (kind != "sync" || nth < 6) && f.Faults() > 0 {
		t.Fatal("the log did not fail")
	}
	for _, e := range r.logErrs {
		fi, err := r.n.FS().Lstat(e.ID.Name())
		r.must(err)
		if e.Err == nil || e.CutErr == nil && fi.Size != e.End {
			t.Errorf("%+v, size %d", e, fi.Size)
		}
		if cut := e.CutErr == nil; cut == (kind == "cut" || kind == "sync") {
			t.Errorf("cut: %v", e.CutErr)
		}
	}
	r.w.RunFor(3 * time.Second)
	r.off()
	r.raw()
	r.crashCheck(simenv.Zero())
}

// TestNoAnswerFromFailedLog: what is behind a failed batch is not answered,
// even if its own write worked.
func TestNoAnswerFromFailedLog(t *testing.T) {
	r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.SecondBatch = 1 })
	r.start()
	r.w.RunFor(100 * time.Millisecond)
	f := r.n.File(r.logs[0].Name())
	first := true
	f.Fail(func(io *env.IO) error {
		if io.Durable && first {
			first = false
			return simenv.ErrIO
		}
		return nil
	})
	f.SetSlow(5)
	r.do(block.Write, 0, 4096, false, nil)
	r.w.RunFor(time.Microsecond)
	r.do(block.Write, 8192, 4096, false, nil)
	r.do(block.Flush, 0, 0, false, nil)
	r.wait("report", func() bool { return len(r.logErrs) > 0 })
	r.w.RunFor(5 * time.Second)
	if r.fly != 3 || r.lg.Stats().Batches != 2 {
		t.Fatalf("%d in flight, %d batches", r.fly, r.lg.Stats().Batches)
	}
	if r.lg.LogFailed() == nil {
		t.Fatal("not failed")
	}
	r.rotate()
	r.sync()
	r.off()
	r.raw()
}

// TestDiskErrors: writeback errors are repeated until they work.
func TestDiskErrors(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		r := newRig(t, seed, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) {
			tu.MemLimit = 256 << 10
			tu.RetryMin, tu.RetryMax = time.Millisecond, 5*time.Millisecond
			tu.Publish = 2 * time.Millisecond
		})
		r.start()
		r.dev.Fail(func(io *env.IO) error {
			if io.Kind != env.Read && io.Kind != env.Sync && r.w.Intn(3) == 0 {
				return simenv.ErrIO
			}
			return nil
		})
		ld := r.newLoad(200, 8, 64<<10, false)
		r.w.After(func() {
			if r.w.Intn(100) == 0 {
				r.crashCheck(models()[r.w.Intn(len(models()))])
			}
		})
		ld.run()
		r.readBack()
		r.off()
		r.raw()
		if r.diskErrs == 0 || r.lg.Stats().DiskErrors == 0 {
			t.Fatal("no error came")
		}
	}
}

// TestDiskFlushFails: a failed flush loses what it should have covered. It is
// written again from the log, at whatever flush that happens, also when the first
// attempts fail; reads never go back in time, and a power cut at any moment
// loses nothing.
func TestDiskFlushFails(t *testing.T) {
	for nth := 1; nth <= int(many(8)); nth++ {
		for _, times := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d times from the %d.", times, nth), func(t *testing.T) { diskFlushFails(t, nth, times) })
		}
	}
}

func diskFlushFails(t *testing.T, nth, times int) {
	r := newRig(t, uint64(nth), 1<<20, simenv.NodeOptions{}, func(tu *Tuning) {
		tu.Publish, tu.RetryMin = 2*time.Millisecond, time.Millisecond
		tu.MemLimit = 256 << 10
	})
	r.start()
	seen := 0
	r.dev.Fail(func(io *env.IO) error {
		if io.Kind == env.Sync {
			if seen++; seen >= nth && seen < nth+times {
				return simenv.ErrIO
			}
		}
		return nil
	})
	r.w.After(func() {
		if r.w.Intn(50) == 0 {
			r.crashCheck(models()[r.w.Intn(len(models()))])
		}
		if nth%2 == 0 && r.w.Intn(200) == 0 {
			r.rotateLater()
		}
	})
	r.newLoad(200, 8, 64<<10, true).run()
	r.w.RunFor(3 * time.Second)
	if seen >= nth && (r.finals != times || r.healed != 1) {
		t.Fatalf("%d final errors, healed %d times", r.finals, r.healed)
	}
	n := len(r.positions)
	r.newLoad(20, 8, 64<<10, false).run()
	r.readBack()
	r.off()
	if len(r.positions) == n {
		t.Fatal("nothing was published any more")
	}
	r.raw()
	r.crashCheck(simenv.Zero())
}

// TestDiskLost: a disk of which no flush works is used as it is after a few
// attempts: requests go on, nothing is published, the log keeps all of it. In
// emergency mode, without a log, writes fail: nothing could keep them.
func TestDiskLost(t *testing.T) {
	r := newRig(t, 3, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Publish = 2 * time.Millisecond })
	r.start()
	r.dev.Fail(simenv.FailKind(env.Sync, simenv.ErrIO))
	r.w.After(func() {
		if r.w.Intn(50) == 0 {
			r.crashCheck(models()[r.w.Intn(len(models()))])
		}
	})
	r.newLoad(200, 8, 64<<10, false).run()
	r.w.RunFor(20 * time.Second)
	if r.finals < healTries || r.healed != 0 {
		t.Fatalf("%d final errors, healed %d times", r.finals, r.healed)
	}
	n := len(r.positions)
	r.newLoad(20, 8, 64<<10, false).run()
	r.readBack()
	if len(r.positions) != n {
		t.Fatal("published after a failed flush")
	}
	r.crashCheck(simenv.Zero())
	r.must(r.lg.SetBypass())
	var got error
	r.do(block.Write, 0, 4096, false, func(_ *block.Mref, err error) { got = err })
	r.wait("the answer", func() bool { return r.fly == 0 })
	if !errors.Is(got, simenv.ErrIO) {
		t.Fatalf("neither log nor disk, but the write ended with %v", got)
	}
	r.failed = nil
	r.lg.ForceOff()
	r.wait("off", r.lg.Off)
}

// TestReadError comes through, from whole and from partial reads.
func TestReadError(t *testing.T) {
	r := newRig(t, 4, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	r.dev.Fail(simenv.FailKind(env.Read, simenv.ErrIO))
	r.do(block.Write, 4096, 512, false, nil)
	r.sync()
	var got []error
	for _, pos := range []int64{0, 65536} {
		r.do(block.Read, pos, 8192, false, func(_ *block.Mref, err error) { got = append(got, err) })
	}
	r.wait("reads", func() bool { return r.fly == 0 })
	if len(got) != 2 || !errors.Is(got[0], simenv.ErrIO) || !errors.Is(got[1], simenv.ErrIO) {
		t.Fatalf("%v", got)
	}
	r.failed = nil
	r.dev.Fail(nil)
	r.off()
}

// TestMemoryLimit: a slow disk holds writers at the limit; the log is not
// waited for, and nothing is lost.
func TestMemoryLimit(t *testing.T) {
	const limit = 512 << 10
	r := newRig(t, 5, 2<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.MemLimit = limit; tu.MaxWrites = 4 })
	r.dev.SetSlow(50)
	r.start()
	var most int64
	r.w.After(func() { most = max(most, r.lg.MemUsed()) })
	r.newLoad(150, 16, 2<<20, false).run()
	r.do(block.Write, 0, MaxRequest, false, nil) // larger than the limit: alone
	r.sync()
	if r.lg.Stats().Held == 0 {
		t.Fatal("nobody was held")
	}
	if alone := int64(MaxRequest/pageSize+1) * (pageSize + overhead); most > alone || most < limit/2 {
		t.Fatalf("%d bytes used", most)
	}
	r.readBack()
	r.off()
	r.raw()
}

// TestStalledDisk: the position stays in the old log until that is written
// back, and the log is released only then.
func TestStalledDisk(t *testing.T) {
	r := newRig(t, 6, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Publish = time.Millisecond })
	r.start()
	r.do(block.Write, 0, 64<<10, false, nil)
	r.sync()
	r.dev.Stall(true)
	if !r.rotate() {
		t.Fatal("no rotation")
	}
	r.wait("next log", func() bool { return r.lg.cur.id.Number == 2 })
	r.do(block.Write, 4096, 4096, false, nil)
	r.do(block.Write, 512<<10, 4096, false, nil)
	r.sync()
	r.w.RunFor(10 * time.Second)
	p, _ := r.last()
	if len(r.released) != 0 || p.Number != 1 || p.Min >= p.LogPos || r.ends[2] == 0 {
		t.Fatalf("released %v, position %+v, ends %v", r.released, p, r.ends)
	}
	if r.rotate() {
		t.Fatal("a second rotation began")
	}
	if err := r.lg.SetNextLog(InputLog1, r.logs[0]); !errors.Is(err, ErrBusy) {
		t.Fatalf("next log while one is draining: %v", err)
	}
	r.crashCheck(simenv.Zero())
	r.dev.Stall(false)
	r.wait("release", func() bool { return len(r.released) == 1 })
	for _, p := range r.positions {
		if p.Number == 1 && p.Serial+1 == r.serialOf(2) && (p.Min != p.LogPos || p.Max != p.Min || p.Min != r.ends[1]) {
			t.Fatalf("released at %+v, durable end %d", p, r.ends[1])
		}
	}
	r.w.RunFor(time.Second)
	if p, _ := r.last(); p.Number != 2 || p.Min != p.LogPos || p.Max != p.Min {
		t.Fatalf("position %+v", p)
	}
	r.off()
	r.raw()
}

// serialOf is the first publication of a log, or the next one.
func (r *rig) serialOf(num int) uint64 {
	for _, p := range r.positions {
		if p.Number == num {
			return p.Serial
		}
	}
	return r.serial + 1
}

// TestLeaveBypass: what was answered in bypass is flushed before a log takes
// over, since flushes go to the log from then on.
func TestLeaveBypass(t *testing.T) {
	r := newRig(t, 7, 1<<20, simenv.NodeOptions{}, nil)
	r.must(r.lg.StartBypass())
	r.on()
	r.do(block.Write, 0, 64<<10, false, nil)
	r.sync()
	r.rotate()
	r.wait("log", func() bool { return !r.lg.Bypass() })
	r.do(block.Flush, 0, 0, false, nil)
	r.sync()
	r.crashCheckFrom(Info{}, simenv.Zero(), 16)
	r.off()
}

// TestBypass: the log fails, nothing takes its place; requests go on, flushes
// reach the disk; later a new log takes over.
func TestBypass(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { bypass(t, seed) })
	}
}

func bypass(t *testing.T, seed uint64) {
	r := newRig(t, seed, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.RetryMin = time.Millisecond })
	r.start()
	if seed%2 == 0 {
		r.n.File(r.logs[0].Name()).Fail(failDurable(5, true, env.ErrNoSpace))
	}
	ld := r.newLoad(300, 8, 64<<10, false)
	asked, again := false, false
	ld.extra = func(i int) {
		switch {
		case i >= 200 && r.lg.Bypass() && !again:
			again = true
			r.w.In(1, r.rotateLater)
		case !asked && (len(r.logErrs) > 0 || seed%2 == 1 && i > 50):
			asked = true
			r.must(r.lg.SetBypass())
		}
	}
	r.w.After(func() {
		if len(r.logErrs) > 0 && !asked {
			asked = true
			r.must(r.lg.SetBypass())
		}
		if asked && r.w.Intn(30) == 0 {
			r.flushedCheck()
		}
	})
	ld.run()
	if !asked || !again {
		t.Fatal("bypass did not happen")
	}
	r.readBack()
	r.wait("new log", func() bool { return !r.lg.Bypass() })
	r.newLoad(50, 8, 64<<10, false).run()
	if r.lg.DurableEnd() == 0 {
		t.Fatal("nothing in the new log")
	}
	r.readBack()
	r.off()
	r.raw()
}

// flushedCheck cuts the power in bypass, after writing a sector with FUA and
// another with a flush behind it: both must be there.
func (r *rig) flushedCheck() {
	img := r.n.CrashImage(r.w.Rand(), models()[r.w.Intn(len(models()))])
	from, _ := r.last()
	d := img.Disk(diskPath)
	r.must(r.recoverAll(img.FS(), d, from))
	b, err := readAll(d, r.or.size)
	r.must(err)
	want := make([]byte, sectorSize)
	for s, id := range r.or.flushed {
		// Newer writes may be there as well, older ones may not.
		ok := false
		for n := id; n <= r.or.next && !ok; n++ {
			sectorOf(want, n, s)
			ok = string(want) == string(b[s*sectorSize:][:sectorSize])
		}
		if !ok && !r.or.zeroed[s] {
			r.t.Fatalf("sector %d: flushed write %d is lost", s, id)
		}
	}
}

// TestForcedOff drops everything at any time, without a trace but what a crash
// leaves.
func TestForcedOff(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		r := newRig(t, seed, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.MemLimit = 128 << 10 })
		r.start()
		if seed%2 == 0 {
			r.dev.Fail(simenv.FailKind(env.Write, simenv.ErrIO))
		}
		ld := r.newLoad(100, 16, 64<<10, false)
		r.w.In(time.Duration(r.w.Intn(20000))*time.Microsecond, func() {
			ld.stop = true
			r.lg.ForceOff()
		})
		ld.run()
		r.wait("off", func() bool { return r.lg.Off() && r.fly == 0 })
		for _, err := range r.failed {
			if !errors.Is(err, ErrOff) {
				t.Fatal(err)
			}
		}
		r.crashCheck(simenv.Zero())
		r.dev.Fail(nil)
		r.off()
		if err := r.lg.Press(true); !errors.Is(err, brick.ErrForcedOff) {
			t.Fatalf("switched on again: %v", err)
		}
	}
}

// TestSecondBatchFails: the batch before it is on its way still, and counts.
func TestSecondBatchFails(t *testing.T) {
	r := newRig(t, 1, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.SecondBatch = 1 })
	r.start()
	r.w.RunFor(100 * time.Millisecond)
	f := r.n.File(r.logs[0].Name())
	f.Fail(failDurable(2, false, simenv.ErrIO))
	f.SetSlow(1000)
	r.do(block.Write, 0, 4096, false, nil)
	r.w.RunFor(time.Microsecond)
	f.SetSlow(1)
	r.do(block.Write, 8192, 4096, false, nil)
	r.wait("failure", func() bool { return r.lg.LogFailed() != nil })
	if r.fly != 2 || len(r.logErrs) != 0 {
		t.Fatalf("%d in flight, %v", r.fly, r.logErrs)
	}
	r.wait("report", func() bool { return len(r.logErrs) > 0 })
	if r.fly != 1 || r.or.must != 1 || r.logErrs[0].End != r.ends[1] || r.ends[1] == 0 {
		t.Fatalf("%d in flight, %d pieces answered, %+v", r.fly, r.or.must, r.logErrs[0])
	}
	r.crashCheck(simenv.Zero())
	r.rotate()
	r.sync()
	r.off()
	r.raw()
}
