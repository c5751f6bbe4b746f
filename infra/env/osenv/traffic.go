// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"cmp"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Traffic is what went between this node and a peer on the connections of one
// port since the node was started, handshakes and encryption included, but not
// what belongs to TCP and below. Only who has proved who it is counts.
type Traffic struct {
	Host           string
	Port           int // of env.PortTree
	Received, Sent int64
	// RawReceived and RawSent are the bytes of the messages alone.
	RawReceived, RawSent int64
	// RTT is the smoothed round-trip time that TCP has measured, the shortest
	// of the connections that live now; 0: not known.
	RTT time.Duration
}

type trafficKey struct {
	host string
	port int
}

// traffic counts what connections carried that are gone.
type traffic struct {
	mu   sync.Mutex
	past map[trafficKey]*Traffic
}

func (t *traffic) of(key trafficKey) *Traffic {
	if t.past == nil {
		t.past = map[trafficKey]*Traffic{}
	}
	x := t.past[key]
	if x == nil {
		x = &Traffic{Host: key.host, Port: key.port}
		t.past[key] = x
	}
	return x
}

// add adds what a connection has carried.
func (t *Traffic) add(c *liveConn) {
	t.Received, t.Sent = t.Received+c.received.Load(), t.Sent+c.sent.Load()
	t.RawReceived, t.RawSent = t.RawReceived+c.rawReceived.Load(), t.RawSent+c.rawSent.Load()
}

// retire keeps what a connection has carried, which ends now.
func (t *traffic) retire(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := t.of(trafficKey{c.Peer().Host, c.port})
	x.add(c.live)
	c.live.retired = true
}

// Traffic lists what went between this node and its peers, by host and port. It
// may be called from anywhere.
func (n *Node) Traffic() []Traffic {
	w := n.net
	w.mu.Lock()
	conns := make([]*conn, 0, len(w.conns))
	for c := range w.conns { // order does not matter: sums, and a minimum
		conns = append(conns, c)
	}
	w.mu.Unlock()
	w.traffic.mu.Lock()
	defer w.traffic.mu.Unlock()
	sums := map[trafficKey]*Traffic{}
	for key, x := range w.traffic.past {
		now := *x
		sums[key] = &now
	}
	for _, c := range conns {
		c.mu.Lock()
		key, live, known := trafficKey{c.peer.Host, c.port}, c.live, c.pumps
		c.mu.Unlock()
		if !known || live.retired {
			continue
		}
		x := sums[key]
		if x == nil {
			x = &Traffic{Host: key.host, Port: key.port}
			sums[key] = x
		}
		x.add(live)
		if rtt := live.rtt(); rtt > 0 && (x.RTT == 0 || rtt < x.RTT) {
			x.RTT = rtt
		}
	}
	list := make([]Traffic, 0, len(sums))
	for _, x := range sums {
		list = append(list, *x)
	}
	slices.SortFunc(list, func(a, b Traffic) int { return cmp.Or(cmp.Compare(a.Host, b.Host), a.Port-b.Port) })
	return list
}

// rtt is 0 if the kernel does not tell.
func (c *liveConn) rtt() time.Duration {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return 0
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	var rtt time.Duration
	// It fails on a connection that has just been closed, which is gone anyway.
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	return rtt
}
