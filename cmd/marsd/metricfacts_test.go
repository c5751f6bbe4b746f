package main

import (
	"testing"
	"time"
)

// TestForecast: it says when space ends, and nothing where it can not know.
func TestForecast(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for _, c := range []struct {
		name  string
		seen  [][2]float64 // seconds, free bytes; the last one is asked about
		want  time.Duration
		known bool
	}{
		{name: "one look", seen: [][2]float64{{0, 1000}}},
		{name: "too short", seen: [][2]float64{{0, 1000}, {59, 900}}},
		{name: "a steady stream", seen: [][2]float64{{0, 1000}, {50, 950}, {100, 900}}, want: 900 * time.Second, known: true},
		{name: "it grows", seen: [][2]float64{{0, 1000}, {100, 1001}}},
		{name: "it stands still", seen: [][2]float64{{0, 1000}, {100, 1000}}},
		{name: "full", seen: [][2]float64{{0, 1000}, {100, 0}}, known: true},
		{name: "what is older than an hour does not count", seen: [][2]float64{{0, 9000}, {1800, 1000}, {3700, 1000}}},
		{name: "hardly anything", seen: [][2]float64{{0, 1e15}, {100, 1e15 - 1}}, want: forecastMax, known: true},
		{name: "the clock was set back", seen: [][2]float64{{1000, 1000}, {100, 900}}},
	} {
		var f forecast
		var got time.Duration
		var ok bool
		for _, s := range c.seen {
			got, ok = f.look(at(int(s[0])), s[1])
		}
		if ok != c.known || got.Round(time.Second) != c.want {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, ok, c.want, c.known)
		}
	}
	// Many scrapes do not pile up.
	var f forecast
	for i := range 100_000 {
		f.look(at(i), 1000)
	}
	if n := len(f.seen); n > 200 {
		t.Errorf("%d samples are kept", n)
	}
}

// TestFirstRecord: without a sound first record nothing is said.
func TestFirstRecord(t *testing.T) {
	log := oneLog(t, 950)
	if at, ok := firstRecord(log, "resource-r/log-000000001-A"); !ok || at.Unix() != 950 {
		t.Errorf("%v, %v", at, ok)
	}
	for name, l := range map[string]logFile{"empty": nil, "zeros": make(logFile, 4096), "cut": log[:20]} {
		if at, ok := firstRecord(l, "resource-r/log-000000001-A"); ok {
			t.Errorf("%s: %v", name, at)
		}
	}
	for _, path := range []string{"", "resource-r/log-000000002-A"} {
		if _, ok := firstRecord(log, path); ok {
			t.Errorf("%q has a first record", path)
		}
	}
}
