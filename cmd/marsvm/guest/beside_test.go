// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"testing"
	"time"
)

// beside is an application on a resource with which nothing is wrong, while
// another resource or another peer is in trouble: its writes take as long as
// before, and who follows goes on following.
type beside struct {
	s      *stage
	res    string
	st     *story
	l      *load
	bare   *pulseReader
	home   *host
	disk   string // of who follows; "" if nobody does
	before sample
	lag    time.Duration // until all was there that had been written, before
}

// newBeside begins to work on a resource at its primary.
func (s *stage) newBeside(res string, home *host, disk string, bare *pulse) *beside {
	s.t.Helper()
	b := &beside{s: s, res: res, home: home, disk: disk, bare: bare.reader(), st: newPacedStory(s.t, home.device(res))}
	b.work()
	return b
}

// work begins, or goes on after a rest, which leaves the machine to others while
// nobody looks.
func (b *beside) work() {
	b.l = &load{}
	b.l.run(b.st.round('a'))
}

func (b *beside) rest() {
	b.s.t.Helper()
	b.l.finish(b.s.t)
}

// measure measures while all is well, in so many chapters more, or since the last
// lap: what comes later is compared with that.
func (b *beside) measure(chapters int) {
	b.s.t.Helper()
	if chapters > 0 {
		b.lap()
	}
	b.s.awaitChapters(b.l, b.st, chapters)
	b.before = b.lap()
	b.lag = b.follow()
	b.s.t.Logf("before: %s: %s; followed after %.1f s", b.res, b.before, b.lag.Seconds())
}

func (b *beside) lap() sample { return sample{story: b.st.lap(), bare: b.bare.lap()} }

// follow waits until what is written now is there as well, and tells how long it
// took. Where nobody follows it is the primary's own position that has to move.
func (b *beside) follow() time.Duration {
	b.s.t.Helper()
	goal, at, begin := b.st.length(), b.home.place(b.res), time.Now()
	b.s.await(b.res+" to go on", func() string {
		if err := b.l.err(); err != nil {
			return hopeless + err.Error()
		}
		if b.disk != "" {
			return behind(b.s.t, b.st, b.disk, goal)
		}
		if now := b.home.place(b.res); now == at {
			return "it stands at " + at
		}
		return ""
	})
	return time.Since(begin)
}

// check looks, while something is wrong elsewhere, at the writes since the last
// lap, of which there must be so many more, and at who follows.
func (b *beside) check(what string, chapters int) {
	b.s.t.Helper()
	b.s.awaitChapters(b.l, b.st, chapters)
	now, lag := b.lap(), b.follow()
	undisturbed(b.s.t, what+": "+b.res, b.before, now)
	b.s.t.Logf("%s: %s goes on after %.1f s; half of the writes took %.1f times as long as before, of the bare ones %.1f times",
		what, b.res, lag.Seconds(), ratio(now.story.half, b.before.story.half), ratio(now.bare.half, b.before.bare.half))
	if why := late(b.lag, lag, b.before, now); why != "" {
		b.s.t.Errorf("%s: %s: %s", what, b.res, why)
	}
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

// lagFloor is how late a replica may be with nothing wrong: positions are told every
// second, and the machine has its pauses. What waits for a peer that does not
// answer waits for network_io_timeout, twice as long and more.
const lagFloor = 8 * time.Second

// late tells that who follows has fallen behind, compared with before.
func late(before, now time.Duration, was, is sample) string {
	slower := 1.0
	if was.bare.half > 0 {
		slower = min(max(1, float64(is.bare.half)/float64(was.bare.half)), noiseFactor)
	}
	limit := max(lagFloor, time.Duration(noiseFactor*slower*float64(min(before, lagFloor/noiseFactor)))) + noiseFactor*min(is.bare.longest, longestPause)
	if now > limit {
		return fmt.Sprintf("it went on after %.1f s, the limit is %.1f s; before: %.1f s", now.Seconds(), limit.Seconds(), before.Seconds())
	}
	return ""
}

// end ends the work and closes the device.
func (b *beside) end() {
	b.s.t.Helper()
	b.l.finish(b.s.t)
	b.st.dev.close(b.s.t)
}

// TestLate is the control of late.
func TestLate(t *testing.T) {
	bare := func(half, longest time.Duration) sample {
		return sample{bare: lap{n: 20, half: half, longest: longest}}
	}
	quiet, busy := bare(5*time.Millisecond, 20*time.Millisecond), bare(20*time.Millisecond, time.Second)
	for _, c := range []struct {
		name        string
		before, now time.Duration
		is          sample
		ok          bool
	}{
		{"as before", time.Second, time.Second, quiet, true},
		{"noise", time.Second, 4 * time.Second, quiet, true},
		{"a busy machine", 2 * time.Second, 15 * time.Second, busy, true},
		{"waits for a time-out of 15 s", time.Second, 15 * time.Second, quiet, false},
		{"waits for network_io_timeout", 2 * time.Second, 30 * time.Second, busy, false},
		{"was slow before, and waits for a time-out", 20 * time.Second, 31 * time.Second, busy, false},
	} {
		if why := late(c.before, c.now, quiet, c.is); (why == "") != c.ok {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
