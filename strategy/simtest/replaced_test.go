package simtest

import (
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimReplacedWhileDown: a primary that has lost nothing crashes, another member is
// made primary by force and writes, and the old one comes back. It hears of that
// before it begins a log of its own: there is no split brain, and it follows.
func TestSimReplacedWhileDown(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.1) {
		o, lo := calmScene(scene(seed))
		o.World.Latency = simenv.Span{Min: time.Millisecond, Max: 150 * time.Millisecond}
		c := NewCluster(t, seed, o, "a", "b", "c")
		a, others := c.pair()
		b := others[0]
		l := c.NewLoad(a, lo)
		b.join(30)
		c.Wait("the sync", b.Synced)
		l.End()
		c.Wait("the load to end", l.Idle)
		c.RunFor(15 * time.Second) // a tells where it is
		c.WaitFor("b to have all", time.Minute, func() bool { return b.Replay("b").Compare(a.Replay("a")) >= 0 })
		a.Crash(simenv.Zero())
		c.RunFor(time.Duration(1+c.World.Intn(20)) * time.Second)
		c.Watch.Forced = true
		b.adm("primary", Res, "--force", "--timeout=60")
		c.Wait("the device at b", b.Serving)
		lb := c.NewLoad(b, lo)
		at := c.Journal.Acked()
		c.Wait("writes at b", func() bool { return c.Journal.Acked() > at+20 })
		a.Restart()
		c.RunFor(10 * time.Second)
		lb.End()
		c.Wait("the load to end", lb.Idle)
		c.Wait("a to follow", func() bool {
			if split := a.Link(symtree.ActualPath(Res, "a", "split-brain")); split != "" && split != symtree.None {
				c.Fatalf("a split brain that nobody has made: %s", split)
			}
			return a.Ready && a.Replay("a").Compare(b.Replay("b")) == 0
		})
		c.Close()
	}
}

// TestSimStartsAlone: a primary that is started again while nobody can be reached waits a
// moment, not for ever; one whose users still have the device open waits for nothing.
func TestSimStartsAlone(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.05) {
		o, lo := calmScene(scene(seed))
		o.Node.FuseDevices = false // they do not outlive their daemon
		c := NewCluster(t, seed, o, "a", "b", "c")
		a, others := c.pair()
		l := c.NewLoad(a, lo)
		others[0].join(30)
		c.Wait("the sync", others[0].Synced)
		c.World.Isolate(a.Node)
		back := func(least, most time.Duration) {
			at := c.World.Now()
			a.Restart()
			c.WaitFor("the application to get an answer", most, a.Serving)
			if took := c.World.Now() - at; took < least {
				t.Errorf("seed %d: primary after %v, without having listened", seed, took)
			}
		}
		l.End()
		c.Wait("the load to end", l.Idle)
		a.Crash(simenv.Zero())
		back(3*time.Second, 6*time.Second)
		a.Kill()
		back(0, 2*time.Second)
		c.Close()
	}
}
