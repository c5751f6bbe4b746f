package translogger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

// keep makes the first n pieces the whole truth: the others went with the power.
func (o *oracle) keep(n int) {
	o.pieces, o.must = o.pieces[:n], n
	clear(o.now)
	for _, p := range o.pieces {
		for s := p.pos / sectorSize; s < (p.pos+p.n)/sectorSize; s++ {
			o.now[s] = p.id
		}
	}
}

// powerCut crashes the node for real and boots it again.
func (r *rig) powerCut(change func(*Tuning)) {
	r.n.Crash(models()[r.w.Intn(len(models()))])
	r.n.Start()
	r.fly, r.failed, r.pool, r.opening = 0, nil, block.Pool{}, false
	r.bricks = map[int]*logBricks{}
	r.boot(change)
}

// recoverOnline replays the own logs from a position on, as production does
// after a crash; it may be cut short by another one.
func (r *rig) recoverOnline(from Info, change func(*Tuning)) {
	t := r.t
	t.Helper()
	for cuts := 0; ; cuts++ {
		if cuts > 10 {
			t.Fatal("recovery makes no progress")
		}
		if r.tryRecover(from, change) {
			return
		}
		if p, ok := r.last(); ok && (p.Number > from.Number || p.Min > from.Min) {
			from = p
		}
		r.powerCut(change)
	}
}

func (r *rig) tryRecover(from Info, change func(*Tuning)) bool {
	r.t.Helper()
	r.positions = nil
	start := from.Min
	for num := max(from.Number, 1); num <= len(r.logs); num++ {
		fi, err := r.n.FS().Lstat(r.logs[num-1].Name())
		if errors.Is(err, env.ErrNotExist) {
			return true
		}
		r.must(err)
		r.replayFrom(num, start, fi.Size, nil)
		if r.w.Intn(4) == 0 {
			r.w.RunFor(time.Duration(r.w.Intn(3000)) * time.Microsecond)
			if len(r.results) == 0 {
				return false
			}
		}
		res := r.result()
		if res.Code != ReplayReached && res.Code != ReplayTail {
			r.t.Fatalf("log %d from %d: %+v", num, start, res)
		}
		r.off()
		r.must(r.n.FS().Truncate(r.logs[num-1].Name(), res.Pos))
		r.must(r.n.FS().SyncFile(r.logs[num-1].Name()))
		r.boot(change)
		start = 0
	}
	return true
}

// TestCycles: work, power cut, recovery (itself cut at times), work again. The
// link that survived may be older than the newest publication.
func TestCycles(t *testing.T) {
	for seed := uint64(1); seed <= many(12); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { cycles(t, seed) })
	}
}

func cycles(t *testing.T, seed uint64) {
	change := func(tu *Tuning) {
		tu.MemLimit = []int64{256 << 10, 4 << 20}[seed%2]
		tu.Publish = 2 * time.Millisecond
		tu.MaxAge = 10 * time.Millisecond
		tu.ReplayWindow = 64 << 10
	}
	r := newRig(t, seed, 1<<20, simenv.NodeOptions{FileAlign: []int{512, 4096}[seed/2%2]}, change)
	for cycle := 0; cycle < 4; cycle++ {
		input := InputLog1 + r.w.Intn(2)
		r.must(r.lg.StartLog(input, r.addLog(input)))
		r.on()
		ld := r.newLoad(200, 10, 64<<10, seed%2 == 0)
		ld.extra = func(i int) {
			if i%60 == 0 {
				r.w.In(1, r.rotateLater)
			}
		}
		r.w.In(time.Duration(r.w.Intn(20000))*time.Microsecond, func() { ld.stop = true })
		ld.run()
		from := Info{}
		if n := len(r.positions); n > 0 {
			from = r.positions[max(0, n-1-r.w.Intn(3))]
		}
		r.powerCut(change)
		r.recoverOnline(from, change)
		n, err := r.or.prefix(r.content(), r.or.must)
		if err != nil {
			t.Fatalf("cycle %d, from %+v: %v", cycle, from, err)
		}
		r.or.keep(n)
		r.positions = nil
	}
	input := InputLog1
	r.must(r.lg.StartLog(input, r.addLog(input)))
	r.on()
	r.newLoad(50, 10, 64<<10, false).run()
	r.readBack()
	r.off()
	r.raw()
}
