// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"testing"
	"time"
)

func TestScanPlan(t *testing.T) {
	start := time.Unix(1e9, 0)
	p := ScanPlan{Every: 5 * time.Second, Calm: time.Minute, Share: 500}
	if !p.Due(start, false) {
		t.Fatal("the first pass is not due")
	}
	p.Done(start, time.Millisecond, false)
	for _, c := range []struct {
		at       time.Duration
		eventful bool
		want     bool
	}{
		{4 * time.Second, false, false},
		{6 * time.Second, false, false},
		{60 * time.Second, false, true},
		{4 * time.Second, true, false},
		{5 * time.Second, false, true}, // remembers the event
	} {
		if got := p.Due(start.Add(c.at), c.eventful); got != c.want {
			t.Errorf("after %v, eventful %v: due %v", c.at, c.eventful, got)
		}
	}
	p.Done(start, 100*time.Millisecond, false)
	if p.Due(start.Add(49*time.Second), true) || !p.Due(start.Add(50*time.Second), true) {
		t.Error("a slow pass is not repeated at 1/500 of the time")
	}
	p.Done(start, time.Millisecond, false)
	if p.Again(); p.Due(start.Add(4*time.Second), false) || !p.Due(start.Add(5*time.Second), false) {
		t.Error("a pass that has left something out is not repeated as after an event")
	}
}

// TestScanPlanDoubt: a pass that finds more openers may have found a process that is
// just being forked; that is looked at again soon, some times, and not for ever.
func TestScanPlanDoubt(t *testing.T) {
	const took = 40 * time.Millisecond
	p, now := ScanPlan{Every: 5 * time.Second, Calm: time.Minute, Share: 500}, time.Unix(1e9, 0)
	next := func(more bool) time.Duration {
		p.Done(now, took, more)
		for begin := now; ; now = now.Add(time.Second) {
			if p.Due(now, false) {
				return now.Sub(begin)
			}
		}
	}
	if d := next(false); d != time.Minute {
		t.Errorf("after a pass that found no more openers the next one came %v later", d)
	}
	for i, more := range []bool{true, false, false} {
		if d := next(more); d != doubtShare*took {
			t.Errorf("pass %d after one that found more openers came %v later, want %v", i+1, d, doubtShare*took)
		}
	}
	if d := next(false); d != time.Minute {
		t.Errorf("when the count had stood for some passes, the next one came %v later", d)
	}
	p.Done(now, time.Second, true)
	if p.Due(now.Add(49*time.Second), true) || !p.Due(now.Add(50*time.Second), false) {
		t.Error("slow passes take another part of the time than 1/50, even in doubt")
	}
}

// TestScanPlanSoon: after a sign that somebody has come or gone, passes come at once and
// some times more, and whoever waits knows when.
func TestScanPlanSoon(t *testing.T) {
	p, now := ScanPlan{Every: 5 * time.Second, Calm: time.Minute, Share: 500}, time.Unix(1e9, 0)
	p.Done(now, 0, false)
	if d := p.Next(); d != time.Minute {
		t.Errorf("with nothing to come, the next pass may be %v later", d)
	}
	p.Soon()
	for i := range doubtPasses {
		if d := p.Next(); d != doubtEvery {
			t.Errorf("pass %d may be %v later, want %v", i, d, doubtEvery)
		}
		if p.Due(now.Add(doubtEvery-1), false) || !p.Due(now.Add(doubtEvery), false) {
			t.Errorf("pass %d does not come %v after the one before", i, doubtEvery)
		}
		now = now.Add(doubtEvery)
		p.Done(now, 0, false)
	}
	if p.Due(now.Add(59*time.Second), false) {
		t.Error("the passes behind a sign have no end")
	}
}
