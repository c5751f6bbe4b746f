// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"mars/infra/env"
)

// liveConn is a TCP connection on which every read and write has its time, and
// which can be given a last moment for either. All of it is told by the
// monotonic clock: a system clock that is stepped ends no connection, nor does it
// keep a dead one alive.
type liveConn struct {
	net.Conn
	times     *netTimes
	made      time.Time    // with its monotonic reading, from which moments count
	lastRead  atomic.Int64 // nanoseconds after made, 0: none
	lastWrite atomic.Int64

	received, sent       atomic.Int64 // bytes
	rawReceived, rawSent atomic.Int64 // of those, the messages'
	retired              bool         // counted by traffic, whose lock guards it
}

func newLiveConn(nc net.Conn, times *netTimes) *liveConn {
	return &liveConn{Conn: nc, times: times, made: time.Now()}
}

// before is d from now, or the last moment if that comes first.
func (c *liveConn) before(d time.Duration, last int64) time.Time {
	if at := c.after(d); last == 0 || at < last {
		last = at
	}
	return c.made.Add(time.Duration(last))
}

// after is the moment d from now.
func (c *liveConn) after(d time.Duration) int64 { return int64(time.Since(c.made) + d) }

func (c *liveConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(c.before(c.times.dead, c.lastRead.Load())); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.received.Add(int64(n))
	return n, err
}

func (c *liveConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.before(c.times.stall, c.lastWrite.Load())); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// limit sets the last moment for reads and writes, d from now; 0 lifts it.
func (c *liveConn) limit(d time.Duration) {
	c.limitRead(d)
	c.lastWrite.Store(c.lastRead.Load())
}

// limitRead is limit for reads alone.
func (c *liveConn) limitRead(d time.Duration) {
	var last int64
	if d > 0 {
		last = c.after(d)
	}
	c.lastRead.Store(last)
}

// runDialed is the goroutine of a connection that this node makes.
func (c *conn) runDialed(to env.Endpoint) {
	defer c.w.remove(c)
	defer c.cancel()
	times := &c.w.cfg.times
	d := net.Dialer{Timeout: times.dial}
	nc, err := d.DialContext(c.ctx, "tcp", c.w.address(to.Addr, to.Port))
	if err != nil {
		c.end(fmt.Errorf("dial %s: %w", to, err))
		return
	}
	live := newLiveConn(nc, times)
	if !c.hold(live) {
		return
	}
	live.limit(times.handshake)
	stream, peer, err := c.greet(live, to)
	if err != nil {
		c.end(fmt.Errorf("connect to %s: %w", to, err))
		return
	}
	live.limit(0)
	c.pump(stream, peer)
}

// greet proves who we are and learns who the called one is.
func (c *conn) greet(live *liveConn, to env.Endpoint) (net.Conn, env.PeerID, error) {
	sec := c.w.cfg.Security
	var stream net.Conn = live
	var peer env.PeerID
	cfg := sec.Client(to.Host)
	if cfg != nil {
		tc := tls.Client(live, strict(cfg))
		var err error
		if peer, err = handshake(tc, sec); err != nil {
			return nil, peer, err
		}
		stream = tc
	}
	if err := c.sayHello(stream); err != nil {
		return nil, peer, err
	}
	h, err := readHello(stream)
	if err == io.EOF {
		err = errors.New("the peer refused")
	}
	if err != nil {
		return nil, peer, err
	}
	if peer, err = c.verify(h, peer, cfg != nil); err == nil && peer.Host != to.Host {
		err = fmt.Errorf("host %q answers", peer.Host)
	}
	return stream, peer, err
}

// runAccepted is the goroutine of a connection that a peer made.
func (c *conn) runAccepted(nc net.Conn) {
	defer c.w.remove(c)
	defer c.cancel()
	times := &c.w.cfg.times
	live := newLiveConn(nc, times)
	if !c.hold(live) {
		c.w.known(c)
		return
	}
	live.limit(times.handshake)
	stream, peer, err := c.welcome(live)
	c.w.known(c)
	if err != nil {
		c.w.refuse(nc.RemoteAddr(), err)
		c.end(err)
		return
	}
	defer c.w.leave(peer)
	live.limit(0)
	c.pump(stream, peer)
}

// welcome learns who calls, and only then tells who we are. On success the
// peer was counted by enter.
func (c *conn) welcome(live *liveConn) (net.Conn, env.PeerID, error) {
	sec := c.w.cfg.Security
	var stream net.Conn = live
	var peer env.PeerID
	cfg := sec.Server()
	if cfg != nil {
		tc := tls.Server(live, strict(cfg))
		var err error
		if peer, err = handshake(tc, sec); err != nil {
			return nil, peer, err
		}
		stream = tc
	}
	h, err := readHello(stream)
	if err != nil {
		return nil, peer, err
	}
	if peer, err = c.verify(h, peer, cfg != nil); err != nil {
		return nil, peer, err
	}
	if err := c.w.enter(peer); err != nil {
		return nil, peer, err
	}
	if err := c.sayHello(stream); err != nil {
		c.w.leave(peer)
		return nil, peer, err
	}
	return stream, peer, nil
}

// strict allows TLS 1.3 only, whatever the configuration says.
func strict(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS13, tls.VersionTLS13
	return cfg
}

func handshake(tc *tls.Conn, sec Security) (env.PeerID, error) {
	// The limit of the connection below bounds it.
	if err := tc.Handshake(); err != nil {
		return env.PeerID{}, err
	}
	state := tc.ConnectionState()
	if len(state.PeerCertificates) == 0 {
		return env.PeerID{}, errors.New("the peer has no certificate")
	}
	return sec.Peer(state)
}

func (c *conn) sayHello(w io.Writer) error {
	b, err := hello{port: byte(c.port), id: c.w.cfg.Security.Self()}.encode()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// verify checks a hello against what is known, and returns who the peer is.
func (c *conn) verify(h hello, proved env.PeerID, tls bool) (env.PeerID, error) {
	if tls && h.id != proved {
		return proved, fmt.Errorf("says it is %q of %q, but proved %q of %q", h.id.Host, h.id.Cluster, proved.Host, proved.Cluster)
	}
	if h.id.Host == "" || h.id.Cluster != c.w.cfg.Security.Self().Cluster {
		return h.id, fmt.Errorf("%q belongs to another cluster, %q", h.id.Host, h.id.Cluster)
	}
	if int(h.port) != c.port {
		return h.id, fmt.Errorf("%w: for port +%d", errHello, h.port)
	}
	return h.id, nil
}
