package simenv

import (
	"errors"
	"time"
)

// Reasons of Closed, wrapped with the peer's name.
var (
	ErrRefused    = errors.New("connection refused")
	ErrReset      = errors.New("connection reset by peer")
	ErrPeerClosed = errors.New("connection closed by peer")
	ErrDead       = errors.New("no byte from the peer for 20 s")
	ErrDial       = errors.New("connection timed out")
	ErrIdentity   = errors.New("peer has proved to be somebody else")
)

const (
	deadAfter = 20 * time.Second
	keepAlive = 5 * time.Second // within which a vanished peer that answers again is noticed
	lowWater  = 256 << 10
	window    = 4 << 20 // bytes on the way, not yet arrived
)

// link is one direction between two nodes.
type link struct {
	from, to *Node
	lat      Span
	bw       int64 // bytes a second; 0: unlimited
	busy     time.Duration
	cut      bool
	gen      uint32 // number of the cut
}

type linkKey struct{ from, to int }

// network is all links and connections of a world.
type network struct {
	w     *World
	links map[linkKey]*link // looked up, never ranged over
	conns []*half           // live ones

	frames, bytes uint64        // sent so far
	cells         []*frameEvent // for reuse
}

func (nw *network) init(w *World) {
	nw.w, nw.links = w, map[linkKey]*link{}
}

func (nw *network) link(from, to *Node) *link {
	k := linkKey{from.id, to.id}
	l := nw.links[k]
	if l == nil {
		l = &link{from: from, to: to, lat: nw.w.opt.Latency, bw: nw.w.opt.Bandwidth}
		nw.links[k] = l
	}
	return l
}

// SetLink sets latency and bandwidth (bytes a second, shared by all
// connections; 0: unlimited) of the direction from one node to another.
func (w *World) SetLink(from, to *Node, latency Span, bandwidth int64) {
	l := w.net.link(from, to)
	l.lat, l.bw = latency, bandwidth
}

// Cut makes everything sent from a to b vanish silently, and from b to a too
// unless oneWay. Connections hang; if the cut lasts, who hears nothing any
// more finds them dead after 20 s. What was sent meanwhile arrives after Heal.
func (w *World) Cut(a, b *Node, oneWay bool) {
	w.net.cut(w.net.link(a, b))
	if !oneWay {
		w.net.cut(w.net.link(b, a))
	}
}

func (nw *network) cut(l *link) {
	if l.cut {
		return
	}
	l.cut = true
	l.gen++
	gen, w := l.gen, nw.w
	w.push(w.now+deadAfter+w.rng.in(Span{0, keepAlive}), nil, evNet, funcEvent(func() {
		if !l.cut || l.gen != gen {
			return
		}
		for _, c := range nw.between(l.to, l.from) {
			c.die(ErrDead)
		}
	}), 0)
}

// between lists the ends at one node of its connections with another.
func (nw *network) between(at, with *Node) (list []*half) {
	for _, c := range nw.conns {
		if c.node == at && c.with == with {
			list = append(list, c)
		}
	}
	return list
}

// Isolate cuts a node off from all others, HealAll ends all cuts.
func (w *World) Isolate(n *Node) {
	for _, o := range w.nodes {
		if o != n {
			w.Cut(n, o, false)
		}
	}
}

// HealAll ends all cuts.
func (w *World) HealAll() {
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			w.net.heal(w.net.link(a, b))
		}
	}
}

// Heal ends cuts in both directions.
func (w *World) Heal(a, b *Node) {
	w.net.heal(w.net.link(a, b))
	w.net.heal(w.net.link(b, a))
}

func (nw *network) heal(l *link) {
	if !l.cut {
		return
	}
	l.cut = false
	for _, c := range nw.between(l.from, l.to) {
		c.resend()
	}
	for _, c := range append(nw.between(l.from, l.to), nw.between(l.to, l.from)...) {
		if c.peerGone() {
			c.noticeWithin(keepAlive)
		}
	}
}

// Reset breaks all connections between two nodes; both sides notice.
func (w *World) Reset(a, b *Node) {
	for _, c := range append(w.net.between(a, b), w.net.between(b, a)...) {
		c.later(Span{time.Microsecond, time.Millisecond}, func() { c.closed(ErrReset) })
	}
}

// Traffic is how many frames were sent so far, and their bytes.
func (w *World) Traffic() (frames, bytes uint64) { return w.net.frames, w.net.bytes }

// Connections is the number of connection ends that nodes hold.
func (w *World) Connections() int { return len(w.net.conns) }

// ends takes the ends of a dead process out and returns them.
func (nw *network) ends(inc *incarnation) (list []*half) {
	for _, c := range append([]*half(nil), nw.conns...) {
		if c.inc == inc {
			list = append(list, c)
			nw.drop(c)
		}
	}
	return list
}

// killed: the kernel closes the sockets of a dead process.
func (nw *network) killed(n *Node) {
	for _, c := range nw.ends(n.inc) {
		c.hangUp(ErrReset)
	}
}

// lost: a node without power says nothing.
func (nw *network) lost(n *Node) {
	for _, c := range nw.ends(n.inc) {
		if c.peer != nil {
			c.peer.orphaned()
		}
	}
}

// started: a node that is back answers its former peers with resets.
func (nw *network) started(n *Node) {
	for _, c := range nw.conns {
		if c.with == n && c.peerGone() {
			c.noticeWithin(keepAlive)
		}
	}
}

func (nw *network) drop(c *half) {
	last := len(nw.conns) - 1
	if c.idx < 0 || c.idx > last || nw.conns[c.idx] != c {
		return
	}
	nw.conns[c.idx] = nw.conns[last]
	nw.conns[c.idx].idx = c.idx
	nw.conns[last] = nil
	nw.conns = nw.conns[:last]
	c.idx = -1
}
