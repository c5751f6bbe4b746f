package translogger

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/env/simenv"
)

// load writes at random: overlapping, sub-page, large, discards and zeroes,
// with reads in between that are compared when nothing races with them.
type load struct {
	r     *rig
	depth int   // most requests in flight
	left  int   // requests still to be started
	hot   int64 // most requests go to the first so many bytes
	big   bool  // large requests too
	extra func(i int)
	n     int
	slots int
	busy  []bool // sectors that a write in flight touches
	stop  bool
}

func (r *rig) newLoad(n, depth int, hot int64, big bool) *load {
	return &load{r: r, left: n, depth: depth, hot: hot, big: big, busy: make([]bool, r.or.size/sectorSize)}
}

// run drives the load to its end.
func (ld *load) run() {
	r := ld.r
	r.t.Helper()
	for i := 0; i < ld.depth; i++ {
		ld.next()
	}
	r.wait("load", func() bool { return ld.left <= 0 && ld.slots == 0 || ld.stop })
	if !ld.stop {
		r.sync()
	}
}

func (ld *load) span(most int) (pos, n int64) {
	w := ld.r.w
	n = int64(1+w.Intn(most)) * sectorSize
	area := ld.r.or.size
	if w.Intn(4) > 0 {
		area = ld.hot
	}
	n = min(n, area)
	pos = int64(w.Intn(int((area-n)/sectorSize)+1)) * sectorSize
	return pos, n
}

func (ld *load) next() {
	r, w := ld.r, ld.r.w
	if ld.left <= 0 || ld.stop {
		return
	}
	ld.left--
	ld.n++
	if ld.extra != nil {
		ld.extra(ld.n)
	}
	most := 24
	if ld.big && w.Intn(8) == 0 {
		most = MaxRequest / sectorSize
	}
	pos, n := ld.span(most)
	ld.slots++
	done := func(*block.Mref, error) { ld.after() }
	switch k := w.Intn(20); {
	case k < 11:
		ld.write(block.Write, pos, n, w.Intn(4) == 0)
	case k < 12:
		ld.write(block.Discard, pos, n, false)
	case k < 13:
		ld.write(block.WriteZeroes, pos, n, false)
	case k < 14:
		r.do(block.Flush, 0, 0, false, done)
	default:
		ld.read(pos, n)
	}
}

// after starts the next request in a later event: a completion may come from
// within the call that started it.
func (ld *load) after() {
	ld.slots--
	ld.r.w.In(time.Duration(ld.r.w.Intn(300))*time.Microsecond, func() {
		for ld.slots < ld.depth && ld.left > 0 && !ld.stop && ld.r.n.Up() {
			ld.next()
		}
	})
}

func (ld *load) write(op block.Op, pos, n int64, fua bool) {
	ld.r.do(op, pos, n, fua, func(*block.Mref, error) { ld.after() })
}

// read compares what a read brings with what was there when it was started, in
// the sectors that no write touched meanwhile.
func (ld *load) read(pos, n int64) {
	r := ld.r
	was := append([]uint32(nil), r.or.now[pos/sectorSize:(pos+n)/sectorSize]...)
	gen := append([]uint32(nil), r.or.gen[pos/sectorSize:(pos+n)/sectorSize]...)
	held := r.lg.held.head != nil
	r.do(block.Read, pos, n, false, func(m *block.Mref, err error) {
		want := make([]byte, sectorSize)
		for i, id := range was {
			s := pos/sectorSize + int64(i)
			if r.or.gen[s] != gen[i] || held || err != nil {
				continue
			}
			sectorOf(want, id, s)
			if got := m.Data[i*sectorSize:][:sectorSize]; !bytes.Equal(got, want) {
				r.t.Fatalf("read of sector %d: want write %d, got %x...", s, id, got[:8])
			}
		}
		ld.after()
	})
}

func models() []simenv.CrashModel { return simenv.Models() }

// TestRandom is the core: random traffic with rotations at random points, and
// at random events a power cut whose image is recovered and must be a prefix
// with everything that was answered.
func TestRandom(t *testing.T) {
	for seed := uint64(1); seed <= many(30); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomRun(t, seed) })
	}
}

// many is how many seeds are run of n. A simulation is one goroutine at a time: with
// the race detector (-short) a few show as much as all.
func many(n uint64) uint64 {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}

func randomRun(t *testing.T, seed uint64) {
	opt := simenv.NodeOptions{NoDirect: seed%5 == 0}
	if seed%3 == 0 {
		opt.FileAlign, opt.DiskAlign = 4096, 512
	}
	r := newRig(t, seed, 2<<20, opt, func(tu *Tuning) {
		tu.MemLimit = []int64{256 << 10, 1 << 20, 16 << 20}[seed%3]
		tu.Batches = 1 + int(seed%3)
		tu.PrepareMin = []int64{0, 128 << 10, 1 << 20}[seed/2%3]
		tu.MaxAge = []time.Duration{5 * time.Millisecond, time.Second}[seed%2]
		tu.Idle = []time.Duration{time.Millisecond, 20 * time.Millisecond}[seed/3%2]
		tu.Publish = []time.Duration{2 * time.Millisecond, 50 * time.Millisecond}[seed/5%2]
		tu.SweepPages = []int{7, 2048}[seed/7%2]
	})
	r.start()
	ld := r.newLoad(300, 1+int(seed%16), 64<<10, seed%2 == 0)
	ld.extra = func(int) {
		if r.w.Intn(40) == 0 {
			r.w.In(1, func() { r.rotateLater() })
		}
	}
	checks := 0
	r.w.After(func() {
		if r.w.Intn(60) == 0 && checks < 40 {
			checks++
			r.crashCheck(models()[r.w.Intn(len(models()))])
		}
	})
	ld.run()
	r.readBack()
	r.off()
	r.raw()
	for _, m := range models() {
		r.crashCheck(m)
	}
	if len(r.diskFinals()) != 0 || len(r.logErrs) != 0 || checks == 0 {
		t.Errorf("errors %v, %d checks", r.logErrs, checks)
	}
	if want := len(r.logs) - 1; len(r.released) != want {
		t.Errorf("%d logs released, want %d", len(r.released), want)
	}
}
