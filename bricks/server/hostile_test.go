package server_test

import (
	"testing"
	"time"

	"mars/bricks/client"
	"mars/infra/env"
	"mars/infra/wire"
)

// raw is a peer that sends what a test likes.
type raw struct {
	c      env.Conn
	open   bool
	closed bool
	got    [][]byte
}

func (p *raw) Opened(c env.Conn)            { p.open = true }
func (p *raw) Frame(_ env.Conn, f []byte)   { p.got = append(p.got, append([]byte(nil), f...)) }
func (p *raw) Drained(env.Conn)             {}
func (p *raw) Closed(_ env.Conn, err error) { p.closed = true }

// dial greets as host b on a port and waits for the server's greeting.
func (r *rig) dial(port int, purpose wire.Purpose) *raw {
	r.t.Helper()
	p := &raw{}
	p.c = r.b.Env(0).Net().Dial(env.Endpoint{Host: "a", Addr: "10.0.0.1", Port: port}, p)
	r.until(func() bool { return p.open })
	h := hello("b")()
	h.Purpose = purpose
	p.c.Send(h.Append(nil))
	r.until(func() bool { return len(p.got) == 1 })
	return p
}

func (p *raw) ask(m wire.Message) { p.c.Send(m.Append(nil)) }

// errors lists the codes and IDs of the errors received.
func (p *raw) errors(t *testing.T) (list []wire.Error) {
	for _, f := range p.got {
		if wire.TypeOf(f) == wire.TypeError {
			var e wire.Error
			if err := e.Decode(f); err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
	}
	return list
}

// TestGarbage: a peer that sends nonsense loses its connection, whether a
// server has it already or not, and nobody else notices.
func TestGarbage(t *testing.T) {
	good := &wire.ReadBlocks{ID: 1, Resource: "res", Len: 512}
	for name, frame := range map[string][]byte{
		"cut":           good.Append(nil)[:10],
		"cut text":      (&wire.ReadBlocks{ID: 2, Resource: "res", Len: 1}).Append(nil)[:20],
		"wrong port":    (&wire.FetchLog{ID: 3, Resource: "res", Number: 7, Origin: "a", MaxLen: 1}).Append(nil),
		"answer":        (&wire.Blocks{ID: 4, Data: []byte{1}}).Append(nil),
		"tree":          (&wire.SubscribeTree{}).Append(nil),
		"second Hello":  (&wire.Hello{ProtoMin: 1, ProtoMax: 1, Host: "b"}).Append(nil),
		"granularity 7": append((&wire.Digest{ID: 5, Resource: "res", Len: 1, Granularity: wire.Fine}).Append(nil)[:30], 7, 0, 0, 0),
	} {
		for _, early := range []bool{true, false} {
			r := newRig(t, 20)
			m := r.remote(client.Params{}, true)
			r.must(r.finish(m.read(0, 512)))
			p := r.dial(env.PortSync, wire.ForSync)
			if !early {
				p.ask(good)
				r.until(func() bool { return len(p.got) == 2 })
			}
			p.c.Send(frame)
			r.until(func() bool { return p.closed })
			r.must(r.finish(m.read(0, 512)))
			if r.srv.Connections() != 1 {
				t.Fatal(name, r.srv.Connections(), "connections")
			}
			r.off()
		}
	}
}

// TestUnknownIsSkipped: messages of a later release do no harm.
func TestUnknownIsSkipped(t *testing.T) {
	r := newRig(t, 21)
	p := r.dial(env.PortSync, wire.ForSync)
	for range 2 { // to the reception, then to the server
		p.c.Send([]byte{0x7f, 1, 2, 3})
		p.c.Send((&wire.Info{Text: "hello"}).Append(nil))
		p.c.Send((&wire.Heartbeat{}).Append(nil))
		p.ask(&wire.ReadBlocks{ID: 9, Resource: "res", Len: 512})
	}
	r.until(func() bool { return len(p.got) == 3 })
	p.c.Close()
	r.until(func() bool { return p.closed })
	r.off()
}

// TestFlood: a peer that sends requests without end is refused, not stored.
func TestFlood(t *testing.T) {
	r := newRig(t, 22)
	r.hold = true
	p := r.dial(env.PortSync, wire.ForSync)
	for i := range uint64(1000) {
		p.ask(&wire.Digest{ID: i + 1, Resource: "res", Len: 4096, Granularity: wire.Fine})
	}
	r.until(func() bool { return len(p.errors(t)) == 1000-128 })
	for _, e := range p.errors(t) {
		if e.Code != wire.CodeBusy || e.ID == 0 {
			t.Fatal(e)
		}
	}
	r.until(func() bool { return len(r.holds) == 128 })
	for _, fn := range r.holds {
		fn()
	}
	r.until(func() bool { return len(p.got) == 1001 })
	p.c.Close()
	r.until(func() bool { return r.srv.Connections() == 0 })
	r.off()
}

// TestOtherResource: a connection is for one resource.
func TestOtherResource(t *testing.T) {
	r := newRig(t, 23)
	p := r.dial(env.PortLog, wire.ForLog)
	r.logs.end = 10
	p.ask(&wire.FetchLog{ID: 1, Resource: "other", Number: 7, Origin: "a", MaxLen: 10})
	p.ask(&wire.FetchLog{ID: 2, Resource: "res", Number: 7, Origin: "a", MaxLen: 10})
	p.ask(&wire.FetchLog{ID: 3, Resource: "other", Number: 7, Origin: "a", MaxLen: 10})
	p.ask(&wire.FetchLog{ID: 4, Resource: "res", Number: 7, Origin: "../../x", MaxLen: 10})
	r.until(func() bool { return len(p.got) == 5 })
	want := map[uint64]wire.Code{1: wire.CodeNotPrimary, 3: wire.CodeNotMember, 4: wire.CodeNoSuchLog}
	list := p.errors(t)
	for _, e := range list {
		if want[e.ID] != e.Code {
			t.Error(e)
		}
	}
	if len(list) != 3 {
		t.Fatal(list)
	}
	p.c.Close()
	r.w.RunFor(time.Second)
	r.off()
}

// TestWrongGreeting: reception refuses who is not of this cluster.
func TestWrongGreeting(t *testing.T) {
	for name, change := range map[string]func(*wire.Hello){
		"cluster": func(h *wire.Hello) { h.ClusterUUID = "" },
		"host":    func(h *wire.Hello) { h.Host = "c" },
		"itself":  func(h *wire.Hello) { h.Host = "a" },
		"purpose": func(h *wire.Hello) { h.Purpose = wire.ForLog },
		"version": func(h *wire.Hello) { h.ProtoMin, h.ProtoMax = 900, 901 },
	} {
		r := newRig(t, 24)
		var m *remote
		h := hello("b")()
		h.Purpose = wire.ForSync
		change(&h)
		p := &raw{}
		p.c = r.b.Env(0).Net().Dial(env.Endpoint{Host: "a", Addr: "10.0.0.1", Port: env.PortSync}, p)
		r.until(func() bool { return p.open })
		p.c.Send(h.Append(nil))
		p.ask(&wire.SyncInfo{ID: 1, Resource: "res"})
		r.until(func() bool { return p.closed })
		if r.srv.Connections() != 0 || r.srv.Answered() != 0 || r.hellos != 0 {
			t.Error(name, "was let in")
		}
		// A client notices, and does not ask.
		if name != "purpose" {
			m = r.remote(client.Params{Hello: func() wire.Hello { h := hello("b")(); change(&h); return h }}, true)
			r.until(func() bool { return m.c.Err() != nil })
			if m.c.Connected() {
				t.Error(name, "connected")
			}
		}
		r.off()
	}
}
