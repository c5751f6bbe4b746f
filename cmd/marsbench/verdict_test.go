package main

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTargets(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		op       string
		limit, v float64
		met      bool
	}{
		{">=", 0.85, 0.85, true}, {">=", 0.85, 0.8499, false}, {">=", 0.85, math.Inf(1), true}, {">=", 0.85, nan, false},
		{"<", 5, 4.99, true}, {"<", 5, 5, false}, {"<", 5, nan, false},
		{"<=", 0, 0, true}, {"<=", 0, 1, false}, {"<=", 0, nan, false},
	} {
		if got := (target{c.op, c.limit}).met(c.v); got != c.met {
			t.Errorf("%v %s %v: %v", c.v, c.op, c.limit, got)
		}
	}
}

// TestMissedTargetFails: one miss among many, or a failure, fails the run.
func TestMissedTargetFails(t *testing.T) {
	good := func() *report {
		r := &report{}
		r.add("only reported", 0, "x", "")
		r.check("kept", 20, "", ">=", 15, "")
		return r
	}
	var out bytes.Buffer
	if err := conclude(&out, good()); err != nil || !strings.Contains(out.String(), "OK") {
		t.Errorf("all targets met: %v, printed %q", err, out.String())
	}
	for name, spoil := range map[string]func(*report){
		"missed":     func(r *report) { r.check("slow", 14.9, "", ">=", 15, "") },
		"unmeasured": func(r *report) { r.check("slow", math.NaN(), "", ">=", 15, "") },
		"failed":     func(r *report) { r.fail("slow", errors.New("broken")) },
	} {
		r := good()
		spoil(r)
		r.check("kept too", 0, "", "<=", 0, "")
		out.Reset()
		err := conclude(&out, r)
		if !errors.Is(err, errMissed) || !strings.Contains(err.Error(), "slow") || out.Len() > 0 {
			t.Errorf("%s: %v, printed %q", name, err, out.String())
		}
	}
}

func TestTable(t *testing.T) {
	var r report
	r.add("rate", 12345.6, "writes/s", "why")
	r.check("share", 0.853, "", ">=", 0.85, "")
	r.check("growth", 3, "batches", "<=", 0, "of 10")
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `measurement  value  unit      target   verdict  remark
rate         12346  writes/s                    why
share         0.85            >= 0.85  ok
growth           3  batches   <= 0     MISSED   of 10
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		xs   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 100}, 3}} {
		in := slices.Clone(c.xs)
		if got := median(c.xs); got != c.want || !slices.Equal(in, c.xs) {
			t.Errorf("median of %v is %v", in, got)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("the median of nothing is a number")
	}
	var lat []time.Duration
	for i := range 100 {
		lat = append(lat, time.Duration(100-i))
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 50}, {0.99, 99}, {0.991, 100}, {1, 100}, {0, 1}} {
		if got := quantile(lat, c.q); got != c.want {
			t.Errorf("quantile %v is %d, want %d", c.q, got, c.want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("quantile of nothing")
	}
	if got := ratios([]float64{2, 0, 9, 8}, []float64{4, 1, 0}); !slices.Equal(got, []float64{0.5}) {
		t.Errorf("ratios %v", got)
	}
	if low, high := spread([]float64{2, 1, 3}); low != 1 || high != 3 {
		t.Errorf("spread %v to %v", low, high)
	}
	var y tally
	y.add(10, time.Second)
	y.add(2, 2*time.Second)
	if y.rate() != 4 || perSecond(5, 0) != 0 {
		t.Errorf("rate %v", y.rate())
	}
}

func TestComparison(t *testing.T) {
	c := comparison{yardstick: "it", base: []float64{100, 200, 100}, rates: []float64{90, 160, 70}}
	if got := c.share(); got != 0.8 {
		t.Errorf("share %v", got)
	}
	if r := c.remark(); !strings.Contains(r, "3 groups, 0.70 to 0.90 times it") {
		t.Errorf("remark %q", r)
	}
	if !math.IsNaN((&comparison{}).share()) {
		t.Error("a comparison of nothing has a share")
	}
}

// TestReference: what a disk lacks in slowness is added to both sides; a disk
// that is slower than the reference is taken as it is.
func TestReference(t *testing.T) {
	for _, x := range []struct {
		rate float64
		want time.Duration
	}{{20000, 100 * time.Microsecond}, {5000, 0}, {0, 0}, {math.NaN(), 0}} {
		if got := shiftOf(x.rate); got != x.want {
			t.Errorf("shift at %v writes/s: %v, want %v", x.rate, got, x.want)
		}
	}
	c := comparison{base: []float64{20000}, rates: []float64{16000}} // 50 and 62.5 us
	if got, want := c.referred(1, 1, 100*time.Microsecond), 150/162.5; math.Abs(got-want) > 1e-9 {
		t.Errorf("one writer at the reference: %v, want %v", got, want)
	}
	c = comparison{base: []float64{16000}, rates: []float64{160000}} // 64 in 400 us
	if got, want := c.referred(1, 64, 100*time.Microsecond), 64*162.5/500; math.Abs(got-want) > 1e-9 {
		t.Errorf("many writers at the reference: %v, want %v", got, want)
	}
	if got := c.referred(1, 64, 0); math.Abs(got-10) > 1e-9 {
		t.Errorf("without a shift: %v, want the plain ratio 10", got)
	}
}

// TestAlternate: both sides get the same number of turns, each group its rates.
func TestAlternate(t *testing.T) {
	var turns string
	side := func(name string, ops int64) side {
		return func() (outcome, error) {
			turns += name
			return outcome{ops: ops, time: time.Second, lat: []time.Duration{time.Duration(ops)}}, nil
		}
	}
	var c comparison
	if err := c.alternate(2, 3, side("a", 4), side("b", 2)); err != nil {
		t.Fatal(err)
	}
	if turns != "abababababab" || !slices.Equal(c.base, []float64{4, 4}) || !slices.Equal(c.rates, []float64{2, 2}) || len(c.lat) != 6 || c.lat[0] != 2 {
		t.Errorf("turns %s, %+v", turns, c)
	}
	broken := errors.New("broken")
	if err := c.alternate(1, 1, side("a", 1), func() (outcome, error) { return outcome{}, broken }); !errors.Is(err, broken) {
		t.Errorf("error of a side: %v", err)
	}
}

func TestResidentOf(t *testing.T) {
	if n, err := residentOf("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t1\n"); err != nil || n != 1234<<10 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "VmSize:\t 1 kB\n", "VmRSS:\t many kB\n"} {
		if _, err := residentOf(bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestParts(t *testing.T) {
	for _, c := range []struct {
		only string
		ok   bool
		want []string
	}{
		{"", true, partNames}, {"append", true, []string{"append"}}, {"idle, append", true, []string{"idle", "append"}},
		{"apend", false, nil}, {"append,", false, nil},
	} {
		got, err := choose(c.only)
		if (err == nil) != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("choose(%q) = %v, %v", c.only, got, err)
		}
	}
}
