package main

import (
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/translog"
)

// The slices of the comparison with the bare loop. They are short and make up
// groups: a swing of the machine hits both sides of a group. What happens once a
// second (writeback by age, publishing) is spread over the slices, since its
// clock goes on while the bare loop runs.
const (
	bareSlice = 50 * time.Millisecond
	logSlice  = 125 * time.Millisecond
	groupSize = 5
	warmTime  = 1200 * time.Millisecond
	diskSlice = 500 * time.Millisecond
)

// many is how many writers are many.
const many = 64

// padded is what a record of 4 KiB takes in a batch of its own.
func padded(align int64) int64 {
	const record = translog.Overhead + translog.MaxPayload
	return (record + align - 1) / align * align
}

// fourK is the pattern of most measurements.
func fourK(depth int, o order, d time.Duration) pattern {
	return pattern{op: block.Write, size: 4096, depth: depth, order: o, time: d}
}

// comparison is what came of the bare loop and the logger in turn, by group.
type comparison struct {
	bare, rates []float64 // writes a second
	lat         []time.Duration
}

// share is the logger's rate in units of the bare loop's.
func (c *comparison) share() float64 { return median(ratios(c.rates, c.bare)) }

// remark tells how far the groups differ, and the latencies.
func (c *comparison) remark() string {
	low, high := spread(ratios(c.rates, c.bare))
	return fmt.Sprintf("%d groups, %.2f to %.2f times the bare loop; p50 %v, p99 %v", len(c.rates), low, high,
		quantile(c.lat, 0.5).Round(time.Microsecond), quantile(c.lat, 0.99).Round(time.Microsecond))
}

// compare alternates the bare loop and a pattern, then lets the disk rest.
func (r *rig) compare(b *bare, p pattern, groups int) (c comparison, err error) {
	p.time = warmTime
	if _, err := r.run(p); err != nil {
		return c, err
	}
	p.time = logSlice
	for range groups {
		var base, log tally
		if err := r.rotate(); err != nil {
			return c, err
		}
		for range groupSize {
			if err := r.hold(); err != nil {
				return c, err
			}
			n, t, err := b.run(bareSlice)
			if err != nil {
				return c, err
			}
			base.add(n, t)
			if err := r.resume(); err != nil {
				return c, err
			}
			o, err := r.go1(p)
			if err != nil {
				return c, err
			}
			log.add(o.ops, o.time)
			c.lat = append(c.lat, o.lat...)
		}
		c.bare, c.rates = append(c.bare, base.rate()), append(c.rates, log.rate())
	}
	return c, r.drain()
}

// measureAppend compares one writer and many with the bare loop. The targets
// are for writers that go from block to block, so that the writeback can gather.
// With writers at random every write costs the disk another random one, and
// many of them measure the disk: that is reported beside what it can do alone.
func measureAppend(r *rig, b *bare, rounds int, rep *report) error {
	one, err := r.compare(b, fourK(1, streams, 0), rounds)
	if err != nil {
		return err
	}
	lots, err := r.compare(b, fourK(many, streams, 0), rounds)
	if err != nil {
		return err
	}
	rep.add("bare loop", median(append(one.bare, lots.bare...)), "writes/s", fmt.Sprintf("%d bytes, O_DIRECT, RWF_DSYNC, laid-out blocks", b.size))
	rep.add("append 4 KiB, 1 writer", median(one.rates), "writes/s", one.remark())
	rep.check("  as a share of the bare loop", one.share(), "", ">=", 0.85, "")
	rep.add(fmt.Sprintf("append 4 KiB, %d writers", many), median(lots.rates), "writes/s", lots.remark())
	rep.check("  as a multiple of 1 writer", lots.share()/one.share(), "", ">=", 15, "each by the bare loop beside it")
	return measureRandom(r, b, max(rounds/2, 1), rep)
}

func measureRandom(r *rig, b *bare, rounds int, rep *report) error {
	alone, err := r.diskAlone()
	if err != nil {
		return err
	}
	rep.add("disk alone, 4 KiB at random, 32 in flight", alone.rate(), "writes/s", "without logger, not durable")
	for _, depth := range []int{1, many} {
		c, err := r.compare(b, fourK(depth, random, 0), rounds)
		if err != nil {
			return err
		}
		rep.add(fmt.Sprintf("append 4 KiB at random, %d writers", depth), median(c.rates), "writes/s", c.remark())
	}
	return nil
}

// diskAlone writes to the disk past the logger, which has nothing to do.
func (r *rig) diskAlone() (o outcome, err error) {
	var s *source
	err = r.do(func() (err error) {
		if s, err = newSource(&r.g, r.e, "past"); err != nil {
			return err
		}
		return brick.Connect(s.Input(0), r.disk.Output(0))
	})
	if err != nil {
		return o, err
	}
	if err := r.press(s.Brick, true); err != nil {
		return o, err
	}
	o, err = r.runOn(s, fourK(32, random, diskSlice))
	if err != nil {
		return o, err
	}
	if err := r.press(s.Brick, false); err != nil {
		return o, err
	}
	return o, r.do(func() error { return r.g.Remove(s.Brick) })
}

// measureGrowth counts small batches that let the log grow.
func measureGrowth(r *rig, rep *report) error {
	for _, depth := range []int{1, 16, many} {
		if _, err := r.run(fourK(depth, streams, 300*time.Millisecond)); err != nil {
			return err
		}
		var from, to gauge
		g := r.gauge()
		if err := r.do(func() error { from = *g; return nil }); err != nil {
			return err
		}
		if _, err := r.go1(fourK(depth, streams, time.Second)); err != nil {
			return err
		}
		if err := r.do(func() error { to = *g; return nil }); err != nil {
			return err
		}
		n := to.batches - from.batches
		if n == 0 {
			return fmt.Errorf("no small batches of %d writers", depth)
		}
		rep.check(fmt.Sprintf("log grown by small batches, %d writers", depth), float64(to.grown-from.grown), "batches",
			"<=", 0, fmt.Sprintf("of %d", n))
	}
	return r.drain()
}
