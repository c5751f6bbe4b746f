package main

import (
	"fmt"
	"testing"
	"time"

	"mars/infra/block"
)

// slice runs one pattern with b.N requests.
func slice(b *testing.B, r *rig, p pattern) {
	b.Helper()
	p.count = int64(max(b.N, p.depth))
	b.SetBytes(p.size)
	b.ReportAllocs()
	if err := r.rotate(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	o, err := r.go1(p)
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(quantile(o.lat, 0.99).Microseconds()), "p99-us")
	if err := r.drain(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLogger writes and reads through a logger on the temporary directory.
func BenchmarkLogger(b *testing.B) {
	r := testRig(b)
	for _, p := range []pattern{
		{op: block.Write, size: 4096, depth: 1, order: streams},
		{op: block.Write, size: 4096, depth: many, order: streams},
		{op: block.Write, size: 4096, depth: many, order: random},
		{op: block.Write, size: 64 << 10, depth: 4},
		{op: block.Read, size: 4096, depth: 16},
	} {
		name := fmt.Sprintf("%v/%dKiB/depth%d/%s", p.op, p.size>>10, p.depth, [...]string{"random", "streams"}[p.order])
		b.Run(name, func(b *testing.B) { slice(b, r, p) })
	}
}

// BenchmarkBare is the yardstick.
func BenchmarkBare(b *testing.B) {
	w, err := newBare(b.TempDir()+"/bare", padded(512))
	if err != nil {
		b.Fatal(err)
	}
	defer w.close()
	b.SetBytes(w.size)
	for b.Loop() {
		if err := w.write(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHashers is one writer beside two off-loaded computations.
func BenchmarkHashers(b *testing.B) {
	r := testRig(b)
	end := r.hashers(2)
	defer end()
	slice(b, r, pattern{op: block.Write, size: 4096, depth: 1, order: streams, time: time.Hour})
}
