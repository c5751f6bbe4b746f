package main

import (
	"fmt"
	"math"
	"path/filepath"
	"time"
)

// refWrite is how long a durable write of one record takes on the disk that the
// targets of the log are meant for. What a write costs over the bare loop is the
// processor's share and is the same on any disk; on a faster disk it is a larger
// part of less. So on a faster disk the difference is added to both sides.
const refWrite = 150 * time.Microsecond

// manyAlone is the slice of many writers without writeback: what they write
// stays in memory until the slice is over.
const manyAlone = 100 * time.Millisecond

// atReference is the rate that remains of a rate of writes, so many of which go
// together, when each durable write takes longer by shift.
func atReference(rate float64, together int, shift time.Duration) float64 {
	cycle := float64(together)/rate + shift.Seconds()
	return float64(together) / cycle
}

// shiftOf is what a disk with this rate of the bare loop lacks in slowness.
func shiftOf(bareRate float64) time.Duration {
	if math.IsNaN(bareRate) || bareRate <= 0 {
		return 0
	}
	return max(0, refWrite-time.Duration(float64(time.Second)/bareRate))
}

// referred is the share of a comparison between sides that write so many
// records together, at the reference.
func (c *comparison) referred(baseTogether, together int, shift time.Duration) float64 {
	r := comparison{}
	for i := range c.rates {
		r.base = append(r.base, atReference(c.base[i], baseTogether, shift))
		r.rates = append(r.rates, atReference(c.rates[i], together, shift))
	}
	return r.share()
}

// logAlone runs one slice with the writeback held back: the log and nothing else.
// What it leaves in the memory buffer is written back before the next one.
func (r *rig) logAlone(depth int, d time.Duration) side {
	return func() (o outcome, err error) {
		if err := r.drain(); err != nil {
			return o, err
		}
		if err := r.rotate(); err != nil {
			return o, err
		}
		if err := r.hold(); err != nil {
			return o, err
		}
		if o, err = r.go1(fourK(depth, streams, d)); err != nil {
			return o, err
		}
		return o, r.resume()
	}
}

// bareSide is a slice of the bare loop; each write counts as so many records.
func bareSide(b *bare, records int64) side {
	return func() (o outcome, err error) {
		o.ops, o.time, err = b.run(bareSlice)
		o.ops *= records
		return o, err
	}
}

// measureLog compares the log alone with the bare loop: one writer, and many
// whose records share batches, beside a bare loop of writes that are as large.
func measureLog(r *rig, b *bare, rounds int, rep *report) error {
	large, err := newBare(filepath.Join(r.dir, "large"), many*b.size)
	if err != nil {
		return err
	}
	defer large.close()
	one := comparison{yardstick: "the bare loop"}
	lots := comparison{yardstick: "1 writer"}
	full := comparison{yardstick: "the bare loop"}
	for _, x := range []struct {
		c              *comparison
		groups, slices int
		base, other    side
	}{
		{&one, rounds, 5, bareSide(b, 1), r.logAlone(1, oneSlice)},
		{&lots, 2 * rounds, 1, r.logAlone(1, oneSlice), r.logAlone(many, manyAlone)},
		{&full, rounds, 1, bareSide(b, 1), bareSide(large, many)},
	} {
		if err := x.c.alternate(x.groups, x.slices, x.base, x.other); err != nil {
			return err
		}
	}
	shift := shiftOf(median(one.base))
	at := fmt.Sprintf("with %v more for each durable write: as on a disk that takes %v", shift.Round(time.Microsecond), refWrite)
	rep.add("bare loop", median(one.base), "writes/s", fmt.Sprintf("%d bytes, O_DIRECT, RWF_DSYNC, laid-out blocks", b.size))
	rep.add(fmt.Sprintf("bare loop, %d records a write", many), median(full.rates), "records/s", full.remark())
	rep.add("log alone, 4 KiB, 1 writer", median(one.rates), "writes/s", one.remark())
	rep.check("  as a share of the bare loop", one.referred(1, 1, shift), "", ">=", 0.85, at)
	rep.add(fmt.Sprintf("log alone, 4 KiB, %d writers", many), median(lots.rates), "writes/s", lots.remark())
	rep.check("  as a multiple of 1 writer", lots.referred(1, many, shift), "", ">=", 15, at)
	return r.drain()
}
