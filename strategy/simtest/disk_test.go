package simtest

import (
	"bytes"
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
	list := seeds(t, 2, 0.125)
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
	sum.check(t, len(list))
}

// TestSimNextLogShut: a log fails, and the one that is made in its place exists
// but can not be opened. Requests wait for it, but not for ever: then the
// primary goes on without a log, and when it logs again, in a later one, that has
// its own file.
func TestSimNextLogShut(t *testing.T) {
	for _, seed := range seeds(t, 2, 0.05) {
		e := newEmergency(t, seed)
		c, broken, bad := e.c, true, e.a.newest()
		e.a.File(symtree.LogPath(Res, bad, "a")).Fail(func(io *env.IO) error {
			if broken && io.Kind != env.Read {
				return simenv.ErrIO
			}
			return nil
		})
		shut := 0
		e.a.FailFS(func(op, name string) error {
			if broken && op == "open" && name == symtree.LogPath(Res, bad+1, "a") {
				shut++
				return simenv.ErrIO
			}
			return nil
		})
		c.Wait("a log that can not be opened", func() bool { return shut > 0 })
		acked := c.Journal.Acked()
		c.WaitFor("the application to get an answer", 30*time.Second, func() bool { return c.Journal.Acked() > acked })
		if !e.a.bypassing() {
			c.Wait("the primary to say that it has no log", e.a.bypassing)
		}
		broken = false
		c.Wait("a later log", func() bool { return !e.a.bypassing() && e.a.Replay("a").Number > bad+1 })
		e.progress(time.Second)
		e.outdated()
		e.b.insist("invalidate", Res, "--timeout=60")
		c.Wait("the sync of the outdated host", e.b.Synced)
		c.quiesce(e.a, e.l, e.b)
		c.Close()
	}
}

// TestSimMarsFails: nothing can be written to /mars any more, neither logs nor
// links. The primary can neither log nor go into emergency mode, where a power
// cut would put old data over new: requests fail, none hangs, nothing answered
// is lost. When it works again everything goes on.
func TestSimMarsFails(t *testing.T) {
	for _, seed := range seeds(t, 2, 0.05) {
		e := newEmergency(t, seed)
		e.l.opt.Timid, e.l.opt.Pages = true, 32 // failed writes keep their sectors
		c, broken := e.c, true
		e.a.FailFS(func(op, name string) error {
			if broken && op != "lstat" && op != "readdir" && op != "readlink" {
				return simenv.ErrIO
			}
			return nil
		})
		hook := func(name string) {
			e.a.File(symtree.ResourceDir(Res) + "/" + name).Fail(func(io *env.IO) error {
				if broken && io.Kind != env.Read {
					return simenv.ErrIO
				}
				return nil
			})
		}
		for n := 1; n < 9; n++ {
			hook(symtree.LogName(n, "a"))
		}
		c.WaitFor("the application to see errors", time.Minute, func() bool { return e.l.Errors > 0 })
		e.l.End()
		img := e.a.CrashImage(seed, simenv.Zero())
		if _, err := CheckImage(img, c.Journal); err != nil {
			c.Fatalf("while /mars is broken: %v", err)
		}
		was := e.a.Replay("a").Number
		broken = false
		// What the links say is old until they can be written.
		c.Wait("another log", func() bool { return e.a.Replay("a").Number > was })
		acked := c.Journal.Acked()
		e.l.opt.Timid = false
		c.RunFor(time.Second)
		e.l.Begin()
		c.Wait("the application to go on", func() bool { return c.Journal.Acked() > acked+20 })
		c.Wait("the end of it", func() bool { return !e.a.bypassing() && e.a.Actual(symtree.ActualHasEmergency, "0")() })
		e.l.End()
		c.Must(c.Journal.Prefix(e.a.ReadDev()), "content in the end")
		c.Close()
	}
}

// TestSimResize: the disks of both members are enlarged while they are in use,
// then the resource. The device grows, the secondary syncs what is new, whatever
// happens to it meanwhile, and all is equal in the end.
func TestSimResize(t *testing.T) {
	for _, seed := range seeds(t, 2, 0.05) {
		e := newEmergency(t, seed)
		c, old := e.c, e.c.opt.Size
		for _, h := range []*Host{e.a, e.b} {
			h.Data().Grow(3 * old)
		}
		e.a.refused("higher than the minimum", "resize", Res, "1m")
		e.a.Daemon.Trigger(2)
		known := func(host string) func() bool {
			return func() bool { return e.a.Link(symtree.ActSizePath(Res, host)) == symtree.FormatInt(3*old) }
		}
		c.Wait("the new size of a's disk", known("a"))
		c.Wait("the new size of b's disk", known("b"))
		e.l.End()
		c.opt.Size = 2 * old
		e.a.adm("resize", Res, symtree.FormatInt(2*old))
		c.Wait("the device to grow", func() bool { return e.a.Dev() != nil && e.a.Dev().Size() == 2*old })
		if c.World.Intn(2) == 0 {
			e.b.Crash(simenv.Models()[c.World.Intn(len(simenv.Models()))])
			e.b.Restart()
		}
		done := 0
		for pos := old; pos < 2*old; pos += 8192 {
			e.a.Dev().Write(pos, bytes.Repeat([]byte{byte(pos >> 13)}, 4096), false, func(err error) {
				c.Must(err, "write behind the old end")
				done++
			})
		}
		c.Wait("the writes", func() bool { return int64(done) == (old+8191)/8192 })
		c.Wait("b to hear of the size", func() bool { return e.b.Link(symtree.SizePath(Res)) == symtree.FormatInt(2*old) })
		c.Wait("the sync of the new part", e.b.Synced)
		e.a.insist("secondary", Res, "--timeout=60")
		c.Wait("b to catch up", e.b.CaughtUp(e.a))
		if !bytes.Equal(e.a.Content(), e.b.Content()) {
			c.Fatalf("the disks differ\n%s", c.Dump())
		}
		c.Close()
	}
}
