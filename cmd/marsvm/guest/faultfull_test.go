// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// foreign is the file that has nothing to do with MARS.
const foreign = "/mars/foreign"

// fillMars lets a foreign file take all that is free in the /mars of a host, again
// if it is there, and tells how long it took. Most of it is allocated without being
// written, which is as full, and leaves the disk to others.
func (h *host) fillMars() time.Duration {
	h.t.Helper()
	begin := time.Now()
	f, err := os.OpenFile(h.inside(foreign), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	end, err := f.Seek(0, io.SeekEnd)
	for size := int64(64 << 20); err == nil && size >= 64<<10; {
		switch err = unix.Fallocate(int(f.Fd()), 0, end, size); {
		case err == nil:
			end += size
		case errors.Is(err, unix.ENOSPC):
			size, err = size/2, nil
		}
	}
	if err != nil {
		h.t.Fatal(err)
	}
	block := make([]byte, 4<<10)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		h.t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		h.t.Fatal(err)
	}
	return time.Since(begin)
}

// spareMars lets it give back what links want.
func (h *host) spareMars() {
	h.t.Helper()
	file := h.inside(foreign)
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, info.Size()-2<<20)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// emptyMars removes it.
func (h *host) emptyMars() {
	h.t.Helper()
	if err := os.Remove(h.inside(foreign)); err != nil {
		h.t.Fatal(err)
	}
}

// awaitLevel waits for a level of emergency.
func (h *host) awaitLevel(ok func(level string) bool) {
	h.t.Helper()
	h.s.await("another level of emergency at "+h.name, func() string {
		text, err := os.ReadFile(h.inside("/run/mars/sys/mars_emergency_mode"))
		if level := strings.TrimSpace(string(text)); err != nil || !ok(level) {
			return level + errText(err)
		}
		return ""
	})
}

// full is a stage of three hosts, two of which have the resource. A second
// resource of A has no replica; fio works on it.
type full struct {
	*trio
	st     *story
	l      load
	raw    string  // device of the resource without a replica
	beside *beside // another part of that one
	before sample
	look   func() sample
	pause  time.Duration
}

// TestFull: /mars is filled by a foreign file under load, at the secondary and
// at the primary. The application never stops. What the secondary has missed is
// made good the manual's way (2.4.2): a third host joins, the outdated mirror is
// invalidated, the superfluous one leaves.
func TestFull(t *testing.T) {
	if !inGuest(t, "full") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf")
	w := &full{trio: &trio{stage: s, a: s.hosts[0], b: s.hosts[1], c: s.hosts[2], res: "full"}}
	s.resource("full", w.a.disk, w.b.disk)
	s.resource("raw", "/dev/vdg", "")
	w.st = newPacedStory(t, w.a.device("full"))
	bare := newPulse(t, "/dev/vdh")
	w.look = func() sample { return sample{story: w.st.lap(), bare: bare.lap()} }
	w.l.run(w.st.round('A'))
	w.raw = w.a.device("raw")
	w.beside = s.newBeside("raw", w.a, "", bare)
	s.awaitChapters(&w.l, w.st, 5)
	w.look()
	w.beside.lap()
	s.awaitChapters(&w.l, w.st, 20)
	w.before = w.look()
	t.Logf("before: %s", w.before)
	w.beside.measure(0)
	for i := range rounds(t) {
		if i > 0 {
			w.beside.work()
		}
		w.secondary()
		w.limited()
		w.beside.rest()
		w.primary()
		w.wayBack()
	}
	w.l.finish(t)
	w.st.dev.close(t)
	w.beside.end()
	w.b.awaitStory("full", w.st, w.b.disk)
	for _, h := range w.hosts {
		h.stop()
	}
	w.st.pastOf(t, w.b.disk, w.st.length())
	w.beside.st.pastOf(t, "/dev/vdg", w.beside.st.length())
	equalAndControl(s, w.a.disk, w.b.disk, splitSize)
	s.dmesgClean()
	s.nothingLeft()
	result(t, "full", "/mars filled to the last block at the secondary and at the primary, %d chapters and verified fio without an error, longest pause %.1f s; the emergency of one resource alone not noticed by another; back by a third host; replicas equal",
		w.st.length(), w.pause.Seconds())
}

// awaitFio waits for some more rounds of fio.
func (w *full) awaitFio(fio *load, more int64) {
	w.t.Helper()
	goal := fio.rounds.Load() + more
	w.await("fio", func() string {
		if err := errors.Join(fio.err(), w.l.err()); err != nil {
			return hopeless + err.Error()
		}
		if n := fio.rounds.Load(); n < goal {
			return fmt.Sprintf("%d rounds of %d, requests done: %s", n, goal, done(w.t, w.raw))
		}
		return ""
	})
}

// follow waits until a host has the story as it is now, by a sync or by logs, and
// looks at its disk.
func (w *full) follow(h *host) {
	w.t.Helper()
	goal := w.st.length()
	w.await(h.name+" to follow", func() string {
		if err := w.l.err(); err != nil {
			return hopeless + err.Error()
		}
		if late := behind(w.t, w.st, h.disk, goal); late != "" {
			return late + " at " + h.place("full") + ", synced " + h.link("resource-full/syncstatus-"+h.name) + ", it is " + h.link("resource-full/actual-"+h.name+"/why")
		}
		return ""
	})
	h.awaitSynced("full")
	h.freeze("full")
	w.st.pastOf(w.t, h.disk, goal)
	h.ok("resume-replay", "full")
}

// secondary fills the /mars of B: A does not notice, B goes on by itself.
func (w *full) secondary() {
	w.look()
	w.beside.lap()
	w.b.fillMars()
	w.b.awaitLevel(func(level string) bool { return level != "0" })
	w.awaitChapters(&w.l, w.st, 12)
	undisturbed(w.t, "/mars of B full", w.before, w.look())
	w.beside.check("/mars of B full", 0)
	if text := w.b.status("full"); !strings.Contains(text, "emergency level") {
		w.t.Errorf("B does not tell of the emergency:\n%s", text)
	}
	// It comes to rest when a link can be written again; that is still an
	// emergency.
	w.b.spareMars()
	w.b.freeze("full")
	n := w.st.pastOf(w.t, w.b.disk, 1)
	w.b.emptyMars()
	w.b.ok("resume-replay", "full")
	w.follow(w.b)
	progress("/mars of B full: it was at chapter %d, follows again", n)
}

// limited lets the one resource have more free space for itself than there is: it
// alone is in emergency mode. Neither its own application notices nor that of the
// other resource, which goes on logging.
func (w *full) limited() {
	emergency := func(res string) string { return w.a.link("resource-" + res + "/actual-A/is-emergency") }
	w.look()
	w.beside.lap()
	w.a.ok("set-emergency-limit", "full", "99")
	w.a.awaitLink("resource-full/actual-A/is-emergency", "1")
	w.awaitChapters(&w.l, w.st, 12)
	undisturbed(w.t, "emergency of one resource: full", w.before, w.look())
	w.beside.check("emergency of one resource", 0)
	if full, raw := emergency("full"), emergency("raw"); full != "1" || raw == "1" {
		w.t.Errorf("in emergency mode is full: %s, raw: %s", full, raw)
	}
	w.a.ok("set-emergency-limit", "full", "0")
	w.a.awaitLink("resource-full/actual-A/is-emergency", "0")
	w.awaitChapters(&w.l, w.st, 2)
	progress("emergency of one resource alone: the other one has not noticed")
}

// primary fills the /mars of A: it goes into emergency mode, B stays behind the
// hole, and logging goes on when there is space.
func (w *full) primary() {
	var fio load
	round := fioRound(w.raw, "256k", "--offset=4m") // behind the story
	fio.run(func(i int) error {
		<-time.After(5 * pace) // it must not be all that the machine does
		return round(i)
	})
	w.awaitFio(&fio, 1)
	w.look()
	filling := w.a.fillMars()
	w.a.awaitLevel(func(level string) bool { return level == "4" })
	// What one resource gives back would do for the other one's log.
	w.await("A to be in emergency mode", func() string {
		is := w.a.link("resource-full/actual-A/is-emergency")
		if is == "1" {
			return ""
		}
		filling = max(filling, w.a.fillMars())
		w.a.spareMars()
		return is
	})
	w.awaitChapters(&w.l, w.st, 12)
	w.awaitFio(&fio, 2) // so one of them has met nothing else
	now := w.look()
	now.filling = filling
	w.t.Logf("the foreign file took %.1f s", filling.Seconds())
	w.pause = max(w.pause, now.story.longest)
	undisturbed(w.t, "/mars of A full", w.before, now)
	w.b.awaitHole()
	w.b.freeze("full")
	n := w.st.pastOf(w.t, w.b.disk, 1)
	if n >= w.st.length() {
		w.t.Errorf("B has chapter %d, which was not logged", n)
	}
	w.b.ok("resume-replay", "full")
	w.a.emptyMars()
	w.a.awaitLink("resource-full/actual-A/is-emergency", "0")
	w.a.awaitLevel(func(level string) bool { return level == "0" })
	w.awaitChapters(&w.l, w.st, 10)
	w.awaitFio(&fio, 1)
	fio.finish(w.t)
	progress("/mars of A full: B is behind the hole, at chapter %d of %d", n, w.st.length())
}

// awaitHole waits until a secondary tells of the hole in its logs.
func (h *host) awaitHole() {
	h.t.Helper()
	h.s.await(h.name+" to tell of the hole", func() string {
		if text := h.status("full"); !strings.Contains(text, "hole") {
			return text
		}
		return ""
	})
}

// wayBack makes good what B has missed, under load: there is a consistent mirror
// at any time. The load is less, since the digests of a sync give way to all else
// that the one processor has to do.
func (w *full) wayBack() {
	defer w.st.setPause(w.st.setPause(3 * pace))
	n := w.st.pastOf(w.t, w.b.disk, 1)
	w.c.ok("join-resource", "full", w.c.disk)
	w.follow(w.c)
	if again := w.st.pastOf(w.t, w.b.disk, n); again != n {
		w.t.Errorf("B has moved from chapter %d to %d without being invalidated", n, again)
	}
	w.b.ok("invalidate", "full")
	w.follow(w.b)
	w.c.ok("down", "full")
	w.c.ok("leave-resource", "full")
	w.await("C to have left", func() string {
		_, err := os.Readlink(w.a.inside("/mars/resource-full/data-C"))
		if err == nil {
			return "it is a member"
		}
		return ""
	})
	progress("C joined, B was invalidated, C has left")
}
