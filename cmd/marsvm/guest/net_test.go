// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const netSize = 4 << 20

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

// lined is a stage of three hosts with two resources that are worked on at A, of
// which it has the other one alone. The wire of B is bad; C, who follows the one as
// well, and A must not notice. (In the suite of split brains somebody follows both.)
type lined struct {
	*stage
	a, b, c  *host
	net, two *beside
	frozen   int // how often B was looked at
}

// TestNet: whatever is wrong with the line of one host, the application at the
// primary does not notice, nor does another host that follows; the secondary holds
// a past of what was written, whenever it is looked at, and is equal in the end.
func TestNet(t *testing.T) {
	if !inGuest(t, "net") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf")
	w := &lined{stage: s, a: s.hosts[0], b: s.hosts[1], c: s.hosts[2]}
	s.resource("net", w.a.disk, w.b.disk)
	w.c.join("net", w.c.disk)
	s.resource("two", "/dev/vdg", "")
	bare := newPulse(t, "/dev/vdh")
	w.net, w.two = s.newBeside("net", w.a, w.c.disk, bare), s.newBeside("two", w.a, "", bare)
	s.awaitChapters(w.net.l, w.net.st, 5)
	w.two.lap()
	w.net.measure(20)
	w.two.measure(0) // meanwhile
	for range rounds(t) {
		for _, f := range wireFaults {
			w.fault(f)
		}
	}
	w.net.end()
	w.two.end()
	w.b.awaitStory("net", w.net.st, w.b.disk)
	w.c.awaitStory("net", w.net.st, w.c.disk)
	for _, h := range s.hosts {
		h.stop()
	}
	w.net.st.pastOf(t, w.a.disk, w.net.st.length())
	w.net.st.mustNotice(t, w.b.disk)
	s.equalDisks(w.a.disk, w.c.disk, netSize)
	w.two.st.pastOf(t, "/dev/vdg", w.two.st.length())
	equalAndControl(s, w.a.disk, w.b.disk, netSize)
	s.dmesgClean()
	s.nothingLeft()
	result(t, "net", "%d chapters through %d faults of one host's line, before: %s; secondary %d times a past, another one and another resource undisturbed, replicas equal",
		w.net.st.length(), rounds(t)*len(wireFaults), w.net.before, w.frozen)
}

// fault lets one come and go under load.
func (w *lined) fault(f wireFault) {
	t, b, st := w.t, w.b, w.net.st
	begin := time.Now()
	f.begin(b)
	w.net.lap()
	w.two.lap()
	atFault := b.place("net")
	w.net.check(f.name, 12)
	w.two.check(f.name, 0)
	if f.reaches {
		w.await("something to come through", func() string {
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
	w.await("B to catch up", func() string {
		if err := w.net.l.err(); err != nil {
			return hopeless + err.Error()
		}
		return behind(t, st, b.disk, goal)
	})
	caught := time.Since(healed)
	w.net.check(f.name+", healing", 8) // half of fewer says nothing
	w.two.check(f.name+", healing", 0)
	b.freeze("net")
	again := st.pastOf(t, b.disk, goal)
	b.ok("resume-replay", "net")
	w.frozen += 2
	progress("%s: B was at %d of %d chapters, later at %d; %.0f s, caught up %.1f s after it was healed",
		f.name, n, goal, again, time.Since(begin).Seconds(), caught.Seconds())
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
