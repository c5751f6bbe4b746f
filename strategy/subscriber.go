package strategy

import (
	"slices"
	"time"

	"mars/infra/env"
	"mars/infra/lamport"
	"mars/infra/wire"
)

// highWater is how many bytes may wait for a subscriber. Beyond that changes
// are not queued any more; it gets the whole tree again when it has caught up.
const highWater = 1 << 20

// greetTime is how long a connection may take to say who it is and what it
// wants.
const greetTime = 10 * time.Second

// guest is a connection that has not said yet what it wants.
type guest struct {
	n     *Node
	port  int
	hello wire.Hello
	greet bool
	timer env.Timer
	conn  env.Conn
}

// accept is called for every new connection; who it is has been proved.
func (g *gossip) accept(port int, c env.Conn) env.ConnHandler {
	if g.n.stopping {
		return nil
	}
	x := &guest{n: g.n, port: port, conn: c}
	x.timer = g.n.env.NewTimer(func() { c.Close() })
	x.timer.Reset(greetTime)
	return x
}

func (x *guest) purpose() wire.Purpose { return wire.Purpose(x.port + 1) }

// Opened implements env.ConnHandler.
func (x *guest) Opened(c env.Conn) {
	h := x.n.hello(x.purpose())
	c.Send(h.Append(nil))
}

// Frame implements env.ConnHandler: the greeting, then the first request.
func (x *guest) Frame(c env.Conn, f []byte) {
	if !x.greet {
		err := x.hello.Decode(f)
		if err == nil {
			err = x.n.greeted(&x.hello, c.Peer().Host, x.purpose())
		}
		if err != nil {
			x.refuse(c, err)
			return
		}
		x.greet = true
		return
	}
	x.timer.Stop()
	t := wire.TypeOf(f)
	if !x.purpose().Allows(t) {
		x.refuse(c, &wire.Error{Code: wire.CodeVersion, Text: "not on this port"})
		return
	}
	if x.port == env.PortTree {
		x.n.gossip.order++
		s := &subscriber{n: x.n, conn: c, host: x.hello.Host, life: x.hello.Life, order: x.n.gossip.order, lazy: map[string]wire.Link{}}
		x.n.gossip.met(s.host, s.life)
		x.n.gossip.subs = append(x.n.gossip.subs, s)
		c.Move(x.n.env, s)
		s.Frame(c, f)
		return
	}
	x.n.handOver(c, &x.hello, f)
}

func (x *guest) refuse(c env.Conn, err error) {
	x.n.complain(c.Peer().Host, "refused a connection", "err", err)
	if e, ok := err.(*wire.Error); ok {
		c.Send(e.Append(nil))
	}
	c.Close()
}

// Drained implements env.ConnHandler.
func (x *guest) Drained(env.Conn) {}

// Closed implements env.ConnHandler.
func (x *guest) Closed(env.Conn, error) { x.timer.Stop() }

// subscriber is a host that gets our tree.
type subscriber struct {
	n          *Node
	conn       env.Conn
	host       string
	life       uint64 // of the host
	subscribed bool
	stale      bool // changes were dropped: it needs the whole tree
	order      int  // when it began, in the order of all subscriptions
	pending    []wire.Link
	lazy       map[string]wire.Link // by path: signs of life to be passed on
	buf        []byte
}

// Opened implements env.ConnHandler.
func (s *subscriber) Opened(env.Conn) {}

// Frame implements env.ConnHandler.
func (s *subscriber) Frame(c env.Conn, f []byte) {
	switch wire.TypeOf(f) {
	case wire.TypeSubscribeTree:
		if s.subscribed = true; s.conn.Queued() > highWater {
			s.stale = true // what it has asked for already is still under way
			return
		}
		s.sendAll()
		if g := &s.n.gossip; g.size > meshSize {
			g.stale = true
			s.n.kick()
		}
	case wire.TypeNotify:
		var m wire.Notify
		if err := m.Decode(f); err != nil {
			c.Close()
			return
		}
		s.n.cfg.Clock.Observe(m.Stamp, s.n.reading())
		s.n.touchAlive()
		s.n.kick()
	}
}

// sendAll sends the whole tree.
func (s *subscriber) sendAll() {
	s.pending, s.stale = s.pending[:0], false
	items := s.n.tree.Links()
	begin := wire.TreeBegin{Stamp: lamport.Stamp(s.n.stamp()), Count: uint32(min(len(items), wire.MaxLinks))}
	s.conn.Send(begin.Append(s.buf[:0]))
	for _, it := range items {
		s.pending = append(s.pending, wire.Link{Path: it.Path, Value: it.Value, Stamp: lamport.Stamp(it.Stamp), Kind: wire.KindLink})
	}
	s.send()
	s.conn.Send((&wire.TreeEnd{}).Append(s.buf[:0]))
}

func (s *subscriber) add(l wire.Link) {
	if !s.stale {
		s.pending = append(s.pending, l)
	}
}

// addLazy notes a sign of life that need not be passed on at once.
func (s *subscriber) addLazy(l wire.Link) { s.lazy[l.Path] = l }

// heard takes back what the subscriber has sent itself meanwhile.
func (s *subscriber) heard(links []wire.Link) {
	if len(s.lazy) == 0 {
		return
	}
	for _, l := range links {
		if mine, ok := s.lazy[l.Path]; ok && mine.Stamp <= l.Stamp {
			delete(s.lazy, l.Path)
		}
	}
}

// wake sends the signs of life.
func (s *subscriber) wake() {
	paths := make([]string, 0, len(s.lazy))
	for p := range s.lazy { // order does not matter: sorted below
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		s.add(s.lazy[p])
	}
	clear(s.lazy)
	s.flush()
}

// flush sends what has gathered during a turn.
func (s *subscriber) flush() {
	if len(s.pending) == 0 || !s.subscribed {
		return
	}
	if s.conn.Queued() > highWater {
		s.stale, s.pending = true, s.pending[:0]
		return
	}
	s.send()
}

func (s *subscriber) send() {
	links := slices.DeleteFunc(s.pending, func(l wire.Link) bool { return !l.Fits() })
	for len(links) > 0 {
		k := wire.Chunk(links)
		s.buf = (&wire.TreeLinks{Links: links[:k]}).Append(s.buf[:0])
		s.conn.Send(s.buf)
		links = links[k:]
	}
	s.pending = s.pending[:0]
}

// Drained implements env.ConnHandler.
func (s *subscriber) Drained(env.Conn) {
	if s.stale {
		s.sendAll()
	}
}

// Closed implements env.ConnHandler.
func (s *subscriber) Closed(env.Conn, error) {
	g := &s.n.gossip
	g.subs = slices.DeleteFunc(g.subs, func(x *subscriber) bool { return x == s })
	g.stale = true
}
