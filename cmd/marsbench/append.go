package main

import (
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/translog"
)

// The slices that are compared. They are short and make up groups: a swing of
// the machine hits both sides of a group. What one writer causes once a second
// (writeback by age, publishing) is spread over the slices, since its clock goes
// on while the bare loop runs. The slices of many writers are long enough to fill
// the memory buffer several times, so that most of the writeback is in them.
const (
	bareSlice = 50 * time.Millisecond
	oneSlice  = 125 * time.Millisecond
	manySlice = 400 * time.Millisecond
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

// comparison is what came of two sides in turn, by group.
type comparison struct {
	yardstick   string
	base, rates []float64       // writes a second
	lat         []time.Duration // of rates
}

// share is the rate in units of the yardstick's.
func (c *comparison) share() float64 { return median(ratios(c.rates, c.base)) }

// remark tells how far the groups differ, and the latencies.
func (c *comparison) remark() string {
	low, high := spread(ratios(c.rates, c.base))
	return fmt.Sprintf("%d groups, %.2f to %.2f times %s; p50 %v, p99 %v", len(c.rates), low, high, c.yardstick,
		quantile(c.lat, 0.5).Round(time.Microsecond), quantile(c.lat, 0.99).Round(time.Microsecond))
}

// side is one slice of one side.
type side func() (outcome, error)

// alternate runs groups of so many slices of both sides in turn.
func (c *comparison) alternate(groups, slices int, base, other side) error {
	for range groups {
		var sums [2]tally
		for range slices {
			for i, fn := range []side{base, other} {
				o, err := fn()
				if err != nil {
					return err
				}
				sums[i].add(o.ops, o.time)
				if i == 1 {
					c.lat = append(c.lat, o.lat...)
				}
			}
		}
		c.base, c.rates = append(c.base, sums[0].rate()), append(c.rates, sums[1].rate())
	}
	return nil
}

// beside alternates the bare loop, alone on the machine, and one writer.
func (r *rig) beside(b *bare, o order, groups int) (*comparison, error) {
	if _, err := r.run(fourK(1, o, warmTime)); err != nil {
		return nil, err
	}
	c := &comparison{yardstick: "the bare loop"}
	base := func() (o outcome, err error) {
		if err := r.rotate(); err != nil {
			return o, err
		}
		if err := r.hold(); err != nil {
			return o, err
		}
		if o.ops, o.time, err = b.run(bareSlice); err != nil {
			return o, err
		}
		return o, r.resume()
	}
	if err := c.alternate(groups, 5, base, func() (outcome, error) { return r.go1(fourK(1, o, oneSlice)) }); err != nil {
		return nil, err
	}
	return c, r.drain()
}

// scale alternates one writer and many. Each starts with a disk at rest, so that
// one does not pay for the writeback of the other.
func (r *rig) scale(o order, groups int) (*comparison, error) {
	c := &comparison{yardstick: "1 writer"}
	slice := func(depth int, d time.Duration) side {
		return func() (outcome, error) {
			if err := r.drain(); err != nil {
				return outcome{}, err
			}
			return r.run(fourK(depth, o, d))
		}
	}
	if _, err := slice(many, warmTime)(); err != nil {
		return nil, err
	}
	if err := c.alternate(groups, 1, slice(1, oneSlice), slice(many, manySlice)); err != nil {
		return nil, err
	}
	return c, r.drain()
}

// measureAppend compares one writer with the bare loop, and many with one: the
// log alone, which has targets, and with the writeback to the same disk. That is
// measured with writers that go from block to block, so that it can gather, and
// with writers at random, where every write costs the disk another random one and
// many of them measure the disk: beside what it can do alone.
func measureAppend(r *rig, b *bare, rounds int, rep *report) error {
	if err := measureLog(r, b, rounds, rep); err != nil {
		return err
	}
	one, err := r.beside(b, streams, rounds)
	if err != nil {
		return err
	}
	rep.add("with writeback, 4 KiB, 1 writer", median(one.rates), "writes/s", one.remark())
	lots, err := r.scale(streams, 2*rounds)
	if err != nil {
		return err
	}
	rep.add(fmt.Sprintf("with writeback, 4 KiB, %d writers", many), median(lots.rates), "writes/s", lots.remark())

	alone, err := r.diskAlone()
	if err != nil {
		return err
	}
	rep.add("disk alone, 4 KiB at random, 32 in flight", alone.rate(), "writes/s", "without logger, not durable")
	if one, err = r.beside(b, random, max(rounds/2, 1)); err != nil {
		return err
	}
	rep.add("with writeback, at random, 1 writer", median(one.rates), "writes/s", one.remark())
	if lots, err = r.scale(random, max(rounds/2, 1)); err != nil {
		return err
	}
	rep.add(fmt.Sprintf("with writeback, at random, %d writers", many), median(lots.rates), "writes/s", lots.remark())
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
