package block

import "errors"

// ErrShort says that a provider served less than what was asked in one piece.
var ErrShort = errors.New("short request")

// ErrRange says that a request leaves the bounds of what it goes to.
var ErrRange = errors.New("outside of the device")

// Pool recycles mrefs, with their aspects, for one consumer. Not for more than
// one graph: aspects stay attached.
type Pool struct {
	free *Mref
	out  int
}

// New takes an mref, with all public fields zero.
func (p *Pool) New() *Mref {
	p.out++
	m := p.free
	if m == nil {
		return &Mref{pool: p}
	}
	p.free, m.next = m.next, nil
	return m
}

// Put gives an mref back; it must have no completion pending.
func (p *Pool) Put(m *Mref) {
	if m.depth != 0 {
		panic("block: " + m.Op.String() + " request freed while in flight")
	}
	if m.pool != p {
		panic("block: mref freed into a foreign pool")
	}
	p.out--
	m.Op, m.Prio, m.FUA, m.Pos, m.Len, m.Gran = 0, 0, false, 0, 0, 0
	m.Data, m.Vec, m.Wait, m.TotalSize, m.Short = nil, nil, false, 0, 0
	m.next, p.free = p.free, m
}

// Out is the number of mrefs taken and not given back: 0 at rest.
func (p *Pool) Out() int { return p.out }
