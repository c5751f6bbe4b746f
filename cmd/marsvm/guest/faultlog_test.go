// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"strings"
	"time"
)

// remount brings the /mars of a host back whose file system has seen errors: the
// daemon is stopped, the file system checked, and the daemon started.
func (w *duo) remount(h *host, m *mapped) {
	w.t.Helper()
	m.heal()
	h.kill()
	h.must("umount", "/mars")
	if out, err := h.command("e2fsck", "-fy", m.path).CombinedOutput(); err != nil && !strings.Contains(string(out), "MODIFIED") && !strings.Contains(string(out), "recovering journal") {
		w.t.Fatalf("e2fsck of /mars of %s: %v\n%s", h.name, err, out)
	}
	h.must("mount", "-t", "ext4", m.path, "/mars")
	h.start()
}

// slowLog makes /mars slow, at B and then at A. At the secondary the application
// does not notice. At the primary it waits, since its writes are durable there.
func (w *duo) slowLog() {
	w.laps()
	w.mars[1].become(w.mars[1].slow())
	w.more(12)
	now := w.laps()
	undisturbed(w.t, "/mars of B slow: one", w.before[0], now[0])
	undisturbed(w.t, "/mars of B slow: two", w.before[1], now[1])
	w.mars[1].heal()
	w.follow()
	w.laps()
	w.mars[0].become(w.mars[0].slow())
	w.more(6)
	now = w.laps()
	if now[0].story.half < 200*time.Millisecond {
		w.t.Errorf("writes to a log that takes 200 ms: %s; they can not have been durable", now[0])
	}
	w.mars[0].heal()
	w.follow()
	progress("/mars slow: at A %s", now[0])
}

// secondaryLog lets the /mars of B fail: the application does not notice.
func (w *duo) secondaryLog() {
	w.laps()
	w.mars[1].become(w.mars[1].failing())
	w.more(12)
	now := w.laps()
	undisturbed(w.t, "/mars of B failing: one", w.before[0], now[0])
	undisturbed(w.t, "/mars of B failing: two", w.before[1], now[1])
	w.await("B to tell what is wrong", func() string {
		if text := w.b.journal(); !strings.Contains(text, "level=ERROR") && !strings.Contains(text, "level=WARN") {
			return lastLines(text, 1)
		}
		return ""
	})
	w.t.Logf("/mars of B failing; it says:\n%s", lastLines(w.b.journal(), 5))
	w.remount(w.b, w.mars[1])
	w.one.pastOf(w.t, w.data[1].path, 1)
	w.follow()
	w.quiet(w.b)
	progress("/mars of B failing: it follows again")
}

// primaryLog lets the /mars of A fail: when nothing can be written at all, neither
// a log nor a link, requests fail. None hangs, and none was answered that is
// missing afterwards.
func (w *duo) primaryLog() {
	w.applicationClean()
	w.mars[0].become(w.mars[0].failing())
	begin := time.Now()
	for i, l := range w.loads {
		w.await("the application to see errors", func() string {
			if l.err() == nil {
				return itoa([]*story{w.one, w.two}[i].length())
			}
			return ""
		})
		l.wg.Wait()
	}
	failed := w.failures()
	if len(failed) == 0 { // the control of applicationClean
		w.t.Error("the application has seen errors, the kernel none")
	}
	for _, line := range failed {
		w.expected[line] = true
	}
	progress("/mars of A failing: requests fail after %.1f s", time.Since(begin).Seconds())
	w.t.Logf("the application: %v; A says:\n%s", w.loads[0].err(), lastLines(w.a.journal(), 5))
	w.one.dev.close(w.t)
	w.two.dev.close(w.t)
	w.remount(w.a, w.mars[0])
	w.one.resume(w.t, w.a.device("one"))
	w.two.resume(w.t, w.a.device("two"))
	w.work()
	w.more(12)
	w.follow()
	progress("/mars of A failing: it goes on")
}
