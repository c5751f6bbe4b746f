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
