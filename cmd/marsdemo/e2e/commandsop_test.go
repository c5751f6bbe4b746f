// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// switchWords are the words that turn a switch off and on (manual 3.2.2).
type switchWords struct{ off, on, key string }

func allSwitches() []switchWords {
	return []switchWords{
		{"pause-sync", "resume-sync", "sync"}, {"pause-replay", "resume-replay", "allow-replay"},
		{"disconnect", "connect", "connect"}, {"pause-fetch", "resume-fetch", "connect"},
	}
}

// switches: each word in its three forms turns its switch, once and again; the
// plain and the -local form ask for the role and for an attached disk.
func (v *tour) switches() {
	for _, s := range allSwitches() {
		var onA []refusal
		for _, form := range []string{"", "-local", "-global"} {
			off, on := s.off+form+" mydata", s.on+form+" mydata"
			by := v.b
			if form == "-global" {
				by = v.a
			}
			for range 2 { // off again is written again
				v.does(by, off, "successfully started "+s.off+form+" on resource mydata")
				v.b.awaitLink("resource-mydata/todo-B/"+s.key, "0")
			}
			if want := map[bool]string{true: "0", false: "1"}[form == "-global"]; v.a.todo("A", s.key) != want {
				v.t.Errorf("after %s the switch of A is '%s', expected '%s'", off, v.a.todo("A", s.key), want)
			}
			v.does(by, on, "successfully started "+s.on+form+" on resource mydata")
			v.does(by, on, s.on+form+" on resource mydata is already activated")
			v.b.awaitLink("resource-mydata/todo-B/"+s.key, "1")
			v.isTodo(v.a, "A", s.key, "1")
			if form != "-global" && s.key != "sync" {
				hint := "marsadm secondary mydata"
				onA = append(onA, refusal{off, "cannot be executed on designated primary", hint}, refusal{on, "cannot be executed on designated primary", hint})
			}
		}
		v.refuses(v.a, onA...)
	}
	v.does(v.b, "pause-sync all", "resource mydata", "resource other")
	v.isTodo(v.b, "B", "sync", "0")
	v.does(v.b, "resume-sync all")
	v.does(v.a, "pause-replay all", "skipping resource mydata: operation 'pause-replay' cannot be executed on designated primary")
	v.refuses(v.b, refusal{"pause-sync", "resource argument is missing", usageHint}, refusal{"connect nodata", "resource 'nodata' does not exist", "show all"})
}

// switchEffects: a switch that is off stops what it is for, and nothing else.
func (v *tour) switchEffects() {
	a, b := v.a, v.b
	v.write(10)
	for _, form := range []string{"", "-local", "-global"} {
		by := map[bool]*node{true: a, false: b}[form == "-global"]
		v.does(by, "pause-replay"+form+" mydata")
		b.awaitFact("B", "why", "replay is paused")
		at := b.restVersion()
		v.w.write(3)
		v.fetched()
		if now := b.restVersion(); now != at {
			v.t.Errorf("after pause-replay%s the disk goes from write %d to %d", form, at, now)
		}
		v.does(by, "resume-replay"+form+" mydata")
		b.awaitVersion(v.w.acked.Load())

		v.does(by, "disconnect"+form+" mydata")
		v.does(b, "wait-resource mydata is-connect-off")
		log := strings.Split(b.link("resource-mydata/replay-B"), ",")[0]
		at, size := b.restVersion(), b.logSize(log)
		v.w.write(3)
		b.settle()
		if now := b.restVersion(); now != at || b.logSize(log) != size {
			v.t.Errorf("after disconnect%s the disk goes from write %d to %d, the log from %d to %d bytes", form, at, now, size, b.logSize(log))
		}
		v.does(by, "connect"+form+" mydata")
		b.awaitVersion(v.w.acked.Load())

		v.does(by, "pause-sync"+form+" mydata")
		b.awaitLink("resource-mydata/todo-B/sync", "0")
		v.does(b, "invalidate mydata", "starts as soon as you say resume-sync")
		b.settle()
		if got := b.link("resource-mydata/syncstatus-B"); got != "0" {
			v.t.Errorf("after pause-sync%s the sync is at %s", form, got)
		}
		v.prints(b, "cstate mydata", "PausedSync\n")
		v.does(by, "resume-sync"+form+" mydata")
		v.does(b, "wait-resource mydata is-sync-off")
		b.awaitUpToDate()
		b.awaitVersion(v.w.acked.Load())
	}
}

// fetched waits until B has the logs of A as far as they go.
func (v *tour) fetched() {
	v.t.Helper()
	v.c.await("B to have fetched all", func() string {
		r := v.b.adm("status", res)
		if strings.Contains(r.out, "to fetch") || !strings.Contains(r.out, "to apply") {
			return r.out
		}
		return ""
	})
}

// attachDetach: a disk belongs to marsd as long as it is attached.
func (v *tour) attachDetach() {
	b := v.b
	v.refuses(v.a, refusal{"detach mydata", "cannot be executed on designated primary", "marsadm secondary mydata"},
		refusal{"detach mydata --timeout=0", "cannot be executed on designated primary", "marsadm secondary mydata"})
	v.does(v.a, "attach mydata", "attach on resource mydata is already activated")
	v.refuses(b, refusal{"detach mydata", "todo-B/sync' must have value '0', but actually has value '1'", "marsadm pause-sync mydata; or marsadm down mydata"})
	v.does(b, "pause-sync mydata")
	v.refuses(b, refusal{"detach mydata", "todo-B/allow-replay' must have value '0'", "marsadm pause-replay mydata"})
	v.does(b, "pause-replay mydata")
	for range 2 {
		v.does(b, "detach mydata", "successfully started detach")
		b.awaitFact("B", "is-attached", "0")
	}
	if err := exclusive(b.disk); err != nil {
		v.t.Errorf("after detach: %v", err)
	}
	var list []refusal
	for _, s := range allSwitches() {
		for _, word := range []string{s.off, s.on, s.off + "-local", s.on + "-local"} {
			list = append(list, refusal{word + " mydata", "its disk is detached", "marsadm attach mydata"})
		}
	}
	v.refuses(b, append(list, refusal{"primary mydata", "its disk is detached", "marsadm up mydata"})...)
	f, err := os.OpenFile(b.disk, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		v.t.Fatal(err)
	}
	busy := refusal{"attach mydata", "cannot open device '" + b.disk + "' for exclusive rw access", "umount or stop whatever uses it"}
	v.refuses(b, busy, refusal{"up mydata", busy.why, busy.hint})
	f.Close()
	for range 2 {
		v.does(b, "attach mydata")
		b.awaitFact("B", "is-attached", "1")
	}
	if exclusive(b.disk) == nil {
		v.t.Error("after attach anybody may open the disk")
	}
	v.does(b, "resume-sync mydata")
	v.does(b, "resume-replay mydata")
	v.does(b, "force-detach mydata", "Using FORCE option")
	v.does(b, "attach mydata")
	v.write(5)
}

// upDown: up is all four switches on, down is all four off.
func (v *tour) upDown() {
	_, release := v.a.holdOpen(unix.O_EXCL)
	v.a.awaitFact("A", "open-count", "1")
	v.refuses(v.a, refusal{"down mydata", "cannot be executed on designated primary", "marsadm secondary mydata"})
	v.does(v.a, "down all", "skipping resource mydata", "skipping resource other")
	release()
	for range 2 {
		v.does(v.b, "down mydata", "successfully started pause-sync", "successfully started disconnect", "successfully started pause-replay", "successfully started detach")
		v.isTodo(v.b, "B", "sync", "0", "connect", "0", "allow-replay", "0", "attach", "0")
		b := v.b.link("resource-mydata/actual-B/is-attached")
		if err := exclusive(v.b.disk); err != nil || b != "0" {
			v.t.Errorf("after down: %v, is-attached is %s", err, b)
		}
	}
	v.w.write(5)
	for _, text := range []string{"successfully started attach", "attach on resource mydata is already activated"} {
		v.does(v.b, "up mydata", text)
		v.isTodo(v.b, "B", "sync", "1", "connect", "1", "allow-replay", "1", "attach", "1")
	}
	v.b.awaitVersion(v.w.acked.Load())
	v.does(v.b, "down all", "resource mydata", "resource other")
	v.does(v.b, "up all")
	v.does(v.a, "up all", "resume-sync on resource other is already activated")
	v.write(5)
}

// roles is the planned handover, there and back, and nobody in between.
func (v *tour) roles() {
	a, b := v.a, v.b
	v.does(a, "primary mydata", "is the designated primary of resource 'mydata' already", "device '/dev/mars/mydata' is present")
	v.does(b, "secondary mydata", "host 'B' is not the designated primary")
	v.does(b, "disconnect mydata")
	v.refuses(b, refusal{"primary mydata", "todo-B/connect' must have value '1'", "marsadm connect mydata"})
	v.does(b, "connect mydata")
	v.closed()
	v.refuses(b, refusal{"primary mydata --timeout=0", "without waiting", "--timeout=SECONDS"}, refusal{"primary nodata", "does not exist", "show all"})
	_, release := a.holdOpen(0) // does nothing, and is found late
	v.fails(a, "secondary mydata --timeout=2", "times in use", "umount or close it")
	a.awaitLink("resource-mydata/primary", "A")
	v.hasDevice(a, b)
	release()
	a.awaitFact("A", "open-count", "0")
	_, release = a.holdOpen(unix.O_EXCL)
	for _, n := range []*node{a, b} {
		n.awaitFact("A", "open-count", "1")
	}
	v.refuses(b, refusal{"primary mydata", "first you must umount/close the device (on host 'A')", "wait-umount mydata"})
	v.refuses(a, refusal{"secondary mydata --timeout=0", "is 1 times in use", "umount or close it"})
	v.fails(b, "wait-umount mydata --timeout=1", "is 1 times in use somewhere", "Timeout reached")
	v.during(b, "wait-umount mydata --timeout=30", release)
	a.awaitFact("A", "open-count", "0")
	last := v.w.acked.Load()
	v.does(b, "primary mydata --timeout=30", "all preconditions OK", "changed from 'A' to '(none)'", "changed from '(none)' to 'B'", "device '/dev/mars/mydata' is present")
	v.hasDevice(b, a)
	v.prints(b, "role mydata", "I am actually primary\n")
	v.prints(a, "role mydata", "I am actually secondary and B is primary\n")
	if got, err := version(b, b.device()); err != nil || got != last {
		v.t.Errorf("the device at B shows write %d, %v, expected %d", got, err, last)
	}
	v.w = newWriter(b, last)
	v.w.write(7)
	a.awaitVersion(v.w.acked.Load())
	b.awaitFact("B", "open-count", "0")
	for _, text := range []string{"changed from 'B' to '(none)'", "host 'B' is not the designated primary"} {
		v.does(b, "secondary mydata --timeout=30", text)
	}
	v.hasDevice(nil, a, b)
	a.awaitLink("resource-mydata/primary", "(none)")
	a.awaitFact("B", "is-primary", "0")
	v.prints(a, "role mydata", "I am actually secondary and (none) is primary\n")
	v.refuses(b, refusal{"invalidate mydata", "nobody is designated primary", "marsadm primary mydata"}, refusal{"log-rotate mydata", "I also must be the designated primary", "marsadm role mydata"})
	v.does(a, "primary mydata --timeout=30", "changed from '(none)' to 'A'")
	v.hasDevice(a, b)
	v.w = newWriter(a, v.w.acked.Load())
	v.write(7)
	v.closed()
	v.does(b, "primary other --timeout=30")
	v.does(b, "primary all --timeout=30", "resource mydata", "resource other")
	v.does(a, "primary all --timeout=30")
	v.hasDevice(a, b)
	v.does(a, "wait-resource all is-primary")
	v.w = newWriter(a, v.w.acked.Load())
	v.write(3)
}

// closed waits until both members know that the device of A is closed.
func (v *tour) closed() {
	v.t.Helper()
	for _, n := range []*node{v.a, v.b} {
		n.awaitFact("A", "open-count", "0")
	}
}

// hasDevice checks who has the device of mydata.
func (v *tour) hasDevice(who *node, others ...*node) {
	v.t.Helper()
	for _, n := range append(others, who) {
		if n == nil {
			continue
		}
		if _, err := os.Stat(n.device()); (err == nil) != (n == who) {
			v.t.Errorf("the device at %s: %v", n.name, err)
		}
	}
}

// deadPrimary: the planned handover from a host that does not answer fails and
// tells the way out; the forced one works (manual 1.4.2.2).
func (v *tour) deadPrimary() {
	a, b := v.a, v.b
	v.c.await("B to know where the logs of A end", func() string {
		log, _, _ := strings.Cut(b.link("resource-mydata/replay-B"), ",")
		mine, its := b.link("resource-mydata/version-"+log[4:13]+"-B"), b.link("resource-mydata/version-"+log[4:13]+"-A")
		if mine == "" || mine != its {
			return mine + " and " + its
		}
		return ""
	})
	v.closed()
	a.freeze() // like a host that hangs
	r := v.fails(b, "primary mydata --timeout=2", "waiting for other primary host (A) to disappear", "the role was handed back", "only if host 'A' is lost: marsadm primary mydata --force")
	if strings.Contains(r.out, "waiting: waiting") {
		v.t.Errorf("it stammers: %s", r.out)
	}
	if got := b.link("resource-mydata/primary"); got != "A" {
		v.t.Errorf("after the failed handover the designated primary is '%s'", got)
	}
	v.fails(b, "wait-cluster --timeout=1", "seem to be dead / not reachable: A")
	v.fails(b, "wait-connect mydata --timeout=1", "0 peer(s) seem to be alive, and 1 peer(s) seem to be dead / not reachable: A")
	v.does(b, "wait-connect mydata --timeout=1 --force", "dead / not reachable: A")
	v.fails(b, "wait-resource mydata --timeout=1", "dead / not reachable: A")
	a.kill()
	v.does(b, "primary mydata --force", "see to it that it reaches this host when it is started again", "if host 'A' continues to write, this leads to a SPLIT BRAIN", "changed from 'A' to 'B'")
	v.does(b, "wait-resource mydata is-device")
	v.w = newWriter(b, v.w.acked.Load())
	v.w.write(5)
	a.start() // it hears that it was replaced before it begins a log: no split brain
	a.awaitLink("resource-mydata/primary", "B")
	a.awaitVersion(v.w.acked.Load())
	v.does(a, "wait-umount mydata --timeout=30")
	v.does(a, "primary mydata --timeout=30")
	v.does(a, "wait-resource all is-device")
	v.w = newWriter(a, v.w.acked.Load())
	v.write(5)
}

// grow enlarges the node's first disk.
func (n *node) grow(size int64) {
	n.t.Helper()
	err := os.Truncate(n.path("disk.img"), size)
	if err == nil {
		var out []byte
		if out, err = exec.Command("losetup", "-c", n.disk).CombinedOutput(); err != nil {
			err = fmt.Errorf("losetup -c: %w: %s", err, out)
		}
	}
	if err != nil {
		n.t.Fatal(err)
	}
}

// resize: first all disks, then the resource, while it is in use.
func (v *tour) resize() {
	a, b := v.a, v.b
	const grown = 2 * diskSize
	v.refuses(b, refusal{"resize mydata", "I need to be primary", "marsadm role mydata"})
	v.refuses(a,
		refusal{"resize mydata --timeout=0", "only increases of the size are possible: it is 8388608", "enlarge the disk first on host(s) A"},
		refusal{"resize mydata 4m", "only increases of the size are possible", "leave it out"},
		refusal{"resize mydata 16m --timeout=0", "is higher than the minimum size of all volumes", "enlarge the disk first on host(s) A B"},
		refusal{"resize mydata 9x", "must be a number", usageHint},
		refusal{"resize mydata --host=B", "can not be combined with --host", usageHint},
	)
	f, release := a.holdOpen(0)
	a.grow(grown)
	b.grow(grown)
	v.does(a, "resize mydata 12m --timeout=30", "old_size=8388608", "new size: 12582912 bytes")
	v.does(a, "resize mydata --timeout=30", "old_size=12582912 min_size=16777216 new_size=16777216")
	v.c.await("the device to grow", func() string {
		if n, err := f.Seek(0, 2); err != nil || n != grown {
			return fmt.Sprintf("it has %d bytes, %v", n, err)
		}
		return ""
	})
	if _, err := f.WriteAt(aligned(v.t, blockSize), grown-blockSize); err != nil {
		v.t.Errorf("a write at the new end: %v", err)
	}
	release()
	b.awaitLink("resource-mydata/size", "16777216")
	v.does(b, "wait-resource mydata is-sync-off")
	b.awaitUpToDate()
	v.write(5)
}
