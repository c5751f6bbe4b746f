package translogger

// This file is the memory buffer: pages of the disk, hashed by their number,
// each with its versions, newest first.

const (
	pageShift  = 12
	pageSize   = 1 << pageShift
	sectorSize = 512
	sectors    = pageSize / sectorSize
	fullMask   = 1<<sectors - 1

	// overhead is what a version costs beyond its snapshot, with its share of
	// record and page, in bytes.
	overhead = 256
)

// content says where the bytes of a version are.
type content uint8

const (
	inBuffer  content = iota // in its snapshot
	zeroes                   // all zero, by WRITE_ZEROES
	discarded                // all zero, by DISCARD
)

// page is a page of the disk that has versions.
type page struct {
	number int64
	newest *version
	wb     *version // newest version that is being written back, nil if none
	parts  int      // writes in flight that carry a part of wb and older
	queued bool     // in the dirty list or a sweep
	since  int64    // when it was queued, nanoseconds of Env.Mono
	hnext  *page    // in its hash chain
	qnext  *page    // in the dirty list
}

// version is what one record put into one page.
type version struct {
	page  *page
	rec   *record
	older *version // in the page, or in the list of absorbed versions
	sib   *version // next version of the same record
	mask  uint8    // sectors that it holds
	kind  content
	buf   []byte // inBuffer: pageSize bytes, valid where mask says

	// Older versions that this durable one covers wholly. Their memory is
	// gone, but their records are done only when this one is written back.
	absorbed, absorbedTail *version
}

// sectorMask returns the mask of n bytes at offset off of a page.
func sectorMask(off, n int64) uint8 {
	first, last := off/sectorSize, (off+n-1)/sectorSize
	return uint8(1<<(last+1)-1) &^ uint8(1<<first-1)
}

// membuf holds pages and recycles all structures; nothing is given to the
// garbage collector before release.
type membuf struct {
	table []*page
	pages int

	used int64 // bytes accounted

	alloc func(int) []byte
	free  func([]byte)

	freePages    *page
	freeVersions *version
	freeRecords  *record
	freeBufs     [][]byte
	bufs         int // snapshots in use
}

const minTable = 1 << 10

func (b *membuf) init(alloc func(int) []byte, free func([]byte)) {
	b.alloc, b.free = alloc, free
	b.table = make([]*page, minTable)
}

func (b *membuf) bucket(number int64) *(*page) {
	h := uint64(number) * 0x9e3779b97f4a7c15
	return &b.table[h>>32&uint64(len(b.table)-1)]
}

// find returns the page of that number, or nil.
func (b *membuf) find(number int64) *page {
	for p := *b.bucket(number); p != nil; p = p.hnext {
		if p.number == number {
			return p
		}
	}
	return nil
}

// touch returns the page of that number, made if need be.
func (b *membuf) touch(number int64) *page {
	if p := b.find(number); p != nil {
		return p
	}
	if b.pages >= 2*len(b.table) {
		b.grow()
	}
	p := b.freePages
	if p == nil {
		p = &page{}
	} else {
		b.freePages = p.hnext
	}
	head := b.bucket(number)
	p.number, p.hnext = number, *head
	*head = p
	b.pages++
	return p
}

func (b *membuf) grow() {
	old := b.table
	b.table = make([]*page, 4*len(old))
	for _, p := range old {
		for p != nil {
			next := p.hnext
			head := b.bucket(p.number)
			p.hnext = *head
			*head = p
			p = next
		}
	}
}

// drop removes a page that has no versions.
func (b *membuf) drop(p *page) {
	link := b.bucket(p.number)
	for *link != p {
		link = &(*link).hnext
	}
	*link = p.hnext
	*p = page{hnext: b.freePages}
	b.freePages = p
	b.pages--
}

// newVersion puts a version in front of page number.
func (b *membuf) newVersion(rec *record, number int64, mask uint8, kind content) *version {
	v := b.freeVersions
	if v == nil {
		v = &version{}
	} else {
		b.freeVersions = v.older
	}
	p := b.touch(number)
	*v = version{page: p, rec: rec, older: p.newest, mask: mask, kind: kind, sib: rec.versions}
	p.newest = v
	rec.versions = v
	rec.pending++
	b.used += overhead
	if kind == inBuffer {
		v.buf = b.newBuf()
	}
	return v
}

func (b *membuf) newBuf() []byte {
	b.used += pageSize
	b.bufs++
	if n := len(b.freeBufs); n > 0 {
		buf := b.freeBufs[n-1]
		b.freeBufs = b.freeBufs[:n-1]
		return buf
	}
	return b.alloc(pageSize)
}

// dropBuf gives a version's snapshot back.
func (b *membuf) dropBuf(v *version) {
	if v.buf == nil {
		return
	}
	b.freeBufs = append(b.freeBufs, v.buf)
	v.buf = nil
	b.used -= pageSize
	b.bufs--
}

// dropVersion forgets a version that is in no list any more.
func (b *membuf) dropVersion(v *version) {
	b.dropBuf(v)
	b.used -= overhead
	*v = version{older: b.freeVersions}
	b.freeVersions = v
}

func (b *membuf) newRecord() *record {
	r := b.freeRecords
	if r == nil {
		return &record{}
	}
	b.freeRecords = r.next
	*r = record{}
	return r
}

func (b *membuf) dropRecord(r *record) {
	*r = record{next: b.freeRecords}
	b.freeRecords = r
}

// trim gives unused snapshots beyond keep back to the environment.
func (b *membuf) trim(keep int) {
	for n := len(b.freeBufs); n > keep; n-- {
		b.free(b.freeBufs[n-1])
		b.freeBufs[n-1] = nil
		b.freeBufs = b.freeBufs[:n-1]
	}
}

// release gives everything back; nothing may be in use.
func (b *membuf) release() {
	if b.pages != 0 || b.bufs != 0 || b.used != 0 {
		panic("translogger: memory buffer released while in use")
	}
	b.trim(0)
	*b = membuf{alloc: b.alloc, free: b.free, table: make([]*page, minTable)}
}

// absorb lets v, which is durable, take over the older versions of its page
// that it covers wholly and that no write carries.
func (b *membuf) absorb(v *version) {
	link := &v.older
	for o := *link; o != nil && o != v.page.wb; o = *link {
		if o.mask&^v.mask != 0 {
			link = &o.older
			continue
		}
		*link = o.older
		b.dropBuf(o)
		tail := o.absorbedTail
		if tail == nil {
			tail = o
		}
		o.older, o.absorbed, o.absorbedTail = o.absorbed, nil, nil
		if v.absorbed == nil {
			v.absorbed = o
		} else {
			v.absorbedTail.older = o
		}
		v.absorbedTail = tail
	}
}

// reset forgets everything, whoever uses it.
func (b *membuf) reset() {
	for _, p := range b.table {
		for ; p != nil; p = p.hnext {
			for v := p.newest; v != nil; v = v.older {
				b.dropBuf(v)
			}
		}
	}
	clear(b.table)
	b.pages, b.used = 0, 0
}
