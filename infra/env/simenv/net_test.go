package simenv

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"mars/infra/env"
)

// end records what a connection end is told.
type end struct {
	t       *testing.T
	conn    env.Conn
	opened  int
	drained int
	frames  []uint32
	bytes   int
	closed  int
	err     error
	onFrame func(f []byte)
}

func (e *end) Opened(c env.Conn) { e.opened++; e.conn = c; e.alive() }
func (e *end) Drained(env.Conn)  { e.drained++; e.alive() }
func (e *end) Closed(_ env.Conn, err error) {
	e.alive()
	e.closed++
	e.err = err
}
func (e *end) Frame(_ env.Conn, f []byte) {
	if e.opened != 1 {
		e.t.Error("frame before Opened")
	}
	e.alive()
	e.bytes += len(f)
	if len(f) >= 4 {
		e.frames = append(e.frames, binary.LittleEndian.Uint32(f))
	}
	if e.onFrame != nil {
		e.onFrame(f)
	}
}
func (e *end) alive() {
	e.t.Helper()
	if e.closed > 0 {
		e.t.Error("event after Closed")
	}
}

func num(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(i)) }

type netRig struct {
	w    *World
	a, b *Node
	c, s *end
}

func newNetRig(t *testing.T, seed uint64) *netRig {
	w := New(seed, Options{})
	r := &netRig{w: w, c: &end{t: t}, s: &end{t: t}}
	r.a = w.AddNode("a", "10.0.0.1", NodeOptions{Cluster: "u1"})
	r.b = w.AddNode("b", "10.0.0.2", NodeOptions{Cluster: "u2"})
	if _, err := r.b.Env(1).Net().Listen(env.PortLog, func(c env.Conn) env.ConnHandler {
		if c.Peer() != (env.PeerID{Cluster: "u1", Host: "a"}) {
			t.Error("server sees", c.Peer())
		}
		return r.s
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *netRig) dial(t *testing.T) {
	t.Helper()
	r.c.conn = r.a.Env(0).Net().Dial(env.Endpoint{Host: "b", Addr: "10.0.0.2", Port: env.PortLog}, r.c)
	r.wait(t, time.Minute, func() bool { return r.c.opened == 1 && r.s.opened == 1 })
	if r.c.conn.Peer() != (env.PeerID{Cluster: "u2", Host: "b"}) {
		t.Fatal("client sees", r.c.conn.Peer())
	}
}

func (r *netRig) wait(t *testing.T, d time.Duration, until func() bool) {
	t.Helper()
	if err := r.w.Run(until, d); err != nil {
		t.Fatal(err)
	}
}

func inOrder(f []uint32) bool {
	for i, v := range f {
		if v != uint32(i) {
			return false
		}
	}
	return true
}

func TestFramesInOrderAndDrained(t *testing.T) {
	for seed := range uint64(20) {
		r := newNetRig(t, seed)
		r.w.SetLink(r.a, r.b, Span{time.Millisecond, 50 * time.Millisecond}, 10<<20)
		r.dial(t)
		const frames = 200
		buf := make([]byte, 8192)
		for i := range frames {
			copy(buf, num(i))
			r.c.conn.Send(buf)
		}
		if q := r.c.conn.Queued(); q < 200*8192-lowWater {
			t.Fatal("queued", q)
		}
		start := r.w.Now()
		r.wait(t, time.Minute, func() bool { return len(r.s.frames) == frames })
		if !inOrder(r.s.frames) {
			t.Fatal("out of order")
		}
		if r.c.drained != 1 || r.c.conn.Queued() != 0 {
			t.Fatal("drained", r.c.drained)
		}
		if d := r.w.Now() - start; d < 150*time.Millisecond {
			t.Fatal("1.6 MB at 10 MiB/s took", d)
		}
		r.c.conn.Close()
		r.wait(t, time.Minute, func() bool { return r.c.closed == 1 && r.s.closed == 1 })
		if r.c.err != nil || !errors.Is(r.s.err, ErrPeerClosed) || r.w.Connections() != 0 {
			t.Fatal(r.c.err, r.s.err)
		}
	}
}

func TestShortCutDelaysLongCutKills(t *testing.T) {
	for _, oneWay := range []bool{true, false} {
		r := newNetRig(t, 7)
		r.dial(t)
		r.w.Cut(r.a, r.b, oneWay)
		for i := range 10 {
			r.c.conn.Send(num(i))
		}
		r.w.RunFor(5 * time.Second)
		if len(r.s.frames) != 0 {
			t.Fatal("frames through a cut")
		}
		r.w.Heal(r.a, r.b)
		r.c.conn.Send(num(10))
		r.wait(t, time.Minute, func() bool { return len(r.s.frames) == 11 })
		if !inOrder(r.s.frames) {
			t.Fatal(r.s.frames)
		}
		r.w.Cut(r.a, r.b, oneWay)
		start := r.w.Now()
		r.wait(t, time.Minute, func() bool { return r.s.closed == 1 && r.c.closed == 1 })
		if d := r.w.Now() - start; d < deadAfter || d > deadAfter+keepAlive+time.Second || !errors.Is(r.s.err, ErrDead) {
			t.Fatal(d, r.s.err)
		}
	}
}

func TestPeerDeath(t *testing.T) {
	kinds := map[string]func(r *netRig){
		"kill":  func(r *netRig) { r.b.Kill() },
		"crash": func(r *netRig) { r.b.Crash(Zero()) },
		"crash and start": func(r *netRig) {
			r.b.Crash(Zero())
			r.w.In(time.Second, r.b.Start)
		},
		"reset": func(r *netRig) { r.w.Reset(r.a, r.b) },
		"kill in a cut": func(r *netRig) {
			r.w.Cut(r.a, r.b, false)
			r.b.Kill()
			r.w.In(time.Second, func() { r.w.HealAll() })
		},
	}
	limits := map[string]time.Duration{"kill": time.Second, "crash": 26 * time.Second, "crash and start": 7 * time.Second,
		"reset": time.Second, "kill in a cut": 7 * time.Second}
	for name, do := range kinds {
		t.Run(name, func(t *testing.T) {
			r := newNetRig(t, 9)
			r.dial(t)
			do(r)
			r.wait(t, limits[name], func() bool { return r.c.closed == 1 })
			if r.c.err == nil || r.c.opened != 1 {
				t.Fatal(r.c.err)
			}
			r.w.RunFor(time.Minute)
			if r.w.Connections() != 0 {
				t.Fatal("connections left")
			}
		})
	}
}

func TestDialFails(t *testing.T) {
	r := newNetRig(t, 11)
	for _, tc := range []struct {
		name string
		prep func()
		to   env.Endpoint
		want error
	}{
		{"refused", nil, env.Endpoint{Host: "b", Addr: "10.0.0.2", Port: env.PortSync}, ErrRefused},
		{"identity", nil, env.Endpoint{Host: "x", Addr: "10.0.0.2", Port: env.PortLog}, ErrIdentity},
		{"nobody", nil, env.Endpoint{Host: "x", Addr: "10.0.0.9", Port: env.PortLog}, ErrDial},
		{"cut", func() { r.w.Isolate(r.b) }, env.Endpoint{Host: "b", Addr: "10.0.0.2", Port: env.PortLog}, ErrDial},
		{"killed", func() { r.w.HealAll(); r.b.Kill() }, env.Endpoint{Host: "b", Addr: "10.0.0.2", Port: env.PortLog}, ErrRefused},
	} {
		if tc.prep != nil {
			tc.prep()
		}
		e := &end{t: t}
		r.a.Env(0).Net().Dial(tc.to, e)
		r.wait(t, time.Minute, func() bool { return e.closed == 1 })
		if !errors.Is(e.err, tc.want) || e.opened != 0 {
			t.Errorf("%s: %v", tc.name, e.err)
		}
	}
}

func TestMove(t *testing.T) {
	r := newNetRig(t, 12)
	r.dial(t)
	second := &end{t: t, opened: 1}
	r.s.conn.Move(r.b.Env(0), second)
	r.c.conn.Send(num(0))
	r.wait(t, time.Second, func() bool { return len(second.frames) == 1 })
	if len(r.s.frames) != 0 {
		t.Fatal("frame at the old handler")
	}
	if _, err := r.b.Env(0).Net().Listen(env.PortLog, nil); !errors.Is(err, env.ErrInUse) {
		t.Fatal(err)
	}
}
