package copy

import (
	"math"
	"time"
)

// rateTau is the time over which rates are averaged.
const rateTau = 5 * time.Second

// rate is an exponentially weighted average of bytes per second.
type rate struct {
	value float64
	at    time.Duration
}

func (r *rate) decayed(now time.Duration) float64 {
	return r.value * math.Exp(-float64(now-r.at)/float64(rateTau))
}

func (r *rate) add(now time.Duration, n int64) {
	r.value = r.decayed(now) + float64(n)/rateTau.Seconds()
	r.at = now
}

// perSecond is the rate now, in bytes per second.
func (r *rate) perSecond(now time.Duration) int64 { return int64(r.decayed(now)) }

// sizer finds the size of pieces that take about the right time, so that a
// thin line is not asked for more than it brings before somebody's patience
// ends, and a fast one is used.
type sizer struct {
	size, least, most int64 // bytes, powers of two
	quick, slow       time.Duration
}

func (s *sizer) took(n int64, d time.Duration) {
	switch {
	case n < s.size && d <= s.slow: // tells nothing about full ones
	case d < s.quick:
		s.size = min(2*s.size, s.most)
	case d > s.slow:
		s.size = max(s.size/2, s.least)
	}
}

func pieceSizer() sizer {
	return sizer{size: 64 << 10, least: 64 << 10, most: 1 << 20, quick: time.Second, slow: 5 * time.Second}
}
