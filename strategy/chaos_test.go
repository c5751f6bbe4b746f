package strategy

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// chaos is a cluster to which bad things happen while it is written to.
type chaos struct {
	t    *testing.T
	w    *simenv.World
	a, b *simHost
	j    *journal
	cut  bool
}

// restart boots a host after its daemon or its power ended.
func (c *chaos) restart(h *simHost, power bool) {
	if power {
		models := simenv.Models()
		h.Crash(models[c.w.Intn(len(models))])
		if h == c.a {
			clear(c.j.flying) // those writes will never be answered
		}
	} else {
		h.Kill()
	}
	c.w.RunFor(time.Duration(c.w.Intn(2000)) * time.Millisecond)
	h.Start()
	h.boot()
}

// step lets one random thing happen.
func (c *chaos) step() error {
	switch c.w.Intn(8) {
	case 0:
		c.restart(c.a, true)
	case 1:
		c.restart(c.a, false)
	case 2:
		c.restart(c.b, true)
	case 3:
		c.restart(c.b, false)
	case 4:
		if c.cut = !c.cut; c.cut {
			c.w.Cut(c.a.Node, c.b.Node, c.w.Intn(2) == 0)
		} else {
			c.w.HealAll()
		}
	case 5:
		c.w.RunFor(time.Duration(c.w.Intn(3000)) * time.Millisecond)
	}
	if err := c.w.Run(c.alive, 2*time.Minute); err != nil {
		return fmt.Errorf("the primary does not come back: %w", err)
	}
	return load(c.w, c.a, c.j, 8, func() error { return nil })
}

func (c *chaos) alive() bool {
	return c.a.ready && c.a.device() != nil && c.a.actual("device-r", "1")()
}

// TestSimChaos: whatever happens to a primary and its secondary, including
// during the sync, the secondary ends as the primary, and nothing that was
// acknowledged is lost.
func TestSimChaos(t *testing.T) {
	from, to := simSeeds(12)
	for seed := from; seed < min(to, from+150); seed++ {
		if err := chaosRun(t, seed); err != nil {
			t.Fatalf("seed %d: %v\nreproduce: MARS_SIM_SEED=%d go test ./strategy -run TestSimChaos -v", seed, err, seed)
		}
	}
}

func chaosRun(t *testing.T, seed uint64) error {
	w := worldOfSeed(seed)
	defer w.Close()
	hosts := newHosts(t, w, "a", "b")
	c := &chaos{t: t, w: w, a: hosts[0], b: hosts[1], j: &journal{flying: map[int64]bool{}}}
	c.a.create()
	wait(t, w, "the device", c.alive)
	wait(t, w, "the resource on b", func() bool { return c.b.ready && c.b.tree().Primary("r") == "a" })
	if err := load(w, c.a, c.j, 20, func() error { return nil }); err != nil {
		return err
	}
	c.b.join("a")
	for range 8 {
		if err := c.step(); err != nil {
			return err
		}
	}
	w.HealAll()
	if err := w.Run(func() bool { return c.b.ready && c.b.caughtUp("a")() }, 5*time.Minute); err != nil {
		return fmt.Errorf("b does not catch up: %w", err)
	}
	c.a.set(symtree.PrimaryPath("r"), symtree.None)
	if err := w.Run(func() bool { return c.a.resting() && c.a.actual("is-primary", "0")() && c.b.standsWith(c.a) }, 5*time.Minute); err != nil {
		return fmt.Errorf("the end does not settle: %w", err)
	}
	if !bytes.Equal(c.a.content(), c.b.content()) {
		return fmt.Errorf("the disks differ: %s", differ(c.a.content(), c.b.content(), c.j))
	}
	return c.j.check(c.b.content(), c.j.events)
}

// TestSimSplit: two primaries go on in versions of their own, a third member
// stops at the last common state and says so, across restarts; invalidating
// the loser makes everybody equal again.
func TestSimSplit(t *testing.T) {
	from, to := simSeeds(6)
	for seed := from; seed < min(to, from+60); seed++ {
		splitRun(t, seed)
	}
}

func splitRun(t *testing.T, seed uint64) {
	w := worldOfSeed(seed)
	defer w.Close()
	hosts := newHosts(t, w, "a", "b", "c")
	a, b, c := hosts[0], hosts[1], hosts[2]
	a.create()
	wait(t, w, "the device", func() bool { return a.ready && a.device() != nil })
	for _, h := range []*simHost{b, c} {
		wait(t, w, "the resource on "+h.Host(), func() bool { return h.ready && h.tree().Primary("r") == "a" })
		h.join("a")
	}
	for i := range int64(20) {
		a.write(w, i*4096, byte(i+1))
	}
	wait(t, w, "b and c to catch up", func() bool { return b.caughtUp("a")() && c.caughtUp("a")() })
	common, _ := c.tree().Replay("r", "c")
	for _, x := range []*simHost{a, b, c} {
		w.Isolate(x.Node)
	}
	if err := a.device().Open(); err != nil {
		t.Fatal(err)
	}
	b.set(symtree.PrimaryPath("r"), "b", symtree.TodoPath("r", "b", symtree.TodoConnect), "0")
	// c shall hear of both versions before it may go on with either.
	c.set(symtree.TodoPath("r", "c", symtree.TodoConnect), "0", symtree.TodoPath("r", "c", symtree.TodoAllowReplay), "0")
	wait(t, w, "b to be primary", b.actual("device-r", "1"))
	for i := range int64(10) {
		a.write(w, i*8192, 100)
		b.write(w, i*8192, 200)
	}
	w.HealAll()
	split := func(h *simHost) func() bool {
		return func() bool {
			v, _ := h.tree().Value(symtree.ActualPath("r", h.Host(), "split-brain"))
			return strings.Contains(v, "log")
		}
	}
	wait(t, w, "c to find the split", split(c))
	c.set(symtree.TodoPath("r", "c", symtree.TodoConnect), "1", symtree.TodoPath("r", "c", symtree.TodoAllowReplay), "1")
	c.Kill()
	c.Start()
	c.boot()
	w.RunFor(30 * time.Second)
	wait(t, w, "c to find the split again", func() bool { return c.ready && split(c)() })
	if r, _ := c.tree().Replay("r", "c"); r.Number != common.Number || r.Pos != common.Pos {
		t.Fatalf("seed %d: c went from %v to %v behind the fork", seed, common, r)
	}
	if p := c.content(); p[0] == 100 || p[0] == 200 {
		t.Fatalf("seed %d: c holds a version behind the fork", seed)
	}
	// a, no longer designated, ends when its device is closed, and keeps its
	// version.
	a.device().CloseDev()
	wait(t, w, "a to give up", func() bool { return a.actual("is-primary", "0")() && a.resting() && split(a)() })
	if p := a.content(); p[0] != 100 {
		t.Fatalf("seed %d: a lost its version: %d", seed, p[0])
	}
	invalidate(t, w, a, "b")
	wait(t, w, "a to follow b", a.caughtUp("b"))
	wait(t, w, "c to follow b", c.caughtUp("b"))
	b.set(symtree.PrimaryPath("r"), symtree.None)
	wait(t, w, "everybody to rest", func() bool {
		return b.resting() && b.actual("is-primary", "0")() && a.standsWith(b) && c.standsWith(b)
	})
	if !bytes.Equal(a.content(), b.content()) || !bytes.Equal(c.content(), b.content()) {
		t.Fatalf("seed %d: the disks differ after the split was resolved", seed)
	}
}

// invalidate does what marsadm invalidate does, on a host at rest.
func invalidate(t *testing.T, w *simenv.World, h *simHost, p string) {
	me := h.Host()
	h.set(symtree.TodoPath("r", me, symtree.TodoSync), "0", symtree.TodoPath("r", me, symtree.TodoAllowReplay), "0")
	wait(t, w, "a rest", h.resting)
	h.set(symtree.SyncStatusPath("r", me), "0")
	tree := h.tree()
	r, _ := tree.Replay("r", p)
	var batch symtree.Batch
	batch.Set(symtree.SyncFromPath("r", me), p)
	var doomed []string
	for _, v := range tree.Versions("r") {
		if v.Host == me {
			doomed = append(doomed, symtree.VersionPath("r", v.Number, me))
		}
	}
	for _, l := range tree.Logs("r") {
		if l.Origin == me && l.Number >= r.Number {
			doomed = append(doomed, symtree.LogPath("r", l.Number, me))
		}
	}
	keep := symtree.VersionPath("r", r.Number-1, me)
	if v, ok := tree.Value(symtree.VersionPath("r", r.Number-1, p)); ok {
		batch.Set(keep, v)
		var rest []string
		for _, d := range doomed {
			if d != keep {
				rest = append(rest, d)
			}
		}
		doomed = rest
	}
	orders, err := symtree.NewOrder(tree, me, doomed)
	if err != nil {
		t.Fatal(err)
	}
	batch.Add(orders...)
	batch.Set(symtree.ReplayPath("r", me), symtree.ReplayLink{Number: r.Number, Origin: r.Origin}.String())
	batch.Set(symtree.TodoPath("r", me, symtree.TodoSync), "1")
	batch.Set(symtree.TodoPath("r", me, symtree.TodoAllowReplay), "1")
	batch.Set(symtree.TodoPath("r", me, symtree.TodoConnect), "1")
	h.commit(&batch)
}

// standsWith tells whether h stands where p stands, which is at rest; each is
// asked what it says itself.
func (h *simHost) standsWith(p *simHost) bool {
	mine, ok := h.tree().Replay("r", h.Host())
	theirs, ok2 := p.tree().Replay("r", p.Host())
	return ok && ok2 && mine == theirs && mine.Len == 0 && h.caughtUp(p.Host())()
}

// differ says where two disks differ, in terms of the writes.
func differ(a, b []byte, j *journal) string {
	s := ""
	for i := 0; i < len(a); i += 512 {
		if x, y := a[i:i+512], b[i:i+512]; !bytes.Equal(x, y) {
			p, _ := sectorID(x, int64(i/512))
			q, _ := sectorID(y, int64(i/512))
			s += fmt.Sprintf("sector %d: write %d and write %d; ", i/512, p, q)
		}
	}
	return s
}
