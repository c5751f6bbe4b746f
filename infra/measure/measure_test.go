// SPDX-License-Identifier: GPL-2.0-or-later

package measure

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestHistogramBounds(t *testing.T) {
	h := Histogram{Base: 100}
	for _, c := range []struct {
		v      int64
		bucket int
	}{{-5, 0}, {0, 0}, {100, 0}, {101, 1}, {200, 1}, {201, 2}, {400, 2}, {401, 3}, {100 << 18, 18}, {100<<18 + 1, 19}, {1 << 62, 19}} {
		before := h
		h.Add(c.v)
		for i := range h.Counts {
			want := before.Counts[i]
			if i == c.bucket {
				want++
			}
			if h.Counts[i] != want {
				t.Errorf("%d: bucket %d holds %d, expected %d", c.v, i, h.Counts[i], want)
			}
		}
	}
	if h.Bound(0) != 100 || h.Bound(3) != 800 || h.Bound(Buckets-1) != 0 {
		t.Errorf("bounds %d, %d, %d", h.Bound(0), h.Bound(3), h.Bound(Buckets-1))
	}
}

// Every value is in the bucket whose bounds enclose it.
func TestHistogramProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Histogram{Base: rapid.Int64Range(1, 1<<40).Draw(t, "base")}
		v := rapid.Int64Min(0).Draw(t, "value")
		h.Add(v)
		for i, c := range h.Counts {
			if c == 0 {
				continue
			}
			if b := h.Bound(i); b != 0 && v > b || i > 0 && v <= h.Bound(i-1) {
				t.Fatalf("base %d: %d is in bucket %d, above %d up to %d", h.Base, v, i, h.Bound(i-1), b)
			}
		}
		if h.Count() != 1 {
			t.Fatalf("%d values counted", h.Count())
		}
	})
}

func TestHistogramMerge(t *testing.T) {
	a, b := Histogram{Base: 10}, Histogram{Base: 10}
	a.Add(5)
	b.Add(15)
	b.Add(1 << 40)
	a.Merge(&b)
	if a.Count() != 3 || a.Sum != 20+1<<40 || a.Counts[0] != 1 || a.Counts[1] != 1 || a.Counts[Buckets-1] != 1 {
		t.Errorf("%+v", a)
	}
}

func TestHistogramAddDoesNotAllocate(t *testing.T) {
	h := Histogram{Base: 10}
	if n := testing.AllocsPerRun(100, func() { h.Add(12345) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRate(t *testing.T) {
	var r Rate
	for _, c := range []struct {
		count int64
		at    time.Duration
		want  int64
	}{
		{500, time.Second, 0}, // nothing to compare with
		{1500, 2 * time.Second, 1000},
		{2500, 2 * time.Second, 1000}, // no time has passed
		{3500, 4 * time.Second, 1000},
		{3500, 5 * time.Second, 0},
		{10, 6 * time.Second, 0}, // counted from the beginning again
		{110, 7 * time.Second, 100},
	} {
		if got := r.Look(c.count, c.at); got != c.want || r.Value() != c.want {
			t.Errorf("%d at %v: %d, expected %d", c.count, c.at, got, c.want)
		}
	}
}

// Whatever is asked for, in the long run no more gets through than the limit,
// but nearly that much if it is asked for.
func TestLimiter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Limiter
		limit := rapid.Int64Range(1000, 1<<30).Draw(t, "limit")
		piece := rapid.Int64Range(limit/1000, limit).Draw(t, "piece")
		now, taken := time.Hour, int64(0)
		end := now + 60*time.Second
		for now < end {
			wait := l.Take(now, piece, limit)
			if wait == 0 {
				taken += piece
				now += time.Duration(float64(piece) / float64(limit) * 0.5 * float64(time.Second))
				continue
			}
			now += wait
		}
		most := 60*limit + limit/10 + 2*piece
		if taken > most || taken < 60*limit*9/10-2*piece {
			t.Fatalf("%d got through in a minute, the limit allows %d", taken, 60*limit)
		}
	})
	var l Limiter
	for range 100 {
		if l.Take(time.Hour, 1<<40, 0) != 0 {
			t.Fatal("without a limit something waits")
		}
	}
}

// TestSeldom: the first one of a sort is said, then one in a while with the
// number of those left out; there are only so many sorts.
func TestSeldom(t *testing.T) {
	var s Seldom
	said, left := 0, 0
	for i := range 1000 { // in two and a half periods
		if missed, ok := s.Say("x", SeldomEvery/400*time.Duration(i)); ok {
			said++
			left += missed
		}
	}
	if said != 3 || left < 790 || left > 800 {
		t.Errorf("said %d times, %d left out", said, left)
	}
	said = 0
	for i := range 2 * maxSeldom {
		if _, ok := s.Say(fmt.Sprint(i), 0); ok {
			said++
		}
	}
	if said > maxSeldom || len(s.list) > maxSeldom+1 {
		t.Errorf("%d sorts, %d said", len(s.list), said)
	}
}
