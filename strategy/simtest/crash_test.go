package simtest

import (
	"testing"
	"time"

	"mars/bricks/translogger"
	"mars/infra/env/simenv"
)

// scene draws the options of a seed.
func scene(seed uint64) (Options, LoadOptions) {
	pick := func(n uint64) int { // independent choices from one seed
		seed = seed*6364136223846793005 + 1442695040888963407
		return int((seed >> 33) % n)
	}
	var o Options
	debug(&o)
	o.Node.FileAlign = []int{512, 512, 4096}[pick(3)]
	o.Node.DiskAlign = []int{512, 512, 4096}[pick(3)]
	o.Node.NoDirect = pick(8) == 0
	o.Node.SilentOpens = pick(4) == 0
	o.Node.FuseDevices = pick(4) == 0
	o.Set = []string{"log_batches=" + []string{"1", "2", "4"}[pick(3)]}
	l := LoadOptions{
		Depth: []int{1, 2, 4, 16}[pick(4)], Pages: []int{2, 8, 32}[pick(3)], Sectors: []int{1, 8, 8}[pick(3)],
		Think:   []time.Duration{10 * time.Microsecond, time.Millisecond, 20 * time.Millisecond}[pick(3)],
		Flushes: []int{0, 3, 10}[pick(3)], Discards: []int{0, 0, 5}[pick(3)],
	}
	// Small ones, so that their ends are met: of windows, batches, sweeps, memory.
	window, batch, sweep, writes, mem := pick(2), pick(3), pick(3), pick(3), pick(4)
	o.Tune = func(t *translogger.Tuning) {
		t.ReplayWindow = []int64{64 << 10, t.ReplayWindow}[window]
		t.BatchSize = []int{16 << 10, t.BatchSize, t.BatchSize}[batch]
		t.SweepPages = []int{1, 7, t.SweepPages}[sweep]
		t.MaxWrites = []int{1, t.MaxWrites, t.MaxWrites}[writes]
		t.MemLimit = []int64{32 << 10, t.MemLimit, t.MemLimit, t.MemLimit}[mem]
	}
	return o, l
}

// crashes is one run of a primary under load, on one host.
type crashes struct {
	c    *Cluster
	a    *Host
	l    *Load
	hits hits
}

// hits count what the crash images were like: a fault that never happened is
// not tested.
type hits struct {
	images, applied, nothing, torn, rotated, dirty, booted, kills, crashes, recovering int
}

func (h *hits) add(o hits) {
	h.images += o.images
	h.applied += o.applied
	h.nothing += o.nothing
	h.torn += o.torn
	h.rotated += o.rotated
	h.dirty += o.dirty
	h.booted += o.booted
	h.kills += o.kills
	h.crashes += o.crashes
	h.recovering += o.recovering
}

func newCrashes(t testing.TB, seed uint64, change func(*Options), spoil func(*Host)) *crashes {
	o, lo := scene(seed)
	watching(t, &o)
	if change != nil {
		change(&o)
	}
	r := &crashes{c: NewCluster(t, seed, o, "a")}
	r.a = r.c.Host("a")
	r.c.Wait("the daemon", func() bool { return r.a.Ready })
	r.a.Create()
	r.c.Wait("the device", r.a.Serving)
	if spoil != nil {
		spoil(r.a)
	}
	r.l = r.c.NewLoad(r.a, lo)
	return r
}

// model draws a crash model.
func (r *crashes) model() simenv.CrashModel {
	list := simenv.Models()
	m := list[r.c.World.Intn(len(list))]
	m.SplitRename = r.c.World.Intn(4) == 0
	return m
}

// look checks a crash image of now, and at times boots it.
func (r *crashes) look() {
	m := r.model()
	img := r.a.CrashImage(r.c.World.Rand(), m)
	seed := r.c.World.Rand()
	if seed%16 == 0 {
		h := r.c.BootImage(img, seed)
		h.C.Wait("the device of a booted image", h.Serving)
		h.C.Must(r.c.Journal.Durable(h.ReadDev()), "device of a booted image, model %v", m)
		r.hits.booted++
	}
	got, err := CheckImage(img, r.c.Journal)
	r.c.Must(err, "crash image, model %v", m)
	r.hits.images++
	if got.Applied > 0 {
		r.hits.applied++
	} else {
		r.hits.nothing++
	}
	if got.Torn {
		r.hits.torn++
	}
	if got.To.Number > got.From.Number {
		r.hits.rotated++
	}
	if got.From.Len > 0 {
		r.hits.dirty++
	}
}

// steps lets a random while pass.
func (r *crashes) steps(longest time.Duration) {
	r.c.RunFor(time.Duration(r.c.World.Intn(int(longest))))
	n := r.c.World.Intn(20)
	_ = r.c.World.Run(func() bool { n--; return n < 0 }, time.Millisecond) // or until nothing happens for so long
}

// points checks crash images at random moments under load.
func (r *crashes) points(n int) {
	for range n {
		r.steps(20 * time.Millisecond)
		if r.c.World.Intn(6) == 0 {
			r.a.Rotate()
		}
		r.look()
	}
}

// end ends the daemon or the power, and brings the host back, looking on.
func (r *crashes) end() {
	kill := r.c.World.Intn(2) == 0
	fuse := r.c.opt.Node.FuseDevices
	if kill {
		r.hits.kills++
		r.a.Kill()
		if fuse {
			r.l.drop()
		}
	} else {
		r.hits.crashes++
		r.a.Crash(r.model())
	}
	r.look()
	r.a.Restart()
	for i := range 10 {
		if r.a.Serving() {
			break
		}
		r.steps(2 * time.Millisecond)
		if i%3 == 0 {
			r.look()
			r.hits.recovering++
		}
	}
	r.c.Wait("the device after a restart", r.a.Serving)
	if !kill || fuse {
		r.c.Must(r.c.Journal.Resolve(r.a.ReadDev()), "device after a restart")
		r.l.Begin()
	}
}

// TestSimCrash: whatever a primary has answered survives a power cut at any
// moment, rotation and recovery included, and nothing is there out of order.
func TestSimCrash(t *testing.T) {
	var sum hits
	list := seeds(t, 50, 1)
	runSeeds(t, list, func(t testing.TB, seed uint64) map[string]int {
		r := newCrashes(t, seed, nil, nil)
		for range 3 {
			r.points(6)
			r.end()
		}
		r.points(3)
		r.l.End()
		r.c.Must(r.c.Journal.Durable(r.a.ReadDev()), "device at the end")
		if r.l.Errors > 0 && !r.c.opt.Node.FuseDevices {
			r.c.Fatalf("%d requests failed: %v", r.l.Errors, r.l.Err)
		}
		if r.c.Journal.Acked() == 0 {
			r.c.Fatalf("nothing was answered")
		}
		sum.add(r.hits)
		r.c.Close()
		return nil
	})
	t.Logf("%+v", sum)
	if s := sum; len(list) >= 50 && (s.applied == 0 || s.nothing == 0 || s.torn == 0 || s.rotated == 0 || s.dirty == 0 || s.booted == 0 || s.kills == 0 || s.crashes == 0 || s.recovering == 0) {
		t.Errorf("something that should happen never did: %+v", s)
	}
}
