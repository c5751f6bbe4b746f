package client_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"mars/bricks/client"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/wire"
)

const uuid = "00000000-0000-4000-8000-000000000001"

// peer is a host under the control of the test.
type peer struct {
	r        *rig
	conns    []env.Conn // live ones
	accepted int
	hello    func(h *wire.Hello) // changes the greeting
	reads    []wire.ReadBlocks
	fetches  []wire.FetchLog
	digests  []wire.Digest
	infos    []wire.SyncInfo
	errors   []wire.Error
	answer   func(c env.Conn, f []byte) // answers at once
}

func (p *peer) Opened(c env.Conn) {
	h := greeting("a")
	h.Purpose = wire.ForSync
	if p.r.log {
		h.Purpose = wire.ForLog
	}
	if p.hello != nil {
		p.hello(&h)
	}
	c.Send(h.Append(nil))
	p.conns = append(p.conns, c)
	p.accepted++
}

func (p *peer) Frame(c env.Conn, f []byte) {
	f = bytes.Clone(f)
	var err error
	switch wire.TypeOf(f) {
	case wire.TypeReadBlocks:
		err = add(&p.reads, f)
	case wire.TypeFetchLog:
		err = add(&p.fetches, f)
	case wire.TypeDigest:
		err = add(&p.digests, f)
	case wire.TypeSyncInfo:
		err = add(&p.infos, f)
	case wire.TypeError:
		err = add(&p.errors, f)
	}
	if err != nil {
		p.r.t.Error(err)
	}
	if p.answer != nil {
		p.answer(c, f)
	}
}

// message is a pointer to T that is a wire.Message.
type message[T any] interface {
	*T
	wire.Message
}

func add[T any, P message[T]](list *[]T, f []byte) error {
	var m T
	err := P(&m).Decode(f)
	*list = append(*list, m)
	return err
}

func (p *peer) Drained(env.Conn) {}
func (p *peer) Closed(c env.Conn, _ error) {
	for i, x := range p.conns {
		if x == c {
			p.conns = append(p.conns[:i], p.conns[i+1:]...)
			return
		}
	}
}

func (p *peer) send(m wire.Message) { p.conns[len(p.conns)-1].Send(m.Append(nil)) }

func greeting(host string) wire.Hello {
	return wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: uuid, Host: host, Stamp: 4711, Version: "1"}
}

type consumer struct{ *brick.Brick }

func (c *consumer) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

type rig struct {
	t    *testing.T
	w    *simenv.World
	a, b *simenv.Node
	g    brick.Graph
	c    *client.Client
	top  *consumer
	log  bool
	peer *peer

	seen   []wire.Hello
	states []bool
	lastNo error
	finals []int64
}

func newRig(t *testing.T, log bool, p client.Params) *rig {
	t.Helper()
	r := &rig{t: t, w: simenv.New(1, simenv.Options{}), log: log, top: &consumer{}}
	t.Cleanup(r.w.Close)
	r.a = r.w.AddNode("a", "10.0.0.1", simenv.NodeOptions{Cluster: uuid})
	r.b = r.w.AddNode("b", "10.0.0.2", simenv.NodeOptions{Cluster: uuid})
	r.peer = &peer{r: r}
	if p.Endpoints == nil {
		p.Endpoints = []env.Endpoint{{Host: "a", Addr: "10.0.0.1"}}
	}
	p.Hello = func() wire.Hello { return greeting("b") }
	p.Observe = func(h *wire.Hello) { r.seen = append(r.seen, *h) }
	p.OnState = func(on bool, err error) {
		r.states = append(r.states, on)
		r.lastNo = err
	}
	p.OnFinal = func(end int64) { r.finals = append(r.finals, end) }
	var err error
	if log {
		r.c, err = client.NewLog(&r.g, r.b.Env(0), "c", p, "res", 3, "x")
	} else {
		r.c, err = client.NewData(&r.g, r.b.Env(0), "c", p, "res")
	}
	r.must(err)
	r.top.Brick, err = r.g.Add(&brick.Type{Name: "top", Inputs: 1}, "top", "top", r.top)
	r.must(err)
	r.must(brick.Connect(r.top.Input(0), r.c.Output(0)))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) until(fn func() bool) {
	r.t.Helper()
	r.must(r.w.Run(fn, 10*time.Minute))
}

func (r *rig) listen() env.Listener {
	port := env.PortSync
	if r.log {
		port = env.PortLog
	}
	l, err := r.a.Env(0).Net().Listen(port, func(env.Conn) env.ConnHandler { return r.peer })
	r.must(err)
	return l
}

// on switches on, with the peer there.
func (r *rig) on() {
	r.t.Helper()
	r.listen()
	if !r.g.SwitchAll(true) {
		r.t.Fatal("not on at once")
	}
	r.until(r.c.Connected)
}

func (r *rig) off() {
	r.t.Helper()
	r.until(func() bool { return r.g.SwitchAll(false) })
	r.w.RunFor(time.Minute)
	if n := r.w.Connections(); n != 0 || r.c.Outstanding() != 0 {
		r.t.Fatalf("%d connections, %d requests left", n, r.c.Outstanding())
	}
	if err := r.w.Run(nil, time.Hour); !errors.Is(err, simenv.ErrIdle) {
		r.t.Fatal("something goes on:", err)
	}
}

type call struct {
	m    *block.Mref
	n    int
	err  error
	when time.Duration
}

func (c *call) done() bool { return c.n > 0 }

func (r *rig) start(m *block.Mref) *call {
	c := &call{m: m}
	if m.Data == nil {
		m.Data = make([]byte, m.Len)
	}
	block.Start(r.top.Input(0), m, block.CompletionFunc(func(_ *block.Mref, err error) {
		c.n, c.err, c.when = c.n+1, err, r.w.Now()
	}))
	return c
}

func (r *rig) read(pos, n int64) *call { return r.start(&block.Mref{Op: block.Read, Pos: pos, Len: n}) }

func TestRequestsAndAnswers(t *testing.T) {
	r := newRig(t, false, client.Params{})
	r.on()
	if len(r.seen) != 1 || r.seen[0].Stamp != 4711 || len(r.states) != 1 || !r.states[0] {
		t.Fatal("peer's greeting", r.seen, r.states)
	}
	read := r.read(4096, 8)
	sums := r.start(&block.Mref{Op: block.Digest, Pos: 0, Len: 3 * wire.Fine, Gran: wire.Fine, Data: make([]byte, 3*wire.SumSize)})
	var info wire.SyncState
	r.c.SyncInfo(func(st wire.SyncState, err error) { r.must(err); info = st })
	r.until(func() bool { return len(r.peer.infos) == 1 })
	if q := r.peer.reads[0]; q.Resource != "res" || q.Offset != 4096 || q.Len != 8 {
		t.Fatalf("%+v", q)
	}
	if q := r.peer.digests[0]; q.Len != 3*wire.Fine || q.Granularity != wire.Fine {
		t.Fatalf("%+v", q)
	}
	// In any order; twice; unknown; of a later release.
	r.peer.send(&wire.SyncState{ID: r.peer.infos[0].ID, Size: 12345, Ready: true})
	r.peer.conns[0].Send([]byte{0x7e, 1})
	r.peer.send(&wire.Digests{ID: r.peer.digests[0].ID, Sums: bytes.Repeat([]byte{9}, 48)})
	r.peer.send(&wire.Blocks{ID: 999, Offset: 4096, Data: []byte("........")})
	for range 2 {
		r.peer.send(&wire.Blocks{ID: r.peer.reads[0].ID, Offset: 4096, Data: []byte("contents")})
	}
	r.until(read.done)
	r.must(read.err)
	r.must(sums.err)
	if string(read.m.Data) != "contents" || sums.m.Data[47] != 9 || info.Size != 12345 || block.OpsOf(r.top.Input(0)).Info().Size != 12345 {
		t.Fatal("answers", read.m.Data, sums.m.Data, info)
	}
	r.off()
	if read.n != 1 || sums.n != 1 {
		t.Fatal("completed again")
	}
}

func TestRefusedHere(t *testing.T) {
	r := newRig(t, false, client.Params{})
	if err := r.start(&block.Mref{Op: block.Read, Len: 1}).err; !errors.Is(err, env.ErrClosed) {
		t.Fatal("off:", err)
	}
	r.on()
	for _, op := range []block.Op{block.Write, block.Flush, block.Discard, block.WriteZeroes, block.Truncate} {
		if err := r.start(&block.Mref{Op: op, Len: 512}).err; !errors.Is(err, client.ErrOp) {
			t.Error(op, err)
		}
	}
	for _, m := range []*block.Mref{{Pos: -1, Len: 1}, {Pos: 1 << 62, Len: 1}, {Op: block.Digest, Len: 1, Gran: 512}, {Op: block.Digest, Len: 9 << 20, Gran: wire.Fine}} {
		m.Data = []byte{}
		if err := r.start(m).err; !errors.Is(err, block.ErrRange) {
			t.Error(m.Pos, err)
		}
	}
	m := &block.Mref{Op: block.Read, Len: 5 << 20}
	if err := block.OpsOf(r.top.Input(0)).Get(m); err != nil || m.Len != wire.MaxData {
		t.Fatal("not shortened", m.Len, err)
	}
	r.off()
}

func TestErrorsArriveTyped(t *testing.T) {
	r := newRig(t, true, client.Params{})
	r.on()
	c := r.read(0, 10)
	r.until(func() bool { return len(r.peer.fetches) == 1 })
	r.peer.send(&wire.Error{ID: r.peer.fetches[0].ID, Code: wire.CodeNoSuchLog, Text: "gone"})
	r.until(c.done)
	var e *wire.Error
	if !errors.As(c.err, &e) || e.Code != wire.CodeNoSuchLog || !strings.Contains(c.err.Error(), "log-000000003-x") {
		t.Fatal(c.err)
	}
	// Of the connection as a whole: everything fails, and it is made again.
	c, d := r.read(0, 10), r.read(10, 10)
	r.until(func() bool { return len(r.peer.fetches) == 3 })
	r.peer.send(&wire.Error{Code: wire.CodeVersion})
	r.until(d.done)
	if !errors.Is(c.err, &wire.Error{Code: wire.CodeVersion}) || !errors.Is(d.err, &wire.Error{Code: wire.CodeVersion}) {
		t.Fatal(c.err, d.err)
	}
	r.until(func() bool { return r.peer.accepted == 2 })
	r.off()
}

func TestReconnectAsksAgain(t *testing.T) {
	r := newRig(t, false, client.Params{})
	r.on()
	var calls []*call
	for i := range int64(100) {
		calls = append(calls, r.read(i*8, 8))
	}
	r.until(func() bool { return len(r.peer.reads) == 64 })
	r.w.RunFor(time.Second)
	if len(r.peer.reads) != 64 {
		t.Fatal(len(r.peer.reads), "under way")
	}
	r.peer.send(&wire.Blocks{ID: r.peer.reads[5].ID, Offset: 40, Data: []byte("12345678")})
	r.until(func() bool { return len(r.peer.reads) == 65 })
	first := append([]wire.ReadBlocks(nil), r.peer.reads...)
	r.peer.reads = nil
	r.w.Reset(r.a, r.b)
	r.until(func() bool { return len(r.peer.reads) == 64 })
	first = append(first[:5], first[6:]...)
	for i, q := range r.peer.reads {
		if q != first[i] {
			t.Fatalf("request %d is %+v, was %+v", i, q, first[i])
		}
	}
	if len(r.states) != 3 || r.states[1] || !r.states[2] || r.c.Err() != nil {
		t.Fatal(r.states, r.c.Err())
	}
	r.peer.answer = func(c env.Conn, f []byte) {
		var q wire.ReadBlocks
		r.must(q.Decode(f))
		c.Send((&wire.Blocks{ID: q.ID, Offset: q.Offset, Data: make([]byte, q.Len)}).Append(nil))
	}
	for _, q := range r.peer.reads {
		r.peer.send(&wire.Blocks{ID: q.ID, Offset: q.Offset, Data: make([]byte, q.Len)})
	}
	for _, c := range calls {
		r.until(c.done)
		r.must(c.err)
	}
	r.off()
}

// TestBackoff: a peer that is not there is tried seldom.
func TestBackoff(t *testing.T) {
	tries := 0
	r := newRig(t, false, client.Params{})
	if !r.g.SwitchAll(true) {
		t.Fatal("not on")
	}
	r.w.After(func() { tries = len(r.states) })
	r.w.RunFor(time.Second)
	if tries < 2 || tries > 4 {
		t.Fatal(tries, "tries in the first second")
	}
	before := tries
	r.w.RunFor(time.Minute)
	if n := tries - before; n < 10 || n > 20 {
		t.Fatal(n, "tries in a minute")
	}
	c := r.read(0, 1)
	r.w.RunFor(time.Hour)
	if c.done() {
		t.Fatal("given up without a timeout")
	}
	r.listen()
	at := r.w.Now()
	r.until(func() bool { return len(r.peer.reads) == 1 })
	if r.w.Now()-at > 6*time.Second {
		t.Fatal("noticed late")
	}
	r.off()
	if !errors.Is(c.err, env.ErrClosed) {
		t.Fatal(c.err)
	}
}

func TestTimeout(t *testing.T) {
	r := newRig(t, true, client.Params{Timeout: 10 * time.Second, LongPoll: time.Minute})
	if !r.g.SwitchAll(true) {
		t.Fatal("not on")
	}
	start := r.w.Now()
	c := r.read(0, 1)
	r.until(c.done)
	if d := c.when - start; !errors.Is(c.err, client.ErrTimeout) || d < 10*time.Second || d > 11*time.Second || !errors.Is(c.err, simenv.ErrRefused) {
		t.Fatal("without a connection", c.err, d)
	}
	r.listen()
	r.until(r.c.Connected)
	start = r.w.Now()
	wait := r.start(&block.Mref{Op: block.Read, Len: 10, Wait: true})
	c = r.read(0, 1)
	r.until(c.done)
	if d := c.when - start; !errors.Is(c.err, client.ErrTimeout) || d < 10*time.Second || d > 11*time.Second {
		t.Fatal("without an answer", c.err, d)
	}
	r.until(wait.done)
	if d := wait.when - start; !errors.Is(wait.err, client.ErrTimeout) || d < 70*time.Second || d > 71*time.Second {
		t.Fatal("waiting", wait.err, d)
	}
	// As long as others are answered, nothing is late.
	start = r.w.Now()
	c = r.read(0, 1)
	for range 5 {
		r.w.RunFor(8 * time.Second)
		n := len(r.peer.fetches)
		x := r.read(1, 1)
		r.until(func() bool { return len(r.peer.fetches) > n })
		r.peer.send(&wire.LogData{ID: r.peer.fetches[n].ID, Offset: 1, DurableEnd: 2, Data: []byte{1}})
		r.until(x.done)
		r.must(x.err)
	}
	r.until(c.done)
	if d := c.when - start; d < 50*time.Second || d > 51*time.Second {
		t.Fatal("with progress", c.err, d)
	}
	// Changed while it waits; and never.
	c = r.read(0, 1)
	start = r.w.Now()
	r.c.SetTimeout(time.Second)
	r.until(c.done)
	if d := c.when - start; d > 2*time.Second {
		t.Fatal("changed", d)
	}
	r.c.SetTimeout(0)
	c = r.read(0, 1)
	r.w.RunFor(time.Hour)
	if c.done() {
		t.Fatal(c.err)
	}
	r.off()
}

func TestAbort(t *testing.T) {
	r := newRig(t, true, client.Params{})
	r.on()
	c := r.start(&block.Mref{Op: block.Read, Len: 10, Wait: true})
	r.until(func() bool { return len(r.peer.fetches) == 1 })
	r.c.Abort()
	if !errors.Is(c.err, client.ErrAborted) || !r.c.On() {
		t.Fatal(c.err)
	}
	c = r.read(0, 10)
	r.until(func() bool { return len(r.peer.fetches) == 2 })
	if len(r.peer.conns) != 1 {
		t.Fatal("the peer still works for nobody")
	}
	r.c.Abort()
	r.c.Abort()
	r.until(r.c.Connected)
	r.off()
}

func TestSwitchingToAndFro(t *testing.T) {
	r := newRig(t, false, client.Params{})
	r.listen()
	for i := range 200 {
		r.g.SwitchAll(i%2 == 0)
		for range r.w.Intn(12) {
			r.w.Step()
		}
		if r.c.On() && i%3 == 0 {
			r.read(0, 1)
		}
	}
	r.until(func() bool { return r.g.SwitchAll(true) })
	r.until(r.c.Connected)
	r.off()
}

// TestNonsense: whatever a peer sends, the request is asked again elsewhere and
// memory stays untouched.
func TestNonsense(t *testing.T) {
	type bad struct {
		name string
		f    func(id uint64) []byte
	}
	list := []bad{
		{"cut", func(id uint64) []byte { return (&wire.Blocks{ID: id, Data: []byte("x")}).Append(nil)[:9] }},
		{"short", func(id uint64) []byte { return (&wire.Blocks{ID: id, Offset: 64, Data: []byte("1234567")}).Append(nil) }},
		{"long", func(id uint64) []byte {
			return (&wire.Blocks{ID: id, Offset: 64, Data: []byte("123456789")}).Append(nil)
		}},
		{"elsewhere", func(id uint64) []byte {
			return (&wire.Blocks{ID: id, Offset: 65, Data: []byte("12345678")}).Append(nil)
		}},
		{"digests", func(id uint64) []byte { return (&wire.Digests{ID: id, Offset: 64, Sums: make([]byte, 16)}).Append(nil) }},
		{"state", func(id uint64) []byte { return (&wire.SyncState{ID: id}).Append(nil) }},
		{"log", func(id uint64) []byte {
			return (&wire.LogData{ID: id, Offset: 64, DurableEnd: 100, Data: []byte("12345678")}).Append(nil)
		}},
		{"request", func(id uint64) []byte { return (&wire.SyncInfo{ID: id, Resource: "res"}).Append(nil) }},
		{"hello", func(id uint64) []byte { h := greeting("a"); return h.Append(nil) }},
		{"error", func(id uint64) []byte { return []byte{byte(wire.TypeError), 1} }},
	}
	for _, b := range list {
		r := newRig(t, false, client.Params{})
		r.on()
		buf := make([]byte, 16)
		c := r.start(&block.Mref{Op: block.Read, Pos: 64, Len: 8, Data: buf})
		r.until(func() bool { return len(r.peer.reads) == 1 })
		r.peer.conns[0].Send(b.f(r.peer.reads[0].ID))
		r.until(func() bool { return len(r.peer.reads) == 2 })
		if c.done() || !bytes.Equal(buf, make([]byte, 16)) || !errors.Is(r.lastNo, client.ErrProtocol) && len(r.states) < 3 {
			t.Fatal(b.name, c.err, buf, r.lastNo)
		}
		r.peer.send(&wire.Blocks{ID: r.peer.reads[1].ID, Offset: 64, Data: []byte("12345678")})
		r.until(c.done)
		r.must(c.err)
		if string(buf) != "12345678\x00\x00\x00\x00\x00\x00\x00\x00" {
			t.Fatal(buf)
		}
		r.off()
	}
}

func TestWrongPeer(t *testing.T) {
	for name, change := range map[string]func(*wire.Hello){
		"cluster": func(h *wire.Hello) { h.ClusterUUID = "" },
		"host":    func(h *wire.Hello) { h.Host = "c" },
		"myself":  func(h *wire.Hello) { h.Host = "b" },
		"purpose": func(h *wire.Hello) { h.Purpose = wire.ForTree },
		"version": func(h *wire.Hello) { h.ProtoMin, h.ProtoMax = 900, 901 },
	} {
		r := newRig(t, false, client.Params{})
		r.peer.hello = change
		r.listen()
		r.g.SwitchAll(true)
		c := r.read(0, 8)
		r.w.RunFor(20 * time.Second)
		var e *wire.Error
		if c.done() || len(r.peer.reads) != 0 || len(r.seen) != 0 || !errors.As(r.c.Err(), &e) {
			t.Fatal(name, c.err, r.c.Err())
		}
		if r.peer.accepted > 10 {
			t.Fatal(name, r.peer.accepted, "connections")
		}
		r.peer.hello = nil
		r.until(func() bool { return len(r.peer.reads) == 1 })
		r.off()
	}
}

// TestEndpointsInTurn: a peer with several addresses is found.
func TestEndpointsInTurn(t *testing.T) {
	r := newRig(t, true, client.Params{Endpoints: []env.Endpoint{{Host: "a", Addr: "10.9.9.9"}, {Host: "a", Addr: "10.0.0.1"}}})
	r.on()
	c := r.start(&block.Mref{Op: block.Read, Pos: 10, Len: 8, Wait: true})
	r.until(func() bool { return len(r.peer.fetches) == 1 })
	q := r.peer.fetches[0]
	if q.Number != 3 || q.Origin != "x" || q.Offset != 10 || q.MaxLen != 8 || q.WaitMs != 30000 {
		t.Fatalf("%+v", q)
	}
	r.peer.send(&wire.LogData{ID: q.ID, Offset: 10, DurableEnd: 13, Final: true, Data: []byte("abc")})
	r.until(c.done)
	r.must(c.err)
	if c.m.Short != 5 || c.m.TotalSize != 13 || !r.c.Final() || len(r.finals) != 1 || r.c.Received() != 3 {
		t.Fatal(c.m.Short, c.m.TotalSize, r.finals)
	}
	r.off()
}
