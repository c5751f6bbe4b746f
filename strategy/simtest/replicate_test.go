package simtest

import (
	"bytes"
	"testing"
	"time"
)

// quiesce ends all load, makes the primary secondary and waits until all have
// caught up. The disks are equal then, and the newest version.
func (c *Cluster) quiesce(p *Host, l *Load, others ...*Host) {
	c.T.Helper()
	if l != nil {
		l.End()
	}
	c.Wait("the device to count as closed", p.Actual("open-count", "0"))
	p.adm("secondary", Res, "--timeout=60")
	for _, h := range others {
		c.Wait(h.Node.Host()+" to catch up", h.CaughtUp(p.Node.Host()))
	}
	want := p.Content()
	c.Must(c.Journal.Durable(bytesAt(want)), "disk of %s at rest", p.Node.Host())
	for _, h := range others {
		if !bytes.Equal(h.Content(), want) {
			err := c.Journal.Durable(bytesAt(h.Content()))
			c.Fatalf("the disks of %s and %s differ at rest (%v)\n%s", p.Node.Host(), h.Node.Host(), err, c.Dump())
		}
	}
}

// TestSimReplicate: a second host joins while the first one writes, follows it,
// and in the end is equal.
func TestSimReplicate(t *testing.T) {
	for _, seed := range seeds(t, 20, 0.1) {
		o, lo := scene(seed)
		lo.Think = max(lo.Think, 2*time.Millisecond)
		c := NewCluster(t, seed, o, "a", "b")
		a, others := c.pair()
		b := others[0]
		l := c.NewLoad(a, lo)
		c.RunFor(50 * time.Millisecond)
		b.join(30)
		c.Wait("the sync", b.Synced)
		c.RunFor(500 * time.Millisecond)
		c.quiesce(a, l, b)
		c.Close()
	}
}
