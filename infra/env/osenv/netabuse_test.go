// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"mars/infra/env"
)

func plainly(host string) Security { return plain{env.PeerID{Cluster: "c", Host: host}} }

// hasty makes everything that waits for a peer short.
func hasty(c *NetConfig) {
	c.times = netTimes{dial: patience, handshake: 100 * time.Millisecond, idle: 100 * time.Millisecond,
		dead: 300 * time.Millisecond, stall: 300 * time.Millisecond, flush: 300 * time.Millisecond}
}

func raw(t *testing.T, n *Node, to env.Endpoint) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.net.address(to.Addr, to.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// closedBy waits until the other side has closed c.
func closedBy(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); errors.Is(err, io.ErrNoProgress) || isTimeout(err) {
		t.Fatal("the connection was not closed")
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// TestNetStrangers throws what is no peer at a listener.
func TestNetStrangers(t *testing.T) {
	hi := func(h hello) []byte {
		b, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cases := map[string][]byte{
		"nothing":       {},
		"garbage":       []byte("GET / HTTP/1.1\r\n\r\n"),
		"giant":         {0xff, 0xff, 0xff, 0x7f},
		"short":         {9, 0, 0, 0, 'M', 'A', 'R', 'S', 1, 0, 200, 0, 0},
		"other cluster": hi(hello{id: env.PeerID{Cluster: "d", Host: "a"}}),
		"no name":       hi(hello{id: env.PeerID{Cluster: "c"}}),
		"other port":    hi(hello{port: 2, id: env.PeerID{Cluster: "c", Host: "a"}}),
	}
	securities(t, func(t *testing.T, sec func(string) Security) {
		n, to := netNode(t, sec("b"), hasty)
		listen(t, n.Executor(0), 0, func(c env.Conn) env.ConnHandler {
			t.Errorf("accepted %v", c.Peer())
			return nil
		})
		for name, bytes := range cases {
			t.Run(name, func(t *testing.T) {
				c := raw(t, n, to)
				if _, err := c.Write(bytes); err != nil {
					t.Fatal(err)
				}
				closedBy(t, c)
			})
		}
	})
}

// stranger connects with a proper hello and returns the raw connection.
func stranger(t *testing.T, n *Node, to env.Endpoint) net.Conn {
	t.Helper()
	c := raw(t, n, to)
	b, err := hello{id: env.PeerID{Cluster: "c", Host: "a"}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := readHello(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNetBadPeers are peers that are known and then misbehave.
func TestNetBadPeers(t *testing.T) {
	frame := binary.LittleEndian.AppendUint32(nil, 1000)
	for name, bytes := range map[string][]byte{
		"oversized":  binary.LittleEndian.AppendUint32(nil, env.MaxFrame+1),
		"silent":     {},
		"half frame": append(frame, 'x'),
	} {
		t.Run(name, func(t *testing.T) {
			n, to := netNode(t, plainly("b"), hasty)
			v := newEvents()
			listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return v })
			c := stranger(t, n, to)
			recv(t, v.opened)
			if _, err := c.Write(bytes); err != nil {
				t.Fatal(err)
			}
			if err := recv(t, v.closed); err == nil || len(v.frames) > 0 {
				t.Errorf("%d frames, %v", len(v.frames), err)
			}
			closedBy(t, c)
			free := n.net.receive.TryAcquire(n.net.cfg.MaxReceive)
			if !free {
				t.Error("receive memory is lost")
			}
		})
	}
	t.Run("does not read", func(t *testing.T) {
		n, to := netNode(t, plainly("b"), hasty)
		v := newEvents()
		listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return v })
		stranger(t, n, to)
		recv(t, v.opened)
		on(t, n.Executor(0), func(done func()) {
			for range 32 {
				v.conn.Send(make([]byte, env.MaxFrame))
			}
			done()
		})
		if err := recv(t, v.closed); err == nil {
			t.Error("closed without a reason")
		}
	})
	t.Run("flood", func(t *testing.T) {
		n, to := netNode(t, plainly("b"), nil)
		v := newEvents()
		listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return v })
		stranger(t, n, to)
		recv(t, v.opened)
		on(t, n.Executor(0), func(done func()) {
			for range 2 * maxQueue / env.MaxFrame {
				v.conn.Send(make([]byte, env.MaxFrame))
			}
			done()
		})
		if err := recv(t, v.closed); !errors.Is(err, ErrFlood) {
			t.Error(err)
		}
	})
}

// TestNetKeepalive holds an idle connection for several times the limit.
func TestNetKeepalive(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, _ := pair(t, sec, func(c *NetConfig) {
			hasty(c)
			c.times.dead, c.times.stall = time.Second, time.Second // a busy machine may be late
		})
		timer := make(chan struct{})
		e := na.Executor(0)
		on(t, e, func(done func()) {
			e.NewTimer(func() { close(timer) }).Reset(3 * time.Second)
			done()
		})
		wait(t, timer)
		if len(a.closed)+len(b.closed)+len(a.frames)+len(b.frames) > 0 {
			t.Error("an idle connection had events")
		}
	})
}

func TestNetDialFails(t *testing.T) {
	other := func(cluster, host string) Security { return plain{env.PeerID{Cluster: cluster, Host: host}} }
	deaf, err := net.Listen("tcp", net.JoinHostPort(freshAddr(), "17777"))
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	deafAddr, _, _ := net.SplitHostPort(deaf.Addr().String())
	na, _ := netNode(t, plainly("a"), hasty)
	nb, toB := netNode(t, plainly("b"), nil)
	nc, toC := netNode(t, other("d", "c"), nil)
	nd, toD := netNode(t, authority(t, "c")("d"), hasty)
	for _, n := range []*Node{nb, nc, nd} {
		listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return newEvents() })
	}
	toB.Host = "x"
	for name, to := range map[string]env.Endpoint{
		"nobody listens": {Host: "b", Addr: freshAddr()},
		"never answers":  {Host: "b", Addr: deafAddr},
		"another host":   toB,
		"other cluster":  toC,
		"TLS only":       toD,
		"no address":     {Host: "b", Addr: "b.invalid:"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newEvents()
			dial(t, na.Executor(0), to, v)
			if err := recv(t, v.closed); err == nil || len(v.opened) > 0 {
				t.Errorf("opened %d, %v", len(v.opened), err)
			}
		})
	}
	t.Run("own close", func(t *testing.T) {
		v := newEvents()
		c := dial(t, nb.Executor(0), env.Endpoint{Host: "b", Addr: deafAddr}, v)
		on(t, nb.Executor(0), func(done func()) {
			c.Close()
			c.Close()
			done()
		})
		if err := recv(t, v.closed); err != nil {
			t.Error(err)
		}
	})
}

// TestNetTLSStrangers calls with certificates of others.
func TestNetTLSStrangers(t *testing.T) {
	n, to := netNode(t, authority(t, "c")("b"), nil)
	listen(t, n.Executor(0), 0, func(c env.Conn) env.ConnHandler {
		t.Errorf("accepted %v", c.Peer())
		return nil
	})
	for name, sec := range map[string]Security{
		"other authority": authority(t, "c")("a"),
		"plain":           plainly("a"),
	} {
		t.Run(name, func(t *testing.T) {
			na, _ := netNode(t, sec, nil)
			v := newEvents()
			dial(t, na.Executor(0), to, v)
			if err := recv(t, v.closed); err == nil || len(v.opened) > 0 {
				t.Errorf("opened %d, %v", len(v.opened), err)
			}
		})
	}
	// A certificate of the cluster, and the name of another member.
	makeID := authority(t, "c")
	nb, to := netNode(t, makeID("b"), nil)
	listen(t, nb.Executor(0), 0, func(env.Conn) env.ConnHandler { t.Error("accepted"); return nil })
	liar := makeID("a").(secure)
	liar.plain = plain{env.PeerID{Cluster: "c", Host: "x"}}
	na, _ := netNode(t, liar, nil)
	v := newEvents()
	dial(t, na.Executor(0), to, v)
	if err := recv(t, v.closed); err == nil {
		t.Error("a liar was let in")
	}
}

func TestNetLimits(t *testing.T) {
	n, to := netNode(t, plainly("b"), func(c *NetConfig) { c.MaxUnauthenticated, c.MaxPerPeer = 3, 2 })
	ln := listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return newEvents() })
	first := raw(t, n, to)
	for range 3 {
		raw(t, n, to)
	}
	closedBy(t, first) // the oldest of four that say nothing
	// A member gets in although the places are taken.
	member, _ := netNode(t, plainly("m"), nil)
	v := newEvents()
	dial(t, member.Executor(0), to, v)
	recv(t, v.opened)

	n, to = netNode(t, plainly("b"), func(c *NetConfig) { c.MaxPerPeer = 2 })
	listen(t, n.Executor(0), 0, func(env.Conn) env.ConnHandler { return newEvents() })
	na, _ := netNode(t, plainly("a"), nil)
	for i := range 3 {
		v := newEvents()
		dial(t, na.Executor(0), to, v)
		if i < 2 {
			recv(t, v.opened)
		} else if err := recv(t, v.closed); err == nil {
			t.Error("a third connection of one peer")
		}
	}
	// Nothing to accept with, an address in use, refusal by the owner.
	if err := get(t, n.Executor(0), func() error {
		_, err := n.Executor(0).Net().Listen(0, nil)
		return err
	}); !errors.Is(err, env.ErrInUse) {
		t.Error(err)
	}
	bare := newNode(t, Config{ForceWorkers: true})
	if err := get(t, bare.Executor(0), func() error {
		_, err := bare.Executor(0).Net().Listen(0, nil)
		return err
	}); !errors.Is(err, ErrNoNet) {
		t.Error(err)
	}
	ln.Close()
	ln.Close()
}

func TestNetRefused(t *testing.T) {
	nb, to := netNode(t, plainly("b"), nil)
	listen(t, nb.Executor(0), 0, func(env.Conn) env.ConnHandler { return nil })
	na, _ := netNode(t, plainly("a"), nil)
	v := newEvents()
	dial(t, na.Executor(0), to, v)
	if err := recv(t, v.closed); !errors.Is(err, env.ErrClosed) {
		t.Error(err)
	}
}

func FuzzHello(f *testing.F) {
	b, err := hello{port: 1, id: env.PeerID{Cluster: "c", Host: "h"}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[4:])
	f.Add([]byte("MARS"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		again, err := h.encode()
		if err != nil || string(again[4:]) != string(b) {
			t.Errorf("%q became %q, %v", b, again, err)
		}
	})
}

// TestUntilBeat: whenever connections fell silent, they send their keepalives
// together, long before the peer takes them for dead.
func TestUntilBeat(t *testing.T) {
	w := newNetwork(nil, NetConfig{})
	idle := w.cfg.times.idle
	for past := time.Duration(0); past < 3*idle; past += idle / 7 {
		d := w.untilBeat(w.start.Add(past))
		if d < idle/2 || d > 2*idle || (past+d)%idle != 0 || 2*d > w.cfg.times.dead {
			t.Errorf("%v after the start: %v", past, d)
		}
	}
}
