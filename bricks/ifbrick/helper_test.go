// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"testing"
	"time"

	"mars/bricks/check"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

// store is the brick below: memory, whose answers can be held and spoiled.
type store struct {
	*brick.Brick
	data  []byte
	align int
	piece func(n int64) int64 // what Get makes of a length; nil: all
	get   error               // of Get
	io    error               // of IO
	short int64
	hold  bool
	held  []*block.Mref
	most  int // mrefs in flight at a time
	fly   int
	got   int
	seen  []block.Mref // what came, without data
	quiet bool         // do not remember it
}

var storeType = brick.Type{Name: "store", Outputs: 1}

func newStore(t testing.TB, g *brick.Graph, size int64) *store {
	t.Helper()
	s := &store{data: make([]byte, size), align: 512}
	b, err := g.Add(&storeType, "store", "store", s)
	if err != nil {
		t.Fatal(err)
	}
	s.Brick = b
	b.Output(0).Ops = s
	return s
}

func (s *store) Switch(on bool) {
	s.SetOn(on)
	s.SetOff(!on)
}

func (s *store) Info() block.Info { return block.Info{Size: int64(len(s.data)), Align: s.align} }

func (s *store) Get(m *block.Mref) error {
	if s.get != nil {
		return s.get
	}
	if s.piece != nil && m.Op != block.Flush {
		m.Len = min(m.Len, s.piece(m.Len))
	}
	s.got++
	return nil
}

func (s *store) Put(*block.Mref) { s.got-- }

func (s *store) IO(m *block.Mref) {
	s.fly++
	s.most = max(s.most, s.fly)
	if !s.quiet {
		s.seen = append(s.seen, block.Mref{Op: m.Op, FUA: m.FUA, Pos: m.Pos, Len: m.Len})
	}
	if s.hold {
		s.held = append(s.held, m)
		return
	}
	s.answer(m)
}

func (s *store) answer(m *block.Mref) {
	s.fly--
	if s.io != nil {
		m.Complete(s.io)
		return
	}
	switch part := s.data[m.Pos : m.Pos+m.Len]; m.Op {
	case block.Read:
		copy(m.Data, part)
		m.Short = s.short
	case block.Write:
		copy(part, m.Data)
	case block.WriteZeroes, block.Discard:
		clear(part)
	}
	m.Complete(nil)
}

func (s *store) release() {
	list := s.held
	s.hold, s.held = false, nil
	for _, m := range list {
		s.answer(m)
	}
}

// rig is a node with a device over a store, with a checker between.
type rig struct {
	t     testing.TB
	w     *simenv.World
	n     *simenv.Node
	g     *brick.Graph
	store *store
	b     *Brick
}

const size = 1 << 20

func newRig(t testing.TB, opt simenv.NodeOptions, p Params) *rig {
	t.Helper()
	w := simenv.New(1, simenv.Options{})
	t.Cleanup(w.Close)
	r := &rig{t: t, w: w, n: w.AddNode("a", "10.0.0.1", opt)}
	r.build(nil, p)
	return r
}

// build makes the graph of a fresh process; the store's content survives.
func (r *rig) build(e env.Env, p Params) {
	r.t.Helper()
	if e == nil {
		e = r.n.Env(0)
	}
	r.g = &brick.Graph{}
	old := r.store
	r.store = newStore(r.t, r.g, size)
	if old != nil {
		r.store.data = old.data
	}
	c, err := check.New(r.g, "check", check.Options{Stable: true}, func(s string) { r.t.Error(s) })
	if err != nil {
		r.t.Fatal(err)
	}
	if r.b, err = New(r.g, e, "if", p); err != nil {
		r.t.Fatal(err)
	}
	for _, err := range []error{
		brick.Connect(c.Input(0), r.store.Output(0)), brick.Connect(r.b.Input(0), c.Output(0)),
		r.store.Press(true), c.Press(true),
	} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) press(on bool) {
	r.t.Helper()
	if err := r.b.Press(on); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) until(what string, cond func() bool) {
	r.t.Helper()
	if err := r.w.Run(cond, time.Minute); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// on switches on and returns the device.
func (r *rig) on() *simenv.SimDevice {
	r.t.Helper()
	r.press(true)
	r.until("on", r.b.On)
	return r.n.Device("lv")
}

// off switches off and checks that nothing is left.
func (r *rig) off() {
	r.t.Helper()
	r.press(false)
	r.until("off", r.b.Off)
	r.atRest()
}

func (r *rig) atRest() {
	r.t.Helper()
	if n := r.b.Stats().InFlight; n != 0 || r.b.pool.Out() != 0 || r.store.got != 0 || r.b.retry.Armed() {
		r.t.Errorf("off with %d requests, %d mrefs, %d gets, timer armed %v", n, r.b.pool.Out(), r.store.got, r.b.retry.Armed())
	}
	if r.n.Device("lv") != nil {
		r.t.Error("off, but the device is there")
	}
}

// answer runs until a request is answered.
func (r *rig) answer(start func(done func(error))) error {
	r.t.Helper()
	var err error
	answered := false
	start(func(e error) { err, answered = e, true })
	r.until("answer", func() bool { return answered })
	return err
}
