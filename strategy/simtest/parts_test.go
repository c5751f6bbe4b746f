package simtest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/wire"
	"mars/strategy"
)

// How large a tree is that does not go at once, and how fast the line.
const (
	partDirs = 16
	partKeys = 20
	partSize = 4000 // bytes of a value
	partRate = 400 << 10
)

func partPath(n int) string { return fmt.Sprintf("userspace/d%02d/k%02d", n/partKeys, n%partKeys) }

// newParts is three hosts; the last is down, and lacks a tree that the others have.
// Its lines are slow.
func newParts(t testing.TB, seed uint64) *conv {
	var o Options
	watching(t, &o)
	o.Size = 4096
	v := &conv{c: NewCluster(t, seed, o, "h1", "h2", "h3"), truth: map[string]fact{}, did: map[string]int{}, far: map[*Host]bool{}, rng: dice(seed, 1<<20)}
	late := v.c.Hosts[2]
	v.c.Wait("the daemons", func() bool { return !slices.ContainsFunc(v.c.Hosts, func(h *Host) bool { return !h.Ready }) })
	late.Kill()
	for _, h := range v.c.Hosts[:2] {
		v.c.World.SetLink(h.Node, late.Node, simenv.Span{Min: time.Millisecond, Max: 5 * time.Millisecond}, partRate)
	}
	var batch symtree.Batch
	value := strings.Repeat("long ", partSize/5)
	for n := range partDirs * partKeys {
		batch.Set(partPath(n), value)
	}
	v.c.Hosts[0].Commit(&batch)
	v.c.Wait("the tree on the second host", func() bool { return v.c.Hosts[1].Link(partPath(partDirs*partKeys-1)) != "" })
	return v
}

// partTrouble is what happens between two parts.
func (v *conv) partTrouble() {
	h, late := v.c.Hosts[v.rng.IntN(2)], v.c.Hosts[2]
	switch v.rng.IntN(6) {
	case 0:
		v.note("reset", h.Node.Host())
		v.c.World.Reset(h.Node, late.Node)
	case 1:
		v.note("cut", h.Node.Host())
		v.c.World.Cut(h.Node, late.Node, v.rng.IntN(2) == 0)
	case 2:
		v.heal()
	case 3:
		if v.note("kill", h.Node.Host()); h.Up() {
			h.Kill()
			h.Restart()
		}
	case 4:
		models := simenv.Models()
		v.note("crash", late.Node.Host())
		late.Crash(models[v.rng.IntN(len(models))])
		late.Restart()
	case 5:
		v.note("stall", "")
		v.c.RunFor(time.Duration(v.rng.IntN(int(20 * time.Second))))
	}
}

// TestSimParts: while a host gets a large tree in parts, links of parts that it has
// and of those to come are changed and deleted, connections break between two
// parts, and hosts of both ends start again. In the end all trees are equal, what
// was deleted is nowhere, and no order is left.
func TestSimParts(t *testing.T) {
	list := seeds(t, 2, 0.1)
	sum := runSeeds(t, list, func(t testing.TB, seed uint64) map[string]int {
		v := newParts(t, seed)
		late := v.c.Hosts[2]
		late.Restart()
		for range 10 + v.rng.IntN(10) {
			step, skip := next(t)
			v.rng = dice(seed, step)
			if skip {
				continue
			}
			v.c.RunFor(time.Duration(v.rng.IntN(int(700 * time.Millisecond))))
			have := 0
			for n := range partDirs * partKeys {
				if late.Link(partPath(n)) != "" {
					have++
				}
			}
			if have > 0 && have < partDirs*partKeys-20 {
				v.did["in the middle"]++
			}
			h := v.c.Hosts[v.rng.IntN(3)]
			path := partPath(v.rng.IntN(partDirs * partKeys))
			switch k := v.rng.IntN(8); {
			case !h.Up():
			case k < 2:
				v.write(h, path)
			case k < 5:
				v.order(h, path)
			default:
				v.partTrouble()
			}
		}
		v.settle()
		v.check()
		v.c.Close()
		return v.did
	})
	wanted := []string{"in the middle"}
	if len(list) >= 10 {
		wanted = append(wanted, "write", "delete", "reset", "cut", "heal", "kill", "crash", "stall", "stayed deleted")
	}
	sum.report(t, wanted...)
}

// countLines counts the lines of a log that have a text.
type countLines struct {
	text string
	n    int
}

// Write implements io.Writer.
func (c *countLines) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.text)) {
		c.n++
	}
	return len(p), nil
}

// TestSimPartsLost: what is dropped of a large tree, since too much of it waits
// for a slow disk already, is asked for again, and only that.
func TestSimPartsLost(t *testing.T) {
	const links = 6000
	log := &countLines{text: "msg=connected node=b/0 peer=a"}
	o := Options{Size: 4096, World: simenv.Options{Log: log, Work: simenv.Span{Min: 300 * time.Millisecond, Max: 400 * time.Millisecond}}}
	c := NewCluster(t, 1, o, "a", "b")
	defer c.Close()
	c.Watch.Off = true
	a, b := c.Host("a"), c.Host("b")
	b.Kill()
	var batch symtree.Batch
	size, value := uint64(0), strings.Repeat("long ", partSize/5)
	for n := range links {
		batch.Set(partPath(n), value)
		size += uint64(len(partPath(n)) + len(value))
	}
	a.Commit(&batch)
	c.RunFor(20 * time.Second)
	_, before := c.World.Traffic()
	b.Restart()
	for !c.converged() {
		if c.RunFor(time.Second); c.World.Now() > 3*time.Minute {
			c.Fatalf("the tree does not arrive")
		}
	}
	_, after := c.World.Traffic()
	t.Logf("a tree of %d bytes: %d bytes sent, in %d attempts", size, after-before, log.n)
	if log.n < 2 {
		t.Error("nothing was dropped: nothing was tested")
	}
	if after-before > size*3/2 {
		t.Errorf("%d bytes were sent for a tree of %d", after-before, size)
	}
}

// old is a subscriber of a release without sums: it says nothing about what it has.
type old struct {
	h        *Host
	have     map[string]string
	complete bool
}

// Opened implements env.ConnHandler.
func (o *old) Opened(c env.Conn) {
	now := lamport.Stamp(o.h.Wall())
	h := wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: UUID, Host: o.h.Node.Host(),
		Stamp: now, SystemTime: now, Purpose: wire.ForTree, Version: strategy.TreeVersion, Life: 1}
	c.Send(h.Append(nil))
	c.Send([]byte{byte(wire.TypeSubscribeTree)})
}

// Frame implements env.ConnHandler.
func (o *old) Frame(_ env.Conn, f []byte) {
	var m wire.TreeLinks
	switch wire.TypeOf(f) {
	case wire.TypeTreeEnd:
		o.complete = true
	case wire.TypeTreeLinks:
		o.h.C.Must(m.Decode(f), "links")
		for _, l := range m.Links {
			o.have[l.Path] = l.Value
		}
	}
}

// Drained implements env.ConnHandler.
func (o *old) Drained(env.Conn) {}

// Closed implements env.ConnHandler.
func (o *old) Closed(env.Conn, error) {}

// TestSimPartsOld: a host of a release that knows no sums gets all of the tree, and
// then the changes.
func TestSimPartsOld(t *testing.T) {
	v := newParts(t, 1)
	defer v.c.Close()
	a, late := v.c.Hosts[0], v.c.Hosts[2]
	late.Start()
	o := &old{h: late, have: map[string]string{}}
	late.Env(0).Net().Dial(env.Endpoint{Host: "h1", Addr: Addr(0), Port: env.PortTree}, o)
	v.c.Wait("the tree", func() bool { return o.complete })
	links, _ := a.links()
	for _, l := range links {
		if o.have[l.Path] != l.Value {
			t.Fatalf("%s is %.20q there, %.20q here", l.Path, o.have[l.Path], l.Value)
		}
	}
	a.Set("userspace/news", "1")
	v.c.Wait("a change", func() bool { return o.have["userspace/news"] == "1" })
}
