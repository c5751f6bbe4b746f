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
		if d := next(more); d != 5*time.Second {
			t.Errorf("pass %d after one that found more openers came %v later, want 5s", i+1, d)
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
