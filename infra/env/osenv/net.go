// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"mars/infra/env"
	"mars/infra/measure"

	"golang.org/x/sync/semaphore"
)

// Security is who this node is and how it knows its peers. Its methods are
// called from many goroutines.
type Security interface {
	// Server is the TLS configuration to accept with; nil: plain TCP, on
	// which peers are believed what they say.
	Server() *tls.Config
	// Client is the TLS configuration to call host with; nil: plain TCP.
	Client(host string) *tls.Config
	// Peer tells who proved to be at the other end, or why nobody did.
	Peer(tls.ConnectionState) (env.PeerID, error)
	// Self is this node's identity.
	Self() env.PeerID
}

// NetConfig is how a node talks to its peers. Zero values are the defaults.
type NetConfig struct {
	Addr     string   // own IP address, to listen on
	Port     int      // of env.PortTree; the others follow; 0: 7777
	Security Security // nil: no network

	MaxUnauthenticated int   // connections that have not proved who they are; 0: 64
	MaxPerPeer         int   // accepted connections of one peer; 0: 128
	MaxReceive         int64 // bytes of frames received and not yet delivered, of all connections; 0: 64 MiB

	times netTimes // other than the default in tests only
}

// netTimes are the delays of the network.
type netTimes struct {
	dial      time.Duration // until connected
	handshake time.Duration // from there until both sides are known
	idle      time.Duration // between keepalives: silence of half to one and a half of it
	dead      time.Duration // silence after which the peer is dead
	stall     time.Duration // one write to the network
	flush     time.Duration // what was sent before Close
}

const (
	defaultPort       = 7777
	defaultUnauth     = 64
	defaultPerPeer    = 128
	defaultMaxReceive = 64 << 20
)

var defaultTimes = netTimes{
	dial: 5 * time.Second, handshake: 5 * time.Second,
	idle: 5 * time.Second, dead: 20 * time.Second,
	stall: time.Minute, flush: 2 * time.Second,
}

func (c NetConfig) withDefaults() NetConfig {
	if c.Port == 0 {
		c.Port = defaultPort
	}
	if c.MaxUnauthenticated == 0 {
		c.MaxUnauthenticated = defaultUnauth
	}
	if c.MaxPerPeer == 0 {
		c.MaxPerPeer = defaultPerPeer
	}
	if c.MaxReceive == 0 {
		c.MaxReceive = defaultMaxReceive
	}
	// A frame must fit, or its connection would wait for ever.
	c.MaxReceive = max(c.MaxReceive, env.MaxFrame)
	if c.times == (netTimes{}) {
		c.times = defaultTimes
	}
	return c
}

// ErrNoNet is the answer where no Security was configured.
var ErrNoNet = errors.New("network not configured")

// network is what the connections of a node share.
type network struct {
	n       *Node
	cfg     NetConfig
	receive *semaphore.Weighted // bytes of MaxReceive
	frames  framePools
	traffic traffic
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup // all goroutines

	mu        sync.Mutex
	closed    bool
	conns     map[*conn]struct{}
	listeners map[*listener]struct{}
	unproven  []*conn // accepted, in order of arrival, that have not proved who they are
	perPeer   map[env.PeerID]int
	start     time.Time
	refusals  measure.Seldom // of connections, by address and reason
}

func newNetwork(n *Node, cfg NetConfig) *network {
	cfg = cfg.withDefaults()
	w := &network{n: n, cfg: cfg, receive: semaphore.NewWeighted(cfg.MaxReceive),
		start: time.Now(), conns: make(map[*conn]struct{}), listeners: make(map[*listener]struct{}), perPeer: make(map[env.PeerID]int)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// close ends listeners and connections; the channel tells when all goroutines
// have ended.
func (w *network) close() <-chan struct{} {
	w.mu.Lock()
	w.closed = true
	conns := make([]*conn, 0, len(w.conns))
	for c := range w.conns {
		conns = append(conns, c)
	}
	listeners := make([]*listener, 0, len(w.listeners))
	for l := range w.listeners {
		listeners = append(listeners, l)
	}
	w.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	for _, c := range conns {
		c.end(env.ErrClosed)
	}
	w.cancel()
	done := make(chan struct{})
	go func() {
		w.wg.Wait()
		close(done)
	}()
	return done
}

// errCrowded ends the oldest of too many connections that have proved nothing.
var errCrowded = errors.New("too many connections that have not proved who they are")

// add registers a connection and its goroutine, unless the node is closing. Of
// too many accepted ones that have not proved who they are the oldest goes: a
// member proves itself within milliseconds, so that strangers who sit there
// silently do not keep it out.
func (w *network) add(c *conn, accepted bool) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return env.ErrClosed
	}
	var oldest *conn
	if accepted {
		if len(w.unproven) >= w.cfg.MaxUnauthenticated {
			oldest, w.unproven = w.unproven[0], w.unproven[1:]
		}
		w.unproven = append(w.unproven, c)
	}
	w.conns[c] = struct{}{}
	w.wg.Add(1)
	w.mu.Unlock()
	if oldest != nil {
		oldest.end(errCrowded)
	}
	return nil
}

func (w *network) remove(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	w.wg.Done()
}

// known ends the count of a connection as unauthenticated.
func (w *network) known(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unproven = slices.DeleteFunc(w.unproven, func(x *conn) bool { return x == c })
}

// enter counts an accepted connection of a peer.
func (w *network) enter(p env.PeerID) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.perPeer[p] >= w.cfg.MaxPerPeer {
		return fmt.Errorf("%d connections of %s are too many", w.perPeer[p]+1, p.Host)
	}
	w.perPeer[p]++
	return nil
}

func (w *network) leave(p env.PeerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.perPeer[p]--; w.perPeer[p] <= 0 {
		delete(w.perPeer, p)
	}
}

// refuse logs a refused connection, seldom: anybody can make any number of them.
func (w *network) refuse(from net.Addr, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	host, _, split := net.SplitHostPort(from.String())
	if split != nil {
		host = from.String()
	}
	missed, ok := w.refusals.Say(host+": "+reason(err), time.Since(w.start))
	if w.closed || !ok {
		return
	}
	w.n.log.Warn("connection refused", "from", from.String(), "err", err, "more of these", missed)
}

// reason is the same text for errors of the same sort: without the addresses
// and ports.
func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return err.Error()
}

func (w *network) address(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(w.cfg.Port+port))
}

// nets is env.Net of one executor.
type nets struct{ e *Executor }

// Net connects to peers and listens.
func (e *Executor) Net() env.Net { return nets{e} }

func (ns nets) Dial(to env.Endpoint, h env.ConnHandler) env.Conn {
	w := ns.e.node.net
	c := newConn(w, ns.e, to.Port)
	c.h = h
	err := ErrNoNet
	if w.cfg.Security != nil {
		err = w.add(c, false)
	}
	if err != nil {
		c.end(fmt.Errorf("dial %s: %w", to, err))
		return c
	}
	go c.runDialed(to)
	return c
}

func (ns nets) Listen(port int, accept func(env.Conn) env.ConnHandler) (env.Listener, error) {
	w := ns.e.node.net
	if w.cfg.Security == nil || w.cfg.Addr == "" {
		return nil, fmt.Errorf("listen on port +%d: %w", port, ErrNoNet)
	}
	addr := w.address(w.cfg.Addr, port)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, wrap("listen", addr, err)
	}
	l := &listener{w: w, e: ns.e, ln: ln, port: port, accept: accept}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		_ = ln.Close() // never used
		return nil, env.ErrClosed
	}
	w.listeners[l] = struct{}{}
	w.wg.Add(1)
	go l.run()
	return l, nil
}

// listener accepts connections for one executor.
type listener struct {
	w      *network
	e      *Executor
	ln     net.Listener
	port   int
	accept func(env.Conn) env.ConnHandler
	once   sync.Once
}

// Close stops accepting.
func (l *listener) Close() {
	l.once.Do(func() { _ = l.ln.Close() }) // nothing to lose
}

// acceptPause is the wait after a failed accept, which is mostly for want of
// descriptors.
const acceptPause = 50 * time.Millisecond

func (l *listener) run() {
	defer l.w.wg.Done()
	defer func() {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		delete(l.w.listeners, l)
	}()
	for {
		nc, err := l.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.w.n.log.Warn("accept failed", "port", l.port, "err", err)
			pause := time.NewTimer(acceptPause)
			select {
			case <-pause.C:
			case <-l.w.ctx.Done():
				pause.Stop()
			}
			continue
		}
		c := newConn(l.w, l.e, l.port)
		c.accept = l.accept
		if err := l.w.add(c, true); err != nil {
			c.cancel()
			l.w.refuse(nc.RemoteAddr(), err)
			_ = nc.Close() // never used
			continue
		}
		go c.runAccepted(nc)
	}
}
