package simtest

import (
	"bytes"
	"testing"
	"time"

	"mars/infra/status"
	"mars/infra/symtree"
)

// quiesce ends all load, makes the primary secondary and lets all catch up.
func (c *Cluster) quiesce(p *Host, l *Load, others ...*Host) {
	c.T.Helper()
	l.End()
	p.insist("secondary", Res, "--timeout=60")
	c.agree(p, l.journal, others...)
}

// agree waits until the status of a former primary says that all are up to date.
// In that moment, not some time later, the disks are equal, and the newest
// version: a status never claims more than is so.
func (c *Cluster) agree(p *Host, j *Journal, others ...*Host) {
	c.T.Helper()
	for _, h := range others {
		c.Wait("the status to say that "+h.Node.Host()+" is up to date", p.upToDate(h))
	}
	c.equal(j, append([]*Host{p}, others...)...)
	for _, h := range others {
		c.Wait(h.Node.Host()+" to step to the last log, which may be empty", h.CaughtUp(p))
	}
}

// upToDate tells whether the status here says of another host's disk that it
// is up to date.
func (h *Host) upToDate(other *Host) func() bool { return h.upTo(Res, other) }

// upTo is upToDate for a resource.
func (h *Host) upTo(res string, other *Host) func() bool {
	ops, said := uint64(0), false
	return func() bool {
		if now := h.FSOps(); now != ops {
			ops = now
			tree, _, err := symtree.NewStore(h.FS(), symtree.DaemonTemp).Load()
			h.C.Must(err, "the tree of %s", h.Node.Host())
			r := status.ResourceOf(tree, res, h.Node.Host())
			m := r.Member(other.Node.Host())
			said = m != nil && m.Disk.State == "UpToDate"
		}
		return said
	}
}

// equal checks that all disks hold the newest version.
func (c *Cluster) equal(j *Journal, hosts ...*Host) {
	c.T.Helper()
	want := hosts[0].Content()
	c.Must(j.Durable(bytesAt(want)), "disk of %s at rest", hosts[0].Node.Host())
	for _, h := range hosts[1:] {
		if !bytes.Equal(h.Content(), want) {
			err := j.Durable(bytesAt(h.Content()))
			c.Fatalf("the disks of %s and %s differ at rest (%v)\n%s", hosts[0].Node.Host(), h.Node.Host(), err, c.Dump())
		}
	}
}

// TestSimReplicate: a second host joins while the first one writes, and follows
// it, whatever happens to both; in the end they are equal.
func TestSimReplicate(t *testing.T) {
	list := seeds(t, 8, 0.125)
	sum := runSeeds(t, list, func(t testing.TB, seed uint64) map[string]int {
		o, lo := scene(seed)
		watching(t, &o)
		lo.Think = max(lo.Think, 5*time.Millisecond)
		o.Node.SilentOpens = false // see what marsadm asks for: open-count
		c := NewCluster(t, seed, o, "a", "b")
		a, others := c.pair()
		b := others[0]
		l := c.NewLoad(a, lo)
		c.RunFor(50 * time.Millisecond)
		b.join(30)
		n := newNemesis(c, a, l, b)
		if seed%2 == 0 {
			c.Wait("the sync", b.Synced)
		}
		n.run(12)
		n.calm()
		c.Wait("the sync", b.Synced)
		n.run(12)
		n.calm()
		c.Wait("the sync", b.Synced)
		c.quiesce(a, l, b)
		n.did["watched disk writes"], n.did["watched log writes"] = c.Watch.DiskWrites, c.Watch.LogWrites
		n.did["watched moves"], n.did["watched sync writes"] = c.Watch.Moves, c.Watch.Syncs
		n.did["watched windows"], n.did["watched steps"], n.did["watched owned"] = c.Watch.Windows, c.Watch.Steps, c.Watch.Owned
		c.Close()
		return n.did
	})
	sum.check(t, len(list))
}
