package simtest

import (
	"os"
	"strconv"
	"testing"
)

// seeds are the seeds to be run: def of them, or what the environment says.
// MARS_SIM_CLUSTERS is how many seeds the cheapest test runs; others run a share.
// MARS_SIM_SEED is the one seed to run, MARS_SIM_FIRST the first one (default 1).
func seeds(t testing.TB, def int, share float64) []uint64 {
	number := func(name string) (uint64, bool) {
		text := os.Getenv(name)
		if text == "" {
			return 0, false
		}
		n, err := strconv.ParseUint(text, 10, 48)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n, true
	}
	if n, ok := number("MARS_SIM_SEED"); ok {
		return []uint64{n}
	}
	count := uint64(def)
	if n, ok := number("MARS_SIM_CLUSTERS"); ok {
		count = max(uint64(float64(n)*share), 1)
	}
	first := uint64(1)
	if n, ok := number("MARS_SIM_FIRST"); ok {
		first = n
	}
	list := make([]uint64, count)
	for i := range list {
		list[i] = first + uint64(i)
	}
	return list
}

// watching is debug for a run with a recorder: it gets the trace.
func watching(t testing.TB, o *Options) {
	debug(o)
	if r, ok := t.(*recorder); ok && r.trace != nil {
		o.World.Trace, o.World.Log = r.trace, r.trace
	}
}

// debug shows the daemons' messages (MARS_SIM_LOG=1) and all events
// (MARS_SIM_TRACE=1) of a seed that is looked at.
func debug(o *Options) {
	if os.Getenv("MARS_SIM_LOG") != "" {
		o.World.Log = os.Stderr
	}
	if os.Getenv("MARS_SIM_TRACE") != "" {
		o.World.Trace = os.Stderr
	}
}
