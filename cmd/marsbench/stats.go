package main

import (
	"math"
	"slices"
	"time"
)

// median returns the middle of xs, of an even number the mean of the middle
// two; NaN of nothing.
func median(xs []float64) float64 {
	n := len(xs)
	if n == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// quantile returns the smallest of xs that at least the share q (0 to 1) of all
// does not exceed; 0 of nothing. It sorts xs.
func quantile(xs []time.Duration, q float64) time.Duration {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	i := int(math.Ceil(q*float64(len(xs)))) - 1
	return xs[min(max(i, 0), len(xs)-1)]
}

// perSecond is n in a time as a rate; 0 for no time.
func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// tally adds up slices.
type tally struct {
	ops  int64
	time time.Duration
}

func (t *tally) add(n int64, d time.Duration) { t.ops, t.time = t.ops+n, t.time+d }

func (t *tally) rate() float64 { return perSecond(t.ops, t.time) }

// ratios divides each a by its neighbour b; those without a rate are left out,
// so that a slice in which nothing happened can not pass for a fast one.
func ratios(a, b []float64) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		if a[i] > 0 && b[i] > 0 {
			out = append(out, a[i]/b[i])
		}
	}
	return out
}

// spread is the lowest and the highest of xs.
func spread(xs []float64) (low, high float64) {
	if len(xs) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(xs), slices.Max(xs)
}
