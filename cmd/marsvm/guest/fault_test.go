// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// roundsVar makes the suites of faults longer: each fault comes that often.
const roundsVar = "MARS_FAULT_ROUNDS"

// rounds is how often each fault comes.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv(roundsVar)
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number from 1 on", roundsVar, text)
	}
	return n
}

// pace is the pause of a story between two writes, and of the pulse. Suites of
// faults want a writer that never stops, not one that takes all of the machine:
// a replicated write is tens of milliseconds of an emulated processor.
const pace = 400 * time.Millisecond

// lap is the times of some writes.
type lap struct {
	n             int
	half, most    time.Duration // quantiles: 1/2, 99/100
	longest, span time.Duration // span: since the last lap
}

// newLap counts.
func newLap(times []time.Duration) lap {
	if len(times) == 0 {
		return lap{}
	}
	slices.Sort(times)
	return lap{n: len(times), half: times[len(times)/2], most: times[len(times)*99/100], longest: times[len(times)-1]}
}

func (l lap) String() string {
	return fmt.Sprintf("%d writes, p50 %.1f ms, p99 %.1f ms, max %.0f ms", l.n, ms(l.half), ms(l.most), ms(l.longest))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// pulse is a writer at a bare disk, beside the stories: it tells how fast the
// machine itself is, which is emulated and shares its processors.
type pulse struct {
	load  load
	mu    sync.Mutex
	times []time.Duration
	own   pulseReader
}

// pulseReader is who takes laps of a pulse, which may be several.
type pulseReader struct {
	p     *pulse
	seen  int
	since time.Time // the last lap
}

// reader is another one.
func (p *pulse) reader() *pulseReader { return &pulseReader{p: p, since: time.Now()} }

// newPulse begins to write to a disk of its own.
func newPulse(t *testing.T, path string) *pulse {
	t.Helper()
	return newPulseEvery(t, path, pace)
}

// newPulseEvery does so with another pause between two writes: it must not be a
// load.
func newPulseEvery(t *testing.T, path string, pause time.Duration) *pulse {
	t.Helper()
	p := &pulse{}
	p.own = pulseReader{p: p, since: time.Now()}
	dev, buf := openDev(t, path), alignedBuf(t, storyBlock)
	p.load.run(func(i int) error {
		begin := time.Now()
		err := dev.writeDurably(buf, int64(i%16)*storyBlock)
		took := time.Since(begin)
		p.mu.Lock()
		p.times = append(p.times, took)
		p.mu.Unlock()
		<-time.After(pause)
		return err
	})
	t.Cleanup(func() { p.load.finish(t); dev.close(t) })
	return p
}

func (p *pulse) lap() lap { return p.own.lap() }

func (r *pulseReader) lap() lap {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	l, now := newLap(slices.Clone(r.p.times[r.seen:])), time.Now()
	l.span = now.Sub(r.since)
	r.seen, r.since = len(r.p.times), now
	return l
}

// sample is the times of a story's writes, with the pulse of the same span.
type sample struct {
	story, bare lap
	filling     time.Duration // the story's own disk was busy with other data so long
}

func (s sample) String() string {
	return fmt.Sprintf("%s (in %.1f s; bare disk: %s)", s.story, s.bare.span.Seconds(), s.bare)
}

// What may change of the times of writes when something else is wrong: noise.
// What waits for a line or a disk that is slow waits for it with every write,
// and what waits for a time-out, or until all is well again, longer than any
// pause. A machine that gets no processor pauses as well, whatever the fault:
// that is told by the longest write before the fault, by that to a bare disk, and
// by how long a fault takes that is over after so many writes.
const (
	noiseFactor  = 3
	noiseFloor   = 50 * time.Millisecond // half of what the quickest fault takes, a line of 100 ms
	longestPause = 2 * time.Second
	pauseShare   = 3                // a single write never takes such a part of the fault
	mostShare    = 15 * time.Second // nor this: half of network_io_timeout
)

// disturbed tells what is wrong with the times of writes that a fault must not
// disturb, compared with those before it.
func disturbed(before, now sample) string {
	slower := 1.0 // the machine
	if before.bare.half > 0 {
		slower = max(1, float64(now.bare.half)/float64(before.bare.half))
	}
	limit := time.Duration(slower * float64(max(noiseFactor*before.story.half, noiseFloor)))
	pause := max(longestPause+noiseFactor*max(now.bare.longest, before.story.longest), min(now.bare.span/pauseShare, mostShare)) + now.filling
	switch {
	case now.story.n == 0:
		return "no write at all"
	case now.story.half > limit:
		return fmt.Sprintf("half of the writes took more than %.1f ms, the limit is %.1f ms", ms(now.story.half), ms(limit))
	case now.story.longest > pause:
		return fmt.Sprintf("a write took %.0f ms, the limit is %.0f ms", ms(now.story.longest), ms(pause))
	}
	return ""
}

// undisturbed checks that.
func undisturbed(t *testing.T, what string, before, now sample) {
	t.Helper()
	t.Logf("%s: %s", what, now)
	if why := disturbed(before, now); why != "" {
		t.Errorf("%s: %s; before: %s", what, why, before)
	}
}

// awaitChapters waits until the story has grown.
func (s *stage) awaitChapters(l *load, st *story, more int) {
	s.t.Helper()
	s.awaitLength(l, st, st.length()+more)
}

// awaitLength waits until the story has so many chapters.
func (s *stage) awaitLength(l *load, st *story, goal int) {
	s.t.Helper()
	s.await("chapter "+itoa(goal), func() string {
		if err := l.err(); err != nil {
			return hopeless + err.Error()
		}
		if n := st.length(); n < goal {
			return itoa(n)
		}
		return ""
	})
}

// freeze pauses the replay of a secondary and waits until its disk is at rest.
func (h *host) freeze(res string) {
	h.t.Helper()
	h.ok("pause-replay", res)
	h.awaitLink("resource-"+res+"/actual-"+h.name+"/is-replaying", "0")
}

// link is the value of a link below /mars of a host. Waits look at links: in a
// guest that gets little of its machine a run of marsadm takes seconds.
func (h *host) link(name string) string {
	target, err := os.Readlink(h.inside("/mars/" + name))
	return target + errText(err)
}

// awaitLink waits for the value of a link of a host.
func (h *host) awaitLink(name, value string) {
	h.t.Helper()
	h.s.await(name+" of "+h.name+" to be "+value, func() string {
		if got := h.link(name); got != value {
			return "it is " + got
		}
		return ""
	})
}

// awaitStory waits until a host has all of a story that has ended: up to date by
// what it knows, and by what is on its disk, since it may know the end late.
func (h *host) awaitStory(res string, st *story, disk string) {
	h.t.Helper()
	h.s.await("the end of the story on "+h.name, func() string { return behind(h.t, st, disk, st.length()) })
	h.awaitUpToDate(res)
}

// awaitSynced waits until a sync that has begun is over and the replay has passed
// its end: until then the disk is no past, though it may hold what is newest.
func (h *host) awaitSynced(res string) {
	h.t.Helper()
	h.awaitLink("resource-"+res+"/syncstatus-"+h.name, h.link("resource-"+res+"/size"))
	h.s.await(res+" to be consistent at "+h.name, func() string {
		if text := h.status(res); !strings.Contains(text, "  disk      ") || strings.Contains(text, "  disk      Inconsistent") {
			return text
		}
		return ""
	})
}

// place is where the replay of a host stands: log and offset.
func (h *host) place(res string) string { return h.link("resource-" + res + "/replay-" + h.name) }

// TestFaultJudge is the control of what the suites of faults go by.
func TestFaultJudge(t *testing.T) {
	times := func(typical, last time.Duration) lap {
		all := make([]time.Duration, 200)
		for i := range all {
			all[i] = typical + time.Duration(i)*time.Microsecond
		}
		return newLap(append(all, last))
	}
	bare := func(typical, last, span time.Duration) lap {
		l := times(typical, last)
		l.span = span
		return l
	}
	const typical = 4 * time.Millisecond
	quiet := bare(time.Millisecond, 20*time.Millisecond, 6*time.Second)
	busy := bare(4*time.Millisecond, time.Second, 12*time.Second)
	before := sample{story: times(typical, 30*time.Millisecond), bare: quiet}
	for _, c := range []struct {
		name string
		now  sample
		ok   bool
	}{
		{"as before", sample{story: times(typical, 90*time.Millisecond), bare: quiet}, true},
		{"noise", sample{story: times(10*typical, 900*time.Millisecond), bare: quiet}, true},
		{"a busy machine", sample{story: times(8*typical, 3*time.Second), bare: busy}, true},
		{"it stood still, but not while bare writes were under way", sample{story: times(typical, 3748*time.Millisecond), bare: bare(time.Millisecond, 255*time.Millisecond, 15*time.Second)}, true},
		{"waits for a line of 100 ms", sample{story: times(104*time.Millisecond, 200*time.Millisecond), bare: quiet}, false},
		{"waits for a disk of 200 ms, on a busy machine", sample{story: times(204*time.Millisecond, 300*time.Millisecond), bare: busy}, false},
		{"one write waits for a time-out", sample{story: times(typical, 5*time.Second), bare: quiet}, false},
		{"one write waits until the line is whole again", sample{story: times(typical, 25*time.Second), bare: bare(time.Millisecond, 20*time.Millisecond, 30*time.Second)}, false},
		{"one write waits in a long time", sample{story: times(typical, 20*time.Second), bare: bare(time.Millisecond, 20*time.Millisecond, 5*time.Minute)}, false},
		{"the disk of the log was filled", sample{story: times(typical, 9*time.Second), bare: quiet, filling: 8 * time.Second}, true},
		{"waits longer than that", sample{story: times(typical, 12*time.Second), bare: quiet, filling: 8 * time.Second}, false},
		{"hangs", sample{bare: quiet}, false},
	} {
		if why := disturbed(before, c.now); (why == "") != c.ok {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
