// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mars/infra/env"
)

// plain is a Security without any.
type plain struct{ id env.PeerID }

func (p plain) Server() *tls.Config       { return nil }
func (p plain) Client(string) *tls.Config { return nil }
func (p plain) Self() env.PeerID          { return p.id }
func (p plain) Peer(tls.ConnectionState) (env.PeerID, error) {
	return env.PeerID{}, errors.New("plain")
}

// secure is a Security with certificates of a test's own authority.
type secure struct {
	plain
	pool *x509.CertPool
	cert tls.Certificate
}

func (s secure) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}, ClientCAs: s.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		InsecureSkipVerify: true, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			cert, err := x509.ParseCertificate(raw[0])
			if err != nil {
				return err
			}
			_, err = cert.Verify(x509.VerifyOptions{Roots: s.pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
			return err
		}}
}
func (s secure) Server() *tls.Config       { return s.config() }
func (s secure) Client(string) *tls.Config { return s.config() }
func (s secure) Peer(st tls.ConnectionState) (env.PeerID, error) {
	u := st.PeerCertificates[0].URIs[0]
	return env.PeerID{Cluster: u.Host, Host: strings.TrimPrefix(u.Path, "/")}, nil
}

// authority makes a maker of identities of one cluster.
func authority(t *testing.T, cluster string) func(host string) Security {
	t.Helper()
	template := func(host string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
			URIs: []*url.URL{{Scheme: "mars", Host: cluster, Path: "/" + host}}}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	pub, caKey, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	ca := template("ca")
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, pub, caKey)
	must(err)
	ca, err = x509.ParseCertificate(der)
	must(err)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return func(host string) Security {
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		must(err)
		der, err := x509.CreateCertificate(rand.Reader, template(host), ca, pub, caKey)
		must(err)
		return secure{plain: plain{env.PeerID{Cluster: cluster, Host: host}}, pool: pool,
			cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
	}
}

// testPort is the base port of all tests; every node has an address of its own.
const testPort = 17777

var lastAddr atomic.Uint32

func freshAddr() string {
	var seed [2]byte
	_, _ = rand.Read(seed[:]) // other processes run tests, too
	return fmt.Sprintf("127.%d.%d.%d", 1+seed[0]%250, seed[1], 1+lastAddr.Add(1)%250)
}

// securities runs a test with TLS and without.
func securities(t *testing.T, fn func(t *testing.T, sec func(host string) Security)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) {
		fn(t, func(host string) Security { return plain{env.PeerID{Cluster: "c", Host: host}} })
	})
	t.Run("tls", func(t *testing.T) { fn(t, authority(t, "c")) })
}

// netNode starts a node with a network; tune may change its configuration.
func netNode(t *testing.T, sec Security, tune func(*NetConfig)) (*Node, env.Endpoint) {
	t.Helper()
	cfg := Config{ForceWorkers: true, Net: NetConfig{Addr: freshAddr(), Port: testPort, Security: sec}}
	if tune != nil {
		tune(&cfg.Net)
	}
	return newNode(t, cfg), env.Endpoint{Host: sec.Self().Host, Addr: cfg.Net.Addr}
}

// events is a ConnHandler that tells what comes over a channel.
type events struct {
	opened, drained chan struct{}
	frames          chan []byte
	closed          chan error
	onFrame         func(c env.Conn, f []byte)
	conn            env.Conn
}

func newEvents() *events {
	return &events{opened: make(chan struct{}, 1), drained: make(chan struct{}, 100),
		frames: make(chan []byte, 10000), closed: make(chan error, 1)}
}

func (v *events) Opened(c env.Conn)  { v.conn = c; v.opened <- struct{}{} }
func (v *events) Drained(c env.Conn) { v.drained <- struct{}{} }
func (v *events) Frame(c env.Conn, f []byte) {
	if v.onFrame != nil {
		v.onFrame(c, f)
		return
	}
	v.frames <- bytes.Clone(f)
}
func (v *events) Closed(c env.Conn, err error) { v.closed <- err }

func recv[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v := <-c:
		return v
	case <-limit.C:
		t.Fatal("no progress")
		panic("unreachable")
	}
}

func listen(t *testing.T, e env.Env, port int, accept func(env.Conn) env.ConnHandler) env.Listener {
	t.Helper()
	var ln env.Listener
	err := get(t, e, func() (err error) {
		ln, err = e.Net().Listen(port, accept)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dial(t *testing.T, e env.Env, to env.Endpoint, v *events) env.Conn {
	t.Helper()
	return get(t, e, func() env.Conn { return e.Net().Dial(to, v) })
}

// pair connects two nodes.
func pair(t *testing.T, sec func(string) Security, tune func(*NetConfig)) (a, b *events, na, nb *Node) {
	t.Helper()
	na, _ = netNode(t, sec("a"), tune)
	nb, to := netNode(t, sec("b"), tune)
	a, b = newEvents(), newEvents()
	to.Port = env.PortLog
	listen(t, nb.Executor(0), to.Port, func(c env.Conn) env.ConnHandler {
		if c.Peer() != (env.PeerID{Cluster: "c", Host: "a"}) {
			t.Errorf("accepted %v", c.Peer())
		}
		return b
	})
	dial(t, na.Executor(0), to, a)
	recv(t, a.opened)
	recv(t, b.opened)
	if p := a.conn.Peer(); p != (env.PeerID{Cluster: "c", Host: "b"}) {
		t.Errorf("connected to %v", p)
	}
	return a, b, na, nb
}

func TestNetFrames(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, nb := pair(t, sec, nil)
		sizes := []int{1, 100, 4096, 65536, 65537, env.MaxFrame}
		for _, dir := range []struct {
			e        env.Env
			from, to *events
		}{{na.Executor(0), a, b}, {nb.Executor(0), b, a}} {
			on(t, dir.e, func(done func()) {
				for i, n := range sizes {
					buf := fill(make([]byte, n), byte(i))
					dir.from.conn.Send(buf)
					fill(buf, 0xff) // Send has copied
				}
				done()
			})
			for i, n := range sizes {
				if f := recv(t, dir.to.frames); len(f) != n || !bytes.Equal(f, fill(make([]byte, n), byte(i))) {
					t.Fatalf("frame %d: %d bytes", i, len(f))
				}
			}
		}
		// What was sent before Close arrives.
		on(t, na.Executor(0), func(done func()) {
			for range 40 {
				a.conn.Send(make([]byte, 100000))
			}
			a.conn.Close()
			a.conn.Send([]byte("late"))
			done()
		})
		if err := recv(t, a.closed); err != nil {
			t.Error(err)
		}
		if err := recv(t, b.closed); !errors.Is(err, env.ErrClosed) {
			t.Error(err)
		}
		if len(b.frames) != 40 {
			t.Errorf("%d of 40 frames came", len(b.frames))
		}
	})
}

// TestNetBackpressure lets a handler stand still: the sender's queue grows, the
// receiver's memory does not; then all comes in order and Drained is told.
func TestNetBackpressure(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, nb := pair(t, sec, nil)
		const frames, length = 48, 512 << 10
		gate, got := make(chan struct{}), make(chan int, frames)
		on(t, nb.Executor(0), func(done func()) {
			b.onFrame = func(c env.Conn, f []byte) {
				<-gate
				got <- int(f[0])
			}
			done()
		})
		on(t, na.Executor(0), func(done func()) {
			buf := make([]byte, length)
			for i := range frames {
				buf[0] = byte(i)
				a.conn.Send(buf)
			}
			done()
		})
		close(gate)
		most := 0
		for i := range frames {
			if n := recv(t, got); n != i {
				t.Fatalf("frame %d came as number %d", n, i)
			}
			c := b.conn.(*conn)
			c.mu.Lock()
			most = max(most, c.inBytes)
			c.mu.Unlock()
		}
		if most > maxInbox+2*env.MaxFrame {
			t.Errorf("%d bytes were waiting", most)
		}
		recv(t, a.drained)
	})
}

// TestNetMove moves an accepted connection while frames arrive.
func TestNetMove(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, nb := pair(t, sec, nil)
		other := newEvents()
		const frames = 2000
		seen := 0
		on(t, nb.Executor(0), func(done func()) {
			b.onFrame = func(c env.Conn, f []byte) {
				b.frames <- bytes.Clone(f)
				if seen++; seen == 10 {
					c.Move(nb.Executor(1), other)
				}
			}
			done()
		})
		on(t, na.Executor(0), func(done func()) {
			for i := range frames {
				a.conn.Send([]byte{byte(i), byte(i >> 8)})
			}
			a.conn.Close()
			done()
		})
		recv(t, other.closed)
		if len(b.frames) != 10 || len(other.frames) != frames-10 {
			t.Fatalf("%d and %d frames", len(b.frames), len(other.frames))
		}
		for i := range frames {
			from := b.frames
			if i >= 10 {
				from = other.frames
			}
			if f := <-from; int(f[0])|int(f[1])<<8 != i {
				t.Fatalf("frame %d came as %v", i, f)
			}
		}
	})
}

// TestNetMoveInAccept has the listener give connections away at once.
func TestNetMoveInAccept(t *testing.T) {
	sec := func(host string) Security { return plain{env.PeerID{Cluster: "c", Host: host}} }
	na, _ := netNode(t, sec("a"), nil)
	nb, to := netNode(t, sec("b"), nil)
	a, b := newEvents(), newEvents()
	listen(t, nb.Executor(0), 0, func(c env.Conn) env.ConnHandler {
		c.Move(nb.Executor(1), b)
		return b
	})
	c := dial(t, na.Executor(0), to, a)
	on(t, na.Executor(0), func(done func()) {
		c.Send([]byte("early")) // before Opened
		done()
	})
	recv(t, b.opened)
	if f := recv(t, b.frames); string(f) != "early" {
		t.Errorf("%q", f)
	}
	on(t, nb.Executor(1), func(done func()) {
		b.conn.Close()
		done()
	})
	if err := recv(t, b.closed); err != nil {
		t.Error(err)
	}
	recv(t, a.closed)
}

// TestNetNodeClose ends a node with open connections.
func TestNetNodeClose(t *testing.T) {
	securities(t, func(t *testing.T, sec func(string) Security) {
		a, b, na, nb := pair(t, sec, nil)
		if err := na.Close(patience); err != nil {
			t.Fatal(err)
		}
		if err := recv(t, a.closed); !errors.Is(err, env.ErrClosed) {
			t.Error(err)
		}
		if err := recv(t, b.closed); err == nil {
			t.Error("closed without a reason")
		}
		if err := nb.Close(patience); err != nil {
			t.Fatal(err)
		}
	})
}
