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
	p.Done(start, time.Millisecond)
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
	p.Done(start, 100*time.Millisecond)
	if p.Due(start.Add(49*time.Second), true) || !p.Due(start.Add(50*time.Second), true) {
		t.Error("a slow pass is not repeated at 1/500 of the time")
	}
	p.Done(start, time.Millisecond)
	if p.Again(); p.Due(start.Add(4*time.Second), false) || !p.Due(start.Add(5*time.Second), false) {
		t.Error("a pass that has left something out is not repeated as after an event")
	}
}
