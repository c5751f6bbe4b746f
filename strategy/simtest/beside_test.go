package simtest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// What is beside the resource: another one, on disks of its own.
const (
	resBeside  = "s"
	diskBeside = "/dev/vs"
)

// beside is a user of the other resource: a write every few milliseconds,
// whatever becomes of those before.
type beside struct {
	c    *Cluster
	a, b *Host
	dev  *simenv.SimDevice
	on   bool
	n    int // writes begun
	open int

	latency []time.Duration
	stalls  []time.Duration // of b's replay link: how long it stood each time
	at      symtree.ReplayLink
	since   time.Duration
}

// newBeside makes the other resource on two hosts, and begins to write to it.
func newBeside(c *Cluster, a, b *Host) *beside {
	x := &beside{c: c, a: a, b: b}
	for _, h := range []*Host{a, b} {
		h.AddDisk(diskBeside, c.opt.Size)
	}
	a.adm("create-resource", resBeside, diskBeside)
	c.Wait("the other resource to be known", func() bool { return b.Link(symtree.SizePath(resBeside)) != "" })
	b.insist("join-resource", resBeside, diskBeside, "--timeout=30")
	c.Wait("the other device", func() bool { return a.Node.Device(resBeside) != nil })
	c.Wait("the other sync", func() bool {
		return b.Link(symtree.SyncStatusPath(resBeside, "b")) == symtree.FormatInt(c.opt.Size)
	})
	x.dev = a.Node.Device(resBeside)
	c.Must(x.dev.Open(), "open the other device")
	x.on = true
	x.issue()
	x.look()
	return x
}

func (x *beside) issue() {
	if !x.on {
		return
	}
	w, begun := x.c.World, x.c.World.Now()
	x.n++
	x.open++
	page := bytes.Repeat([]byte{byte(x.n), byte(x.n >> 8)}, PageSize/2)
	x.dev.Write(int64(x.n%16)*PageSize, page, false, func(err error) {
		x.c.Must(err, "a write to the other resource")
		x.open--
		x.latency = append(x.latency, w.Now()-begun)
	})
	w.In(5*time.Millisecond, x.issue)
}

// look notes how long the position of the other resource stands on b.
func (x *beside) look() {
	if !x.on {
		return
	}
	now := x.c.World.Now()
	at, _ := symtree.ParseReplay(x.b.Link(symtree.ReplayPath(resBeside, "b")))
	if at != x.at {
		if x.since != 0 {
			x.stalls = append(x.stalls, now-x.since)
		}
		x.at, x.since = at, now
	}
	x.c.World.In(20*time.Millisecond, x.look)
}

// figures are what a phase looked like.
type figures struct{ half, worst, stall time.Duration }

// phase forgets what was and measures for a while.
func (x *beside) phase(d time.Duration) figures {
	x.latency, x.stalls = x.latency[:0], x.stalls[:0]
	x.c.RunFor(d)
	now := x.c.World.Now()
	stall := slices.Max(append(x.stalls, now-x.since))
	slices.Sort(x.latency)
	if len(x.latency) < int(d/(5*time.Millisecond))/2 {
		x.c.Fatalf("only %d of the writes to the other resource were answered within %v", len(x.latency), d)
	}
	return figures{x.latency[len(x.latency)/2], x.latency[len(x.latency)-1], stall}
}

// end checks that both disks of the other resource become equal.
func (x *beside) end() {
	x.on = false
	x.c.Wait("the other requests", func() bool { return x.open == 0 })
	x.dev.CloseDev()
	x.a.insist("secondary", resBeside, "--timeout=60")
	content := func(h *Host) []byte {
		p := make([]byte, x.c.opt.Size)
		_, _ = h.Node.Disk(diskBeside).ReadAt(p, 0)
		return p
	}
	x.c.Wait("the other disks to be equal", func() bool { return bytes.Equal(content(x.a), content(x.b)) })
}

// touched tells what is worse than it was, beyond what the dice of the
// simulation do: they draw the times of disks and network anew.
func touched(calm, bad figures) (what string) {
	for _, f := range []struct {
		name      string
		calm, bad time.Duration
		room      time.Duration
	}{
		{"half of the writes took more than", calm.half, bad.half, time.Millisecond},
		{"the longest write took", calm.worst, bad.worst, 10 * time.Millisecond},
		{"the secondary's position stood for", calm.stall, bad.stall, 200 * time.Millisecond},
	} {
		if f.bad > 2*f.calm+f.room {
			what += f.name + " " + f.bad.String() + ", before " + f.calm.String() + "; "
		}
	}
	return what
}

// troubles are what may be wrong with a resource, or with a peer that has
// nothing to do with the other one.
var troubles = []struct {
	name string
	do   func(c *Cluster, a, b, third *Host)
}{
	{"the third host is cut off", func(c *Cluster, _, _, third *Host) { c.World.Isolate(third.Node) }},
	{"the third host flaps", func(c *Cluster, a, _, third *Host) {
		for i := range 20 {
			c.World.In(time.Duration(i)*400*time.Millisecond, func() { c.World.Reset(a.Node, third.Node) })
		}
	}},
	{"the primary's disk answers nothing", func(_ *Cluster, a, _, _ *Host) { a.Data().Stall(true) }},
	{"the primary's disk fails", func(_ *Cluster, a, _, _ *Host) { a.Data().Fail(failsAlways(env.Write, env.Sync)) }},
	{"the secondary's disk fails", func(_ *Cluster, _, b, _ *Host) { b.Data().Fail(failsAlways(env.Write, env.Sync)) }},
	{"the secondary's disk answers nothing", func(_ *Cluster, _, b, _ *Host) { b.Data().Stall(true) }},
	{"no log can be written", func(_ *Cluster, a, _, _ *Host) {
		for i := 1; i < 60; i++ {
			a.File(symtree.LogPath(Res, i, "a")).Fail(failsAlways(env.Write, env.Sync))
		}
	}},
	{"the copy of a log can not be written", func(_ *Cluster, _, b, _ *Host) {
		for i := 1; i < 60; i++ {
			b.File(symtree.LogPath(Res, i, "a")).Fail(failsAlways(env.Write, env.Sync))
		}
	}},
	{"split brain", func(c *Cluster, a, b, third *Host) {
		c.World.Isolate(third.Node)
		third.adm("primary", Res, "--force")
		c.Wait("the second primary", func() bool { return third.Dev() != nil })
		c.World.HealAll()
	}},
	{"its links are written all the time", func(c *Cluster, a, _, _ *Host) {
		for range 20 {
			a.adm("log-rotate", Res, "--timeout=0")
			a.adm("log-delete-all", Res)
		}
	}},
}

// failsAlways fails the accesses of some kinds, always.
func failsAlways(kinds ...env.Kind) func(*env.IO) error {
	return func(io *env.IO) error {
		if slices.Contains(kinds, io.Kind) {
			return simenv.ErrIO
		}
		return nil
	}
}

// TestSimUntouched: while something is wrong with a resource, or with a peer of
// it, writes to another one on the same hosts take as long as before, and its
// secondary follows as before.
func TestSimUntouched(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.005) {
		for _, trouble := range troubles {
			var o Options
			watching(t, &o)
			c := NewCluster(t, seed, o, "a", "b", "c")
			c.Watch.Off = true
			a, others := c.pair()
			l := c.NewLoad(a, LoadOptions{Think: 20 * time.Millisecond, Flushes: 5})
			for _, h := range others {
				h.join(30)
				c.Wait("the sync", h.Synced)
			}
			x := newBeside(c, a, others[0])
			x.phase(2 * time.Second)
			calm := x.phase(5 * time.Second)
			trouble.do(c, a, others[0], others[1])
			bad := x.phase(5 * time.Second)
			t.Logf("%s: %+v, before %+v", trouble.name, bad, calm)
			if what := touched(calm, bad); what != "" {
				c.Fatalf("%s: %s", trouble.name, what)
			}
			l.End()
			x.end()
			c.Close()
		}
	}
}

// TestTouched: what is worse than before is noticed.
func TestTouched(t *testing.T) {
	ms := time.Millisecond
	calm := figures{2 * ms, 10 * ms, 40 * ms}
	for _, c := range []struct {
		bad  figures
		want bool
	}{
		{calm, false},
		{figures{5 * ms, 20 * ms, 100 * ms}, false},
		{figures{20 * ms, 20 * ms, 40 * ms}, true},
		{figures{2 * ms, 60 * ms, 40 * ms}, true},
		{figures{2 * ms, 10 * ms, 2000 * ms}, true},
	} {
		if got := touched(calm, c.bad); (got != "") != c.want {
			t.Errorf("%+v: %q", c.bad, got)
		}
	}
}
