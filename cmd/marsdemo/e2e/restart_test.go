// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"strconv"
	"testing"
)

// crash is one way to lose daemons.
type crash struct {
	name  string
	who   []int // of the nodes
	clean bool
}

func crashes() []crash {
	return []crash{
		{"kill -9 of A", []int{0}, false},
		{"kill -9 of B", []int{1}, false},
		{"kill -9 of both", []int{0, 1}, false},
		{"SIGTERM to A", []int{0}, true},
		{"SIGTERM to B", []int{1}, true},
	}
}

// hit ends daemons.
func (x crash) hit(c *cluster) {
	c.t.Helper()
	for _, i := range x.who {
		if x.clean {
			c.nodes[i].stop()
		} else {
			c.nodes[i].kill()
		}
	}
}

// TestRestartWhileWriting loses daemons under load. What was acknowledged is
// there afterwards, on both sides.
func TestRestartWhileWriting(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	c := replicated(t, 2, diskSize)
	a, b := c.nodes[0], c.nodes[1]
	last := uint64(0)
	for round, x := range crashes() {
		w := newWriter(a, last)
		w.begin()
		w.awaitWritten(uint64(100 + 70*round))
		x.hitWriter(c, w)
		got, err := version(a, a.device())
		if acked := w.acked.Load(); err != nil || got != acked && got != acked+1 {
			t.Fatalf("%s: acknowledged were the writes up to %d; the device shows %d, %v", x.name, acked, got, err)
		}
		w = newWriter(a, got)
		w.write(30)
		last = w.acked.Load()
		b.awaitVersion(last)
	}
	b.awaitUpToDate()
	c.sameDisks()
}

// hitWriter loses daemons while w writes, starts them again, and leaves w at
// rest. A clean stop of the primary waits for those who use the device, so w
// ends before it; a dead one fails the writes (FUSE and loop), and B alone
// bothers nobody.
func (x crash) hitWriter(c *cluster, w *writer) {
	t, a := c.t, c.nodes[0]
	t.Helper()
	primary := x.who[0] == 0
	if primary && x.clean {
		if err := w.halt(); err != nil {
			t.Fatal(err)
		}
	}
	x.hit(c)
	if primary && !x.clean && w.halt() == nil {
		t.Fatalf("%s: the writes go on although the device has died", x.name)
	}
	for _, i := range x.who {
		checkRest(t, x, c.nodes[i], w)
	}
	for _, i := range x.who {
		c.nodes[i].start()
	}
	if !primary {
		w.awaitWritten(50)
		if err := w.halt(); err != nil {
			t.Fatalf("%s: a write at A fails: %v", x.name, err)
		}
	}
	a.ok("wait-resource", res, "is-device")
}

// checkRest looks at the disk of a node whose daemon has just ended. After a
// clean stop it is a past version; the primary's is the last one.
func checkRest(t *testing.T, x crash, n *node, w *writer) {
	t.Helper()
	if !x.clean {
		return
	}
	if m := n.diskVersion(); n.name == "A" && m != w.acked.Load() {
		t.Errorf("%s: the disk holds write %d, written were %d", x.name, m, w.acked.Load())
	}
}

// TestRestartWhileSyncing loses daemons during the initial sync, which goes on
// where it was.
func TestRestartWhileSyncing(t *testing.T) {
	if !ready(t) {
		return
	}
	t.Parallel()
	const size = 192 << 20
	c := founded(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	a.makeDisk(size)
	b.makeDisk(size)
	a.fill(a.disk, 1, size)
	a.ok("create-resource", res, a.disk)
	a.ok("wait-resource", res, "is-device")
	w := newWriter(a, 0)
	w.write(50)
	b.join(res)
	last := int64(0)
	for _, x := range crashes() {
		last = b.awaitSynced(last + 6<<20)
		x.hit(c)
		if now := b.synced(); now < last || now >= size {
			t.Fatalf("%s: the sync is at %d, before at %d", x.name, now, last)
		}
		last = b.synced()
		for _, i := range x.who {
			c.nodes[i].start()
		}
		a.ok("wait-resource", res, "is-device")
		w.write(10)
		if now := b.synced(); now < last {
			t.Errorf("%s: the sync starts over: it was at %d and is at %d", x.name, last, now)
		}
	}
	b.awaitUpToDate()
	b.awaitVersion(w.acked.Load())
	c.sameDisks()
}

// synced is how far the node says that its sync has come.
func (n *node) synced() int64 {
	v, _ := strconv.ParseInt(n.link("resource-"+res+"/syncstatus-"+n.name), 10, 64)
	return v
}

// awaitSynced waits until the sync has come so far.
func (n *node) awaitSynced(at int64) (now int64) {
	n.t.Helper()
	n.c.await("the sync to pass "+strconv.FormatInt(at, 10), func() string {
		if now = n.synced(); now < at {
			return strconv.FormatInt(now, 10)
		}
		return ""
	})
	return now
}
