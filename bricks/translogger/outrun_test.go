package translogger

import (
	"errors"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

// TestNoSpaceToPrepare: when the space ahead can not be zeroed any more, that is
// told at once; writes go on into what was zeroed before, but for a reserve,
// which a cut gives back. When there is space again in time, nothing fails.
func TestNoSpaceToPrepare(t *testing.T) {
	for _, back := range []bool{false, true} {
		r := newRig(t, 3, 1<<20, simenv.NodeOptions{}, nil)
		told, full := 0, false
		r.lg.cfg.Events.OnNoSpace = func() { told++ }
		r.start()
		r.w.RunFor(100 * time.Millisecond)
		if r.lg.Prepared() < 1<<20 {
			t.Fatalf("only %d bytes are prepared", r.lg.Prepared())
		}
		full = true
		r.n.File(r.logs[0].Name()).Fail(func(io *env.IO) error {
			if io.Kind == env.Write && !io.Durable && full {
				return env.ErrNoSpace
			}
			return nil
		})
		for i := range 400 {
			r.do(block.Write, int64(i%200)*4096, 4096, false, nil)
			if len(r.logErrs) > 0 {
				break
			}
			r.w.RunFor(5 * time.Millisecond)
			full = full && !(back && told > 0)
		}
		if told != 1 || back != (len(r.logErrs) == 0) {
			t.Fatalf("back %v: told %d times, errors %v", back, told, r.logErrs)
		}
		if !back {
			e := r.logErrs[0]
			fi, err := r.n.FS().Lstat(e.ID.Name())
			r.must(err)
			if left := 1<<20 - e.End; !errors.Is(e.Err, env.ErrNoSpace) || fi.Size != e.End || left < zeroReserve {
				t.Errorf("%v, file of %d bytes, %d were given back", e, fi.Size, left)
			}
			r.must(r.lg.SetBypass())
		}
		r.sync()
		r.readBack()
		r.off()
		r.raw()
	}
}

// TestStopWhilePreparing: a stop that comes while space is being zeroed still
// writes everything.
func TestStopWhilePreparing(t *testing.T) {
	for steps := range 60 {
		r := newRig(t, uint64(steps), 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Semantics = 0 })
		r.start()
		for i := range steps {
			r.do(block.Write, int64(i%200)*4096, 4096, false, nil)
			if i%3 == 0 {
				r.w.RunFor(50000)
			}
		}
		r.off()
	}
}

// TestBypassStuck: when nobody can make the last position durable, nothing may
// go to the disk without a log, and nothing can be logged: requests fail after a
// while instead of hanging. They work again as soon as it is.
func TestBypassStuck(t *testing.T) {
	r := newRig(t, 4, 1<<20, simenv.NodeOptions{}, func(tu *Tuning) { tu.Patience = 5 * time.Second })
	r.start()
	r.do(block.Write, 0, 4096, false, nil)
	r.sync()
	r.ack = false
	r.must(r.lg.SetBypass())
	var got []error
	write := func() {
		r.do(block.Write, 4096, 4096, false, func(_ *block.Mref, err error) { got = append(got, err) })
	}
	begun := r.w.Now()
	write()
	r.wait("the answer", func() bool { return len(got) == 1 })
	if took := r.w.Now() - begun; took < 5*time.Second {
		t.Fatalf("too soon, after %v: %v", took, got)
	}
	write()
	r.wait("the next answer", func() bool { return len(got) == 2 })
	for _, err := range got {
		if !errors.Is(err, ErrStuck) {
			t.Fatalf("got %v", got)
		}
	}
	r.failed = nil
	r.lg.PositionDurable(r.positions[len(r.positions)-1].Serial)
	write()
	r.wait("an answer", func() bool { return len(got) == 3 })
	if got[2] != nil || !r.lg.Bypass() {
		t.Fatalf("got %v", got)
	}
	r.off()
}
