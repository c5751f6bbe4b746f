package translogger

import "mars/infra/block"

// readOp is a read that is served partly from the memory buffer. Sectors of
// the buffer are copied when the read arrives; what is missing is read from the
// disk. A version may be written back and forgotten meanwhile: the read has
// its bytes already.
type readOp struct {
	l       *Logger
	m       *block.Mref
	parts   int
	err     error
	missing int64 // start of the run that is not buffered, -1 if none is open
	next    *readOp
}

// readPart is one run that comes from the disk.
type readPart struct {
	sub  sub
	op   *readOp
	next *readPart
}

// read serves a read.
func (l *Logger) read(m *block.Mref) {
	l.stats.Reads++
	if !l.buffered(m.Pos, m.Len) {
		l.pass(m)
		return
	}
	l.stats.BufferedReads++
	o := l.freeReads
	if o == nil {
		o = &readOp{l: l}
	} else {
		l.freeReads = o.next
	}
	o.m, o.parts, o.err, o.missing, o.next = m, 1, nil, -1, nil
	l.reads++
	for pos, end := m.Pos, m.Pos+m.Len; pos < end; {
		off := pos & (pageSize - 1)
		n := min(pageSize-off, end-pos)
		if p := l.buf.find(pos >> pageShift); p != nil {
			o.page(p, pos, off, n)
		} else if o.missing < 0 {
			o.missing = pos
		}
		pos += n
	}
	o.fetch(m.Pos + m.Len)
	o.partDone(nil)
}

// pass hands a request to the disk as it is.
func (l *Logger) pass(m *block.Mref) {
	l.reads++
	m.Push((*passing)(l))
	block.OpsOf(l.Input(InputDisk)).IO(m)
}

// passing counts the requests that were handed on, until they are done.
type passing Logger

// MrefDone implements block.Completion.
func (p *passing) MrefDone(m *block.Mref, err error) {
	l := (*Logger)(p)
	l.reads--
	if l.stopping || l.frozen != nil {
		l.kick()
	}
	m.Complete(err)
}

// buffered tells whether any page of the range has versions.
func (l *Logger) buffered(pos, n int64) bool {
	if l.buf.pages == 0 {
		return false
	}
	for i := pos >> pageShift; i <= (pos+n-1)>>pageShift; i++ {
		if l.buf.find(i) != nil {
			return true
		}
	}
	return false
}

// page copies what a page has of n bytes at pos.
func (o *readOp) page(p *page, pos, off, n int64) {
	base := pos - off
	want := sectorMask(off, n)
	var src [sectors]*version
	for v := p.newest; v != nil && want != 0; v = v.older {
		for s, take := 0, want&v.mask; take != 0; s, take = s+1, take>>1 {
			if take&1 != 0 {
				src[s] = v
			}
		}
		want &^= v.mask
	}
	for s := off / sectorSize; s*sectorSize < off+n; s++ {
		at := base + s*sectorSize
		v := src[s]
		if v == nil {
			if o.missing < 0 {
				o.missing = at
			}
			continue
		}
		o.fetch(at)
		dst := o.m.Data[at-o.m.Pos:][:sectorSize]
		if v.kind == inBuffer {
			copy(dst, v.buf[s*sectorSize:])
		} else {
			clear(dst)
		}
	}
}

// fetch reads the open run, which ends at end, from the disk.
func (o *readOp) fetch(end int64) {
	if o.missing < 0 {
		return
	}
	from := o.missing
	o.missing = -1
	l := o.l
	p := l.freeParts
	if p == nil {
		p = &readPart{}
		p.sub.init(l, InputDisk, p)
	} else {
		l.freeParts = p.next
	}
	p.op, p.next = o, nil
	o.parts++
	m := &p.sub.m
	m.Op, m.Pos, m.Len, m.Prio = block.Read, from, end-from, o.m.Prio
	m.Data = o.m.Data[from-o.m.Pos:][:end-from]
	p.sub.start()
}

// subDone ends one run.
func (p *readPart) subDone(_ *sub, err error) {
	o, l := p.op, p.sub.l
	p.op, p.sub.m.Data = nil, nil
	p.next = l.freeParts
	l.freeParts = p
	o.partDone(err)
}

func (o *readOp) partDone(err error) {
	if err != nil && o.err == nil {
		o.err = err
	}
	o.parts--
	if o.parts > 0 {
		return
	}
	l, m := o.l, o.m
	err = o.err
	o.m, o.err = nil, nil
	o.next = l.freeReads
	l.freeReads = o
	l.reads--
	m.Complete(err)
	l.kick()
}
