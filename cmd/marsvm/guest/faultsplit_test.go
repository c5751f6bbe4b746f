// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	handovers = 4 // for each of the rounds; even, such that A is primary in the end
	splitSize = 4 << 20

	handoverSlow = 4 * time.Second // what takes longer is told
)

// trio is a stage of three hosts with one resource; A is its first primary.
type trio struct {
	*stage
	a, b, c *host
	res     string
	longest time.Duration // of the handovers
	beside  *beside       // works at A, C follows
}

func newTrio(t *testing.T, res string) *trio {
	t.Helper()
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf")
	w := &trio{stage: s, a: s.hosts[0], b: s.hosts[1], c: s.hosts[2], res: res}
	s.resource(res, w.a.disk, w.b.disk)
	w.c.join(res, w.c.disk)
	progress("three hosts have resource %s", res)
	return w
}

// write lets a story go on for some chapters.
func (w *trio) write(st *story, branch byte, chapters int) {
	w.t.Helper()
	for range chapters {
		if err := st.write(branch); err != nil {
			w.t.Fatal(err)
		}
	}
}

// force makes a host primary without asking the others, and returns the story as
// it goes on there: with a past of the one so far.
func (w *trio) force(h *host, st *story, least int) *story {
	w.t.Helper()
	h.ok("primary", w.res, "--force")
	dev := h.device(w.res)
	return st.fork(w.t, st.pastOf(w.t, dev, least), dev)
}

// awaitSaid waits until the status of a host says something.
func (w *trio) awaitSaid(h *host, res, text string) {
	w.t.Helper()
	w.await(h.name+" to say "+text, func() string {
		if said := h.status(res); !strings.Contains(said, text) {
			return said
		}
		return ""
	})
}

// secondaryAtRest waits until a former primary has given up its role, and
// whether all of its own log is applied is seen from its disk.
func (w *trio) secondaryAtRest(h *host) {
	w.t.Helper()
	w.await(h.name+" to be secondary", func() string {
		_, err := os.Readlink(h.inside("/dev/mars/" + w.res))
		if err == nil || !strings.Contains(h.status(w.res), "host      "+h.name+" is secondary") {
			return h.status(w.res)
		}
		return ""
	})
}

// TestSplit: three hosts; handovers, then two split brains, and both ways out of
// the manual. The first destroys a version (1.4.3.1), the second one keeps it
// (1.4.3.2).
func TestSplit(t *testing.T) {
	if !inGuest(t, "split") {
		return
	}
	w := newTrio(t, "split")
	first := newStory(t, w.a.device("split"))
	for range rounds(t) {
		w.handovers(first)
	}
	result(t, "split", "%d handovers to and fro, the longest %.1f s, %d chapters; three hosts have all of them", handovers*rounds(t), w.longest.Seconds(), first.length())
	s := w.stage
	w.a.ok("create-resource", "beside", "/dev/vdg")
	w.a.ok("wait-resource", "beside", "is-device")
	w.c.join("beside", "/dev/vdh")
	w.beside = s.newBeside("beside", w.a, "/dev/vdh", newPulse(t, "/dev/vdi"))
	w.beside.measure(15)
	right := w.destroy(first)
	kept := w.keep(right)
	for _, h := range w.hosts {
		h.stop()
	}
	w.beside.st.pastOf(t, "/dev/vdh", w.beside.st.length())
	w.equalDisks("/dev/vdg", "/dev/vdh", splitSize)
	right.pastOf(t, w.b.disk, right.length())
	kept.pastOf(t, w.c.disk, kept.length())
	equalAndControl(w.stage, w.b.disk, w.a.disk, splitSize)
	w.dmesgClean()
	w.nothingLeft()
	result(t, "split", "three hosts, two split brains: one version destroyed, one kept; %d and %d chapters, all acknowledged ones of the versions that were to survive; a resource beside was not disturbed",
		right.length(), kept.length())
}

// destroy splits A and B; C is with A. B's version survives, and is returned.
func (w *trio) destroy(first *story) *story {
	t := w.t
	wireFaults[0].begin(w.b)
	shared := first.length()
	w.write(first, 'A', 30)
	second := w.force(w.b, first, shared)
	w.beside.lap()
	w.beside.check("B is cut off and primary by force", 10)
	progress("B is primary by force, with %d chapters of A's %d", second.length(), first.length())
	w.write(second, 'B', 50)
	w.write(first, 'A', 30)
	wireFaults[0].end(w.b)
	for _, h := range []*host{w.a, w.c} {
		w.awaitSaid(h, "split", "SPLIT BRAIN")
	}
	progress("A and C know of the split brain")
	if out, err := w.c.adm("show-errors", "split"); err == nil || !strings.Contains(out, "SPLIT BRAIN") {
		t.Errorf("show-errors at C: %v\n%s", err, out)
	}
	w.beside.lap()
	w.beside.check("a split brain", 10)
	w.beside.end()
	w.c.awaitStory("beside", w.beside.st, "/dev/vdh")
	w.write(first, 'A', 10) // its application goes on, whoever is designated
	w.c.freeze("split")
	if n, err := first.past(first.read(t, w.c.disk)); err != nil {
		t.Errorf("C is no past of the version it followed (chapter %d): %v", n, err)
	}
	w.c.ok("resume-replay", "split")
	first.dev.close(t)
	w.b.ok("primary", "split", "--force")
	w.secondaryAtRest(w.a)
	progress("A is secondary")
	for _, h := range []*host{w.a, w.c} {
		w.write(second, 'B', 20)
		h.ok("invalidate", "split")
	}
	for _, h := range []*host{w.a, w.c} {
		h.awaitStory("split", second, h.disk)
		w.await(h.name+" to see no split brain", func() string {
			if text := h.status("split"); strings.Contains(text, "SPLIT") {
				return text
			}
			return ""
		})
		h.freeze("split")
		second.pastOf(t, h.disk, second.length())
		h.ok("resume-replay", "split")
		progress("%s was invalidated", h.name)
	}
	return second
}

// keep splits B and C; A is with B, whose version goes on. C's version becomes
// another resource, and is returned.
func (w *trio) keep(right *story) *story {
	t := w.t
	wireFaults[0].begin(w.c)
	shared := right.length()
	w.write(right, 'B', 30)
	other := w.force(w.c, right, shared)
	progress("C is primary by force, with %d chapters of B's %d", other.length(), right.length())
	w.write(other, 'C', 50)
	wireFaults[0].end(w.c)
	w.awaitSaid(w.b, "split", "SPLIT BRAIN")
	w.write(right, 'B', 10)
	w.b.ok("primary", "split", "--force") // step 2
	other.dev.close(t)                    // step 3
	w.secondaryAtRest(w.c)                // step 4
	w.c.ok("down", "split")
	other.pastOf(t, w.c.disk, other.length())
	progress("C has applied all of its own version")
	w.c.ok("leave-resource", "split")           // step 5
	w.c.ok("create-resource", "kept", w.c.disk) // step 7
	w.c.ok("wait-resource", "kept", "is-device")
	other.move(t, w.c.device("kept"))
	w.write(other, 'C', 30)
	other.dev.close(t)
	w.write(right, 'B', 10)
	w.await("A to be up to date, or to have to be invalidated", func() string {
		text := w.a.status("split")
		if strings.Contains(text, "  disk      UpToDate, ") || strings.Contains(text, "WARNING   SPLIT") {
			return ""
		}
		return text
	})
	if text := w.a.status("split"); strings.Contains(text, "SPLIT") {
		t.Logf("A has to be invalidated:\n%s", text)
		w.a.ok("invalidate", "split")
	}
	w.a.awaitUpToDate("split")
	right.dev.close(t)
	w.a.awaitStory("split", right, w.a.disk)
	return other
}

// takeOver makes a host primary, whose application the old one has closed the
// device already. That it was open may be heard of late, behind a first look.
func (w *trio) takeOver(h *host) {
	w.t.Helper()
	w.await(h.name+" to take over", func() string {
		begin := time.Now()
		said := &stamped{begin: begin}
		cmd := h.command("marsadm", "wait-umount", w.res, "--timeout=600")
		cmd.Stdout, cmd.Stderr = said, said
		err := cmd.Run()
		if err == nil {
			fmt.Fprintf(said, "the device is closed, as %s knows\n", h.name)
			cmd = h.command("marsadm", "primary", w.res, "--timeout=600")
			cmd.Stdout, cmd.Stderr = said, said
			err = cmd.Run()
		}
		out := said.text.String()
		if took := time.Since(begin); took > handoverSlow {
			w.t.Logf("slow: %.1f s until %s was primary:\n%s", took.Seconds(), h.name, out)
			for _, h := range w.hosts {
				w.t.Logf("marsd of %s:\n%s", h.name, lastLines(h.journal(), 4))
			}
		}
		switch {
		case err == nil:
			return ""
		case strings.Contains(out, "first you must umount"):
			return "it believes that the device is open"
		}
		return hopeless + out
	})
}

// handovers lets the role go to and fro while an application works wherever it
// is; nothing of it is ever missing at the next primary, and a third host follows.
// In the end A is primary again, and all three have all of the story.
func (w *trio) handovers(st *story) {
	t := w.t
	ends := []*host{w.a, w.b}
	for i := range handovers {
		var l load
		l.run(st.round("AB"[i%2]))
		w.awaitChapters(&l, st, 20)
		l.finish(t)
		st.dev.close(t)
		next := ends[(i+1)%2]
		begin := time.Now()
		w.takeOver(next)
		dev := next.device(w.res)
		w.longest = max(w.longest, time.Since(begin))
		st.pastOf(t, dev, st.length())
		st.move(t, dev)
		progress("handover %d, after %.1f s", i+1, time.Since(begin).Seconds())
		if i == 2 {
			w.c.freeze(w.res)
			st.pastOf(t, w.c.disk, 1)
			w.c.ok("resume-replay", w.res)
		}
	}
	for _, h := range w.hosts {
		h.awaitStory(w.res, st, h.disk)
	}
	st.mustNotice(t, w.c.disk)
}
