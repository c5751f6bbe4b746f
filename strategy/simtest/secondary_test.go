package simtest

import (
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimSecondaryDisk: the disk of a secondary fails for a while under load:
// all of its requests, its writes, its flushes. It tells so, the primary does
// not notice, and when the disk is well again replay goes on by itself.
func TestSimSecondaryDisk(t *testing.T) {
	kinds := map[string]func(env.Kind) bool{
		"all":     func(env.Kind) bool { return true },
		"writes":  func(k env.Kind) bool { return k == env.Write },
		"flushes": func(k env.Kind) bool { return k == env.Sync },
	}
	for _, name := range []string{"all", "writes", "flushes"} {
		t.Run(name, func(t *testing.T) {
			e := newEmergency(t, 3)
			c, b, fails, hits := e.c, e.b, true, 0
			defer c.Close()
			b.Data().Fail(func(io *env.IO) error {
				if fails && kinds[name](io.Kind) {
					hits++
					return simenv.ErrIO
				}
				return nil
			})
			c.Wait("a request to fail", func() bool { return hits > 0 })
			said := func() bool {
				text := b.Link(symtree.ActualPath(Res, b.Node.Host(), "disk-error"))
				return strings.Contains(text, simenv.ErrIO.Error())
			}
			c.Wait("the secondary to say so", said)
			for end := c.World.Now() + 15*time.Second; c.World.Now() < end; {
				e.progress(200 * time.Millisecond)
				if !said() { // also while it tries anew
					c.Fatalf("the secondary says that its disk is well\n%s", c.Dump())
				}
			}
			fails = false
			c.Wait("the disk to be well again", b.Actual("disk-error", symtree.None))
			c.quiesce(e.a, e.l, b)
		})
	}
}

// TestSimSecondaryFull: /mars of a secondary is full to the last byte, later but
// for a little: then links can be written, and its switches work. When there is
// space again it goes on by itself.
func TestSimSecondaryFull(t *testing.T) {
	for _, seed := range seeds(t, 3, 0.05) {
		e := newEmergency(t, seed)
		c, b := e.c, e.b
		b.fill(0)
		e.progress(3 * time.Second)
		b.fill(1 << 20)
		b.insist("pause-replay", Res, "--timeout=60")
		c.Wait("replay to rest", b.Actual(symtree.ActualIsReplaying, "0"))
		c.Wait("replay to rest", func() bool { return b.Replay(b.Node.Host()).Len == 0 })
		c.Must(c.Journal.Prefix(b.Data()), "disk of the secondary whose /mars is full")
		e.progress(time.Second)
		b.fill(32 * gib)
		b.insist("resume-replay", Res, "--timeout=60")
		c.quiesce(e.a, e.l, b)
		c.Close()
	}
}

// TestSimDetachTorn: a disk that does not take its writes is detached within a
// window. The administrator is told, and attaching it again mends it.
func TestSimDetachTorn(t *testing.T) {
	e := newEmergency(t, 3)
	c, b, fails, hits := e.c, e.b, true, 0
	defer c.Close()
	b.Data().Fail(func(io *env.IO) error {
		if fails && io.Kind == env.Write {
			hits++
			return simenv.ErrIO
		}
		return nil
	})
	c.Wait("a write to fail", func() bool { return hits > 0 })
	ok, out := b.try("down", Res, "--timeout=600")
	link := b.Replay(b.Node.Host())
	if !ok || link.Len == 0 || !strings.Contains(out, "was detached in the middle of a write") {
		c.Fatalf("ok %v, the replay link is %v: %s", ok, link, out)
	}
	if _, out := b.try("explain", Res); !strings.Contains(out, "bytes of logs behind its position may be on it in part") || !strings.Contains(out, "marsadm attach "+Res) {
		c.Fatalf("%s", out)
	}
	fails = false
	b.insist("up", Res, "--timeout=60")
	c.quiesce(e.a, e.l, b)
}
