package server_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"mars/bricks/aio"
	"mars/bricks/check"
	"mars/bricks/client"
	"mars/bricks/server"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/wire"
)

const (
	diskSize = 8 << 20
	uuid     = "00000000-0000-4000-8000-000000000001"
)

// logs is what a trans_logger would know of one log.
type logs struct {
	end     int64
	final   bool
	gone    bool
	waiters []*waiter
}

type waiter struct {
	beyond int64
	fn     func()
}

func (l *logs) End(number int, origin string) (int64, bool, bool) {
	return l.end, l.final, number == 7 && origin == "a" && !l.gone
}

func (l *logs) Wait(_ int, _ string, beyond int64, fn func()) func() {
	w := &waiter{beyond, fn}
	l.waiters = append(l.waiters, w)
	return func() { w.fn = nil }
}

func (l *logs) waiting() (n int) {
	for _, w := range l.waiters {
		if w.fn != nil {
			n++
		}
	}
	return n
}

// grow moves the durable end.
func (l *logs) grow(end int64, final bool) {
	l.end, l.final = end, final
	list := l.waiters
	l.waiters = nil
	for _, w := range list {
		switch {
		case w.fn == nil:
		case end > w.beyond || final:
			w.fn()
		default:
			l.waiters = append(l.waiters, w)
		}
	}
}

// consumer is the test's brick above a client.
type consumer struct{ *brick.Brick }

func (c *consumer) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

// rig is a host a with a disk, a log and a server, and a host b with clients.
type rig struct {
	t                *testing.T
	w                *simenv.World
	a, b             *simenv.Node
	ga, gb           brick.Graph
	srv              *server.Server
	disk             *simenv.Disk
	content, logData []byte

	logs     *logs
	state    wire.SyncState
	holds    []func()
	hold     bool
	member   map[string]bool
	refuse   error
	hellos   int
	purposes map[wire.Purpose]int
}

func newRig(t *testing.T, seed uint64) *rig {
	t.Helper()
	r := &rig{t: t, w: simenv.New(seed, simenv.Options{CheckMemory: true}), logs: &logs{}, member: map[string]bool{"b": true},
		state: wire.SyncState{Size: diskSize, LogNumber: 7, LogOrigin: "a", LogPos: 100, Ready: true}, purposes: map[wire.Purpose]int{}}
	t.Cleanup(r.w.Close)
	r.a = r.w.AddNode("a", "10.0.0.1", simenv.NodeOptions{Cluster: uuid})
	r.b = r.w.AddNode("b", "10.0.0.2", simenv.NodeOptions{Cluster: uuid})
	r.disk = r.a.AddDisk("/dev/a", diskSize)
	r.content, r.logData = make([]byte, diskSize), make([]byte, 5<<20)
	for _, b := range [][]byte{r.content, r.logData} {
		for i := range b {
			b[i] = byte(i ^ i>>8 ^ i>>16*7)
		}
	}
	r.must2(r.disk.WriteAt(r.content, 0))
	fs := r.a.FS()
	r.must(fs.Mkdir(symtree.ResourceDir("res")))
	r.must(fs.WriteFile(symtree.LogPath("res", 7, "a"), r.logData))
	r.build()
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}
func (r *rig) must2(_ int, err error) { r.t.Helper(); r.must(err) }

// build makes the server's side: aio <- check <- server.
func (r *rig) build() {
	e := r.a.Env(1)
	disk, err := aio.NewDisk(&r.ga, e, "disk", "/dev/a")
	r.must(err)
	chk, err := check.New(&r.ga, "check", check.Options{}, func(s string) { r.t.Error(s) })
	r.must(err)
	r.srv, err = server.New(&r.ga, e, "server", server.Params{Resource: "res", Logs: r.logs,
		Hold: func(fn func()) {
			if r.hold {
				r.holds = append(r.holds, fn)
				return
			}
			fn()
		},
		Ready:   func() wire.SyncState { return r.state },
		Member:  func(res, host string) bool { return res == "res" && r.member[host] },
		Allowed: func(string, wire.Type) error { return r.refuse },
	})
	r.must(err)
	r.must(brick.Connect(chk.Input(0), disk.Output(0)))
	r.must(brick.Connect(r.srv.Input(0), chk.Output(0)))
	r.until(func() bool { return r.ga.SwitchAll(true) })
	rec := &server.Reception{Own: hello("a"), Observe: func(*wire.Hello) { r.hellos++ },
		Find: func(_, resource string, _ wire.Type) (*server.Server, error) {
			if resource != "res" || !r.srv.On() {
				return nil, &wire.Error{Code: wire.CodeNotPrimary, Text: "reception"}
			}
			return r.srv, nil
		}}
	for port, purpose := range map[int]wire.Purpose{env.PortLog: wire.ForLog, env.PortSync: wire.ForSync} {
		_, err := r.a.Env(0).Net().Listen(port, func(env.Conn) env.ConnHandler {
			r.purposes[purpose]++
			return rec.Receive(purpose)
		})
		r.must(err)
	}
}

func hello(host string) func() wire.Hello {
	return func() wire.Hello {
		return wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: uuid, Host: host, Stamp: 1}
	}
}

func (r *rig) until(fn func() bool) {
	r.t.Helper()
	if err := r.w.Run(fn, 5*time.Minute); err != nil {
		r.t.Fatal(err)
	}
}

// remote is a client brick on b with a consumer.
type remote struct {
	r   *rig
	c   *client.Client
	top *consumer
}

func (r *rig) remote(p client.Params, data bool) *remote {
	r.t.Helper()
	p.Endpoints = []env.Endpoint{{Host: "a", Addr: "10.0.0.1"}}
	if p.Hello == nil {
		p.Hello = hello("b")
	}
	m := &remote{r: r, top: &consumer{}}
	n := len(r.gb.Bricks())
	path := fmt.Sprint("client", n)
	var err error
	if data {
		m.c, err = client.NewData(&r.gb, r.b.Env(0), path, p, "res")
	} else {
		m.c, err = client.NewLog(&r.gb, r.b.Env(0), path, p, "res", 7, "a")
	}
	r.must(err)
	m.top.Brick, err = r.gb.Add(&brick.Type{Name: "top", Inputs: 1}, "top", path+"/top", m.top)
	r.must(err)
	r.must(brick.Connect(m.top.Input(0), m.c.Output(0)))
	r.must(m.c.Press(true))
	r.must(m.top.Press(true))
	return m
}

// call is a request on its way.
type call struct {
	m    *block.Mref
	err  error
	done int
}

func (c *call) finished() bool { return c.done > 0 }

func (m *remote) start(q *block.Mref) *call {
	c := &call{m: q}
	if q.Data == nil {
		q.Data = make([]byte, q.Len)
	}
	block.Start(m.top.Input(0), q, block.CompletionFunc(func(q *block.Mref, err error) {
		c.done++
		c.err = err
	}))
	return c
}

func (m *remote) read(pos, n int64) *call {
	return m.start(&block.Mref{Op: block.Read, Pos: pos, Len: n})
}

func (m *remote) wait(pos, n int64) *call {
	return m.start(&block.Mref{Op: block.Read, Pos: pos, Len: n, Wait: true})
}

func (m *remote) digest(pos, n, gran int64) *call {
	return m.start(&block.Mref{Op: block.Digest, Pos: pos, Len: n, Gran: gran, Data: make([]byte, (n+gran-1)/gran*wire.SumSize)})
}

// finish waits for a call and checks that it was completed once.
func (r *rig) finish(c *call) error {
	r.t.Helper()
	r.until(c.finished)
	if c.done != 1 {
		r.t.Fatalf("%s completed %d times", c.m.Op, c.done)
	}
	return c.err
}

func (r *rig) same(what string, got, want []byte) {
	r.t.Helper()
	if !bytes.Equal(got, want) {
		r.t.Fatalf("%s differs", what)
	}
}

// off switches everything off and finds nothing left.
func (r *rig) off() {
	r.t.Helper()
	r.until(func() bool { return r.gb.SwitchAll(false) })
	r.until(func() bool { return r.ga.SwitchAll(false) })
	r.w.RunFor(time.Minute)
	if n := r.w.Connections(); n != 0 {
		r.t.Fatalf("%d connections left", n)
	}
	if r.logs.waiting() != 0 {
		r.t.Fatal("the log is still waited for")
	}
}
