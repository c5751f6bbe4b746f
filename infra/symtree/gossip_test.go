// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// host is one host of a small cluster that gossips its tree.
type host struct {
	name    string
	tree    *Tree
	markers map[string]int64
	clock   int64
	saved   *host // a backup of /mars
}

// failer is a test by hand or one of rapid.
type failer interface{ Fatalf(string, ...any) }

// world is a cluster of three hosts with a first-in first-out line each way
// between any two, and what should be true of it.
type world struct {
	hosts []*host
	lines map[[2]int][]Item
	cut   map[[2]int]bool
	truth map[string]Item // path: its newest event; without value: deleted
}

func newWorld() *world {
	w := &world{lines: map[[2]int][]Item{}, cut: map[[2]int]bool{}, truth: map[string]Item{}}
	for _, name := range []string{"a", "b", "c"} {
		h := &host{name: name, tree: New(), markers: map[string]int64{}}
		for _, m := range []string{"a", "b", "c"} {
			h.tree.SetLink(IPPath(m), "x", 1)
		}
		w.hosts = append(w.hosts, h)
	}
	return w
}

// now is a fresh stamp, unique in the world.
func (w *world) now(i int) int64 {
	h := w.hosts[i]
	h.clock = (h.clock/8+1)*8 + int64(i)
	return h.clock
}

func (w *world) see(i int, stamp int64) { w.hosts[i].clock = max(w.hosts[i].clock, stamp) }

// commit changes a host's tree and pushes what is new to the others.
func (w *world) commit(i int, changes []Change) {
	h := w.hosts[i]
	skipped := Apply(h.tree, h.markers, changes)
	for _, c := range changes {
		n, _ := Parse(c.Path)
		if c.Op != OpSet || !n.Kind.Replicated() || slices.Contains(skipped, c) {
			continue
		}
		for to := range w.hosts {
			if line := [2]int{i, to}; to != i && !w.cut[line] {
				w.lines[line] = append(w.lines[line], Item{c.Path, Entry{Kind: Link, Value: c.Value, Stamp: c.Stamp}})
			}
		}
	}
}

// write makes or renews a link.
func (w *world) write(i int, path string) {
	stamp := w.now(i)
	value := fmt.Sprintf("%s-%d", w.hosts[i].name, stamp)
	w.event(Item{path, Entry{Kind: Link, Value: value, Stamp: stamp}})
	w.commit(i, []Change{Set(path, value, stamp)})
}

func (w *world) event(e Item) {
	if e.Stamp > w.truth[e.Path].Stamp {
		w.truth[e.Path] = e
	}
}

// order deletes whatever is at path, by an order.
func (w *world) order(i int, path string) {
	h := w.hosts[i]
	changes, err := NewOrder(h.tree, h.name, []string{path})
	if err != nil {
		panic(err)
	}
	for k := range changes {
		changes[k].Stamp = w.now(i)
		w.event(Item{path, Entry{Stamp: changes[k].Stamp}})
	}
	w.commit(i, changes)
}

// plan carries out orders; a crash leaves the rest undone after some parts.
func (w *world) plan(i, parts int) (busy bool) {
	h := w.hosts[i]
	d := PlanDeletions(h.tree, h.markers, PlanContext{Me: h.name, Now: w.now(i)})
	for k, part := range [][]Change{d.Work, d.Acks, d.Drops} {
		if k < parts {
			w.commit(i, part)
		}
	}
	return !d.Empty()
}

// deliver takes up to n links off a line.
func (w *world) deliver(from, to, n int) {
	line := [2]int{from, to}
	n = min(n, len(w.lines[line]))
	links := w.lines[line][:n]
	w.lines[line] = w.lines[line][n:]
	h := w.hosts[to]
	for _, l := range links {
		w.see(to, l.Stamp)
	}
	changes, refused := NewContext(h.tree, h.markers, h.name, h.clock, 0).Merge(h.tree, links)
	w.commit(to, changes)
	w.commit(to, Repair(h.tree, h.markers, h.name, w.now(to), refused))
}

func (w *world) disconnect(a, b int) {
	for _, l := range [][2]int{{a, b}, {b, a}} {
		w.cut[l] = true
		w.lines[l] = nil
	}
}

// connect sends the whole tree both ways, as a new connection does.
func (w *world) connect(a, b int) {
	w.subscribe(a, b)
	w.subscribe(b, a)
}

// subscribe is one half of connect: each host asks for the other one's tree.
func (w *world) subscribe(from, to int) {
	if l := [2]int{from, to}; w.cut[l] {
		w.cut[l] = false
		w.lines[l] = w.hosts[from].tree.Links()
	}
}

func (w *world) save(i int) {
	h := w.hosts[i]
	h.saved = &host{tree: h.tree.Clone(), markers: maps.Clone(h.markers)}
}

// restore puts the backup of /mars back; all connections start anew. What the
// host itself wrote since then and nobody has seen is lost.
func (w *world) restore(i int) {
	h := w.hosts[i]
	h.tree, h.markers = h.saved.tree.Clone(), maps.Clone(h.saved.markers)
	for to := range w.hosts {
		if to != i && !w.cut[[2]int{i, to}] {
			w.disconnect(i, to)
			w.connect(i, to)
		}
	}
}

// settle connects everybody and runs until nothing happens any more.
func (w *world) settle(t failer) {
	for a := range w.hosts {
		for b := range a {
			w.disconnect(a, b)
			w.connect(a, b)
		}
	}
	for range 200 {
		busy := false
		for line := range 9 {
			from, to := line/3, line%3
			if from != to {
				busy = busy || len(w.lines[[2]int{from, to}]) > 0
				w.deliver(from, to, 1000)
			}
		}
		for i := range w.hosts {
			busy = w.plan(i, 3) || busy
		}
		if !busy {
			return
		}
	}
	t.Fatalf("it never ends:\n%v", w)
}

func (w *world) String() string {
	var b strings.Builder
	for _, h := range w.hosts {
		fmt.Fprintf(&b, "== %s\n%v%v\n", h.name, h.tree, h.markers)
	}
	return b.String()
}

// check: all are equal, no order is left, and everything is what its newest
// event made of it.
func (w *world) check(t failer, truth bool) {
	links := func(h *host) string { return fmt.Sprint(h.tree.Links()) }
	for _, h := range w.hosts {
		if links(h) != links(w.hosts[0]) {
			t.Fatalf("%s differs from a:\n%v", h.name, w)
		}
		if orders := h.tree.Orders(); len(orders) > 0 {
			t.Fatalf("%s has orders left: %v", h.name, orders)
		}
	}
	if !truth {
		return
	}
	for path, want := range w.truth {
		if got, _ := w.hosts[0].tree.Value(path); got != want.Value {
			t.Fatalf("%s is %q, its newest event (%d) made it %q\n%v", path, got, want.Stamp, want.Value, w)
		}
	}
}

// common are links that anybody writes; each host also has one of its own.
var common = []string{"userspace/x", "resource-r/size", "resource-r/todo-a/sync", "resource-r/todo-a/attach"}

func (w *world) step(t *rapid.T, backups bool) {
	i := rapid.IntRange(0, 2).Draw(t, "host")
	j := (i + rapid.IntRange(1, 2).Draw(t, "other")) % 3
	own := ReplayPath("r", w.hosts[i].name)
	switch rapid.SampledFrom([]string{"write", "own", "order", "order own", "plan", "crash", "deliver", "deliver", "deliver", "cut", "heal", "save", "restore"}).Draw(t, "step") {
	case "write":
		w.write(i, rapid.SampledFrom(common).Draw(t, "path"))
	case "own":
		w.write(i, own)
	case "order":
		w.order(i, rapid.SampledFrom(common).Draw(t, "path"))
	case "order own":
		w.order(j, own)
	case "plan":
		w.plan(i, 3)
	case "crash":
		w.plan(i, rapid.IntRange(0, 2).Draw(t, "parts"))
	case "deliver":
		w.deliver(i, j, rapid.IntRange(1, 5).Draw(t, "links"))
	case "cut":
		w.disconnect(i, j)
	case "heal":
		w.subscribe(i, j)
	case "save":
		if backups {
			w.save(i)
		}
	case "restore":
		if w.hosts[i].saved != nil {
			w.restore(i)
		}
	}
}

// TestDeletionConverges: whatever is written, ordered, cut, delayed and crashed
// in between, in the end nothing deleted is left and nothing newer is lost.
func TestDeletionConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w.step(t, false)
		}
		w.settle(t)
		w.check(t, true)
	})
}

// TestBackupsConverge: hosts that come back with an old /mars disturb nothing
// for good. What they alone had written may be lost or come back with them, so
// only the agreement is looked at.
func TestBackupsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			w.step(t, true)
		}
		w.settle(t)
		w.check(t, false)
	})
}

// play runs a story told by hand with the checks of the model.
func play(t *testing.T, story func(w *world)) *world {
	w := newWorld()
	story(w)
	w.settle(t)
	w.check(t, true)
	return w
}

func (w *world) all(n int) {
	for range 3 {
		for from := range w.hosts {
			for to := range w.hosts {
				if from != to {
					w.deliver(from, to, n)
				}
			}
		}
	}
}

// TestNoResurrection: c is away during the whole deletion and comes back.
func TestNoResurrection(t *testing.T) {
	play(t, func(w *world) {
		w.write(0, "userspace/x")
		w.all(100)
		w.disconnect(2, 0)
		w.disconnect(2, 1)
		w.order(0, "userspace/x")
		w.all(100)
		for range 3 {
			w.plan(0, 3)
			w.plan(1, 3)
			w.all(100)
		}
		if len(w.hosts[0].tree.Orders()) != 1 {
			t.Fatal("the order does not wait for c")
		}
	})
}

// TestReCreation: what is made again after the order survives it, though the
// order arrives later.
func TestReCreation(t *testing.T) {
	play(t, func(w *world) {
		w.write(0, "userspace/x")
		w.all(100)
		w.disconnect(2, 0)
		w.disconnect(2, 1)
		w.order(0, "userspace/x")
		w.plan(0, 3)
		w.see(2, w.hosts[0].clock)
		w.write(2, "userspace/x")
	})
}

// TestLateOrder: b orders while cut off, with a number that the others have
// long passed, and hears from them before they hear from it.
func TestLateOrder(t *testing.T) {
	w := play(t, func(w *world) {
		w.write(0, "userspace/x")
		w.write(0, "resource-r/size")
		w.all(100)
		w.disconnect(1, 0)
		w.disconnect(1, 2)
		for range 5 {
			w.write(0, "resource-r/size")
			w.order(0, "resource-r/size")
			w.plan(0, 3)
			w.all(100)
			w.plan(2, 3)
			w.all(100)
		}
		w.order(1, "userspace/x")
		w.plan(1, 3)
		w.subscribe(0, 1)
		w.subscribe(2, 1)
		w.deliver(0, 1, 100)
		w.deliver(2, 1, 100)
		w.plan(1, 3)
		w.plan(1, 3)
		if !slices.ContainsFunc(w.hosts[1].tree.Orders(), func(o Order) bool { return o.Creator == "b" }) {
			t.Fatal("b takes its own order for done, which nobody else has seen")
		}
	})
	if w.hosts[0].tree.Exists("userspace/x") {
		t.Error("the order was lost")
	}
}

// TestOldBackup: a host gets its /mars of before a deletion back, after the
// order is gone everywhere.
func TestOldBackup(t *testing.T) {
	w := play(t, func(w *world) {
		w.write(0, "userspace/x")
		w.write(2, ReplayPath("r", "c"))
		w.all(100)
		w.save(2)
		w.order(0, "userspace/x")
		w.order(0, ReplayPath("r", "c"))
		for range 4 {
			w.all(100)
			for i := range 3 {
				w.plan(i, 3)
			}
		}
		for _, h := range w.hosts {
			if len(h.tree.Orders()) != 0 || h.tree.Exists("userspace/x") {
				t.Fatalf("not done:\n%v", w)
			}
		}
		w.restore(2)
	})
	if w.hosts[2].tree.Exists("userspace/x") {
		t.Error("it came back")
	}
}

// TestLeftMember: a host that has left does not hold up deletions.
func TestLeftMember(t *testing.T) {
	w := newWorld()
	w.disconnect(2, 0)
	w.disconnect(2, 1)
	w.write(0, "userspace/x")
	w.all(100)
	w.order(0, "userspace/x")
	w.order(0, IPPath("c"))
	for range 4 {
		w.all(100)
		w.plan(0, 3)
		w.plan(1, 3)
	}
	for _, h := range w.hosts[:2] {
		if len(h.tree.Orders()) != 0 || h.tree.Exists(IPPath("c")) || h.tree.Exists("userspace/x") {
			t.Errorf("%s:\n%v", h.name, h.tree)
		}
	}
}
