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

// lap is the times of some writes.
type lap struct {
	n             int
	half, most    time.Duration // quantiles: 1/2, 99/100
	longest, span time.Duration
}

// newLap counts.
func newLap(times []time.Duration) lap {
	if len(times) == 0 {
		return lap{}
	}
	slices.Sort(times)
	l := lap{n: len(times), half: times[len(times)/2], most: times[len(times)*99/100], longest: times[len(times)-1]}
	for _, d := range times {
		l.span += d
	}
	return l
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
}

// newPulse begins to write to a disk of its own.
func newPulse(t *testing.T, path string) *pulse {
	t.Helper()
	return newPulseEvery(t, path, 5*time.Millisecond)
}

// newPulseEvery does so with another pause between two writes: it must not be a
// load.
func newPulseEvery(t *testing.T, path string, pause time.Duration) *pulse {
	t.Helper()
	p := &pulse{}
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

func (p *pulse) lap() lap {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := newLap(p.times)
	p.times = nil
	return l
}

// sample is the times of a story's writes, with the pulse of the same span.
type sample struct{ story, bare lap }

func (s sample) String() string { return fmt.Sprintf("%s (bare disk: %s)", s.story, s.bare) }

// What may change of the times of writes when something else is wrong: noise.
// What waits for a line or a disk that is slow waits for it with every write,
// and what waits for a time-out longer than any pause.
const (
	noiseFactor  = 3
	noiseFloor   = 10 * time.Millisecond
	longestPause = 2 * time.Second
)

// disturbed tells what is wrong with the times of writes that a fault must not
// disturb, compared with those before it.
func disturbed(before, now sample) string {
	slower := 1.0 // the machine
	if before.bare.half > 0 {
		slower = max(1, float64(now.bare.half)/float64(before.bare.half))
	}
	limit := time.Duration(slower * float64(max(noiseFactor*before.story.half, noiseFloor)))
	switch pause := longestPause + noiseFactor*now.bare.longest; {
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
	goal := st.length() + more
	s.await(itoa(more)+" more chapters", func() string {
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
	begin := time.Now()
	h.s.await("the replay of "+res+" at "+h.name+" to be at rest", func() string {
		text := h.status(res)
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 0 && f[0] == "replay" && strings.Contains(line, "idle, paused") {
				return ""
			}
		}
		if time.Since(begin) > patience { // what others write changes the text for ever
			return hopeless + text
		}
		return "it goes on"
	})
}

// awaitStory waits until a host has all of a story that has ended: up to date by
// what it knows, and by what is on its disk, since it may know the end late.
func (h *host) awaitStory(res string, st *story, disk string) {
	h.t.Helper()
	h.s.await("the end of the story on "+h.name, func() string { return behind(h.t, st, disk, st.length()) })
	h.awaitUpToDate(res)
}

// place is where the replay of a host stands: log and offset.
func (h *host) place(res string) string {
	target, err := os.Readlink(h.inside("/mars/resource-" + res + "/replay-" + h.name))
	return target + errText(err)
}

// TestFaultJudge is the control of what the suites of faults go by.
func TestFaultJudge(t *testing.T) {
	times := func(typical, last time.Duration) lap {
		all := make([]time.Duration, 200)
		for i := range all {
			all[i] = typical + time.Duration(i)*time.Microsecond
		}
		return newLap(append(all, last))
	}
	const typical = 4 * time.Millisecond
	bare := times(time.Millisecond, 20*time.Millisecond)
	before := sample{times(typical, 30*time.Millisecond), bare}
	for _, c := range []struct {
		name string
		now  sample
		ok   bool
	}{
		{"as before", sample{times(typical, 90*time.Millisecond), bare}, true},
		{"noise", sample{times(2*typical, 900*time.Millisecond), bare}, true},
		{"a busy machine", sample{times(8*typical, 3*time.Second), times(4*time.Millisecond, time.Second)}, true},
		{"waits for a line of 100 ms", sample{times(104*time.Millisecond, 200*time.Millisecond), bare}, false},
		{"waits for a disk of 200 ms, on a busy machine", sample{times(204*time.Millisecond, 300*time.Millisecond), times(4*time.Millisecond, time.Second)}, false},
		{"one write waits for a time-out", sample{times(typical, 5*time.Second), bare}, false},
		{"hangs", sample{bare: bare}, false},
	} {
		if why := disturbed(before, c.now); (why == "") != c.ok {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}
