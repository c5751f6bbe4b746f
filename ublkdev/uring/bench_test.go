// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func BenchmarkNop(b *testing.B) {
	for _, batch := range []int{1, 32} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			r := newRing(b, 32, Options{CoopTaskrun: true, SingleIssuer: true})
			cqes := make([]CQE, batch)
			b.ReportAllocs()
			for i := 0; i < b.N; i += batch {
				for range batch {
					r.Get().Nop(1)
				}
				if _, err := r.SubmitAndWait(batch, time.Second); err != nil || r.Reap(cqes) != batch {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDirectWrite4K(b *testing.B) {
	for _, depth := range []int{1, 16} {
		for _, hybrid := range []time.Duration{0, 80 * time.Microsecond} {
			b.Run(fmt.Sprintf("depth=%d/hybrid=%v", depth, hybrid), func(b *testing.B) {
				benchWrite(b, depth, Options{CoopTaskrun: true, SingleIssuer: true, HybridWait: hybrid})
			})
		}
	}
}

func benchWrite(b *testing.B, depth int, opt Options) {
	const block, span = 4096, 1024
	r := newRing(b, 32, opt)
	fd := tempFile(b, unix.O_DIRECT)
	mem := mapped(b, block*depth)
	r.Get().Fallocate(fd, 0, 0, block*span, 0)
	wait(b, r, 1)
	cqes := make([]CQE, depth)
	issue := func(slot, i int) {
		r.Get().Write(fd, mem[slot*block:(slot+1)*block], uint64(i%span)*block, 0, uint64(slot))
	}
	b.SetBytes(block)
	b.ReportAllocs()
	b.ResetTimer()
	next := 0
	for ; next < min(depth, b.N); next++ {
		issue(next, next)
	}
	for done := 0; done < b.N; {
		if _, err := r.SubmitAndWait(1, -1); err != nil {
			b.Fatal(err)
		}
		n := r.Reap(cqes)
		for _, c := range cqes[:n] {
			if c.Res != block {
				b.Fatal(c.Err())
			}
			if next < b.N {
				issue(int(c.UserData), next)
				next++
			}
		}
		done += n
	}
}
