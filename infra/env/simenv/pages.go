package simenv

// Content of disks and files is kept in pages of 4 KiB, found through chunks
// of 1 MiB, shared between copies until one of them is written. A copy costs
// one pointer a MiB.

const (
	pageSize   = 4096
	chunkPages = 256
	chunkSize  = pageSize * chunkPages
)

// owner is an identity: a page may be changed in place only through the map
// that owns it.
type owner struct{ _ byte }

type page = [pageSize]byte

type chunk struct {
	own  *owner
	p    [chunkPages]*page
	pown [chunkPages]*owner
}

// pages is a sparse array of bytes; what is missing reads as zeroes.
type pages struct {
	own   *owner
	c     []*chunk
	count int64 // pages present
}

func (m *pages) clone() pages {
	// Neither of the two may change in place what they share now.
	m.own = new(owner)
	return pages{own: new(owner), c: append([]*chunk(nil), m.c...), count: m.count}
}

func (m *pages) at(i int64) *page {
	if k := i / chunkPages; k < int64(len(m.c)) && m.c[k] != nil {
		return m.c[k].p[i%chunkPages]
	}
	return nil
}

// chunkFor returns the chunk of page i for change.
func (m *pages) chunkFor(i int64) *chunk {
	if m.own == nil {
		m.own = new(owner)
	}
	k := int(i / chunkPages)
	for len(m.c) <= k {
		m.c = append(m.c, nil)
	}
	switch c := m.c[k]; {
	case c == nil:
		m.c[k] = &chunk{own: m.own}
	case c.own != m.own:
		d := *c
		d.own = m.own
		m.c[k] = &d
	}
	return m.c[k]
}

// pageFor returns page i for change; whole tells that all of it will be
// overwritten, so its content need not be kept.
func (m *pages) pageFor(i int64, whole bool) *page {
	c, k := m.chunkFor(i), i%chunkPages
	p := c.p[k]
	if p != nil && c.pown[k] == m.own {
		return p
	}
	if p == nil {
		m.count++
	}
	n := new(page)
	if p != nil && !whole {
		*n = *p
	}
	c.p[k], c.pown[k] = n, m.own
	return n
}

func (m *pages) writeAt(b []byte, off int64) {
	for len(b) > 0 {
		in := off % pageSize
		n := min(int64(len(b)), pageSize-in)
		copy(m.pageFor(off/pageSize, n == pageSize)[in:in+n], b)
		b, off = b[n:], off+n
	}
}

func (m *pages) readAt(b []byte, off int64) {
	for len(b) > 0 {
		in := off % pageSize
		n := min(int64(len(b)), pageSize-in)
		if p := m.at(off / pageSize); p != nil {
			copy(b[:n], p[in:])
		} else {
			clear(b[:n])
		}
		b, off = b[n:], off+n
	}
}

// zero makes [off, off+n) read as zeroes and frees whole pages.
func (m *pages) zero(off, n int64) {
	end := min(off+n, int64(len(m.c))*chunkSize)
	for off < end {
		in := off % pageSize
		k := min(end-off, pageSize-in)
		i := off / pageSize
		switch {
		case m.at(i) == nil:
		case k == pageSize:
			c := m.chunkFor(i)
			c.p[i%chunkPages], c.pown[i%chunkPages] = nil, nil
			m.count--
		default:
			clear(m.pageFor(i, false)[in : in+k])
		}
		off += k
	}
}

// cut removes everything from off on.
func (m *pages) cut(off int64) {
	if end := int64(len(m.c)) * chunkSize; off < end {
		m.zero(off, end-off)
		m.c = m.c[:(off+chunkSize-1)/chunkSize]
	}
}

// missing counts the pages of [off, off+n) that are not present.
func (m *pages) missing(off, n int64) (pages int64) {
	if n <= 0 {
		return 0
	}
	for i := off / pageSize; i <= (off+n-1)/pageSize; i++ {
		if m.at(i) == nil {
			pages++
		}
	}
	return pages
}
