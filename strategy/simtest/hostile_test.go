package simtest

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
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

// mad is a member of the cluster that has gone mad: it answers every
// subscription with the same links, again and again.
type mad struct {
	h      *Host
	links  []wire.Link
	rounds int
	conns  []env.Conn
}

// farthest is as far in the future as a stamp can be; the year 9999 is cut down
// to that wherever it comes from.
const farthest = lamport.MaxStamp - 10e9

// newMad puts a mad process in place of a host's daemon.
func newMad(h *Host, links []wire.Link) *mad {
	m := &mad{h: h, links: links}
	h.Kill()
	h.Start()
	_, err := h.Env(0).Net().Listen(env.PortTree, func(c env.Conn) env.ConnHandler {
		m.conns = append(m.conns, c)
		return m
	})
	h.C.Must(err, "listen")
	return m
}

// Opened implements env.ConnHandler.
func (m *mad) Opened(c env.Conn) {
	now := lamport.Stamp(m.h.Wall())
	h := wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: UUID, Host: m.h.Node.Host(),
		Stamp: now, SystemTime: now, Purpose: wire.ForTree, Version: strategy.TreeVersion, Life: 1}
	c.Send(h.Append(nil))
}

// Frame implements env.ConnHandler.
func (m *mad) Frame(c env.Conn, f []byte) {
	if wire.TypeOf(f) != wire.TypeSubscribeTree {
		return
	}
	m.rounds++
	begin := wire.TreeBegin{Stamp: farthest, Count: wire.MaxLinks}
	c.Send(begin.Append(nil))
	m.flood(c)
	c.Send((&wire.TreeEnd{}).Append(nil))
}

func (m *mad) flood(c env.Conn) {
	for links := m.links; len(links) > 0; {
		k := wire.Chunk(links)
		c.Send((&wire.TreeLinks{Links: links[:k]}).Append(nil))
		links = links[k:]
	}
}

// Drained implements env.ConnHandler.
func (m *mad) Drained(env.Conn) {}

// Closed implements env.ConnHandler.
func (m *mad) Closed(env.Conn, error) {}

// madness is what a mad host sends: more links than a tree may have, stamps of
// the year 9999, names and values that are none, links of others, hosts that do
// not exist, and orders to delete what it has no right to.
func madness(now int64, many int) (links []wire.Link) {
	add := func(stamp int64, path, value string) {
		links = append(links, wire.Link{Path: path, Value: value, Stamp: lamport.Stamp(stamp), Kind: wire.KindLink})
	}
	for _, path := range []string{"../../etc/passwd", "/etc/passwd", "resource-r/../x", "log-1", "resource-r/log-000000001-a", "userspace/\x01", "resource-all/size", ".tmp-x",
		"resource-r/version-1-a", "userspace/" + strings.Repeat("y", 250), strings.Repeat("a/", 400) + "b", "todo-global/delete-000000001-mad/x"} {
		add(now, path, "x")
	}
	for i := range 300 {
		add(int64(farthest), fmt.Sprintf("defaults/k%d", i), "poison")
		add(int64(farthest), fmt.Sprintf("todo-global/delete-%09d-mad", i+1), "/mars/userspace/good")
		add(now, fmt.Sprintf("ips/ip-fake%d", i), fmt.Sprintf("10.9.%d.%d", i/250, i%250))
		add(now, fmt.Sprintf("todo-global/delete-%09d-mad", i+5000), "/etc/passwd")
	}
	add(now, "userspace/nothing", "")
	add(now, "uuid", "22222222-2222-4222-8222-222222222222")
	add(now, symtree.ReplayPath(Res, "a"), "log-000000009-a,0,0")
	add(now, symtree.AlivePath("a"), "mad")
	add(now, symtree.DataPath(Res, "b"), "/dev/sda")
	for i := range many {
		add(now, fmt.Sprintf("userspace/d%03d/k%04d", i/1000, i%1000), "junk of a host that has gone mad")
	}
	return links
}

// countLines counts what is logged at a level that people see.
type countLines struct {
	lines, warnings int
	last            bytes.Buffer
}

func (c *countLines) Write(p []byte) (int, error) {
	c.lines++
	if bytes.Contains(p, []byte("level=WARN")) || bytes.Contains(p, []byte("level=ERROR")) {
		c.warnings++
		c.last.Write(p)
	}
	return len(p), nil
}

// TestMadMember: what a member that has gone mad sends is refused within fixed
// memory and said once, and replication goes on.
func TestMadMember(t *testing.T) {
	many := 5_000
	if os.Getenv("MARS_SIM_DEPTH") != "" {
		many = 200_000 // takes half a minute
	}
	madMember(t, many, 3)
}

// TestSimMadMember is the same with more links than a tree takes, sent once.
func TestSimMadMember(t *testing.T) { madMember(t, 200_000, 1) }

// madMember has a member send so many links, and again so many times.
func madMember(t *testing.T, many, floods int) {
	log := &countLines{}
	o := Options{Node: simenv.NodeOptions{ListValues: true}}
	debug(&o)
	if o.World.Log == nil {
		o.World.Log = log
	}
	c := NewCluster(t, 5, o, "a", "b", "mad")
	defer c.Close()
	a, others := c.pair()
	b := others[0]
	b.join(30)
	l := c.NewLoad(a, LoadOptions{Think: 20 * time.Millisecond})
	others[1].join(30) // so that nobody can do without it
	c.Wait("the sync", func() bool { return b.Synced() && others[1].Synced() })
	a.Set("userspace/good", "1")
	c.Watch.Off = true // it makes images of all there is
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	m := newMad(c.Host("mad"), madness(a.Wall(), many))
	c.Wait("the mad host to be heard", func() bool { return m.rounds >= 1 })
	c.RunFor(10 * time.Second)
	for i := range floods { // and it never stops
		for k := range m.links {
			m.links[k].Stamp += 1e9
		}
		for _, conn := range m.conns {
			m.flood(conn)
		}
		c.RunFor(5 * time.Second)
		at := c.World.Now()
		a.Set("userspace/good", fmt.Sprint("news ", i))
		c.WaitFor("a link to arrive", 10*time.Second, func() bool { return b.Link("userspace/good") == fmt.Sprint("news ", i) })
		t.Logf("a link set on a is on b after %v", c.World.Now()-at)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d links sent in %d rounds, %d lines logged, %d MiB more", len(m.links), m.rounds, log.lines, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>20)
	for _, h := range []*Host{a, b} {
		tree, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
		c.Must(err, "load")
		if tree.Len() > symtree.MaxEntries || tree.Bytes() > symtree.MaxBytes {
			c.Fatalf("the tree of %s has %d entries, %d bytes", h.Node.Host(), tree.Len(), tree.Bytes())
		}
		if many > symtree.MaxEntries && tree.Len() < symtree.MaxEntries/2 {
			c.Fatalf("the tree of %s has %d entries only: nothing was tested", h.Node.Host(), tree.Len())
		}
		for path, bad := range map[string]string{"uuid": "22222222-2222-4222-8222-222222222222", symtree.ReplayPath(Res, "a"): "log-000000009-a,0,0", symtree.AlivePath("a"): "mad", "defaults/k1": "poison"} {
			if h.Link(path) == bad && (h == a || path == "uuid" || path == "defaults/k1") {
				c.Fatalf("%s of %s is %q", path, h.Node.Host(), bad)
			}
		}
	}
	if log.warnings > 60 {
		c.Fatalf("%d warnings:\n%.5000s", log.warnings, log.last.String())
	}
	if mib := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; mib > 600 {
		c.Fatalf("%d MiB more, for three simulated hosts", mib)
	}
	c.quiesce(a, l, b)
}
