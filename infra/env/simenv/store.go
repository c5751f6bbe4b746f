package simenv

const sector = 512

type changeKind uint8

const (
	chData  changeKind = iota // bytes written
	chZero                    // range made zero
	chGrow                    // size set to off, larger than before
	chTrunc                   // size set to off, everything behind it gone
)

// change is one change of a store that reached it, or is on its way there.
type change struct {
	kind   changeKind
	must   bool   // durable already, waiting only for its turn in the list
	off, n int64  // bytes; chGrow, chTrunc: off is the new size
	data   []byte // chData
	// meta is the change's place in the order of the file system's metadata:
	// of itself for chGrow and chTrunc, of the growth it belongs to for data.
	meta uint64
}

func (c *change) apply(p *pages, size *int64) {
	switch c.kind {
	case chData:
		p.writeAt(c.data, c.off)
	case chZero:
		p.zero(c.off, c.n)
	case chGrow:
		*size = max(*size, c.off)
	case chTrunc:
		p.cut(c.off)
		*size = c.off
	}
}

// store is the content of a disk or a file: what readers see, what is on the
// medium for good, and in between the completed changes that no sync has
// covered, in order of completion, and the ops in flight.
type store struct {
	live, dur         pages
	liveSize, durSize int64

	done   []change
	base   uint64 // number of the first of done, counted from the store's beginning
	bytes  int64  // data held by done
	flight []*ioOp
}

const (
	maxVolatile      = 16384    // changes
	maxVolatileBytes = 64 << 20 // bytes
)

func newStore(size int64) *store { return &store{liveSize: size, durSize: size} }

// add makes a completed change visible. It owns c.data from here on.
func (s *store) add(w *World, c change) {
	c.apply(&s.live, &s.liveSize)
	if c.must && len(s.done) == 0 {
		c.apply(&s.dur, &s.durSize)
		s.base++
		w.recycle(c.data)
		return
	}
	s.done = append(s.done, c)
	s.bytes += int64(len(c.data))
	if len(s.done) > maxVolatile || s.bytes > maxVolatileBytes {
		// A cache is finite: it writes back the older half by itself.
		s.drain(w, s.base+uint64(len(s.done)/2))
	}
}

// push is add for changes by metadata calls, which complete at once.
func (s *store) push(c change) {
	c.apply(&s.live, &s.liveSize)
	s.done = append(s.done, c)
	s.bytes += int64(len(c.data))
}

// mark is the point up to which a sync submitted now has to reach.
func (s *store) mark() uint64 { return s.base + uint64(len(s.done)) }

// drain makes the changes before mark durable, and returns the last place in
// the order of metadata among them.
func (s *store) drain(w *World, mark uint64) (meta uint64) {
	n := 0
	for n < len(s.done) && (s.base+uint64(n) < mark || s.done[n].must) {
		c := &s.done[n]
		c.apply(&s.dur, &s.durSize)
		meta = max(meta, c.meta)
		s.bytes -= int64(len(c.data))
		w.recycle(c.data)
		n++
	}
	s.forget(n)
	return meta
}

// lose drops some of the changes before mark for good, as a cache does whose
// write-back failed: readers still see them, the medium never will.
func (s *store) lose(w *World, mark uint64) {
	for i := range s.done {
		c := &s.done[i]
		if s.base+uint64(i) < mark && !c.must && c.kind <= chZero && w.rng.chance(0.5) {
			s.bytes -= int64(len(c.data))
			w.recycle(c.data)
			c.data, c.n = nil, 0 // keeps its number, does nothing
		}
	}
}

func (s *store) forget(n int) {
	s.base += uint64(n)
	rest := copy(s.done, s.done[n:])
	clear(s.done[rest:])
	s.done = s.done[:rest]
}

// crash returns what a power cut now would leave, and leaves s as it is. cut
// is how far the order of metadata survives, for the ordered model.
func (s *store) crash(r *rng, m *CrashModel, cut uint64) *store {
	n := &store{dur: s.dur.clone(), durSize: s.durSize}
	for i := range s.done {
		c := &s.done[i]
		if c.must || m.kind == strOrdered && c.meta != 0 && c.meta <= cut {
			c.apply(&n.dur, &n.durSize)
			continue
		}
		survive(c, &n.dur, &n.durSize, r, m)
	}
	for _, op := range s.flight {
		c := &op.ch
		if c.kind > chZero || !op.changes() {
			continue // sizes change only on completion
		}
		survive(c, &n.dur, &n.durSize, r, m)
		if end := c.off + c.n; op.f.ino != nil && end > n.durSize && m.kind == strIndependent && r.chance(m.p) {
			n.durSize = end
		}
	}
	n.dur.cut(n.durSize)
	n.live, n.liveSize = n.dur.clone(), n.durSize
	return n
}

// survive decides about one change that is not durable.
func survive(c *change, p *pages, size *int64, r *rng, m *CrashModel) {
	switch {
	case m.kind == strZero, m.kind == strOrdered && c.kind >= chGrow, !r.chance(m.p):
	case c.kind == chData && r.chance(m.Torn):
		tear(c.data, c.off, p, r)
	default:
		c.apply(p, size)
	}
}

// tear writes a part of b: a head, a tail, or scattered sectors.
func tear(b []byte, off int64, p *pages, r *rng) {
	// Boundaries are the medium's, not the buffer's.
	lead := (sector - off%sector) % sector
	n := (int64(len(b)) - lead + sector - 1) / sector
	if n < 1 {
		return // within one sector: all or nothing, here nothing
	}
	k := min(lead+r.intn(n)*sector, int64(len(b)))
	switch r.intn(3) {
	case 0:
		p.writeAt(b[:k], off)
	case 1:
		p.writeAt(b[k:], off+k)
	default:
		for i := int64(0); i < int64(len(b)); {
			e := min(i+sector-(off+i)%sector, int64(len(b)))
			if r.next()&1 == 0 {
				p.writeAt(b[i:e], off+i)
			}
			i = e
		}
	}
}

// kill decides what becomes of the ops in flight when the process dies: each
// happens or does not.
func (s *store) kill(w *World) {
	for _, op := range s.flight {
		c := op.ch
		if c.kind > chZero || !op.changes() || w.rng.next()&1 == 0 {
			continue
		}
		c.must = false
		if c.kind == chData && op.f.ino != nil && !op.f.node.fs.reserve(s, c.off, c.n) {
			continue
		}
		op.f.grow(c)
	}
	s.flight = nil
}
