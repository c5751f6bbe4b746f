package simtest

import (
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/tunable"
)

const (
	gib       = int64(1) << 30
	bigMars   = 64 * gib // of every host
	threshold = 8 * gib  // all limits of the defaults together
)

// fill puts a foreign file on a host's /mars that leaves so many bytes free.
func (h *Host) fill(free int64) {
	h.C.Note("%s: %d MiB of /mars are free", h.Node.Host(), free>>20)
	h.SetSpace(bigMars, free)
}

// level is the level of emergency that a host tells of itself.
func (h *Host) level() string { return h.Link(symtree.EmergencyPath(h.Node.Host())) }

// bypassing tells whether a primary writes without a log.
func (h *Host) bypassing() bool { return h.Actual(symtree.ActualIsEmergency, "1")() }

// newest is the highest number of a log that a host has.
func (h *Host) newest() (top int) {
	entries, err := h.FS().ReadDir(symtree.ResourceDir(Res))
	h.C.Must(err, "list the logs")
	for _, e := range entries {
		if n, _, ok := symtree.ParseLogName(e.Name); ok {
			top = max(top, n)
		}
	}
	return top
}

// why is what a host says about itself.
func (h *Host) why() string { return h.Link(symtree.ActualPath(Res, h.Node.Host(), "why")) }

// emergency is a cluster of which the primary's /mars gets full.
type emergency struct {
	c       *Cluster
	n       *nemesis
	a, b, x *Host // primary, secondary, third host
	l       *Load
}

func newEmergency(t *testing.T, seed uint64) *emergency {
	o, lo := scene(seed)
	o, lo = calmScene(o, lo)
	c := NewCluster(t, seed, o, "a", "b", "c")
	a, others := c.pair()
	e := &emergency{c: c, a: a, b: others[0], x: others[1]}
	e.l = c.NewLoad(a, lo)
	e.b.join(30)
	c.Wait("the sync", e.b.Synced)
	e.n = newNemesis(c, a, e.l, e.b)
	e.n.run(c.World.Intn(4))
	e.n.calm()
	return e
}

// calmScene makes a scene in which a minute costs little.
func calmScene(o Options, lo LoadOptions) (Options, LoadOptions) {
	lo.Think, lo.Depth = max(lo.Think, 50*time.Millisecond), min(lo.Depth, 4)
	o.Node.SilentOpens = false
	o.Node.Total = bigMars
	return o, lo
}

// progress runs while the application must get answers all the time.
func (e *emergency) progress(d time.Duration) {
	for end := e.c.World.Now() + d; e.c.World.Now() < end; {
		acked := e.c.Journal.Acked()
		e.c.WaitFor("the application to get an answer", 10*time.Second, func() bool { return e.c.Journal.Acked() > acked })
		e.c.RunFor(200 * time.Millisecond)
	}
	if e.l.Errors > 0 {
		e.c.Fatalf("the application saw %d errors: %v", e.l.Errors, e.l.Err)
	}
}

// enter fills /mars of the primary, in one of several ways.
func (e *emergency) enter() {
	switch way := e.c.World.Intn(3); way {
	case 0:
		e.n.log("full at once")
		e.a.fill(0)
	case 1:
		e.n.log("jammed at once")
		e.a.fill(gib)
	default:
		e.n.log("slowly")
		for _, free := range []int64{7 * gib, 5 * gib, 3 * gib, gib} {
			e.a.fill(free)
			e.progress(3 * time.Second)
		}
	}
	e.c.Wait("emergency mode", e.a.bypassing)
	e.c.Wait("b to hear of level 4", func() bool { return e.b.Link(symtree.EmergencyPath("a")) == "4" })
}

// outdated checks that b has stopped in front of the hole, is consistent, and
// says so.
func (e *emergency) outdated() {
	e.c.Wait("b to see the hole", func() bool { return strings.Contains(e.b.why(), "hole") })
	e.c.Wait("b to rest", func() bool { return e.b.Replay("b").Len == 0 })
	e.c.Must(e.c.Journal.Prefix(e.b.Data()), "disk of b in front of the hole")
	if n := e.b.Replay("b").Number; n >= e.a.Replay("a").Number {
		e.c.Fatalf("b stands in log %d behind the hole", n)
	}
}

// cut ends the power of the primary after a flush: in emergency mode what was
// flushed is durable, but nothing else.
func (e *emergency) cut() {
	e.l.End()
	flushed := false
	e.a.Dev().Flush(func(err error) {
		e.c.Must(err, "flush in emergency mode")
		flushed = true
	})
	e.c.Wait("a flush", func() bool { return flushed })
	e.a.Crash(simenv.Zero())
	e.n.log("power cut in emergency mode")
	e.a.Restart()
	e.c.Wait("the device after a power cut in emergency mode", e.a.Serving)
	e.c.Must(e.c.Journal.Durable(e.a.ReadDev()), "what was flushed in emergency mode")
	e.l.Begin()
}

// TestSimEmergency: /mars of the primary gets full under load. The application
// sees no error and no long pause; the secondary stays a consistent, older
// version, and says so. When there is space again, logging goes on by itself;
// the manual's way back (a third member joins, the outdated one is invalidated,
// the superfluous one leaves) ends with equal disks.
func TestSimEmergency(t *testing.T) {
	sum := total{}
	list := seeds(t, 3, 0.125)
	for _, seed := range list {
		e := newEmergency(t, seed)
		c := e.c
		for round := range 1 + c.World.Intn(2) {
			e.enter()
			e.progress(3 * time.Second)
			e.outdated()
			if c.World.Intn(2) == 0 {
				e.cut()
				e.progress(time.Second)
			}
			at := e.b.Replay("b")
			e.a.fill(32 * gib)
			c.Wait("the end of the emergency", func() bool { return !e.a.bypassing() && e.a.level() == "0" })
			e.n.log("left")
			e.progress(3 * time.Second)
			if c.World.Intn(2) == 0 {
				e.n.log("power cut afterwards")
				e.a.Crash(simenv.Models()[c.World.Intn(len(simenv.Models()))])
				e.n.lost[e.a] = true
				e.n.restart(e.a)
			}
			e.progress(time.Second)
			e.outdated()
			if now := e.b.Replay("b"); now != at {
				c.Fatalf("round %d: b went from %v to %v, behind the hole", round, at, now)
			}
		}
		e.noHandover()
		e.wayBack()
		e.n.did["bypassed"] = c.Watch.Bypassed
		sum.add(e.n.did)
		c.Close()
	}
	sum.check(t, len(list))
}

// noHandover checks that a member in front of the hole does not become primary
// without force: what was changed without a log would be lost.
func (e *emergency) noHandover() {
	e.l.End()
	for _, args := range [][]string{{"primary", Res, "--timeout=3"}, {"secondary", Res, "--timeout=60"}} {
		h := e.b
		if args[0] == "secondary" {
			h = e.a
		}
		if ok, out := h.try(args...); ok && h == e.b {
			e.c.Fatalf("b became primary in front of the hole: %s", out)
		}
	}
	if ok, out := e.b.try("primary", Res, "--timeout=3"); ok {
		e.c.Fatalf("b became primary in front of the hole, after secondary: %s", out)
	}
	if e.b.Dev() != nil {
		e.c.Fatalf("b has the device in front of the hole")
	}
	e.a.insist("primary", Res, "--timeout=60")
	e.c.Wait("the device", e.a.Serving)
	e.l.Begin()
}

// wayBack is the end of manual 2.4.2.
func (e *emergency) wayBack() {
	c := e.c
	e.x.join(30)
	c.Wait("the sync of the third host", e.x.Synced)
	e.b.insist("invalidate", Res, "--timeout=60")
	c.Wait("the sync of the outdated host", e.b.Synced)
	e.n.log("invalidated")
	if c.World.Intn(2) == 0 {
		e.b.insist("down", Res, "--timeout=60")
		e.b.insist("leave-resource", Res)
		c.quiesce(e.a, e.l, e.x)
		return
	}
	c.quiesce(e.a, e.l, e.x, e.b)
}

// TestSimLevels: each level does what the manual says, and not what a higher
// one does.
func TestSimLevels(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.02) {
		o, lo := scene(seed)
		o, lo = calmScene(o, lo)
		c := NewCluster(t, seed, o, "a", "b")
		a, others := c.pair()
		b := others[0]
		l := c.NewLoad(a, lo)
		b.join(30)
		c.Wait("the sync", b.Synced)
		logs := func(h *Host) (n int) {
			entries, err := h.FS().ReadDir(symtree.ResourceDir(Res))
			c.Must(err, "list the logs")
			for _, e := range entries {
				if isLog(e.Name) {
					n++
				}
			}
			return n
		}
		rotate := func() {
			n := a.Replay("a").Number
			a.adm("log-rotate", Res)
			c.Wait("the next log", func() bool { return a.Replay("a").Number > n && b.Replay("b").Number > n })
		}
		rotate()
		rotate()
		if logs(a) != 3 || logs(b) != 3 {
			c.Fatalf("%d and %d logs, want 3 each", logs(a), logs(b))
		}
		at := func(h *Host, free int64, level string) {
			h.fill(free)
			c.Wait("level "+level+" on "+h.Node.Host(), func() bool { return h.level() == level })
			c.RunFor(5 * time.Second)
		}
		at(b, threshold-gib/2, "1") // no fetch, nothing deleted
		mark := b.Replay("b")
		c.RunFor(2 * time.Second)
		if now := b.Replay("b"); now != mark || logs(b) != 3 || !strings.Contains(b.why(), "level 1") {
			c.Fatalf("level 1: replay from %v to %v, %d logs, why %q", mark, now, logs(b), b.why())
		}
		at(b, 6*gib-gib/2, "2") // applied logs go, on the secondary
		if logs(b) != 1 || logs(a) != 3 {
			c.Fatalf("level 2 on the secondary: %d logs there, %d on the primary", logs(b), logs(a))
		}
		at(b, 6*gib+gib/8, "2") // a little more than the limit is not enough
		at(b, 32*gib, "0")
		c.Wait("b to go on", func() bool { return b.Replay("b").Compare(mark) > 0 })
		at(a, 5*gib, "2") // a primary keeps its logs
		if logs(a) != 3 {
			c.Fatalf("level 2 on the primary: %d logs", logs(a))
		}
		at(a, 3*gib, "3")
		if logs(a) != 1 || a.bypassing() {
			c.Fatalf("level 3 on the primary: %d logs, bypass %v", logs(a), a.bypassing())
		}
		at(a, 32*gib, "0")
		if l.Errors > 0 {
			c.Fatalf("the application saw errors: %v", l.Err)
		}
		c.quiesce(a, l, b)
		c.Close()
	}
}

// TestSimStuckSecondary: the primary deletes a log that a secondary still needs.
// That one stays consistent, says what is to be done, and invalidate heals it.
func TestSimStuckSecondary(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.02) {
		e := newEmergency(t, seed)
		c := e.c
		e.b.adm("pause-fetch", Res)
		acked := c.Journal.Acked()
		c.Wait("some writes", func() bool { return c.Journal.Acked() > acked+20 })
		n := e.a.newest()
		e.a.adm("log-rotate", Res)
		c.Wait("the next log", func() bool { return e.a.Replay("a").Number > n })
		e.a.fill(3 * gib)
		c.Wait("level 3 to delete the log", func() bool {
			_, err := e.a.FS().Lstat(symtree.LogPath(Res, n, "a"))
			return err != nil
		})
		e.a.fill(32 * gib)
		e.b.adm("resume-fetch", Res)
		c.Wait("b to say that it is stuck", func() bool { return strings.Contains(e.b.why(), "invalidate") })
		c.Must(c.Journal.Prefix(e.b.Data()), "disk of the stuck secondary")
		e.b.insist("invalidate", Res, "--timeout=60")
		c.Wait("the sync", e.b.Synced)
		c.quiesce(e.a, e.l, e.b)
		c.Close()
	}
}

// TestSimNoReset: with mars_reset_emergency=0 an emergency lasts until somebody
// sets it; the live tunable shows the level.
func TestSimNoReset(t *testing.T) {
	o, lo := calmScene(scene(1))
	o.Set = []string{"mars_reset_emergency=0"}
	c := NewCluster(t, 1, o, "a")
	defer c.Close()
	a, _ := c.pair()
	l := c.NewLoad(a, lo)
	a.fill(gib)
	c.Wait("emergency mode", a.bypassing)
	a.fill(32 * gib)
	c.RunFor(20 * time.Second)
	if !a.bypassing() || a.Tunables.Int(tunable.MarsEmergencyMode) != 4 {
		c.Fatalf("emergency mode was left: level %s, tunable %d", a.level(), a.Tunables.Int(tunable.MarsEmergencyMode))
	}
	c.Must(a.Tunables.Assign("mars_reset_emergency", "1"), "set the tunable")
	c.Wait("the end of the emergency", func() bool { return !a.bypassing() && a.level() == "0" })
	l.End()
	if l.Errors > 0 {
		c.Fatalf("the application saw errors: %v", l.Err)
	}
	c.Must(c.Journal.Durable(a.ReadDev()), "content")
}

// TestSimEmergencyLimit: a resource with a limit of its own goes into emergency
// mode though the host is not.
func TestSimEmergencyLimit(t *testing.T) {
	o, lo := calmScene(scene(2))
	c := NewCluster(t, 2, o, "a")
	defer c.Close()
	a, _ := c.pair()
	l := c.NewLoad(a, lo)
	var b symtree.Batch
	b.Set(symtree.TodoPath(Res, "a", symtree.TodoEmergencyLimit), "50")
	a.Commit(&b)
	a.fill(bigMars / 100 * 49)
	c.Wait("emergency mode", a.bypassing)
	if a.level() != "0" {
		c.Fatalf("the host is at level %s", a.level())
	}
	a.fill(bigMars / 100 * 60)
	c.Wait("the end of the emergency", func() bool { return !a.bypassing() })
	l.End()
	if l.Errors > 0 {
		c.Fatalf("the application saw errors: %v", l.Err)
	}
	c.Must(c.Journal.Durable(a.ReadDev()), "content")
}

// TestSimEmergencySync: an emergency in the middle of a sync: what was read may
// be changed without a log. The sync starts over by itself, and until it is
// complete the disk counts as inconsistent.
func TestSimEmergencySync(t *testing.T) {
	sum := total{}
	list := seeds(t, 2, 0.125)
	for _, seed := range list {
		o, lo := calmScene(scene(seed))
		o.Size = 4 << 20
		c := NewCluster(t, seed, o, "a", "b")
		a, others := c.pair()
		b := others[0]
		e := &emergency{c: c, a: a, b: b, l: c.NewLoad(a, lo), n: newNemesis(c, a, nil, b)}
		e.n.did = sum
		b.join(30)
		c.World.SetLink(a.Node, b.Node, simenv.Span{Min: time.Millisecond, Max: 2 * time.Millisecond}, 1<<20)
		c.RunFor(e.n.while(300 * time.Millisecond))
		if b.Synced() {
			e.n.log("too late")
		}
		a.fill([]int64{0, gib}[c.World.Intn(2)])
		c.Wait("emergency mode", a.bypassing)
		e.progress(time.Second)
		if c.Watch.Syncs > 0 && !b.Synced() {
			e.n.log("in the middle")
		}
		if b.Synced() && b.Replay("b").Len == 0 {
			c.Must(c.Journal.Prefix(b.Data()), "disk of b")
		}
		a.fill(32 * gib)
		c.Wait("the end of the emergency", func() bool { return !a.bypassing() })
		c.World.SetLink(a.Node, b.Node, simenv.Span{Min: time.Millisecond, Max: 2 * time.Millisecond}, 0)
		e.progress(time.Second)
		if b.Synced() {
			e.n.log("synced before")
			b.insist("invalidate", Res, "--timeout=60")
		}
		c.Wait("the sync", b.Synced)
		c.quiesce(a, e.l, b)
		c.Close()
	}
	sum.check(t, len(list))
}
