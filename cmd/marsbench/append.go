package main

import (
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/translog"
)

// The slices of the comparison with the bare loop.
const (
	bareSlice = 200 * time.Millisecond
	oneSlice  = 500 * time.Millisecond
	manySlice = 400 * time.Millisecond
	warmTime  = 1500 * time.Millisecond
)

// padded is what a record of 4 KiB takes in a batch of its own.
func padded(align int64) int64 {
	const record = translog.Overhead + translog.MaxPayload
	return (record + align - 1) / align * align
}

// fourK is the pattern of most measurements.
func fourK(depth int, d time.Duration) pattern {
	return pattern{op: block.Write, size: 4096, depth: depth, time: d}
}

// measureAppend compares one writer and 64 with the bare loop.
func measureAppend(r *rig, b *bare, rounds int, rep *report) error {
	base1, one, outs, err := r.pairs(b, fourK(1, oneSlice), rounds, bareSlice, warmTime)
	if err != nil {
		return err
	}
	var lat []time.Duration
	for _, o := range outs[len(outs)-1:] {
		lat = append(lat, o.lat...)
	}
	if err := r.drain(); err != nil {
		return err
	}
	base64, many, _, err := r.pairs(b, fourK(64, manySlice), rounds, bareSlice, warmTime/3)
	if err != nil {
		return err
	}
	if err := r.drain(); err != nil {
		return err
	}
	share, times := ratios(one, base1), ratios(many, base64)
	low, high := spread(share)
	rep.add("bare loop", median(append(base1, base64...)), "writes/s", fmt.Sprintf("%d bytes, O_DIRECT, RWF_DSYNC, laid-out blocks", b.size))
	rep.add("append 4 KiB, 1 writer", median(one), "writes/s", fmt.Sprintf("p50 %v, p99 %v", quantile(lat, 0.5), quantile(lat, 0.99)))
	rep.check("  as a share of the bare loop", median(share), "", ">=", 0.85, fmt.Sprintf("%d pairs, %.2f to %.2f", len(share), low, high))
	rep.add("append 4 KiB, 64 writers", median(many), "writes/s", "with the writeback of all of it")
	low, high = spread(times)
	rep.check("  as a multiple of 1 writer", median(times)/median(share), "", ">=", 15,
		fmt.Sprintf("both by the bare loop beside them: %.1f to %.1f times that", low, high))
	return nil
}

// measureGrowth counts small batches that let the log grow.
func measureGrowth(r *rig, rep *report) error {
	for _, depth := range []int{1, 16} {
		if _, err := r.run(fourK(depth, 300*time.Millisecond)); err != nil {
			return err
		}
		var from, to gauge
		g := r.gauge()
		if err := r.do(func() error { from = *g; return nil }); err != nil {
			return err
		}
		if _, err := r.go1(fourK(depth, time.Second)); err != nil {
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
