package simtest

import (
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimFlushFails: flushes of the primary's disk fail for a while under load.
// The application goes on, the state is told, and afterwards everything is
// published again and all are equal.
func TestSimFlushFails(t *testing.T) {
	sum := total{}
	list := seeds(t, 2, 0.05)
	for _, seed := range list {
		e := newEmergency(t, seed)
		c, fails, hits := e.c, true, 0
		e.a.Data().Fail(func(io *env.IO) error {
			if fails && io.Kind == env.Sync {
				hits++
				return simenv.ErrIO
			}
			return nil
		})
		c.Wait("a flush to fail", func() bool { return hits > 0 })
		c.Wait("the host to say so", func() bool { return strings.Contains(e.a.why(), "flush") })
		e.progress(time.Second)
		if c.World.Intn(2) == 0 {
			e.n.log("for long")
			e.progress(15 * time.Second)
		}
		if c.World.Intn(3) == 0 {
			e.n.log("power cut")
			e.a.Crash(simenv.Models()[c.World.Intn(len(simenv.Models()))])
			fails = false
			e.n.lost[e.a] = true
			e.n.restart(e.a)
		}
		fails = false
		c.Wait("the disk to be well again", e.a.Actual("disk-error", symtree.None))
		at := e.a.Replay("a")
		c.Wait("positions to move again", func() bool { return e.a.Replay("a").Compare(at) > 0 })
		e.n.log("healed")
		c.quiesce(e.a, e.l, e.b)
		sum.add(e.n.did)
		c.Close()
	}
	if len(list) >= 10 {
		sum.report(t, "for long", "power cut", "healed")
	}
}
