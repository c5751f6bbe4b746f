// SPDX-License-Identifier: GPL-2.0-or-later

package measure

import "math/bits"

// Buckets is the number of buckets of a Histogram; the last one has no bound.
const Buckets = 20

// Histogram counts values (nanoseconds, bytes, records) in buckets. Bucket i
// holds what is above Base<<(i-1) and not above Base<<i. The zero value counts
// with Base 1.
type Histogram struct {
	Base   int64 // the first bound; at least 1
	Counts [Buckets]uint64
	Sum    int64 // of all values
}

// Add counts one value; one below 0 counts as 0.
func (h *Histogram) Add(v int64) {
	v = max(v, 0)
	h.Counts[bucketOf(v, h.base())]++
	h.Sum += v
}

func (h *Histogram) base() int64 { return max(h.Base, 1) }

func bucketOf(v, base int64) int {
	if v <= base {
		return 0
	}
	return min(bits.Len64(uint64((v-1)/base)), Buckets-1)
}

// Bound is the upper bound of bucket i, which belongs to the bucket. The last
// bucket has none: the result is 0.
func (h *Histogram) Bound(i int) int64 {
	if i >= Buckets-1 {
		return 0
	}
	return h.base() << i
}

// Count is the number of all values.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Merge adds what o counted; both must have the same Base.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.Counts {
		h.Counts[i] += c
	}
	h.Sum += o.Sum
	h.Base = o.base()
}
