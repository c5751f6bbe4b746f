package copy

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

const (
	headLen   = 4096        // bytes of the beginnings that are compared
	maxPieces = 4           // reads in flight, and read but not written
	waitLen   = 64 << 10    // bytes of a read that waits for more
	tooQuick  = time.Second // an empty answer to such a read
)

// FollowParams of a Follow.
type FollowParams struct {
	Params
	// OnGrow is told the new durable end of B.
	OnGrow func(end int64)
	// OnLevel is told that A has no more for now; it may be nil.
	OnLevel func()
}

// Follow is one brick. It lives on one executor.
type Follow struct {
	base
	onGrow  func(int64)
	onLevel func()

	have  int64 // durable end of B
	limit int64 // -1: none
	known int64 // durable end of A as last told
	next  int64 // where the next read begins

	verified bool
	headA    []byte // while verifying
	headB    []byte
	heads    int   // reads of them in flight
	fatal    error // ends the copy

	pieces  []*piece // in order; the first begins at have
	writing bool
	size    sizer
	rate    rate
}

// piece is one read and what becomes of it.
type piece struct {
	pos, len int64 // len becomes what was there
	wait     bool
	buf      []byte
	since    time.Duration
	loaded   bool
	dropped  bool // nobody wants it; it ends with its read
}

// NewFollow makes a Follow. path is its identity within g.
func NewFollow(g *brick.Graph, e env.Env, path string, p FollowParams) (*Follow, error) {
	f := &Follow{onGrow: p.OnGrow, onLevel: p.OnLevel}
	if err := f.init(g, e, path, p.Params, f, f.pump); err != nil {
		return nil, err
	}
	return f, nil
}

// Start begins to append to B, of which have bytes are there and right, up to
// limit (-1: as far as A goes, and further as it grows). It fails when the
// brick is off or running.
func (f *Follow) Start(have, limit int64) error {
	if have < 0 || limit < -1 {
		return fmt.Errorf("follow from %d to %d: %w", have, limit, block.ErrRange)
	}
	if err := f.begin(); err != nil {
		return fmt.Errorf("follow from %d to %d: %w", have, limit, err)
	}
	f.have, f.limit, f.next, f.known = have, limit, have, 0
	f.verified, f.fatal = have == 0, nil
	f.size = pieceSizer()
	return nil
}

// SetLimit changes the limit; when B has as much, the copy is done.
func (f *Follow) SetLimit(limit int64) {
	f.limit = limit
	if f.running {
		f.kick()
	}
}

// Have is the durable end of B, Known that of A as last told (0: not yet), and
// Rate how fast B grows, in bytes per second.
func (f *Follow) Have() int64  { return f.have }
func (f *Follow) Known() int64 { return f.known }
func (f *Follow) Rate() int64  { return f.rate.perSecond(f.env.Mono()) }

// bound is the limit as a position.
func (f *Follow) bound() int64 {
	if f.limit < 0 {
		return math.MaxInt64
	}
	return f.limit
}

// pump does what can be done now.
func (f *Follow) pump() {
	if !f.running {
		return
	}
	reached := f.verified && f.have >= f.bound()
	switch {
	case f.stopping || f.fatal != nil || reached:
		if reached && !f.writing || f.fatal != nil {
			f.giveUpA()
		}
		if f.idle() {
			f.dropFrom(0)
			f.end(!f.stopping || reached || f.fatal != nil, f.fatal)
		}
	case !f.verified:
		f.verify()
	default:
		f.write()
		f.readAhead()
	}
}

// verify compares the beginnings of A and B.
func (f *Follow) verify() {
	if f.heads > 0 || f.blocked[SideA] || f.blocked[SideB] {
		return
	}
	n := min(f.have, headLen)
	f.headA, f.headB = f.alloc(n), f.alloc(n)
	f.heads = 2
	ok := true
	for side, buf := range [][]byte{f.headA, f.headB} {
		m := f.pool.New()
		m.Op, m.Len, m.Data = block.Read, n, buf[:n]
		f.do(Side(side), m, func(m *block.Mref, err error) {
			switch {
			case err != nil:
			case m.Short > 0 && Side(side) == SideB:
				f.fatal = fmt.Errorf("copy has %d bytes, not %d: %w", m.TotalSize, f.have, env.ErrShort)
			case m.Short > 0:
				err = ErrBehind
			default:
				f.worked(Side(side))
			}
			if err != nil {
				ok = false
				f.failed(Side(side), err)
			}
			if f.heads--; f.heads == 0 {
				f.judge(ok, n)
			}
		})
	}
}

func (f *Follow) judge(ok bool, n int64) {
	if ok && f.fatal == nil {
		f.verified = bytes.Equal(f.headA[:n], f.headB[:n])
		if !f.verified {
			f.fatal = ErrForeign
		}
	}
	f.free(f.headA)
	f.free(f.headB)
	f.headA, f.headB = nil, nil
}

// readAhead keeps reads going: as much as is known to be there, and at the end
// of that one that waits.
func (f *Follow) readAhead() {
	for len(f.pieces) < maxPieces && !f.blocked[SideA] {
		if k := len(f.pieces); k > 0 && f.pieces[k-1].wait && !f.pieces[k-1].loaded {
			return // how much it brings is open
		}
		p := &piece{pos: f.next, wait: f.next >= f.known, since: f.env.Mono()}
		p.len = min(f.size.size, f.known-f.next)
		if p.wait {
			p.len = waitLen
		}
		p.len = min(p.len, f.bound()-f.next)
		if p.len <= 0 || f.mem > 0 && f.mem+room(p.len) > f.p.Window || f.throttled(p.len) {
			return
		}
		f.next += p.len
		f.pieces = append(f.pieces, p)
		p.buf = f.alloc(p.len)
		m := f.pool.New()
		m.Op, m.Pos, m.Len, m.Data, m.Wait = block.Read, p.pos, p.len, p.buf[:p.len], p.wait
		f.do(SideA, m, func(m *block.Mref, err error) { f.loaded(p, m, err) })
	}
}

// loaded takes the result of a read.
func (f *Follow) loaded(p *piece, m *block.Mref, err error) {
	if p.dropped {
		f.free(p.buf)
		return
	}
	i := slices.Index(f.pieces, p)
	p.loaded = true
	if err != nil {
		f.dropFrom(i)
		if f.have < f.bound() { // else it was given up
			f.failed(SideA, err)
		}
		return
	}
	f.known = m.TotalSize
	n := max(0, min(p.len-m.Short, f.known-p.pos)) // never more than is durable there
	took := f.env.Mono() - p.since
	if n == 0 {
		f.dropFrom(i)
		if f.onLevel != nil {
			f.onLevel()
		}
		if took < tooQuick {
			f.pause(SideA) // it does not wait: do not ask without end
		} else {
			f.worked(SideA)
		}
		return
	}
	f.worked(SideA)
	if !p.wait {
		f.size.took(n, took)
	}
	if n < p.len {
		f.dropFrom(i + 1)
		p.len, f.next = n, p.pos+n
	}
}

// dropFrom forgets the pieces from index i on; they will be read again.
func (f *Follow) dropFrom(i int) {
	if i >= len(f.pieces) {
		return
	}
	f.next = f.pieces[i].pos
	for _, p := range f.pieces[i:] {
		if p.loaded {
			f.free(p.buf)
		} else {
			p.dropped = true
		}
	}
	f.pieces = slices.Delete(f.pieces, i, len(f.pieces))
}

// write appends the first piece to B, durably.
func (f *Follow) write() {
	if f.writing || f.blocked[SideB] || len(f.pieces) == 0 || !f.pieces[0].loaded {
		return
	}
	p := f.pieces[0]
	n := min(p.len, f.bound()-f.have)
	f.writing = true
	m := f.pool.New()
	m.Op, m.FUA, m.Pos, m.Len, m.Data = block.Write, true, f.have, n, p.buf[:n]
	f.do(SideB, m, func(_ *block.Mref, err error) {
		f.writing = false
		if err != nil {
			f.failed(SideB, err)
			return
		}
		f.worked(SideB)
		f.have += n
		f.rate.add(f.env.Mono(), n)
		f.pieces = slices.Delete(f.pieces, 0, 1)
		f.free(p.buf)
		if f.onGrow != nil {
			f.onGrow(f.have)
		}
	})
}
