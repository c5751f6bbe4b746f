package translogger

import (
	"testing"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

// TestNoSpaceToPrepare: when the space ahead can not be zeroed any more, writes
// go on into what was zeroed before, and then grow the file.
func TestNoSpaceToPrepare(t *testing.T) {
	r := newRig(t, 3, 1<<20, simenv.NodeOptions{}, nil)
	r.start()
	n := 0
	r.n.File(r.logs[0].Name()).Fail(func(io *env.IO) error {
		if io.Kind == env.Write && !io.Durable {
			if n++; n > 2 {
				return env.ErrNoSpace
			}
		}
		return nil
	})
	for i := range 400 {
		r.do(block.Write, int64(i%200)*4096, 4096, false, nil)
		r.sync()
	}
	r.off()
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
