package simtest

import (
	"bytes"
	"fmt"
	"math"
	"os"
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
	stamp  lamport.Stamp // of its greeting, 0: a true one
	rounds int
	conns  []env.Conn
}

// farthest is as far in the future as a stamp can be; the year 9999 is cut down
// to that wherever it comes from.
const farthest = lamport.MaxStamp - 10e9

// newMad puts a mad process in place of a host's daemon.
func newMad(h *Host, links []wire.Link, stamp lamport.Stamp) *mad {
	m := &mad{h: h, links: links, stamp: stamp}
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
	if m.stamp != 0 {
		now = m.stamp
	}
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
	c.Send((&wire.Heartbeat{Stamp: farthest, SystemTime: farthest}).Append(nil))
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
	return append(links, junk(now, many)...)
}

// junk are links that anybody may make, only so many of them.
func junk(now int64, many int) (links []wire.Link) {
	for i := range many {
		links = append(links, wire.Link{Path: fmt.Sprintf("userspace/d%03d/k%04d", i/1000, i%1000), Value: "junk of a host that has gone mad",
			Stamp: lamport.Stamp(now), Kind: wire.KindLink})
	}
	return links
}

// logged counts what is logged: all, what people see, and by sort what is said
// about the mad host.
type logged struct {
	lines, warnings int
	last            bytes.Buffer
	said            map[string]int
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.lines++
	if !bytes.Contains(p, []byte("level=WARN")) && !bytes.Contains(p, []byte("level=ERROR")) {
		return len(p), nil
	}
	l.warnings++
	l.last.Write(p)
	_, what, _ := strings.Cut(string(p), "level=")
	if what, _, ok := strings.Cut(what, "peer=mad"); ok {
		l.said[what]++
	}
	return len(p), nil
}

// madCase is what a mad member does, and what is to become of it.
type madCase struct {
	links  func(now int64) []wire.Link
	floods int // how often they are sent besides the answers to subscriptions
	stamp  lamport.Stamp
	opt    Options
	bounds symtree.Bounds // of the trees
	least  int            // entries that the trees must have at least: otherwise nothing was tested
	mib    int64          // of memory that it may take, for three simulated hosts
	sorts  int            // of complaints, at least
}

// TestMadMember: what a member that has gone mad sends is refused within fixed
// memory and said once, and replication goes on.
func TestMadMember(t *testing.T) {
	many, least := 5_000, 0
	if os.Getenv("MARS_SIM_DEPTH") != "" {
		many, least = 200_000, symtree.MaxEntries/2 // takes half a minute
	}
	madMember(t, madCase{links: func(now int64) []wire.Link { return madness(now, many) }, floods: 3, bounds: symtree.UsualBounds(), least: least, mib: 600, sorts: 3})
}

// TestSimMadMember is the same with more links than a tree takes, sent once. With
// bounds that are lifted it fails.
func TestSimMadMember(t *testing.T) {
	madMember(t, madCase{links: func(now int64) []wire.Link { return madness(now, 200_000) }, floods: 1,
		bounds: symtree.UsualBounds(), least: symtree.MaxEntries / 2, mib: 600, sorts: 4})
	small := madCase{links: func(now int64) []wire.Link { return junk(now, 3_000) }, floods: 1, bounds: symtree.Bounds{Entries: 2_000, Bytes: 1 << 20}, least: 1_700, mib: 100, sorts: 1}
	small.opt.Bounds = small.bounds
	madMember(t, small)
	for what, lifted := range map[string]symtree.Bounds{ // order does not matter: each by itself
		"entries": {Entries: symtree.MaxEntries, Bytes: small.bounds.Bytes},
		"bytes":   symtree.UsualBounds(),
	} {
		control := small
		if what == "bytes" {
			control.bounds.Entries, control.bounds.Bytes = symtree.MaxEntries, 50_000
		}
		control.opt.Bounds = lifted
		control.sorts = 0
		if why := fails(t, func(t testing.TB) { madMember(t, control) }); !strings.Contains(why, "the tree of a has") {
			t.Errorf("control, the bound of %s is lifted: found %.300q", what, why)
		}
	}
}

// TestSimFarFuture: links, greetings and signs of life with stamps of the year
// 9999, and as far as the wire can tell, change nothing: not the tree, not the
// clocks. Where all stamps are believed the checker fails.
func TestSimFarFuture(t *testing.T) {
	far := madCase{links: func(int64) []wire.Link { return fromTheFuture(1_000) }, floods: 2, stamp: farthest,
		bounds: symtree.Bounds{Entries: 200, Bytes: 1 << 20}, mib: 100, sorts: 2}
	madMember(t, far)
	control := far
	control.opt.Set, control.sorts = []string{"max_lamport_future=0"}, 0
	if why := fails(t, func(t testing.TB) { madMember(t, control) }); !strings.Contains(why, "waiting for a link to arrive on b") {
		t.Errorf("control: found %.300q", why)
	}
}

// fromTheFuture are links that a host may well send, but for their stamps: new
// ones, those of others, and orders to delete.
func fromTheFuture(many int) (links []wire.Link) {
	stamps := []lamport.Stamp{farthest, lamport.MaxStamp + 1, math.MaxInt64 - 100e9}
	add := func(path, value string) {
		links = append(links, wire.Link{Path: path, Value: value, Stamp: stamps[len(links)%len(stamps)], Kind: wire.KindLink})
	}
	for range stamps {
		add("userspace/good", "bad")
		add(symtree.AlivePath("mad"), "mad")
		add(symtree.TimePath("mad"), "253402300799.000000000")
		add(symtree.TodoPath(Res, "b", symtree.TodoAttach), "0")
		add(symtree.PrimaryPath(Res), "mad")
		add(symtree.ReplayPath(Res, "mad"), "log-000000009-mad,0,0")
		add(symtree.IPPath("mad2"), "10.0.0.9")
		links = append(links, wire.Link{Path: "userspace/other", Value: "bad", Stamp: farthest, Kind: wire.KindLink}) // the stamps go around
	}
	for i := range many {
		add(fmt.Sprintf("userspace/d%03d/k%04d", i/1000, i%1000), "from the future")
		if i < many/10 {
			add(symtree.DeletePath(i+1, "mad"), "/mars/userspace/good")
		}
	}
	return links
}

// madMember has a member go mad while a resource is in use.
func madMember(t testing.TB, m madCase) {
	log := &logged{said: map[string]int{}}
	o := m.opt
	o.Node = simenv.NodeOptions{ListValues: true}
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
	before := heap()
	x := newMad(c.Host("mad"), m.links(a.Wall()), m.stamp)
	c.Wait("the mad host to be heard", func() bool { return x.rounds >= 1 })
	c.RunFor(10 * time.Second)
	for i := range m.floods { // and it never stops
		for k := range x.links {
			x.links[k].Stamp += 1e9
		}
		for _, conn := range x.conns {
			x.flood(conn)
		}
		c.RunFor(5 * time.Second)
		for k, from := range []*Host{a, b} {
			to := []*Host{b, a}[k]
			value := fmt.Sprint("news ", i, from.Node.Host())
			at := c.World.Now()
			from.Set("userspace/good", value)
			c.WaitFor("a link to arrive on "+to.Node.Host(), 10*time.Second, func() bool { return to.Link("userspace/good") == value })
			t.Logf("a link set on %s arrives after %v", from.Node.Host(), c.World.Now()-at)
		}
	}
	more := (int64(heap()) - int64(before)) >> 20
	t.Logf("%d links sent in %d rounds, %d lines logged, %d MiB more", len(x.links), x.rounds, log.lines, more)
	if more > m.mib {
		c.Fatalf("%d MiB more, for three simulated hosts", more)
	}
	for _, h := range []*Host{a, b} {
		m.check(h)
	}
	log.check(c, m.sorts)
	c.quiesce(a, l, b)
}

// check looks at the tree of a host that a mad one has talked to.
func (m *madCase) check(h *Host) {
	c := h.C
	tree, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
	c.Must(err, "load")
	if tree.Len() > m.bounds.Entries || tree.Bytes() > m.bounds.Bytes {
		c.Fatalf("the tree of %s has %d entries, %d bytes; at most %+v are right", h.Node.Host(), tree.Len(), tree.Bytes(), m.bounds)
	}
	if tree.Len() < m.least {
		c.Fatalf("the tree of %s has %d entries only: nothing was tested", h.Node.Host(), tree.Len())
	}
	for path, bad := range map[string]string{"uuid": "22222222-2222-4222-8222-222222222222", symtree.ReplayPath(Res, "a"): "log-000000009-a,0,0", symtree.AlivePath("a"): "mad", "defaults/k1": "poison"} {
		if h.Link(path) == bad && (h.Node.Host() == "a" || path == "uuid" || path == "defaults/k1") {
			c.Fatalf("%s of %s is %q", path, h.Node.Host(), bad)
		}
	}
	if far := symtree.Implausible(tree, h.Wall(), int64(time.Hour)); len(far) > 0 {
		c.Fatalf("%d links of %s have stamps of the future, the first is %v", len(far), h.Node.Host(), far[0])
	}
}

// check says whether each thing about the mad host was said once by each host,
// and so many things at least.
func (l *logged) check(c *Cluster, sorts int) {
	for what, n := range l.said {
		if n > 1 && !strings.Contains(what, "no connection") {
			c.Fatalf("it was said %d times: %s", n, what)
		}
	}
	if l.warnings > 60 {
		c.Fatalf("%d warnings:\n%.5000s", l.warnings, l.last.String())
	}
	if l.lines > 0 && len(l.said) < 2*sorts { // not so when people look at the log
		c.Fatalf("%d sorts of complaints on two hosts, expected %d on each: %v", len(l.said), sorts, l.said)
	}
}
