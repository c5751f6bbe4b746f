package simtest

import (
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimAnyHolder: a member that can not reach the primary, or whose primary
// can not read its log, gets the log from another member, also while it grows.
func TestSimAnyHolder(t *testing.T) {
	for _, seed := range seeds(t, 1, 0.02) {
		o, lo := calmScene(scene(seed))
		c := NewCluster(t, seed, o, "a", "b", "c")
		a, others := c.pair()
		b, x := others[0], others[1]
		l := c.NewLoad(a, lo)
		b.join(30)
		x.join(30)
		c.Wait("the syncs", func() bool { return b.Synced() && x.Synced() })
		cut := c.World.Intn(2) == 0
		unreadable := 0
		if cut {
			c.World.Cut(a.Node, x.Node, false)
			c.Wait("x to find the primary dead", func() bool {
				return x.Link(symtree.ActualPath(Res, "c", symtree.ActualIsCopying)) != "" && c.World.Now() > 30*time.Second
			})
		} else {
			// What b has is what a's disk can not give any more.
			x.adm("pause-fetch", Res)
			acked := c.Journal.Acked()
			c.Wait("some writes", func() bool { return c.Journal.Acked() > acked+20 })
			for n := 1; n < 9; n++ {
				a.File(symtree.LogPath(Res, n, "a")).Fail(func(io *env.IO) error {
					if io.Kind == env.Read {
						unreadable++
						return simenv.ErrIO
					}
					return nil
				})
			}
			c.RunFor(11 * time.Second) // b's fetch is at its end, and asks for more
			x.adm("resume-fetch", Res)
		}
		at := x.Replay("c")
		acked := c.Journal.Acked()
		if cut {
			c.Wait("more writes", func() bool { return c.Journal.Acked() > acked+50 })
		}
		c.Wait("x to get the log from b", func() bool { return x.Replay("c").Compare(at) > 0 })
		if !cut && unreadable == 0 {
			c.Fatalf("nobody tried to read the log of a")
		}
		c.World.HealAll()
		for n := 1; n < 9; n++ {
			a.File(symtree.LogPath(Res, n, "a")).Fail(nil)
		}
		c.quiesce(a, l, b, x)
		c.Close()
	}
}
