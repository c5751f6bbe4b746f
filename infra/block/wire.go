package block

import (
	"fmt"

	"mars/infra/brick"
)

// OpsOf returns the operations behind an input. An unconnected input gives
// operations that refuse with brick.ErrNotConnected.
func OpsOf(in *brick.Input) Ops {
	if p := in.Peer(); p != nil {
		return p.Ops.(Ops)
	}
	return unconnected{in}
}

type unconnected struct{ in *brick.Input }

func (u unconnected) err() error {
	return fmt.Errorf("input %d of %v: %w", u.in.Index, u.in.Brick, brick.ErrNotConnected)
}
func (u unconnected) Info() Info      { return Info{Align: 1} }
func (u unconnected) Get(*Mref) error { return u.err() }
func (u unconnected) IO(m *Mref)      { m.Complete(u.err()) }
func (u unconnected) Put(*Mref)       {}

// Start is the usual beginning of a request: push c, get, io. An error of Get
// is completed like any other. The completion must Put (Finish does).
func Start(in *brick.Input, m *Mref, c Completion) {
	m.Push(c)
	ops := OpsOf(in)
	want := m.Len
	if err := ops.Get(m); err != nil {
		m.Complete(fmt.Errorf("get: %w", err))
		return
	}
	if m.Len != want {
		ops.Put(m)
		m.Complete(fmt.Errorf("%s of %d bytes at %d: served only %d: %w", m.Op, want, m.Pos, m.Len, ErrShort))
		return
	}
	ops.IO(m)
}

// Forward passes an mref, got already by the consumer's Get, on to the output
// behind in, with c in front.
func Forward(in *brick.Input, m *Mref, c Completion) {
	m.Push(c)
	OpsOf(in).IO(m)
}
