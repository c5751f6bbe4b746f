// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"fmt"
	"testing"

	"mars/infra/symtree"
)

// at is the status when A's log has a length, known since a time, and B has
// applied a part of it.
func at(logged int64, since int64, applied int64) *Status {
	t := pairTree()
	t.SetLink("resource-r/version-000000001-A", longer(logged), since)
	in(t, "replay-B", fmt.Sprintf("log-000000001-A,%d,0", applied))
	return Of(t, "A", "A", nil)
}

func lagOf(t *testing.T, s *Status) float64 {
	t.Helper()
	m := s.Resource("r").Member("B")
	if m.LagSeconds == nil {
		t.Fatal("not measured")
	}
	return *m.LagSeconds
}

func TestMeter(t *testing.T) {
	var m Meter
	for i, c := range []struct{ logged, since, applied, now, want int64 }{
		{500, 0, 500, 10, 0},   // level
		{600, 11, 500, 11, 0},  // written just now
		{700, 12, 500, 14, 3},  // 600 is from 11
		{700, 12, 600, 14, 2},  // 700 is from 12
		{700, 12, 650, 20, 8},  // within: the later length counts
		{700, 12, 700, 21, 0},  // level again
		{900, 100, 700, 90, 0}, // stamps ahead of the clock: never negative
		{900, 100, 700, 400, 300},
	} {
		s := at(c.logged, begun+c.since*second, c.applied)
		m.Observe(s, begun+c.now*second)
		if got := lagOf(t, s); got != float64(c.want) {
			t.Errorf("step %d: %v s, expected %d", i, got, c.want)
		}
	}
	if n := len(m.tracks["r"].samples); n != 1 {
		t.Errorf("%d samples are kept, expected 1: everybody has reached the others", n)
	}
}

func TestMeterForgets(t *testing.T) {
	var m Meter
	m.Observe(at(900, begun, 500), begun)
	s := at(800, begun+5*second, 500) // another history: shorter
	m.Observe(s, begun+7*second)
	if got := lagOf(t, s); got != 2 {
		t.Errorf("%v s, expected 2", got)
	}
	m.Observe(Of(symtree.New(), "A", "A", nil), begun)
	if len(m.tracks) != 0 {
		t.Error("a resource that is gone is remembered")
	}
	s = at(900, begun, 500)
	s.Resources[0].Members[1].Lag = Unknown
	m.Observe(s, begun)
	if s.Resources[0].Members[1].LagSeconds != nil {
		t.Error("an unknown distance has a delay")
	}
}

// A member that stands still for long costs bounded memory, and its delay is
// never told too short.
func TestMeterBounded(t *testing.T) {
	var m Meter
	const steps = 3000
	for i := int64(1); i <= steps; i++ {
		m.Observe(at(500+i, begun+i*second, 500), begun+i*second)
	}
	if n := len(m.tracks["r"].samples); n > maxSamples {
		t.Errorf("%d samples", n)
	}
	for _, applied := range []int64{500, 700, 1500, 3000, 3499, 3500} {
		s := at(500+steps, begun+steps*second, applied)
		(&track{samples: m.tracks["r"].samples}).fill(&s.Resources[0], begun+steps*second)
		want := float64(0)
		if applied < 500+steps {
			want = float64(steps - (applied - 500) - 1)
		}
		if got := lagOf(t, s); got < want || got > want+steps/8 {
			t.Errorf("applied %d: %v s, expected about %v", applied, got, want)
		}
	}
}
