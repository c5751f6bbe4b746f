package main

import (
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

var frontType = brick.Type{Name: "front", Inputs: 1}

// front is a brick that hands the requests of a block device to what is below.
type front struct {
	*brick.Brick
	pool block.Pool
	dev  env.Device
}

func newFront(g *brick.Graph, path string) (*front, error) {
	f := &front{}
	b, err := g.Add(&frontType, path, path, f)
	f.Brick = b
	return f, err
}

// Switch implements brick.Worker.
func (f *front) Switch(on bool) { f.SetOn(on); f.SetOff(!on) }

// passage is a request of the device on its way through the graph.
type passage struct {
	f *front
	r *env.DevRequest
}

// Request implements env.DeviceHandler.
func (f *front) Request(r *env.DevRequest) {
	p, ok := r.User.(*passage)
	if !ok {
		p = &passage{}
		r.User = p
	}
	p.f, p.r = f, r
	m := f.pool.New()
	m.Op = [...]block.Op{block.Read, block.Write, block.Flush, block.Discard, block.WriteZeroes}[r.Op]
	m.FUA, m.Pos, m.Len, m.Data = r.FUA, r.Pos, r.Len, r.Buf
	block.Start(f.Input(0), m, p)
}

// MrefDone implements block.Completion.
func (p *passage) MrefDone(m *block.Mref, err error) {
	if err == nil {
		block.OpsOf(p.f.Input(0)).Put(m)
	}
	p.f.pool.Put(m)
	p.f.dev.Complete(p.r, err)
}

// OpenCount implements env.DeviceHandler.
func (f *front) OpenCount(int) {}
