package lamport

import (
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	day   = 24 * 3600 * Second
	year  = 365 * day
	epoch = 56 * year // some day in 2026
)

// world is a host's pair of clocks.
type world struct{ r Reading }

func newWorld() *world { return &world{Reading{System: epoch, Mono: 77}} }

// pass lets d go by on both clocks.
func (w *world) pass(d Stamp) Reading {
	w.r.System += d
	w.r.Mono += int64(d)
	return w.r
}

// jump sets the system clock forth or back.
func (w *world) jump(d Stamp) Reading {
	w.r.System += d
	return w.r
}

func TestFollowsTheSystemClock(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	for range 5 {
		r := w.pass(Second)
		if got := c.Now(r); got != r.System {
			t.Fatalf("Now = %v, want the system clock's %v", got, r.System)
		}
	}
	first := c.Now(w.r)
	if second := c.Now(w.r); second != first+1 {
		t.Errorf("within one tick: %v after %v, want +1 ns", second, first)
	}
}

func TestCrawlsWhileAhead(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	c.Now(w.r)
	ahead := w.r.System + 10*Second
	if !c.Observe(ahead, w.r) {
		t.Fatal("a stamp 10 s ahead was refused")
	}
	for i := range Stamp(9) {
		if got := c.Now(w.pass(Second)); got != ahead+1+i {
			t.Fatalf("after %d s: %v, want %v", i+1, got, ahead+1+i)
		}
	}
	r := w.pass(2 * Second)
	if got := c.Now(r); got != r.System {
		t.Errorf("the system clock has caught up: %v, want %v", got, r.System)
	}
}

func TestWindowEdges(t *testing.T) {
	for _, tc := range []struct {
		name   string
		window time.Duration
		ahead  Stamp
		want   bool
	}{
		{"in the past", DefaultFuture, -10 * year, true},
		{"now", DefaultFuture, 0, true},
		{"at the edge", DefaultFuture, 30 * day, true},
		{"1 ns beyond", DefaultFuture, 30*day + 1, false},
		{"year 9999 does not fit, 2255 does", DefaultFuture, MaxStamp - epoch, false},
		{"no window", 0, 100 * year, true},
		{"negative window is none", -1, 100 * year, true},
		{"no window, beyond MaxStamp", 0, MaxStamp - epoch + 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, c := newWorld(), New(tc.window)
			before := c.Now(w.r)
			got := c.Observe(w.r.System+tc.ahead, w.r)
			if got != tc.want {
				t.Errorf("adopted = %v, want %v", got, tc.want)
			}
			if refused := c.Status().Refused == 1; refused == tc.want {
				t.Errorf("Refused = %d", c.Status().Refused)
			}
			if now := c.Now(w.r); !got && now != before+1 {
				t.Errorf("a refused stamp moved the clock from %v to %v", before, now)
			}
		})
	}
}

func TestSystemClockBehindDoesNotQuarantineTheTree(t *testing.T) {
	c := New(DefaultFuture)
	c.Restore(epoch)
	dead := Reading{System: 5 * Second, Mono: 1} // battery-backed clock lost
	if !c.Observe(epoch+day, dead) {
		t.Error("a stamp near the restored one was refused because of the system clock of 1970")
	}
	if now := c.Now(dead); now != epoch+day+1 {
		t.Errorf("Now = %v, want %v", now, epoch+day+1)
	}
}

func TestLeapRunsOnMonotonic(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	start := c.Now(w.r)
	w.jump(10 * year)
	for i := range Stamp(3) {
		got := c.Now(w.pass(Second))
		if want := start + (i+1)*Second; got != want {
			t.Fatalf("%d s after the leap: %v, want %v", i+1, got, want)
		}
	}
	st := c.Status()
	if st.Source != FromMono || st.Leap != time.Duration(10*year) {
		t.Errorf("status %+v, want the monotonic clock and a leap of 10 years", st)
	}
	if c.ObserveOwn(w.r.System, w.r) {
		t.Error("a stamp of the mistrusted clock was adopted")
	}
	if !c.Meet(start, start, w.r) || c.Status().Source != FromMono {
		t.Error("a peer at the true time must be met, and not end the mistrust")
	}
	c.Meet(start, w.r.System, w.r) // a peer that has leapt likewise
	if c.Now(w.r); c.Status().Source != FromMono {
		t.Error("another leapt system clock ended the mistrust")
	}
	w.jump(-10 * year)
	r := w.pass(Second)
	if got := c.Now(r); got != r.System || c.Status().Source != FromSystem {
		t.Errorf("Now = %v from %v after the clock was put right", got, c.Status().Source)
	}
}

func TestLeapWithinWindowIsFollowed(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	c.Now(w.r)
	r := w.jump(29 * day)
	if got := c.Now(r); got != r.System {
		t.Errorf("Now = %v, want %v", got, r.System)
	}
}

func TestLongIdleIsNoLeap(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	c.Now(w.r)
	r := w.pass(5 * year) // nobody asked for years, both clocks ran on
	if got := c.Now(r); got != r.System || c.Status().Source != FromSystem {
		t.Errorf("Now = %v (%v), want %v from the system clock", got, c.Status().Source, r.System)
	}
}

func TestSwitchedOffForLong(t *testing.T) {
	fresh := func() (*world, *Clock) {
		w, c := newWorld(), New(DefaultFuture)
		c.Restore(epoch - 90*day)
		if got := c.Now(w.r); got != epoch-90*day+1 && got != epoch-90*day {
			t.Fatalf("Now = %v, want the restored time", got)
		}
		return w, c
	}
	t.Run("a peer's system clock agrees", func(t *testing.T) {
		w, c := fresh()
		if !c.Meet(epoch-90*day, w.r.System+day, w.r) {
			t.Error("the peer was refused")
		}
		if got := c.Now(w.r); got < w.r.System {
			t.Errorf("Now = %v, want the system time %v", got, w.r.System)
		}
	})
	t.Run("a peer's stamp agrees", func(t *testing.T) {
		w, c := fresh()
		if !c.Observe(w.r.System-Second, w.r) {
			t.Error("the stamp of a running cluster was refused")
		}
		if got := c.Now(w.r); got != w.r.System {
			t.Errorf("Now = %v, want %v", got, w.r.System)
		}
	})
	t.Run("a peer's clock differs", func(t *testing.T) {
		w, c := fresh()
		c.Meet(epoch-90*day, epoch-90*day, w.r)
		if got := c.Status().Source; got != FromMono {
			t.Errorf("source %v, want monotonic", got)
		}
	})
	t.Run("the window is switched off", func(t *testing.T) {
		w, c := fresh()
		c.SetWindow(0)
		if got := c.Now(w.r); got != w.r.System {
			t.Errorf("Now = %v, want %v", got, w.r.System)
		}
	})
}

func TestMeet(t *testing.T) {
	t.Run("a new host with a leapt clock takes the peer's time", func(t *testing.T) {
		w, c := newWorld(), New(DefaultFuture)
		w.jump(10 * year)
		if !c.Meet(epoch, epoch, w.r) {
			t.Error("not ok")
		}
		if got := c.Now(w.r); got != epoch+1 || c.Status().Source != FromMono {
			t.Errorf("Now = %v from %v", got, c.Status().Source)
		}
	})
	t.Run("own clock is ahead for good", func(t *testing.T) {
		w, c := newWorld(), New(DefaultFuture)
		c.Now(w.jump(10 * year))
		if c.Meet(epoch, epoch, w.r) {
			t.Error("ok, although the peer will refuse every stamp of ours")
		}
	})
	t.Run("the peer is ahead", func(t *testing.T) {
		w, c := newWorld(), New(DefaultFuture)
		c.Now(w.r)
		if c.Meet(epoch+10*year, epoch+10*year, w.r) {
			t.Error("ok, although the peer's stamps are implausible")
		}
	})
}

// TestPropertyNeverBack drives a clock through arbitrary jumps of up to 10
// years, forth and back, of either clock.
func TestPropertyNeverBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.SampledFrom([]time.Duration{0, time.Hour, DefaultFuture}).Draw(t, "window")
		c, r := New(window), Reading{System: epoch}
		jump := rapid.Int64Range(int64(-10*year), int64(10*year))
		floor, some := Stamp(0), false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "clocks") {
			case 0:
				r.System += Stamp(jump.Draw(t, "system jump"))
			case 1:
				r.Mono += jump.Draw(t, "mono jump")
			case 2:
				d := rapid.Int64Range(0, int64(10*Second)).Draw(t, "pass")
				r.System, r.Mono = r.System+Stamp(d), r.Mono+d
			}
			s := epoch + Stamp(jump.Draw(t, "stamp"))
			adopted := false
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0:
				adopted = c.Observe(s, r)
				if before := max(r.System, c.Status().Last); !adopted && !beyond(s, before, uint64(window)) {
					t.Fatalf("refused %v at system %v, clock %v", s, r.System, before)
				}
			case 1:
				adopted = c.ObserveOwn(s, r)
			case 2:
				adopted = c.Meet(s, s, r)
			case 3:
				c.Restore(s)
				adopted = true
			}
			if adopted {
				floor, some = max(floor, s), true
			}
			now := c.Now(r)
			if some && now <= floor {
				t.Fatalf("Now = %v, not after %v", now, floor)
			}
			floor, some = now, true
		}
	})
}

// TestPropertyExtremes: no reading whatever overflows the clock.
func TestPropertyExtremes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(time.Duration(rapid.Int64().Draw(t, "window")))
		last := Stamp(-1 << 63)
		for i := range rapid.IntRange(1, 30).Draw(t, "steps") {
			r := Reading{Stamp(rapid.Int64().Draw(t, "system")), rapid.Int64().Draw(t, "mono")}
			c.Observe(Stamp(rapid.Int64().Draw(t, "stamp")), r)
			now := c.Now(r)
			if i > 0 && now <= last {
				t.Fatalf("Now = %d after %d", int64(now), int64(last))
			}
			if now > MaxStamp+1000 {
				t.Fatalf("Now = %d is beyond MaxStamp", int64(now))
			}
			last = now
			c.Status()
		}
	})
}

// TestPropertyBounded: a leaping host moves its clock at most by the window
// beyond what has truly passed.
func TestPropertyBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, c := newWorld(), New(DefaultFuture)
		c.Now(w.r)
		truth := w.r.System
		w.jump(Stamp(rapid.Int64Range(int64(30*day+Second), int64(10*year)).Draw(t, "leap")))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			d := Stamp(rapid.Int64Range(0, int64(day)).Draw(t, "pass"))
			truth += d
			if now := c.Now(w.pass(d)); now < truth || now > truth+1000 {
				t.Fatalf("Now = %v, want about %v", now, truth)
			}
		}
	})
}

func TestConcurrentNowIsUnique(t *testing.T) {
	const workers, each = 4, 2000
	w, c := newWorld(), New(DefaultFuture)
	got := make([][]Stamp, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				got[i] = append(got[i], c.Now(w.r))
			}
		}()
	}
	wg.Wait()
	seen := map[Stamp]bool{}
	for _, list := range got {
		for k, s := range list {
			if k > 0 && s <= list[k-1] {
				t.Fatal("not increasing within one caller")
			}
			seen[s] = true
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d different stamps, want %d", len(seen), workers*each)
	}
}

func TestSourceString(t *testing.T) {
	if FromSystem.String() != "system" || FromMono.String() != "monotonic" {
		t.Error("wrong names")
	}
}

// TestMonotonicClockGoingBack: it must not, but if it does, that is no
// progress, and no cover for a leap of the system clock.
func TestMonotonicClockGoingBack(t *testing.T) {
	w, c := newWorld(), New(DefaultFuture)
	c.Now(w.pass(3600 * Second))
	w.r.Mono -= int64(1800 * Second)
	start := c.Now(w.r)
	w.jump(10 * year)
	if got := c.Now(w.r); got != start+1 || c.Status().Source != FromMono {
		t.Errorf("Now = %v from %v, want %v from the monotonic clock", got, c.Status().Source, start+1)
	}
	w.r.Mono -= int64(Second)
	if got := c.Now(w.r); got != start+2 {
		t.Errorf("Now = %v, want %v", got, start+2)
	}
}
