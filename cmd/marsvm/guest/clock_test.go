// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clockEnd is the file by which B tells A that it has seen enough.
const clockEnd = "/run/clock-end"

// clockStep is where the clock of a host is put to, and back.
type clockStep struct {
	who, name string
	by        time.Duration
}

// clockSteps lists them: the primary, A, leaps in every way, B once; where there
// is time, B does so as well.
func clockSteps(t *testing.T) (list []clockStep) {
	t.Helper()
	all := []clockStep{{name: "+1 h", by: time.Hour}, {name: "-1 day", by: -24 * time.Hour}, {name: "+10 years", by: 10 * 365 * 24 * time.Hour}}
	for range rounds(t) {
		for j, step := range all {
			for _, step.who = range []string{"B", "A"} {
				if step.who == "A" || j == 0 || rounds(t) > 1 {
					list = append(list, step)
				}
			}
		}
	}
	return list
}

// TestClock is one half of a cluster of two guests, each with a clock of its
// own: A is written to all the time; B steps its own clock, and then A's. A
// write never waits, replication goes on, and what is said last on either host
// counts on both, whatever their clocks show. In the end both disks have the
// same sum (the host compares them).
func TestClock(t *testing.T) {
	if !inGuest(t, "clock") {
		return
	}
	role := os.Getenv(roleVar)
	h := wholeGuest(t, role)
	if role == "A" {
		clockFirst(t, h)
	} else {
		clockSecond(t, h)
	}
	h.stop()
	h.s.must("umount", "/mars")
	h.s.dmesgClean()
	h.s.nothingLeft()
	printSum(t, role, h.disk, clockSize)
}

const (
	clockSize  = 4 << 20                // of the disks
	clockMore  = 8                      // chapters that must arrive after a step
	clockPause = 150 * time.Millisecond // between two writes of the application
)

// clockFirst is written to until B has seen enough.
func clockFirst(t *testing.T, h *host) {
	t.Helper()
	h.ok("create-cluster")
	h.start()
	h.ok("create-resource", "clock", h.disk)
	h.ok("wait-resource", "clock", "is-device")
	st, bare := newStory(t, h.device("clock")), newPulseEvery(t, "/dev/vdc", clockPause/3)
	look := func() sample { return sample{story: st.lap(), bare: bare.lap()} }
	st.pause = clockPause
	var l load
	l.run(st.round('A'))
	h.s.awaitChapters(&l, st, 10)
	look()
	h.s.awaitChapters(&l, st, 40)
	before := look()
	remoteServer(t, h.ip)
	there, missed := false, 0
	h.s.await("B to have seen enough", func() string {
		if err := l.err(); err != nil {
			return hopeless + err.Error()
		}
		if _, err := os.Stat(clockEnd); err == nil {
			return ""
		}
		if peerThere(addresses["B"]) {
			there, missed = true, 0
		} else if missed++; there && missed > 20 {
			return hopeless + "B has gone"
		}
		return itoa(st.length())
	})
	l.finish(t)
	undisturbed(t, "while clocks were stepped", before, look())
	st.dev.close(t)
	progress("%d chapters; before: %s", st.length(), before)
	h.s.awaitFor(5*patience, "B to have everything, and to end", func() string {
		if peerThere(addresses["B"]) {
			return "it is there; here " + h.status("clock")
		}
		return ""
	})
	h.awaitUpToDate("clock")
	if text := h.status("clock"); !strings.Contains(text, "up to date") {
		t.Errorf("A says:\n%s", text)
	}
}

// peerThere asks whether the other guest still serves commands.
func peerThere(ip string) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(ip, remotePort), time.Second)
	return err == nil && c.Close() == nil
}

// clockSecond joins and does all the rest.
func clockSecond(t *testing.T, h *host) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(h.ip, remotePort)) // it only shows that B is there
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			c.Close()
		}
	}()
	h.s.awaitFor(5*patience, "A to be there", func() string { // nothing is seen of its boot
		c, err := net.DialTimeout("tcp", net.JoinHostPort(addresses["A"], remotePort), time.Second)
		if err == nil {
			c.Close()
		}
		return errText(err)
	})
	h.ok("join-cluster", "A")
	h.start()
	h.s.await("the resource to be known", func() string {
		_, err := os.Readlink("/mars/resource-clock/primary")
		return errText(err)
	})
	h.ok("join-resource", "clock", h.disk)
	h.s.await("B to be consistent", func() string { // before that its disk is no past
		if text := h.status("clock"); !strings.Contains(text, "  disk      UpToDate, ") && !strings.Contains(text, "  disk      Outdated, ") {
			return text
		}
		return ""
	})
	st := &story{image: alignedBuf(t, storyBlocks*storyBlock)}
	begin := time.Now() // its monotonic part is the truth
	list := clockSteps(t)
	for i, step := range list {
		name := step.who + " " + step.name
		setClock(t, h, step.who, begin, step.by)
		clockLives(t, h, st, 2*i, name)
		setClock(t, h, step.who, begin, 0)
		clockLives(t, h, st, 2*i+1, "back from "+name)
		clockPast(t, h, st)
	}
	remote(t, "touch", clockEnd)
	h.s.await("B to have everything", func() string {
		if text := h.status("clock"); !strings.Contains(text, "  disk      UpToDate, ") || strings.Contains(text, "times in use") {
			return text
		}
		return ""
	})
	n := newest(st.read(t, h.disk))
	st.tell('A', n)
	st.pastOf(t, h.disk, n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	st.mustNotice(t, h.disk)
	result(t, "clock", "two guests, the clock of one stepped by +1 h, -1 day, +10 years and back (%d steps) while %d chapters were written; B at all of them", 2*len(list), n)
}

// setClock puts the clock of a guest to the true time plus a step.
func setClock(t *testing.T, h *host, who string, begin time.Time, step time.Duration) {
	t.Helper()
	to := time.Unix(begin.Unix(), 0).Add(time.Since(begin) + step)
	if who == "A" {
		remote(t, "date", "-s", fmt.Sprintf("@%d", to.Unix()))
		return
	}
	ts := unix.NsecToTimespec(to.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		t.Fatal(err)
	}
}

// remote runs a command in A, which must succeed.
func remote(t *testing.T, args ...string) string {
	t.Helper()
	said, err := remoteAsk(append([]string{addresses["A"]}, args...), nil)
	if err != nil || said.Code != 0 {
		t.Fatalf("A# %q: exit code %d, %v\n%s%s", args, said.Code, err, said.Out, said.Err)
	}
	return strings.TrimSpace(string(said.Out))
}

// clockLives checks that the cluster works: data arrive at B, and a link is worth
// what was said last, here or there.
func clockLives(t *testing.T, h *host, st *story, step int, what string) {
	t.Helper()
	begin, parts := time.Now(), ""
	lap := func(name string) {
		parts += fmt.Sprintf(", %s %.1f s", name, time.Since(begin).Seconds())
		begin = time.Now()
	}
	at := newest(st.read(t, h.disk))
	h.s.await("data to arrive at B, "+what, func() string {
		if n := newest(st.read(t, h.disk)); n < at+clockMore {
			return itoa(n)
		}
		return ""
	})
	lap("data")
	const link = "/mars/userspace/clock"
	mine, theirs := fmt.Sprintf("B%d", step), fmt.Sprintf("A%d", step)
	h.ok("set-link", mine, link)
	lap("set at B")
	// It may not be there yet. A's own shell waits: to ask it again and again from
	// here would cost more than all the rest.
	wait := fmt.Sprintf("i=0; until [ \"$(readlink %[1]s)\" = %[2]s ] || [ $i = 600 ]; do i=$((i+1)); sleep 0.2; done; readlink %[1]s || true", link, mine)
	if got := remote(t, "sh", "-c", wait); got != mine {
		t.Fatalf("%s: A's link is %q, B has set it to %q", what, got, mine)
	}
	lap("heard at A")
	remote(t, "marsadm", "set-link", theirs, link)
	lap("set at A")
	h.s.await("B to hear of A's link, "+what, func() string {
		got, err := os.Readlink(link)
		return differs(got+errText(err), theirs)
	})
	lap("heard at B")
	progress("%s: chapters %d to %d%s", what, at, newest(st.read(t, h.disk)), parts)
}

// clockPast checks that the disk of B is a past of what A was given.
func clockPast(t *testing.T, h *host, st *story) {
	t.Helper()
	h.freeze("clock")
	n := newest(st.read(t, h.disk))
	st.tell('A', n)
	st.pastOf(t, h.disk, n)
	h.ok("resume-replay", "clock")
}

// differs is what is missing for a value to be another one.
func differs(got, want string) string {
	if strings.Contains(got, want) {
		return ""
	}
	return fmt.Sprintf("it is %q, not %q", got, want)
}

// tell adds chapters that somebody else has written.
func (st *story) tell(branch byte, upTo int) {
	for len(st.told) < upTo {
		st.told = append(st.told, chapter{branch, uint64(len(st.told) + 1)})
	}
	st.acked = len(st.told)
}
