package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"mars/infra/block"

	"github.com/zeebo/blake3"
)

// hashPiece is how much a digest takes at a time, as in a sync.
const hashPiece = 64 << 10

// hashers keeps n off-loaded computations of digests going, one after the other
// each, as a sync does; the result ends them and returns how much they hashed.
func (r *rig) hashers(n int) (end func() int64) {
	var stop atomic.Bool
	var bytes atomic.Int64
	running := make(chan struct{}, n)
	for range n {
		data := make([]byte, 16*hashPiece)
		var again func()
		work := func() {
			for off := 0; off < len(data) && !stop.Load(); off += hashPiece {
				sum := blake3.Sum256(data[off : off+hashPiece])
				data[off] = sum[0]
				bytes.Add(hashPiece)
			}
		}
		again = func() {
			if stop.Load() {
				running <- struct{}{}
				return
			}
			r.e.Compute(work, again)
		}
		r.e.Post(again)
	}
	return func() int64 {
		stop.Store(true)
		for range n {
			<-running
		}
		return bytes.Load()
	}
}

// The slices in which the latency is looked at.
const (
	latencyRounds = 5
	latencySlice  = 500 * time.Millisecond
)

// measureLatency looks at one writer beside two hashers. The median over short
// slices is compared, so that one hiccup of the machine does not decide; beside
// it stands what the bare loop gets under the same conditions.
func measureLatency(r *rig, b *bare, rep *report) (err error) {
	end := r.hashers(2)
	begin := time.Now()
	var lat, base []float64
	var all []time.Duration
	for range latencyRounds {
		var o outcome
		if o, err = r.run(fourK(1, streams, latencySlice)); err != nil {
			break
		}
		lat = append(lat, quantile(o.lat, 0.99).Seconds()*1e3)
		all = append(all, o.lat...)
		var t []time.Duration
		if t, err = b.latencies(latencySlice / 2); err != nil {
			break
		}
		base = append(base, quantile(t, 0.99).Seconds()*1e3)
	}
	took, hashed := time.Since(begin), end()
	if err != nil {
		return err
	}
	if hashed == 0 {
		return errors.New("the hashers did nothing")
	}
	rep.check("p99 of 1 writer beside 2 hashers", median(lat), "ms", "<", 5,
		fmt.Sprintf("%d slices; over all p50 %v, p99 %v; bare loop p99 %.2f ms; hashing %.0f MiB/s", latencyRounds,
			quantile(all, 0.5).Round(time.Microsecond), quantile(all, 0.99).Round(time.Microsecond), median(base), perSecond(hashed>>20, took)))
	return nil
}

// allocCount is how many writes allocations are counted over.
const allocCount = 10000

// measureAllocs counts the allocations of the whole process during writes.
// Some are the runtime's own, so the mean counts: less than one in 100
// requests is none a request.
func measureAllocs(r *rig, rep *report) error {
	for _, depth := range []int{1, 16} {
		p := fourK(depth, random, 0)
		p.count = allocCount
		// The first run lets every list reach its length.
		if _, _, err := r.allocs(p); err != nil {
			return err
		}
		n, bytes, err := r.allocs(p)
		if err != nil {
			return err
		}
		rep.check(fmt.Sprintf("allocations per write, %d writers", depth), n, "", "<", 0.01,
			fmt.Sprintf("%.2f bytes, mean of %d", bytes, allocCount))
	}
	return r.drain()
}

// allocs returns the mean number and bytes of allocations of a request.
func (r *rig) allocs(p pattern) (n, bytes float64, err error) {
	if err := r.drain(); err != nil {
		return 0, 0, err
	}
	if err := r.rotate(); err != nil {
		return 0, 0, err
	}
	var from, to runtime.MemStats
	runtime.ReadMemStats(&from)
	o, err := r.go1(p)
	if err != nil {
		return 0, 0, err
	}
	runtime.ReadMemStats(&to)
	if o.ops < p.count {
		return 0, 0, fmt.Errorf("%d writes instead of %d", o.ops, p.count)
	}
	ops := float64(o.ops)
	return float64(to.Mallocs-from.Mallocs) / ops, float64(to.TotalAlloc-from.TotalAlloc) / ops, nil
}

// measureMixed reports larger writes and reads.
func measureMixed(r *rig, rep *report) error {
	for _, c := range []struct {
		name  string
		p     pattern
		bytes bool
	}{
		{"write 64 KiB, 4 writers", pattern{op: block.Write, size: 64 << 10, depth: 4}, true},
		{"write 1 MiB, 2 writers", pattern{op: block.Write, size: 1 << 20, depth: 2}, true},
		{"read 4 KiB, 1 reader", pattern{op: block.Read, size: 4 << 10, depth: 1}, false},
		{"read 4 KiB, 16 readers", pattern{op: block.Read, size: 4 << 10, depth: 16}, false},
		{"read 1 MiB, 2 readers", pattern{op: block.Read, size: 1 << 20, depth: 2}, true},
	} {
		if err := r.drain(); err != nil {
			return err
		}
		c.p.time = 600 * time.Millisecond
		o, err := r.run(c.p)
		if err != nil {
			return err
		}
		note := fmt.Sprintf("p50 %v, p99 %v", quantile(o.lat, 0.5), quantile(o.lat, 0.99))
		if c.bytes {
			rep.add(c.name, perSecond(o.ops*c.p.size, o.time)/(1<<20), "MiB/s", note)
		} else {
			rep.add(c.name, o.rate(), "reads/s", note)
		}
	}
	return r.drain()
}
