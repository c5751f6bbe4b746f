// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

const kills = 30

// busy is a stage with work on two resources of A: a verified fio on the bare
// device of one, an application on ext4 on the other.
type busy struct {
	*stage
	a, b    *host
	raw, fs string // devices
	load    load
	app     *files
	rng     *rand.Rand
}

func newBusy(t *testing.T) *busy {
	t.Helper()
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb", "/dev/vdc", "/dev/vdd")
	s.resource("raw", "/dev/vdb", "/dev/vdd")
	s.resource("fs", "/dev/vde", "/dev/vdf")
	w := &busy{stage: s, a: s.hosts[0], b: s.hosts[1], rng: rand.New(rand.NewPCG(3, 4))}
	w.raw, w.fs = w.a.device("raw"), w.a.device("fs")
	if !strings.HasPrefix(w.fs, "/dev/ublkb") {
		t.Fatalf("the device is %s: only one of ublk survives its daemon", w.fs)
	}
	s.must("mkfs.ext4", "-q", "-F", w.fs)
	s.must("mount", "-t", "ext4", "-o", "errors=remount-ro", w.fs, "/mnt")
	w.app = newFiles("/mnt")
	w.load.run(fioRound(w.raw, "4m"))
	w.load.run(w.app.round)
	return w
}

// requests is how many IOs the devices have finished.
func (w *busy) requests() string {
	w.t.Helper()
	return done(w.t, w.raw) + " " + done(w.t, w.fs)
}

// awaitWork waits until some more IOs are done on both devices.
func (w *busy) awaitWork(polls int) {
	w.t.Helper()
	last, seen := w.requests(), 0
	w.await("work on the devices", func() string {
		if err := w.load.err(); err != nil {
			return hopeless + err.Error()
		}
		now := w.requests()
		if now != last {
			seen++
		}
		if last = now; seen >= polls {
			return ""
		}
		return now
	})
}

// settle ends the work and checks everything.
func (w *busy) settle() {
	w.t.Helper()
	w.load.finish(w.t)
	w.app.checkAll(w.t)
	w.must("umount", "/mnt")
	w.must("mount", "-t", "ext4", w.fs, "/mnt")
	w.app.checkAll(w.t)
	w.must("umount", "/mnt")
	w.must("e2fsck", "-fn", w.fs)
	w.b.awaitUpToDate("raw")
	w.b.awaitUpToDate("fs")
	w.a.stop()
	w.b.stop()
	w.equalDisks("/dev/vdb", "/dev/vdd", 16<<20)
	w.equalDisks("/dev/vde", "/dev/vdf", 24<<20)
	w.dmesgClean()
	w.nothingLeft()
}

// TestKill: the daemons are killed at random moments and come back; one is
// stopped for 20 s. No application sees more than a pause.
func TestKill(t *testing.T) {
	if !inGuest(t, "kill") {
		return
	}
	w := newBusy(t)
	var longest time.Duration
	secondary := 0
	for i := range kills {
		w.awaitWork(1 + w.rng.IntN(8))
		h := w.a
		if i%5 == 4 {
			h, secondary = w.b, secondary+1
		}
		pause := w.killOnce(i, h)
		longest = max(longest, pause)
		t.Logf("kill %d, of %s: back after %.1f s; %d rounds of work", i, h.name, pause.Seconds(), w.load.rounds.Load())
	}
	w.awaitWork(3)
	before := w.load.rounds.Load()
	w.stopped()
	w.settle()
	result(t, "kill", "%d kills (%d of them the secondary's), longest pause %.1f s, then 20 s of SIGSTOP; %d and %d rounds of verified fio and of files without an error; replicas equal",
		kills, secondary, longest.Seconds(), before, w.load.rounds.Load()-before)
}

// killOnce kills a daemon and starts it again; it returns how long the host was
// without one that is ready.
func (w *busy) killOnce(i int, h *host) time.Duration {
	w.t.Helper()
	h.kill()
	down := time.Now()
	// Most often it is back at once, which is the worst for whoever cleans up;
	// at times it stays away for a while, once for 30 s.
	away := time.Duration(w.rng.IntN(1000)) * time.Millisecond
	switch {
	case i == kills/2:
		away = 30 * time.Second
	case i%10 == 3:
		away *= 5
	}
	<-time.After(away)
	h.start()
	pause := time.Since(down)
	if err := w.load.err(); err != nil {
		w.t.Fatalf("kill %d, of %s, away for %v: %v", i, h.name, away, err)
	}
	if got := w.a.device("fs"); got != w.fs {
		w.t.Fatalf("after kill %d the device is %s, it was %s", i, got, w.fs)
	}
	return pause
}

// stopped stops a daemon for 20 s.
func (w *busy) stopped() {
	w.t.Helper()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := w.a.cmd.Process.Signal(sig); err != nil {
			w.t.Fatal(err)
		}
		if sig == syscall.SIGSTOP {
			<-time.After(20 * time.Second)
		}
	}
	w.awaitWork(5)
}

// TestKillControl: an application on a device that dies does see an error, so
// that the suite would notice.
func TestKillControl(t *testing.T) {
	if !inGuest(t, "kill") {
		return
	}
	s := newStage(t)
	s.must("mkfs.ext4", "-q", "-F", "/dev/vdb")
	size := strings.TrimSpace(s.must("cat", "/sys/block/vdb/size"))
	table := fmt.Sprintf("0 %s linear /dev/vdb 0", size)
	s.must("dmsetup", "create", "dying", "--noudevsync", "--noudevrules", "--table", table)
	s.must("dmsetup", "mknodes") // there is no udev in the guest
	s.must("mount", "-t", "ext4", "/dev/mapper/dying", "/mnt")
	var l load
	app := newFiles("/mnt")
	l.run(app.round)
	s.await("some files", func() string {
		if n := l.rounds.Load(); n < 5 {
			return itoa(n)
		}
		return ""
	})
	s.must("dmsetup", "suspend", "--noflush", "--nolockfs", "dying")
	s.must("dmsetup", "load", "dying", "--table", fmt.Sprintf("0 %s error", size))
	s.must("dmsetup", "resume", "--noudevsync", "dying")
	l.wg.Wait() // with an error: nobody stops it
	if l.err() == nil {
		t.Error("the application saw no error")
	}
	clean := true
	for line := range strings.Lines(s.dmesg()) {
		clean = clean && !ioErrors.MatchString(line)
	}
	if clean {
		t.Error("the kernel's words about errors were not recognised")
	}
	s.must("umount", "/mnt")
	s.must("dmsetup", "remove", "--noudevsync", "dying")
	s.must("dmesg", "-C")
}
