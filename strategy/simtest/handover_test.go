package simtest

import (
	"bytes"
	"testing"
	"time"

	"mars/infra/symtree"
)

// TestSimHandover: the role goes to and fro while there is load and trouble;
// each time the new primary has exactly what the old one had when its device
// was closed.
func TestSimHandover(t *testing.T) {
	list := seeds(t, 4, 0.125)
	sum := runSeeds(t, list, handover)
	sum.check(t, len(list))
}

// newSynced is a cluster of a, the primary, and b, which has been synced under load.
func newSynced(t testing.TB, seed uint64, o Options, lo LoadOptions) (c *Cluster, a, b *Host, l *Load) {
	c = NewCluster(t, seed, o, "a", "b")
	a, others := c.pair()
	b = others[0]
	b.join(30)
	l = c.NewLoad(a, lo)
	c.Wait("the sync", b.Synced)
	return c, a, b, l
}

func handover(t testing.TB, seed uint64) map[string]int {
	sum := total{}
	o, lo := scene(seed)
	watching(t, &o)
	lo.Think = max(lo.Think, 5*time.Millisecond)
	o.Node.SilentOpens = false
	c, a, b, l := newSynced(t, seed, o, lo)
	defer c.Close()
	for round := range 5 {
		n := newNemesis(c, a, l, b)
		n.run(c.World.Intn(6))
		n.calm()
		if round == 0 {
			c.Wait("the open device to be known", func() bool {
				return b.Link(symtree.ActualPath(Res, a.Node.Host(), symtree.ActualOpenCount)) == "1"
			})
			b.refused("umount", "primary", Res, "--timeout=5")
			n.log("refused while open")
		}
		l.End()
		before, ok := a.ReadDev().(bytesAt)
		if !ok {
			c.Fatalf("no content")
		}
		if c.World.Intn(3) == 0 {
			a.insist("secondary", Res, "--timeout=60")
			c.Wait("the other host to hear of it", func() bool { return b.Link(symtree.PrimaryPath(Res)) == symtree.None })
			n.log("handover after secondary")
		}
		b.insist("primary", Res, "--timeout=60")
		c.Wait("the device on "+b.Node.Host(), b.Serving)
		n.log("handover", b.Node.Host())
		after := b.ReadDev()
		if !bytes.Equal(before, after.(bytesAt)) {
			c.Fatalf("round %d: the content changed by the handover (%v)", round, c.Journal.Durable(after))
		}
		c.Must(c.Journal.Durable(after), "round %d: content after the handover", round)
		if seed%2 == 1 {
			c.Wait("the old primary to hear of the new one", func() bool { return a.Link(symtree.PrimaryPath(Res)) == b.Node.Host() })
		} // else it may still think that nobody is
		a, b = b, a
		l = c.NewLoad(a, lo)
		sum.add(n.did)
	}
	c.Wait("the sync", b.Synced)
	c.quiesce(a, l, b)
	return sum
}

// TestSimHandoverIsQuick: between hosts that are well, closing the device and
// having it on the other host is a matter of a second: nothing waits for a round
// of polling or a back-off that need not be.
func TestSimHandoverIsQuick(t *testing.T) {
	const limit = 1500 * time.Millisecond
	o, lo := scene(1)
	o.Node.SilentOpens = false
	c, a, b, l := newSynced(t, 1, o, lo)
	defer c.Close()
	for i := range 4 {
		c.RunFor(300 * time.Millisecond)
		l.End()
		begin := c.World.Now()
		b.insist("wait-umount", Res, "--timeout=60")
		b.insist("primary", Res, "--timeout=60")
		c.Wait("the device on "+b.Node.Host(), b.Serving)
		if took := c.World.Now() - begin; took > limit {
			t.Errorf("handover %d took %v, want at most %v", i+1, took, limit)
		}
		a, b = b, a
		l = c.NewLoad(a, lo)
	}
}
