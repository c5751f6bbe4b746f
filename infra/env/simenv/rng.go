package simenv

import (
	"math/bits"
	"time"
)

// rng is a splitmix64 generator: eight bytes of state, a few nanoseconds a
// number, and cheap to fork, so that every executor has a stream of its own.
type rng struct{ s uint64 }

func newRNG(seed uint64) rng { return rng{mix64(seed ^ 0x6d617273)} }

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rng) next() uint64 {
	r.s += 0x9e3779b97f4a7c15
	return mix64(r.s)
}

// fork makes an independent stream named by id.
func (r *rng) fork(id uint64) rng { return rng{mix64(r.next() ^ mix64(id+1))} }

// intn is uniform in [0, n); 0 for n <= 0.
func (r *rng) intn(n int64) int64 {
	if n <= 0 {
		return 0
	}
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int64(hi)
}

// chance is true with probability p.
func (r *rng) chance(p float64) bool {
	return float64(r.next()>>11)/(1<<53) < p
}

// in draws from a range; an empty range is its Min.
func (r *rng) in(s Span) time.Duration {
	if s.Max <= s.Min {
		return s.Min
	}
	return s.Min + time.Duration(r.intn(int64(s.Max-s.Min)+1))
}

// Span is a range of durations, both ends included.
type Span struct{ Min, Max time.Duration }
