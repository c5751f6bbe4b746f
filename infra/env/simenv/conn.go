package simenv

import (
	"fmt"
	"time"

	"mars/infra/env"
)

type connState uint8

const (
	stDialing connState = iota
	stHandshake
	stOpen
	stClosing // Close was called, Closed has not come
	stClosed
)

// half is one end of a connection.
type half struct {
	w       *World
	node    *Node
	inc     *incarnation
	ex      *executor
	h       env.ConnHandler
	with    *Node // the other side; nil if nobody has the address
	peer    *half
	id      env.PeerID
	to      env.Endpoint
	server  bool
	started time.Duration
	state   connState
	idx     int // in network.conns; -1: not there

	q       [][]byte // sent, not handed to the network
	queued  int
	high    bool // was above the low-water mark
	pumping bool
	flight  int           // bytes on the way
	stuck   [][]byte      // sent into a cut
	arrive  time.Duration // of the last frame
}

var _ env.Conn = (*half)(nil)

// connEvent is an event of one end, on the executor where that lives now.
type connEvent struct {
	c  *half
	fn func()
}

func (e *connEvent) fire(w *World, _ uint32) bool {
	if e.c.inc.dead || e.c.state == stClosed {
		return false
	}
	w.cur = e.c.ex
	e.fn()
	return true
}

func (c *half) later(s Span, fn func()) {
	c.w.push(c.w.now+c.w.rng.in(s), nil, evNet, &connEvent{c, fn}, 0)
}

func (c *half) Peer() env.PeerID { return c.id }
func (c *half) Queued() int      { return c.queued }

// Move hands the connection over at once.
func (c *half) Move(to env.Env, h env.ConnHandler) {
	ex := to.(*executor)
	if c.inc.dead {
		return
	}
	if ex.inc != c.inc {
		panic("simenv: Move to another process")
	}
	c.ex, c.h = ex, h
}

func (c *half) opened() {
	if c.state != stHandshake {
		return
	}
	c.state = stOpen
	c.h.Opened(c)
	c.kick()
}

func (c *half) Send(f []byte) {
	if len(f) > env.MaxFrame {
		panic(fmt.Sprintf("simenv: frame of %d bytes", len(f)))
	}
	if c.state >= stClosing || c.inc.dead {
		return
	}
	c.w.net.frames++
	c.w.net.bytes += uint64(len(f))
	c.q = append(c.q, c.w.bufs.copyOf(f))
	c.queued += len(f)
	c.high = c.high || c.queued > lowWater
	c.kick()
}

// kick starts the transmission of the next frame.
func (c *half) kick() {
	if c.state != stOpen || c.pumping || len(c.q) == 0 || c.flight >= window || c.inc.dead {
		return
	}
	c.pumping = true
	w, l := c.w, c.w.net.link(c.node, c.with)
	at := w.now + 1
	if l.bw > 0 {
		l.busy = max(w.now, l.busy) + time.Duration(float64(len(c.q[0]))*1e9/float64(l.bw))
		at = l.busy
	}
	w.push(at, nil, evNet, (*pumpEvent)(c), 0)
}

type pumpEvent half

func (e *pumpEvent) fire(w *World, _ uint32) bool {
	c := (*half)(e)
	c.pumping = false
	if c.inc.dead || c.state != stOpen {
		return false
	}
	w.cur = c.ex
	l := w.net.link(c.node, c.with)
	n := 0
	for n < len(c.q) && c.flight < window && (n == 0 || l.bw == 0) {
		f := c.q[n]
		n++
		c.queued -= len(f)
		c.flight += len(f)
		if l.cut || len(c.stuck) > 0 {
			c.stuck = append(c.stuck, f)
		} else {
			c.transmit(f, l.lat)
		}
	}
	rest := copy(c.q, c.q[n:])
	clear(c.q[rest:])
	c.q = c.q[:rest]
	if c.high && c.queued < lowWater {
		c.high = false
		c.h.Drained(c)
	}
	c.kick()
	return true
}

func (c *half) transmit(f []byte, lat Span) {
	w := c.w
	c.arrive = max(w.now+w.rng.in(lat), c.arrive+1)
	var e *frameEvent
	if k := len(w.net.cells); k > 0 {
		e, w.net.cells = w.net.cells[k-1], w.net.cells[:k-1]
	} else {
		e = new(frameEvent)
	}
	e.from, e.f = c, f
	w.push(c.arrive, nil, evFrame, e, 0)
}

// resend sends again what a cut has swallowed.
func (c *half) resend() {
	if c.inc.dead || c.state != stOpen {
		return
	}
	lat := c.w.net.link(c.node, c.with).lat
	lat.Min, lat.Max = lat.Min+200*time.Millisecond, lat.Max+time.Second // retransmission backs off
	stuck := c.stuck
	c.stuck = nil
	for _, f := range stuck {
		c.transmit(f, lat)
	}
}

// frameEvent is the arrival of a frame.
type frameEvent struct {
	from *half
	f    []byte
}

func (e *frameEvent) fire(w *World, _ uint32) bool {
	from, f := e.from, e.f
	*e = frameEvent{}
	w.net.cells = append(w.net.cells, e)
	from.flight -= len(f)
	from.kick()
	to := from.peer
	defer w.bufs.put(f)
	if to == nil || to.inc.dead || to.state != stOpen {
		return false
	}
	w.cur = to.ex
	w.mixBytes(f)
	if w.opt.Trace != nil {
		w.note("frame of %d from %s", len(f), from.node.host)
	}
	to.h.Frame(to, f)
	fill(f, poisonFreed) // valid only during the call
	return true
}

// Close drops what was not handed to the network; what is on the way arrives.
func (c *half) Close() {
	if c.state >= stClosing || c.inc.dead {
		return
	}
	c.state = stClosing
	c.later(c.w.opt.Post, func() { c.finish(nil) })
	c.hangUp(ErrPeerClosed)
}

// hangUp tells the other side that this one is gone, if that is possible.
func (c *half) hangUp(why error) {
	p, w := c.peer, c.w
	if p == nil || p.inc.dead || p.state >= stClosing {
		return
	}
	if l := w.net.link(c.node, c.with); !l.cut {
		at := max(w.now+w.rng.in(l.lat), c.arrive+1)
		w.push(at, nil, evNet, &connEvent{p, func() { p.closed(why) }}, 0)
		return
	}
	p.orphaned()
}

// orphaned: the other end is gone without a word.
func (c *half) orphaned() {
	if c.state < stClosing {
		c.later(Span{deadAfter, deadAfter + keepAlive}, func() { c.closed(ErrDead) })
	}
}

// peerGone tells whether the other end exists no more.
func (c *half) peerGone() bool {
	return c.state < stClosing && c.peer != nil && (c.peer.inc.dead || c.peer.state >= stClosing)
}

// noticeWithin finds out that the other end is gone, if its host answers.
func (c *half) noticeWithin(d time.Duration) {
	c.later(Span{0, d}, func() {
		nw := &c.w.net
		if !c.with.lost && !nw.link(c.node, c.with).cut && !nw.link(c.with, c.node).cut {
			c.closed(ErrReset)
		}
	})
}

// die ends a connection that this side has found dead, and tells the other.
func (c *half) die(why error) {
	if c.state >= stClosing || c.inc.dead {
		return
	}
	c.closeSoon(why)
	c.hangUp(ErrReset)
}

func (c *half) closeSoon(why error) {
	c.later(Span{0, time.Millisecond}, func() { c.closed(why) })
}

// closed ends the connection from outside.
func (c *half) closed(why error) {
	if c.state < stClosing {
		c.finish(why)
	}
}

func (c *half) finish(why error) {
	if why != nil {
		peer := c.to.Host
		if c.server {
			peer = c.id.Host
		}
		why = fmt.Errorf("%s: %w", peer, why)
	}
	c.state = stClosed
	c.w.net.drop(c)
	for _, f := range append(c.q, c.stuck...) {
		c.w.bufs.put(f)
	}
	c.q, c.stuck, c.queued = nil, nil, 0
	if p := c.peer; p != nil && p.state < stClosing && !p.inc.dead && why != nil {
		p.orphaned() // in case nothing else tells it
	}
	c.h.Closed(c, why)
}
