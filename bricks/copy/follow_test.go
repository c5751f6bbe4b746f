package copy_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mars/bricks/copy"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/wire"
)

var logName = symtree.LogPath("res", 1, "a")

// append writes to a's log; durable moves its durable end when that is done.
func (r *rig) append(n int64, durable bool) {
	data := r.random(n)
	pos := int64(len(r.log))
	r.log = append(r.log, data...)
	end := int64(len(r.log))
	r.logFile.Submit(&env.IO{Kind: env.Write, Off: pos, Buf: data, Durable: true, Done: func(io *env.IO) {
		r.must(io.Err)
		if durable {
			r.logs.grow(max(end, r.logs.end))
		}
	}})
}

// settle lets a's writes finish.
func (r *rig) settle() { r.w.RunFor(50 * time.Millisecond) }

// local is what b's file holds.
func (r *rig) local() []byte {
	r.t.Helper()
	b, err := r.b.FS().ReadFile(logName, 1<<30)
	r.must(err)
	return b
}

// notAhead checks after every turn that b never holds what a could lose.
func (r *rig) notAhead() {
	r.w.After(func() {
		if info, err := r.b.FS().Lstat(logName); err == nil && info.Size > r.logs.end {
			r.t.Errorf("b holds %d bytes, %d are durable", info.Size, r.logs.end)
		}
	})
}

func (r *rig) startFollow(have, limit int64) {
	r.t.Helper()
	r.watch = false
	r.must(r.follow.Start(have, limit))
}

// TestFollowGrows: new bytes come at once, and a quiet log costs nothing.
func TestFollowGrows(t *testing.T) {
	r := newRig(t, 1, 1<<20)
	r.notAhead()
	r.append(5<<20+77, true)
	r.settle()
	r.buildB(true)
	r.startFollow(0, -1)
	r.until(func() bool { return r.told == r.logs.end })
	if !bytes.Equal(r.local(), r.log) {
		t.Fatal("logs differ")
	}
	for range 20 {
		r.w.RunFor(time.Second)
		asked := r.srv.Answered()
		r.w.RunFor(5 * time.Second)
		if n := r.srv.Answered() - asked; n > 1 {
			t.Fatal(n, "questions while nothing happened")
		}
		r.append(512, true)
		want := int64(len(r.log))
		r.until(func() bool { return r.logs.end == want })
		at := r.w.Now()
		r.until(func() bool { return r.told == want })
		if d := r.w.Now() - at; d > 20*time.Millisecond {
			t.Fatal("took", d)
		}
	}
	// What is written and not durable stays where it is.
	r.append(4096, false)
	r.w.RunFor(time.Minute)
	if r.told != r.logs.end || r.follow.Have() != r.logs.end {
		t.Fatal("told", r.told)
	}
	r.logs.grow(int64(len(r.log)))
	r.until(func() bool { return r.told == int64(len(r.log)) })
	if !bytes.Equal(r.local(), r.log) || len(r.errs) != 0 || r.client.Received() != r.told {
		t.Fatal("logs differ", r.errs)
	}
	at := r.w.Now()
	r.stop()
	if d := r.w.Now() - at; d > 10*time.Millisecond || r.stopped != 1 || r.done != 0 {
		t.Fatal("stop took", d)
	}
	r.off()
}

func TestFollowLimit(t *testing.T) {
	r := newRig(t, 2, 1<<20)
	r.append(3<<20, true)
	r.settle()
	r.buildB(true)
	r.startFollow(0, 1<<20+1)
	r.finish()
	if r.told != 1<<20+1 || !bytes.Equal(r.local(), r.log[:r.told]) {
		t.Fatal("told", r.told)
	}
	// From there, with a limit that moves.
	r.startFollow(r.told, 2<<20)
	r.follow.SetLimit(4 << 20)
	r.until(func() bool { return r.told == 3<<20 })
	r.w.RunFor(time.Second)
	if r.done != 1 {
		t.Fatal("done too early")
	}
	r.follow.SetLimit(3 << 20) // ends the waiting
	at := r.w.Now()
	r.finish()
	if r.w.Now()-at > 10*time.Millisecond || len(r.errs) != 0 {
		t.Fatal("end took", r.w.Now()-at, r.errs)
	}
	r.startFollow(r.told, r.told)
	r.finish()
	if !bytes.Equal(r.local(), r.log) {
		t.Fatal("logs differ")
	}
	// The peer closes the log.
	r.startFollow(r.told, -1)
	r.w.RunFor(time.Second)
	r.logs.final = true
	r.logs.grow(3 << 20)
	r.until(r.client.Final)
	r.follow.SetLimit(3 << 20)
	r.finish()
	r.off()
}

// TestFollowForeign: logs that begin differently are not mixed.
func TestFollowForeign(t *testing.T) {
	for _, x := range []struct {
		have, differ int64
		want         error
	}{
		{10, 9, copy.ErrForeign}, {4096, 4095, copy.ErrForeign}, {9000, 0, copy.ErrForeign}, {9000, -1, nil}, {20000, -1, env.ErrShort},
	} {
		r := newRig(t, 3, 1<<20)
		r.append(10000, true)
		r.settle()
		b := bytes.Clone(r.log[:min(x.have, 2000)])
		if x.have == 9000 || x.have == 4096 {
			b = bytes.Clone(r.log[:x.have])
		}
		if x.differ >= 0 {
			b[x.differ] ^= 1
		}
		r.must(r.b.FS().WriteFile(logName, b))
		r.buildB(true)
		r.startFollow(x.have, 10000)
		r.until(func() bool { return r.done == 1 })
		if !errors.Is(r.doneErr, x.want) {
			t.Fatal(x, r.doneErr)
		}
		if got := r.local(); x.want != nil && !bytes.Equal(got, b) || x.want == nil && !bytes.Equal(got, r.log) {
			t.Fatal(x, "wrong content")
		}
		r.off()
	}
}

// TestFollowAhead: a source that has less is told about, and waited for.
func TestFollowAhead(t *testing.T) {
	for _, first := range []int64{1000, 9000} {
		r := newRig(t, 4, 1<<20)
		r.append(10000, false)
		r.settle()
		r.logs.grow(first)
		r.must(r.b.FS().WriteFile(logName, r.log[:9500]))
		r.buildB(true)
		r.startFollow(9500, -1)
		r.w.RunFor(10 * time.Second)
		want := error(copy.ErrBehind)
		if first > 4096 {
			want = &wire.Error{Code: wire.CodeOutOfRange}
		}
		if len(r.errs) == 0 || !errors.Is(r.errs[0], want) || r.done != 0 {
			t.Fatal(r.errs)
		}
		r.logs.grow(10000)
		r.until(func() bool { return r.told == 10000 })
		if !bytes.Equal(r.local(), r.log) {
			t.Fatal("logs differ")
		}
		r.off()
	}
}

// TestFollowTargetFails: writes are tried again.
func TestFollowTargetFails(t *testing.T) {
	r := newRig(t, 5, 1<<20)
	r.append(2<<20, true)
	r.settle()
	r.b.File(logName).Fail(simenv.FailKind(env.Write, env.ErrNoSpace))
	r.buildB(true)
	r.startFollow(0, -1)
	r.w.RunFor(time.Minute)
	if n := len(r.errs); n < 5 || n > 20 || !errors.Is(r.errs[0], env.ErrNoSpace) || r.sides[0] != copy.SideB || r.told != 0 {
		t.Fatal(n, r.errs)
	}
	r.b.File(logName).Fail(nil)
	r.until(func() bool { return r.told == 2<<20 })
	if !bytes.Equal(r.local(), r.log) || r.follow.Err(copy.SideB) != nil {
		t.Fatal("logs differ")
	}
	r.stop()
	r.off()
}

// TestFollowUnderFire: connections, hosts and disks fail, the log grows all the
// time; what was told is there, and in the end everything is.
func TestFollowUnderFire(t *testing.T) {
	for seed := range many(30) {
		r := newRig(t, 2000+seed, 1<<20)
		r.notAhead()
		r.w.SetLink(r.a, r.b, simenv.Span{Min: time.Millisecond, Max: 20 * time.Millisecond}, 5<<20)
		r.append(3<<20, true)
		r.settle()
		r.buildB(true)
		r.startFollow(0, -1)
		for i := range 60 {
			r.append(int64(1+r.w.Intn(200<<10)), r.w.Intn(3) > 0)
			r.w.RunFor(time.Duration(r.w.Intn(50)) * time.Millisecond)
			if i%4 == 0 {
				r.disturb()
			}
		}
		r.settle()
		r.w.HealAll()
		r.logs.grow(int64(len(r.log)))
		if r.w.Intn(2) == 0 {
			r.follow.SetLimit(int64(len(r.log)))
			r.until(func() bool { return r.done == 1 })
		} else {
			r.until(func() bool { return r.told == int64(len(r.log)) })
			r.stop()
		}
		r.must(r.doneErr)
		r.b.Crash(simenv.Zero())
		if !bytes.Equal(r.local(), r.log) {
			t.Fatal("seed", seed, "logs differ")
		}
		r.b.Start()
	}
}

// disturb does one bad thing to a Follow and leaves it running.
func (r *rig) disturb() {
	r.t.Helper()
	switch r.w.Intn(7) {
	case 0, 1:
		r.w.Reset(r.a, r.b)
	case 2:
		r.w.Cut(r.a, r.b, r.w.Intn(2) == 0)
		r.w.RunFor(time.Duration(r.w.Intn(40)) * time.Second)
		r.w.Heal(r.a, r.b)
	case 3:
		r.stop()
		r.startFollow(r.follow.Have(), -1)
	case 4:
		r.b.File(logName).Fail(simenv.FailNth(env.Kind(r.w.Intn(2)), 1, simenv.ErrIO))
	default:
		if r.w.Intn(3) == 0 {
			r.b.Kill()
		} else {
			models := simenv.Models()
			r.b.Crash(models[r.w.Intn(len(models))])
		}
		b := r.local()
		if int64(len(b)) < r.told || !bytes.Equal(b[:r.told], r.log[:r.told]) {
			r.t.Fatal("lost what was told")
		}
		r.must(r.b.FS().Truncate(logName, r.told))
		r.must(r.b.FS().SyncFile(logName))
		r.b.Start()
		r.buildB(true)
		r.startFollow(r.told, -1)
	}
}

func TestFollowDeterministic(t *testing.T) {
	run := func() uint64 {
		r := newRig(t, 6, 1<<20)
		r.append(3<<20, true)
		r.settle()
		r.buildB(true)
		r.startFollow(0, 3<<20)
		r.w.RunFor(2 * time.Millisecond)
		r.w.Reset(r.a, r.b)
		r.finish()
		r.off()
		return r.w.Hash()
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("%x, then %x", a, b)
	}
}
