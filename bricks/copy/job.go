package copy

import (
	"bytes"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"mars/infra/block"
	"mars/infra/wire"
)

// Sum appends the digest of one piece of data to dst: the first wire.SumSize
// bytes of its BLAKE3, the same that bricks/server computes.
func Sum(dst, data []byte) []byte {
	h := blake3.Sum256(data)
	return append(dst, h[:wire.SumSize]...)
}

// job is one step for a part of a chunk: to compare it by digests of gran
// bytes, or, with gran 0, to copy it. A job that fails is done again from its
// beginning.
type job struct {
	s     *Sync
	chunk *chunk
	pos   int64
	len   int64
	gran  int64

	buf     []byte
	since   time.Duration
	waiting int // of the two sides of a comparison
	bad     bool
	sumsA   []byte
	sumsB   []byte
	at      int64      // bytes of B summed up
	parts   []partSums // of the present piece of B
	left    int        // of those, not computed
}

func (j *job) start() {
	s := j.s
	j.since, j.bad = s.env.Mono(), false
	if j.gran == 0 {
		j.read()
		return
	}
	j.waiting, j.at, j.sumsB = 2, 0, j.sumsB[:0]
	j.buf = s.alloc(min(j.len, compareLen))
	j.askA()
	j.readB()
}

// finish ends the job's work for now; again puts it back.
func (j *job) finish(again bool) {
	s := j.s
	s.free(j.buf)
	j.buf = nil
	s.jobs--
	if again {
		s.queue = slices.Insert(s.queue, 0, j)
		return
	}
	j.chunk.jobs--
}

// obsolete tells whether nothing new is to be begun.
func (j *job) obsolete() bool { return j.s.stopping || j.s.rewind }

func (j *job) read() {
	s := j.s
	j.buf = s.alloc(j.len)
	m := s.pool.New()
	m.Op, m.Pos, m.Len, m.Data = block.Read, j.pos, j.len, j.buf[:j.len]
	s.do(SideA, m, func(m *block.Mref, err error) {
		if err == nil && m.Short > 0 {
			err = block.ErrShort
		}
		if err != nil {
			s.failed(SideA, err)
			j.finish(true)
			return
		}
		now := s.env.Mono()
		s.worked(SideA)
		s.stats.Travelled += j.len
		s.travel.add(now, j.len)
		s.piece.took(j.len, now-j.since)
		if j.obsolete() {
			j.finish(true)
			return
		}
		j.write()
	})
}

func (j *job) write() {
	s := j.s
	m := s.pool.New()
	m.Op, m.Pos, m.Len, m.Data = block.Write, j.pos, j.len, j.buf[:j.len]
	s.do(SideB, m, func(_ *block.Mref, err error) {
		if err != nil {
			s.failed(SideB, err)
			j.finish(true)
			return
		}
		s.worked(SideB)
		s.stats.Written += j.len
		j.finish(false)
	})
}

func (j *job) askA() {
	s := j.s
	n := (j.len + j.gran - 1) / j.gran * wire.SumSize
	j.sumsA = slices.Grow(j.sumsA[:0], int(n))[:n]
	m := s.pool.New()
	m.Op, m.Pos, m.Len, m.Gran, m.Data = block.Digest, j.pos, j.len, j.gran, j.sumsA
	s.do(SideA, m, func(_ *block.Mref, err error) {
		if err == nil {
			s.worked(SideA)
		}
		j.half(SideA, err)
	})
}

// readB reads the next piece of B.
func (j *job) readB() {
	s := j.s
	n := min(j.len-j.at, compareLen)
	m := s.pool.New()
	m.Op, m.Pos, m.Len, m.Data = block.Read, j.pos+j.at, n, j.buf[:n]
	s.do(SideB, m, func(m *block.Mref, err error) {
		if err == nil && m.Short > 0 {
			err = block.ErrShort
		}
		if err != nil || j.obsolete() {
			j.half(SideB, err)
			return
		}
		j.compute(j.buf[:n])
	})
}

// partSums is one computation: the sums of a part of a piece.
type partSums struct{ data, sums []byte }

func (p *partSums) run(gran int64) {
	for d := p.data; len(d) > 0; {
		n := min(gran, int64(len(d)))
		p.sums = Sum(p.sums, d[:n])
		d = d[n:]
	}
}

// compute sums up a piece, away from the executor.
func (j *job) compute(data []byte) {
	s := j.s
	j.at += int64(len(data))
	j.parts = j.parts[:0]
	for len(data) > 0 {
		k := min(sumLen, len(data))
		j.parts = append(j.parts, partSums{data: data[:k]})
		data = data[k:]
	}
	j.left = len(j.parts)
	s.sums += j.left
	for i := range j.parts {
		p, gran := &j.parts[i], j.gran
		s.env.Compute(func() { p.run(gran) }, j.computed)
	}
}

func (j *job) computed() {
	s := j.s
	s.sums--
	j.left--
	s.kick()
	if j.left > 0 {
		return
	}
	for i := range j.parts {
		j.sumsB = append(j.sumsB, j.parts[i].sums...)
	}
	if j.at < j.len && !j.obsolete() {
		j.readB()
		return
	}
	s.worked(SideB)
	j.half(SideB, nil)
}

// half is the end of one side of a comparison.
func (j *job) half(side Side, err error) {
	if err != nil {
		j.bad = true
		j.s.failed(side, err)
	}
	if j.waiting--; j.waiting > 0 {
		return
	}
	if j.bad || j.obsolete() {
		j.finish(true)
		return
	}
	j.compare()
	j.finish(false)
}

// compare makes jobs of what differs: a finer comparison, or the copy.
func (j *job) compare() {
	s := j.s
	finer := int64(0)
	if j.gran == wire.Coarse {
		finer = wire.Fine
		s.stats.Compared += j.len
	}
	var run *job // of neighbours that differ
	for i, at := 0, int64(0); at < j.len; i, at = i+1, at+j.gran {
		n := min(j.gran, j.len-at)
		if bytes.Equal(j.sumsA[i*wire.SumSize:][:wire.SumSize], j.sumsB[i*wire.SumSize:][:wire.SumSize]) {
			s.stats.Equal += n
			run = nil
			continue
		}
		if finer == 0 {
			s.stats.Different += n
		}
		if run == nil {
			run = &job{s: s, chunk: j.chunk, pos: j.pos + at, gran: finer}
			s.add(run)
		}
		run.len += n
	}
}
