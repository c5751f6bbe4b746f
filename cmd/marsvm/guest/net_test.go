// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const netSize = 16 << 20

// wireFault is something that is wrong with the wire of a host.
type wireFault struct {
	name       string
	begin, end func(h *host)
	reaches    bool // logs get through, if slowly
}

// slowLine is 4 Mbit with 50 ms and a loss of 1 % each way.
var slowLine = []string{"netem", "delay", "50ms", "loss", "1%", "rate", "4mbit"}

var wireFaults = []wireFault{
	{name: "cut", begin: func(h *host) { h.s.must("ip", "link", "set", "wire-"+h.name, "down") },
		end: func(h *host) { h.s.must("ip", "link", "set", "wire-"+h.name, "up") }},
	{name: "deaf", begin: func(h *host) { h.shape(true, false, "netem", "loss", "100%") }, end: func(h *host) { h.unshape(true, false) }},
	{name: "mute", begin: func(h *host) { h.shape(false, true, "netem", "loss", "100%") }, end: func(h *host) { h.unshape(false, true) }},
	{name: "slow", begin: func(h *host) { h.shape(true, true, slowLine...) }, end: func(h *host) { h.unshape(true, true) }, reaches: true},
	{name: "narrow", begin: func(h *host) { h.shape(true, true, "tbf", "rate", "512kbit", "burst", "16kb", "latency", "200ms") },
		end: func(h *host) { h.unshape(true, true) }, reaches: true},
}

// shape puts a discipline on what goes to the host, and on what comes from it.
func (h *host) shape(to, from bool, discipline ...string) {
	h.t.Helper()
	if to {
		h.s.must("tc", append([]string{"qdisc", "add", "dev", "wire-" + h.name, "root"}, discipline...)...)
	}
	if from {
		h.must("tc", append([]string{"qdisc", "add", "dev", "eth0", "root"}, discipline...)...)
	}
}

func (h *host) unshape(to, from bool) {
	h.t.Helper()
	if to {
		h.s.must("tc", "qdisc", "del", "dev", "wire-"+h.name, "root")
	}
	if from {
		h.must("tc", "qdisc", "del", "dev", "eth0", "root")
	}
}

// TestNet: whatever is wrong with the line, the application at the primary does
// not notice; the secondary holds a past of what was written, whenever it is
// looked at, and is equal in the end.
func TestNet(t *testing.T) {
	if !inGuest(t, "net") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
	s.resource("net", "/dev/vdb", "/dev/vdd")
	a, b := s.hosts[0], s.hosts[1]
	st, bare := newPacedStory(t, a.device("net")), newPulse(t, "/dev/vde")
	var l load
	l.run(st.round('A'))
	s.awaitChapters(&l, st, 5)
	look := func() sample { return sample{story: st.lap(), bare: bare.lap()} }
	look()
	s.awaitChapters(&l, st, 20)
	before := look()
	t.Logf("before: %s", before)
	frozen := 0
	for range rounds(t) {
		for _, f := range wireFaults {
			frozen += oneWireFault(s, &l, st, f, before, look)
		}
	}
	l.finish(t)
	st.dev.close(t)
	b.awaitStory("net", st, b.disk)
	a.stop()
	b.stop()
	st.pastOf(t, "/dev/vdb", st.length())
	st.mustNotice(t, "/dev/vdd")
	equalAndControl(s, "/dev/vdb", "/dev/vdd", netSize)
	s.dmesgClean()
	s.nothingLeft()
	result(t, "net", "%d chapters through %d faults of the line, before: %s; secondary %d times a past, replicas equal", st.length(), rounds(t)*len(wireFaults), before, frozen)
}

// oneWireFault lets one come and go under load; it returns how often the
// secondary was looked at.
func oneWireFault(s *stage, l *load, st *story, f wireFault, before sample, look func() sample) int {
	t, b := s.t, s.hosts[1]
	begin := time.Now()
	f.begin(b)
	look()
	atFault := b.place("net")
	s.awaitChapters(l, st, 12)
	undisturbed(t, f.name, before, look())
	if f.reaches {
		s.await("something to come through", func() string {
			if at := b.place("net"); at == atFault {
				return at
			}
			return ""
		})
	}
	b.freeze("net")
	n := st.pastOf(t, b.disk, 1)
	f.end(b)
	healed := time.Now()
	b.ok("resume-replay", "net")
	goal := st.length()
	s.await("B to catch up", func() string {
		if err := l.err(); err != nil {
			return hopeless + err.Error()
		}
		return behind(t, st, b.disk, goal)
	})
	caught := time.Since(healed)
	s.awaitChapters(l, st, 8) // half of fewer says nothing
	undisturbed(t, f.name+", healing", before, look())
	b.freeze("net")
	again := st.pastOf(t, b.disk, goal)
	b.ok("resume-replay", "net")
	progress("%s: B was at %d of %d chapters, later at %d; %.0f s, caught up %.1f s after it was healed",
		f.name, n, goal, again, time.Since(begin).Seconds(), caught.Seconds())
	return 2
}

// behind tells how far a disk of a secondary is behind a chapter, while its replay
// goes on: the disk is no past then, but its newest chapter is known.
func behind(t *testing.T, st *story, disk string, goal int) string {
	t.Helper()
	if last := newest(st.read(t, disk)); last < goal {
		return fmt.Sprintf("chapter %d of %d", last, goal)
	}
	return ""
}

// equalAndControl compares two disks at rest, and shows that one flipped bit is
// noticed.
func equalAndControl(s *stage, x, y string, size int64) {
	s.t.Helper()
	s.equalDisks(x, y, size)
	d := openDev(s.t, y)
	defer d.close(s.t)
	buf := alignedBuf(s.t, sector)
	at := size/2 + 3*sector
	if err := d.read(buf, at); err != nil {
		s.t.Fatal(err)
	}
	buf[77] ^= 1
	if err := d.write(buf, at); err != nil {
		s.t.Fatal(err)
	}
	out, err := exec.Command("cmp", "-n", itoa(size), x, y).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "differ") {
		s.t.Errorf("one flipped bit was not noticed: %v %s", err, out)
	}
}
