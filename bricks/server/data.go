package server

import (
	"mars/infra/block"
	"mars/infra/wire"
)

// Pieces of a Digest, in bytes: of one read, and of one computation.
const (
	pieceLen = 1 << 20
	sumLen   = 64 << 10
)

// checkRange refuses what is not on the disk.
func (r *request) checkRange() error {
	s := r.cn.s
	if err := s.source(); err != nil {
		return err
	}
	info := block.OpsOf(s.Input(0)).Info()
	size := info.Size
	if st := s.p.Ready(); st.Size > 0 {
		size = min(size, st.Size)
	}
	if r.pos > size || r.n > size-r.pos {
		return &wire.Error{Code: wire.CodeOutOfRange}
	}
	if a := int64(max(info.Align, 1)); r.pos%a != 0 || r.n%a != 0 {
		return &wire.Error{Code: wire.CodeOutOfRange, Text: "not aligned"}
	}
	return nil
}

func (r *request) readBlocks() {
	if err := r.checkRange(); err != nil {
		r.fail(err)
		return
	}
	r.read(r.alloc(r.n), r.pos)
}

// read fills buf from input 0, in as many pieces as the provider likes;
// readDone follows, never from within if the provider is asynchronous.
func (r *request) read(buf []byte, pos int64) {
	s := r.cn.s
	ops := block.OpsOf(s.Input(0))
	r.enter()
	for done := 0; done < len(buf) && r.failure == nil; {
		m := s.pool.New()
		m.Op, m.Prio = block.Read, block.PrioLow
		m.Pos, m.Len, m.Data = pos+int64(done), int64(len(buf)-done), buf[done:]
		if err := ops.Get(m); err != nil {
			s.pool.Put(m)
			r.failure = err
			break
		}
		if m.Len <= 0 {
			panic("server: " + s.Input(0).Peer().Brick.String() + " shortened a read to nothing")
		}
		m.Data = buf[done : done+int(m.Len)]
		done += int(m.Len)
		r.enter()
		m.Push(r)
		ops.IO(m)
	}
	r.readDone()
}

// MrefDone is the end of one piece.
func (r *request) MrefDone(m *block.Mref, err error) {
	s := r.cn.s
	if err == nil && m.Short > 0 {
		err = block.ErrShort
	}
	if err != nil && r.failure == nil {
		r.failure = err
	}
	block.OpsOf(s.Input(0)).Put(m)
	s.pool.Put(m)
	r.readDone()
}

// readDone counts the pieces; after the last one the data is complete.
func (r *request) readDone() {
	switch {
	case !r.leave():
	case r.failure != nil:
		r.broken(r.failure)
	case r.verb == wire.TypeDigest:
		r.compute()
	default:
		r.cn.s.p.Hold(r.sendBlocks)
	}
}

// sendBlocks is called when the data may travel.
func (r *request) sendBlocks() {
	if r.gone {
		return
	}
	if err := r.cn.s.source(); err != nil {
		r.fail(err)
		return
	}
	a := wire.Blocks{ID: r.id, Offset: r.pos}
	a.AppendHead(r.mem[headRoom-wire.BlocksHead:headRoom-wire.BlocksHead], int(r.n))
	r.answer(r.mem[headRoom-wire.BlocksHead:headRoom+r.n], r.n)
}

// partSums is one computation: the sums of a part of a piece.
type partSums struct {
	data []byte
	sums []byte
}

func (p *partSums) run(gran int64) {
	for d := p.data; len(d) > 0; {
		n := min(gran, int64(len(d)))
		p.sums = Sum(p.sums, d[:n])
		d = d[n:]
	}
}

func (r *request) digest() {
	if err := r.checkRange(); err != nil {
		r.fail(err)
		return
	}
	r.alloc(min(r.n, pieceLen))
	r.nextPiece()
}

func (r *request) nextPiece() {
	r.read(r.data(min(r.n-r.at, pieceLen)), r.pos+r.at)
}

// compute sums up the piece that was read, away from the executor.
func (r *request) compute() {
	n := min(r.n-r.at, pieceLen)
	r.at += n
	r.parts = r.parts[:0]
	for data := r.data(n); len(data) > 0; {
		k := min(sumLen, len(data))
		r.parts = append(r.parts, partSums{data: data[:k]})
		data = data[k:]
	}
	r.enter()
	for i := range r.parts {
		p, gran := &r.parts[i], r.gran
		r.enter()
		r.cn.s.env.Compute(func() { p.run(gran) }, r.computed)
	}
	r.computed()
}

func (r *request) computed() {
	if !r.leave() {
		return
	}
	for i := range r.parts {
		r.sums = append(r.sums, r.parts[i].sums...)
	}
	if r.at < r.n {
		r.nextPiece()
		return
	}
	r.release()
	r.cn.s.p.Hold(r.sendSums)
}

func (r *request) sendSums() {
	if r.gone {
		return
	}
	if err := r.cn.s.source(); err != nil {
		r.fail(err)
		return
	}
	a := wire.Digests{ID: r.id, Offset: r.pos, Sums: r.sums}
	r.cn.out = a.Append(r.cn.out[:0])
	r.answer(r.cn.out, 0)
}

func (r *request) syncInfo() {
	if r.gone {
		return
	}
	st := r.cn.s.p.Ready()
	st.ID = r.id
	if p := r.cn.s.Input(0).Peer(); st.Ready && (p == nil || !p.Brick.On()) {
		st.Ready, st.Text = false, "not attached"
	}
	r.cn.out = st.Append(r.cn.out[:0])
	r.answer(r.cn.out, 0)
}
