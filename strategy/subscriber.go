package strategy

import (
	"slices"
	"time"

	"mars/infra/env"
	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// highWater is how many bytes may wait for a subscriber. Beyond that changes
// are not queued any more; it gets the whole tree again when it has caught up.
const highWater = 1 << 20

// sendAhead is how much of a whole tree is handed to the connection before that
// has sent it. It is above the mark below which Drained comes.
const sendAhead = 288 << 10

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
		s := &subscriber{n: x.n, conn: c, host: x.hello.Host, life: x.hello.Life, order: x.n.gossip.order}
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
	size       int           // of what is pending, bytes
	have       []symtree.Sum // directories that it has already
	sending    bool          // the whole tree is on its way; changes wait
	after      string        // the last link of it that was sent
}

// Opened implements env.ConnHandler.
func (s *subscriber) Opened(env.Conn) {}

// Frame implements env.ConnHandler.
func (s *subscriber) Frame(c env.Conn, f []byte) {
	switch wire.TypeOf(f) {
	case wire.TypeSubscribeTree:
		var m wire.SubscribeTree
		if err := m.Decode(f); err != nil {
			s.n.complain(s.host, "a peer's subscription can not be used", "err", err)
			c.Close()
			return
		}
		s.have = sortedSums(m.Have)
		if s.subscribed = true; s.sending || s.conn.Queued() > highWater {
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

// sortedSums are the sums of a subscription.
func sortedSums(have [][wire.SumSize]byte) []symtree.Sum {
	list := make([]symtree.Sum, len(have))
	for i := range have {
		list[i] = have[i]
	}
	slices.SortFunc(list, symtree.Sum.Compare)
	return list
}

// sendAll sends the whole tree, in parts as the connection takes them: memory
// does not grow with the tree. Changes wait until it is there.
func (s *subscriber) sendAll() {
	s.drop()
	s.stale, s.sending, s.after = false, true, ""
	n := s.n
	begin := wire.TreeBegin{Stamp: lamport.Stamp(n.stamp()), Count: uint32(min(n.tree.Len(), wire.MaxLinks))}
	s.conn.Send(begin.Append(n.gossip.buf[:0]))
	s.sendMore()
}

// sendMore goes on with the whole tree. Its first part, in which the order counts,
// is sent at once.
func (s *subscriber) sendMore() {
	for s.sending && (symtree.First(s.after) || s.conn.Queued() <= sendAhead) {
		links, size := s.n.gossip.links[:0], 0
		more := false
		s.n.tree.EachLink(s.after, s.have, func(path string, e symtree.Entry) bool {
			l := wire.Link{Path: path, Value: e.Value, Stamp: lamport.Stamp(e.Stamp), Kind: wire.KindLink}
			if more = size+l.Size() > partSize; more {
				return false
			}
			s.after = path
			links, size = append(links, l), size+l.Size()
			return true
		})
		s.send(links)
		clear(links)
		s.n.gossip.links = links
		if !more {
			s.conn.Send((&wire.TreeEnd{}).Append(s.n.gossip.buf[:0]))
			s.sending, s.after = false, ""
		}
	}
	if s.sending {
		return
	}
	if s.stale {
		s.sendAll()
		return
	}
	s.flush()
}

// partSize is about how much of a tree is put together at once: what fits into one
// frame.
const partSize = 60 << 10

// drop forgets the changes that wait.
func (s *subscriber) drop() { s.pending, s.size = nil, 0 }

func (s *subscriber) add(l wire.Link) {
	if s.stale {
		return
	}
	if s.size += l.Size(); s.sending && s.size > highWater {
		s.stale = true
		s.drop()
		return
	}
	s.pending = append(s.pending, l)
}

// flush sends what has gathered during a turn.
func (s *subscriber) flush() {
	if len(s.pending) == 0 || !s.subscribed || s.sending {
		return
	}
	if s.conn.Queued() > highWater {
		s.stale = true
		s.drop()
		return
	}
	s.send(s.pending)
	if s.size = 0; cap(s.pending) > 256 {
		s.pending = nil // many subscribers, and seldom so many changes
	}
	s.pending = s.pending[:0]
}

// send sends links in frames.
func (s *subscriber) send(links []wire.Link) {
	links = slices.DeleteFunc(links, func(l wire.Link) bool { return !l.Fits() })
	for len(links) > 0 {
		k := wire.Chunk(links)
		s.n.gossip.buf = (&wire.TreeLinks{Links: links[:k]}).Append(s.n.gossip.buf[:0])
		s.conn.Send(s.n.gossip.buf)
		links = links[k:]
	}
}

// Drained implements env.ConnHandler.
func (s *subscriber) Drained(env.Conn) {
	switch {
	case s.sending:
		s.sendMore()
	case s.stale:
		s.sendAll()
	}
}

// Closed implements env.ConnHandler.
func (s *subscriber) Closed(env.Conn, error) {
	g := &s.n.gossip
	g.subs = slices.DeleteFunc(g.subs, func(x *subscriber) bool { return x == s })
	g.stale = true
}
