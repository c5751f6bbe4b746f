// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const diskSize = 8 << 20 // bytes

// TestManual is chapter 1 of the manual in one go.
func TestManual(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := newCluster(t, 3)
	w := &walk{t, c, c.nodes[0], c.nodes[1], c.nodes[2], newWriter(c.nodes[0], 0)}
	for _, step := range []struct {
		name string
		fn   func()
	}{
		{"cluster", w.clusterOfTwo}, {"resource", w.resource}, {"log deletion", w.logDeletion}, {"pause-replay", w.pausedReplay},
		{"disconnect", w.disconnected}, {"refused switch", w.refusedSwitch}, {"switch", w.plannedSwitch}, {"down", w.downUp},
		{"detach", w.detachAttach}, {"invalidate", w.invalidate}, {"fake-sync", w.fakeSync}, {"third node", w.thirdNode}, {"leave", w.leave},
	} {
		start := time.Now()
		step.fn()
		t.Logf("%-15s %.1f s", step.name, time.Since(start).Seconds())
	}
	c.sameDisks()
}

// walk is what the steps share.
type walk struct {
	t       *testing.T
	c       *cluster
	a, b, n *node // n is the third one
	w       *writer
}

func (w *walk) clusterOfTwo() {
	w.a.ok("create-cluster")
	w.a.refused("cluster is already created", "create-cluster")
	w.a.start()
	w.b.ok("join-cluster", "A")
	w.b.refused("cluster is already created", "join-cluster", "A")
	w.b.start()
	w.a.ok("wait-cluster")
	w.b.ok("wait-cluster")
}

// resource: what was on the disk is on the device, and after the sync on the
// other disk.
func (w *walk) resource() {
	for i, n := range []*node{w.a, w.b} {
		n.makeDisk(diskSize)
		n.fill(n.disk, byte(i), diskSize)
	}
	before := w.a.sumDisk(w.a.disk)
	w.a.ok("create-resource", res, w.a.disk)
	w.a.ok("wait-resource", res, "is-device")
	if w.a.sumDisk(w.a.device()) != before {
		w.t.Error("the device does not show what was on the disk")
	}
	w.a.refused("already exists", "create-resource", res, w.b.disk)
	w.b.join(res)
	w.b.awaitUpToDate()
	if w.b.sumDisk(w.b.disk) != before {
		w.t.Error("after the sync, the disk of B is not that of A")
	}
	w.b.refused("already joined", "join-resource", res, w.b.disk)
	w.follow(500)
}

// follow writes on the primary and waits for B.
func (w *walk) follow(count int) {
	w.t.Helper()
	w.w.write(count)
	w.b.awaitVersion(w.w.acked.Load())
}

// rotate begins a new log on A and waits until it is in use.
func (w *walk) rotate() {
	w.t.Helper()
	before := w.a.logs()
	w.a.ok("log-rotate", "all")
	w.c.await("a new log on A", func() string {
		if now := w.a.logs(); len(now) == len(before) {
			return strings.Join(now, " ")
		}
		return ""
	})
}

// awaitLogs waits until a node has just these logs.
func (n *node) awaitLogs(want ...string) {
	n.t.Helper()
	n.c.await(n.name+" to have just the logs "+strings.Join(want, " "), func() string {
		if now := n.logs(); !slices.Equal(now, want) {
			return "it has " + strings.Join(now, " ")
		}
		return ""
	})
}

// logDeletion: logs that all have applied vanish, on both nodes.
func (w *walk) logDeletion() {
	w.rotate()
	w.follow(20)
	w.applied("log-000000002-A")
	w.a.ok("log-delete-all", "all")
	w.a.awaitLogs("log-000000002-A")
	w.b.awaitLogs("log-000000002-A")
	w.b.awaitStatus("UpToDate")
}

// applied waits until both disks have all that is before a log.
func (w *walk) applied(log string) {
	w.t.Helper()
	w.a.awaitReplays(log)
	w.b.awaitReplays(log)
}

// awaitReplays waits until the node's replay link names a log, here and at all
// others.
func (n *node) awaitReplays(log string) {
	n.t.Helper()
	for _, o := range n.c.nodes {
		if o.cmd == nil {
			continue
		}
		n.c.await("the replay link of "+n.name+" to name "+log+" at "+o.name, func() string {
			if v := o.link("resource-" + res + "/replay-" + n.name); !strings.HasPrefix(v, log+",") {
				return v
			}
			return ""
		})
	}
}

// pausedReplay: the disk stays at a past version, logs are fetched all the
// same, and none that is not applied is deleted.
func (w *walk) pausedReplay() {
	w.b.pauseReplay()
	at := w.b.diskVersion()
	w.w.write(300)
	w.rotate()
	w.w.write(20)
	w.b.awaitLogs("log-000000002-A", "log-000000003-A")
	w.a.ok("log-delete-all", "all")
	w.a.settle()
	w.b.settle()
	if now := w.b.diskVersion(); now != at {
		w.t.Errorf("while replay is paused, the disk of B goes from write %d to %d", at, now)
	}
	w.b.awaitStatus("Outdated", "paused")
	for _, n := range []*node{w.a, w.b} {
		if now := n.logs(); len(now) != 2 {
			w.t.Errorf("%s has the logs %q, although B has not applied the first of two", n.name, now)
		}
	}
	w.b.ok("resume-replay", res)
	w.b.awaitVersion(w.w.acked.Load())
	w.applied("log-000000003-A")
	w.a.ok("log-delete-all", "all")
	w.a.awaitLogs("log-000000003-A")
	w.b.awaitLogs("log-000000003-A")
}

// disconnected: nothing more is fetched.
func (w *walk) disconnected() {
	w.b.ok("disconnect", res)
	w.b.awaitFact("B", "is-copying", "0")
	w.b.settle()
	at, size := w.b.restVersion(), w.b.logSize("log-000000003-A")
	w.w.write(100)
	w.a.settle()
	w.b.settle()
	if now := w.b.logSize("log-000000003-A"); now != size {
		w.t.Errorf("while disconnected, the log on B grows from %d to %d bytes", size, now)
	}
	if now := w.b.diskVersion(); now != at {
		w.t.Errorf("while disconnected, the disk of B goes from write %d to %d", at, now)
	}
	w.b.ok("connect", res)
	w.b.awaitVersion(w.w.acked.Load())
	w.b.awaitUpToDate()
}

func (n *node) logSize(log string) int64 {
	n.t.Helper()
	info, err := os.Stat(n.mars("resource-" + res + "/" + log))
	if err != nil {
		n.t.Fatal(err)
	}
	return info.Size()
}

// refusedSwitch: nobody takes over a device that is in use (manual 1.4.2.1).
func (w *walk) refusedSwitch() {
	_, release := w.a.holdOpen(unix.O_EXCL)
	for _, n := range []*node{w.a, w.b} {
		n.awaitFact("A", "open-count", "1")
	}
	before := w.a.settle()
	r := w.b.refused("first you must umount/close", "primary", res)
	want := "WARNING: device '/dev/mars/mydata' for resource 'mydata' is 1 times in use on primary host 'A'\n" +
		"DYING: first you must umount/close the device (on host 'A')\n" +
		"   HINT: then wait until it is known here: marsadm wait-umount mydata\n"
	if r.code != 1 || r.err != want {
		w.t.Errorf("exit status %d, stderr:\n%s\nexpected:\n%s", r.code, r.err, want)
	}
	if d := before.diff(w.a.snapshot()); d != "" {
		w.t.Errorf("the refused switch has changed the tree of A:\n%s", d)
	}
	w.a.refused("is 1 times in use", "secondary", res)
	if r := w.b.adm("wait-umount", res, "--timeout=0"); r.code == 0 {
		w.t.Errorf("wait-umount finds the device closed: %s", r.out)
	}
	release()
	w.b.ok("wait-umount", res, "--timeout=30")
	w.idleOpener()
}

// idleOpener: a descriptor that nobody does anything with is found at the
// latest when the device is to be taken away.
func (w *walk) idleOpener() {
	f, release := w.a.holdOpen(0)
	defer release()
	r := w.b.adm("primary", res, "--timeout=20")
	if r.code != 1 || !strings.Contains(r.err, "first you must umount/close") {
		w.t.Errorf("primary over an open device: exit status %d\n%s%s", r.code, r.out, r.err)
	}
	for _, n := range []*node{w.a, w.b} {
		n.awaitLink("resource-"+res+"/primary", "A")
	}
	w.a.awaitFact("A", "is-primary", "1")
	if _, err := f.WriteAt(aligned(w.t, blockSize), diskSize-blockSize); err != nil {
		w.t.Errorf("after the refused switch, on the open device: %v", err)
	}
}

// plannedSwitch goes to B, back to nobody, and to A.
func (w *walk) plannedSwitch() {
	w.b.ok("wait-umount", res, "--timeout=30")
	w.b.ok("primary", res, "--timeout=30")
	if _, err := os.Stat(w.a.device()); err == nil {
		w.t.Error("the device at A has not disappeared")
	}
	last := w.w.acked.Load()
	if got, err := version(w.b, w.b.device()); err != nil || got != last {
		w.t.Errorf("the device at B shows write %d, %v, expected %d", got, err, last)
	}
	atB := newWriter(w.b, last)
	atB.write(200)
	w.a.awaitVersion(atB.acked.Load())
	if out := w.b.ok("role", res); out != "I am actually primary\n" {
		w.t.Errorf("role of B: %q", out)
	}
	w.b.awaitFact("B", "open-count", "0")
	w.b.ok("secondary", res, "--timeout=30")
	if _, err := os.Stat(w.b.device()); err == nil {
		w.t.Error("the device at B has not disappeared")
	}
	w.a.awaitLink("resource-"+res+"/primary", "(none)")
	w.a.ok("primary", res, "--timeout=30")
	w.w = newWriter(w.a, atB.acked.Load())
	w.follow(50)
}

// exclusive tells whether nobody else has opened a disk exclusively.
func exclusive(disk string) error {
	f, err := os.OpenFile(disk, os.O_RDWR|unix.O_EXCL, 0)
	if err == nil {
		err = f.Close()
	}
	return err
}

// downUp: a disk that is down belongs to nobody.
func (w *walk) downUp() {
	if exclusive(w.b.disk) == nil {
		w.t.Error("the disk of B is in service, but not opened exclusively")
	}
	w.a.awaitFact("A", "open-count", "0")
	w.a.refused("cannot be executed on designated primary", "down", res)
	w.b.ok("down", res)
	if err := exclusive(w.b.disk); err != nil {
		w.t.Errorf("after down: %v", err)
	}
	at := w.b.diskVersion()
	w.w.write(60)
	w.b.settle()
	if now := w.b.diskVersion(); now != at {
		w.t.Errorf("after down, the disk goes from write %d to %d", at, now)
	}
	w.b.refused("detached", "pause-replay", res)
	w.b.ok("up", res)
	w.b.awaitVersion(w.w.acked.Load())
}

func (w *walk) detachAttach() {
	w.b.refused("must have value '0'", "detach", res)
	w.b.ok("pause-sync", res)
	w.b.ok("pause-replay", res)
	w.b.ok("detach", res)
	if err := exclusive(w.b.disk); err != nil {
		w.t.Errorf("after detach: %v", err)
	}
	w.b.ok("attach", res)
	w.b.ok("resume-replay", res)
	w.b.ok("resume-sync", res)
	w.follow(30)
}

// invalidate repairs a disk that somebody has written to behind our back.
func (w *walk) invalidate() {
	w.a.refused("cannot be executed on designated primary", "invalidate", res)
	w.b.ok("down", res)
	w.b.fill(w.b.disk, 9, 2<<20)
	w.b.ok("up", res)
	w.b.ok("invalidate", res)
	w.b.awaitUpToDate()
	w.follow(30)
}

// fakeSync believes a disk without looking.
func (w *walk) fakeSync() {
	w.a.refused("cannot be executed on designated primary", "fake-sync", res)
	w.b.ok("pause-sync", res)
	w.b.ok("invalidate", res)
	w.b.awaitStatus("Inconsistent", "paused")
	w.b.ok("fake-sync", res)
	w.b.ok("resume-sync", res)
	w.b.awaitUpToDate()
	w.follow(30)
}

func (w *walk) thirdNode() {
	w.n.makeDisk(diskSize)
	w.n.ok("join-cluster", "B")
	w.n.start()
	w.n.join(res)
	w.n.awaitUpToDate()
	w.follow(40)
	w.n.awaitVersion(w.w.acked.Load())
	w.a.awaitStatus("[3/3]", "peer      B", "peer      C")
}

// leave: B goes, first from the resource, then from the cluster.
func (w *walk) leave() {
	w.b.refused("must be detached", "leave-resource", res)
	w.b.ok("down", res)
	w.b.ok("leave-resource", res)
	for _, n := range []*node{w.a, w.n} {
		n.awaitLink("resource-"+res+"/data-B", "")
		n.awaitLink("resource-"+res+"/replay-B", "")
	}
	w.b.awaitOrders()
	w.b.refused("not yet joined", "up", res)
	w.n.refused("is member of some resources", "leave-cluster")
	w.b.ok("leave-cluster")
	for _, n := range []*node{w.a, w.n} {
		n.awaitLink("ips/ip-B", "")
	}
	w.b.stop()
	w.b.disk = ""
	w.w.write(25)
	w.n.awaitVersion(w.w.acked.Load())
	w.n.awaitUpToDate()
}
