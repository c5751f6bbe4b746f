package simenv

import (
	"fmt"
	"time"

	"mars/infra/env"
)

type nodeNet struct{ ex *executor }

// listener is one port of one process.
type listener struct {
	ex     *executor
	port   int
	accept func(env.Conn) env.ConnHandler
	closed bool
}

func (l *listener) Close() { l.closed = true }

// Listen accepts from now on.
func (nt *nodeNet) Listen(port int, accept func(env.Conn) env.ConnHandler) (env.Listener, error) {
	inc := nt.ex.inc
	if inc.dead {
		return nil, env.ErrCrashed
	}
	if inc.listener(port) != nil {
		return nil, fmt.Errorf("listen on port +%d: %w", port, env.ErrInUse)
	}
	l := &listener{ex: nt.ex, port: port, accept: accept}
	inc.listeners = append(inc.listeners, l)
	return l, nil
}

func (inc *incarnation) listener(port int) *listener {
	for _, l := range inc.listeners {
		if l.port == port && !l.closed {
			return l
		}
	}
	return nil
}

// Dial starts a connection.
func (nt *nodeNet) Dial(to env.Endpoint, h env.ConnHandler) env.Conn {
	ex := nt.ex
	w := ex.w
	c := &half{w: w, node: ex.inc.node, inc: ex.inc, ex: ex, h: h, to: to, idx: -1, started: w.now}
	if ex.inc.dead {
		c.state = stClosed
		return c
	}
	c.findPeer()
	w.net.register(c)
	c.later(c.dialTime(), c.dial)
	return c
}

func (nw *network) register(c *half) {
	c.idx = len(nw.conns)
	nw.conns = append(nw.conns, c)
}

func (c *half) findPeer() {
	for _, n := range c.w.nodes {
		if n.addr == c.to.Addr {
			c.with = n
		}
	}
}

func (c *half) dialTime() Span {
	if c.with == nil {
		return c.w.opt.Latency
	}
	return c.w.net.link(c.node, c.with).lat
}

// dial is the arrival of the first packet at the other side.
func (c *half) dial() {
	w := c.w
	if c.state != stDialing {
		return
	}
	c.findPeer()
	if c.with == nil || c.with.lost || w.net.link(c.node, c.with).cut || w.net.link(c.with, c.node).cut {
		if w.now-c.started >= deadAfter {
			c.closed(ErrDial)
			return
		}
		c.later(Span{900 * time.Millisecond, 1100 * time.Millisecond}, c.dial)
		return
	}
	back := w.net.link(c.with, c.node).lat
	var l *listener
	if c.with.up {
		l = c.with.inc.listener(c.to.Port)
	}
	if l == nil {
		c.later(back, func() { c.closed(ErrRefused) })
		return
	}
	if c.to.Host != c.with.host {
		c.later(back, func() { c.closed(ErrIdentity) })
		return
	}
	c.accepted(l, back)
}

// accepted makes the other end.
func (c *half) accepted(l *listener, back Span) {
	w := c.w
	s := &half{w: w, node: c.with, inc: l.ex.inc, ex: l.ex, with: c.node, idx: -1, state: stHandshake, peer: c, server: true}
	s.id = env.PeerID{Cluster: c.node.opt.Cluster, Host: c.node.host}
	w.cur = l.ex
	h := l.accept(s)
	if s.h == nil {
		s.h = h
	}
	if s.h == nil || s.state != stHandshake || s.inc.dead {
		s.state = stClosed
		c.later(back, func() { c.closed(ErrReset) })
		return
	}
	w.net.register(s)
	c.state, c.peer = stHandshake, s
	c.id = env.PeerID{Cluster: s.node.opt.Cluster, Host: s.node.host}
	tc, ts := w.now+w.rng.in(back), w.now+w.rng.in(back)
	c.arrive, s.arrive = ts, tc // frames come behind Opened
	w.push(tc, nil, evNet, &connEvent{c, c.opened}, 0)
	w.push(ts, nil, evNet, &connEvent{s, s.opened}, 0)
}
