// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// mapped is a disk behind the device mapper, which can make it bad and slow.
type mapped struct {
	s             *stage
	name, under   string
	sectors       string
	path, healthy string // the device, and its table while all is well
}

// newMapped puts the device mapper before a disk.
func (s *stage) newMapped(name, under string) *mapped {
	s.t.Helper()
	m := &mapped{s: s, name: name, under: under, path: "/dev/mapper/" + name}
	m.sectors = strings.TrimSpace(s.must("cat", "/sys/block/"+strings.TrimPrefix(under, "/dev/")+"/size"))
	m.healthy = "linear " + under + " 0"
	s.must("dmsetup", "create", name, "--noudevsync", "--noudevrules", "--table", m.table(m.healthy))
	s.must("dmsetup", "mknodes") // there is no udev in the guest
	return m
}

func (m *mapped) table(target string) string { return "0 " + m.sectors + " " + target }

// become changes what the disk is like; what is in flight ends before.
func (m *mapped) become(target string) {
	m.s.t.Helper()
	m.s.must("dmsetup", "suspend", "--noflush", "--nolockfs", m.name)
	m.s.must("dmsetup", "load", m.name, "--table", m.table(target))
	m.s.must("dmsetup", "resume", "--noudevsync", m.name)
}

func (m *mapped) heal() {
	m.s.t.Helper()
	m.become(m.healthy)
}

// remove takes the mapping away, when the last mount of it is gone.
func (m *mapped) remove() {
	m.s.t.Helper()
	m.s.await(m.name+" to be removed", func() string {
		if out, err := exec.Command("dmsetup", "remove", "--noudevsync", m.name).CombinedOutput(); err != nil {
			return string(out) + err.Error()
		}
		return ""
	})
}

// failing lets every request fail, or every write; flaky does so every second
// second; slow lets all take 200 ms.
func (m *mapped) failing() string { return "flakey " + m.under + " 0 0 60" }
func (m *mapped) flaky() string   { return "flakey " + m.under + " 0 1 1" }
func (m *mapped) slow() string    { return "delay " + m.under + " 0 200" }

const diskSize = 8 << 20

// duo is a stage of two hosts with two resources that are worked on at A. The
// disks of the one, and those of /mars, are mapped; the other must not notice
// what becomes of the one's disks.
type duo struct {
	*stage
	a, b       *host
	data, mars [2]*mapped // of A and B
	one, two   *story
	loads      [2]*load
	bare       *pulse
	before     [2]sample
	expected   map[string]bool // failed requests that had to fail
}

func newDuo(t *testing.T) *duo {
	t.Helper()
	w := &duo{expected: map[string]bool{}}
	t.Cleanup(func() { // behind the hosts, which have mounted them
		for _, m := range append(w.data[:], w.mars[:]...) {
			if m != nil {
				m.remove()
			}
		}
	})
	s := newStage(t)
	w.stage = s
	w.mars[0], w.mars[1] = s.newMapped("marsA", "/dev/vda"), s.newMapped("marsB", "/dev/vdc")
	w.data[0], w.data[1] = s.newMapped("dataA", "/dev/vdb"), s.newMapped("dataB", "/dev/vdd")
	s.cluster(w.mars[0].path, w.data[0].path, w.mars[1].path, w.data[1].path)
	w.a, w.b = s.hosts[0], s.hosts[1]
	s.resource("one", w.data[0].path, w.data[1].path)
	s.resource("two", "/dev/vde", "/dev/vdf")
	w.one, w.two = newPacedStory(t, w.a.device("one")), newPacedStory(t, w.a.device("two"))
	w.bare = newPulse(t, "/dev/vdg")
	w.work()
	w.more(5)
	w.laps()
	w.more(20)
	w.before = w.laps()
	t.Logf("before: one %s; two %s", w.before[0], w.before[1])
	return w
}

// work lets both stories go on.
func (w *duo) work() {
	for i, st := range []*story{w.one, w.two} {
		w.loads[i] = &load{}
		w.loads[i].run(st.round('A'))
	}
}

// more waits for more chapters of both.
func (w *duo) more(chapters int) {
	w.t.Helper()
	goals := [2]int{w.one.length() + chapters, w.two.length() + chapters}
	w.awaitLength(w.loads[0], w.one, goals[0])
	w.awaitLength(w.loads[1], w.two, goals[1])
}

func (w *duo) laps() [2]sample {
	bare := w.bare.lap()
	return [2]sample{{story: w.one.lap(), bare: bare}, {story: w.two.lap(), bare: bare}}
}

// errorOf is what show-errors tells of a kind of error of a host.
func (h *host) errorOf(kind string) string {
	out, _ := h.adm("show-errors", "one") // its exit code tells of old problems, too
	for line := range strings.Lines(out) {
		if text, ok := strings.CutPrefix(line, kind+", says host '"+h.name+"': "); ok {
			return strings.TrimSpace(text)
		}
	}
	return ""
}

// actualOne is what a host tells of itself as a member of resource one.
func (h *host) actualOne(key string) string { return "resource-one/actual-" + h.name + "/" + key }

// say waits until a host tells that its disk is not well.
func (w *duo) say(h *host) string {
	w.t.Helper()
	w.await(h.name+" to tell what is wrong", func() string {
		if h.link(h.actualOne("disk-error")) == "(none)" {
			return "nothing; " + h.link(h.actualOne("why"))
		}
		return ""
	})
	said := h.errorOf("disk-error")
	if said == "" {
		w.t.Errorf("show-errors at %s does not tell of the disk:\n%s", h.name, h.status("one"))
	}
	return said
}

// quiet waits until it tells so no more.
func (w *duo) quiet(h *host) {
	w.t.Helper()
	h.awaitLink(h.actualOne("disk-error"), "(none)")
	h.awaitLink(h.actualOne("log-error"), "(none)")
	if said := h.errorOf("disk-error") + h.errorOf("log-error"); said != "" {
		w.t.Errorf("%s has recovered, but show-errors tells %s", h.name, said)
	}
}

// follow waits until B has both stories as they are now.
func (w *duo) follow() {
	w.t.Helper()
	goals := [2]int{w.one.length(), w.two.length()}
	w.await("B to follow", func() string {
		for _, l := range w.loads {
			if err := l.err(); err != nil {
				return hopeless + err.Error()
			}
		}
		if late := behind(w.t, w.one, w.data[1].path, goals[0]); late != "" {
			return "one: " + late + " at " + w.b.place("one")
		}
		if late := behind(w.t, w.two, "/dev/vdf", goals[1]); late != "" {
			return "two: " + late
		}
		return ""
	})
}

// settle ends the work and compares everything.
func (w *duo) settle() {
	w.t.Helper()
	for _, l := range w.loads {
		l.finish(w.t)
	}
	w.one.dev.close(w.t)
	w.two.dev.close(w.t)
	w.b.awaitStory("one", w.one, w.data[1].path)
	w.b.awaitStory("two", w.two, "/dev/vdf")
	w.a.stop()
	w.b.stop()
	for _, m := range w.data {
		w.one.pastOf(w.t, m.path, w.one.length())
	}
	w.two.pastOf(w.t, "/dev/vdf", w.two.length())
	equalAndControl(w.stage, w.data[0].path, w.data[1].path, diskSize)
	w.equalDisks("/dev/vde", "/dev/vdf", diskSize)
	w.applicationClean()
}

// failures are the kernel's words on requests to devices of marsd that failed.
func (w *duo) failures() (lines []string) {
	w.t.Helper()
	for line := range strings.Lines(w.dmesg()) {
		if ioErrors.MatchString(line) && strings.Contains(line, "ublkb") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// applicationClean checks that no device of marsd has failed a request, but those
// that had to.
func (w *duo) applicationClean() {
	w.t.Helper()
	for _, line := range w.failures() {
		if !w.expected[line] {
			w.t.Errorf("the kernel says: %s", line)
		}
	}
}

// TestDisk: disks fail, come and go, and are slow, at the primary and at the
// secondary: those below a resource, and those of /mars. State and reason are
// told, the other resource does not notice, and when the disk is well again, all
// is. What the application sees is said where the faults are.
func TestDisk(t *testing.T) {
	if !inGuest(t, "disk") {
		return
	}
	w := newDuo(t)
	for range rounds(t) {
		w.dataDisks()
		w.slowData()
		w.slowLog()
		w.secondaryLog()
		w.primaryLog()
	}
	w.settle()
	result(t, "disk", "data disks and /mars slow (200 ms) and failing, data disks flaky, at the secondary and at the primary: %d and %d chapters, none missing of those acknowledged, no hang, the other resource undisturbed; replicas equal; before: %s",
		w.one.length(), w.two.length(), w.before[1])
}

// slowData makes the disks below the one resource slow. No write waits for them.
func (w *duo) slowData() {
	w.laps()
	for _, m := range w.data {
		m.become(m.slow())
	}
	w.more(12)
	now := w.laps()
	undisturbed(w.t, "data disks slow: two", w.before[1], now[1])
	undisturbed(w.t, "data disks slow: one", w.before[0], now[0])
	for _, m := range w.data {
		m.heal()
	}
	w.follow()
	progress("data disks slow: recovered")
}

// dataDisks lets the disks below the one resource fail. The application goes on,
// for all is in the log.
func (w *duo) dataDisks() {
	for i, h := range []*host{w.a, w.b} {
		m := w.data[i]
		for _, f := range []struct {
			name, target string
			told         bool
		}{{"failing", m.failing(), true}, {"flaky", m.flaky(), false}} {
			if h == w.b && !f.told && rounds(w.t) == 1 {
				continue // the long form has them
			}
			what := fmt.Sprintf("data disk of %s %s", h.name, f.name)
			w.laps()
			m.become(f.target)
			if f.told {
				w.t.Logf("%s: %s", what, w.say(h))
			}
			w.more(12) // a few of the flaky one's seconds
			now := w.laps()
			undisturbed(w.t, what+": two", w.before[1], now[1])
			if h == w.b {
				undisturbed(w.t, what+": one", w.before[0], now[0])
			} else {
				w.t.Logf("%s: one %s", what, now[0])
			}
			m.heal()
			w.follow()
			w.quiet(h)
			progress("%s: recovered", what)
		}
	}
}
