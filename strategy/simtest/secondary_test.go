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
			e.progress(15 * time.Second)
			c.Wait("the secondary to say so again, when it has tried anew", said)
			fails = false
			c.Wait("the disk to be well again", b.Actual("disk-error", symtree.None))
			c.quiesce(e.a, e.l, b)
		})
	}
}
