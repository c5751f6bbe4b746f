package translogger

import (
	"time"

	"mars/infra/block"
	"mars/infra/env"
)

const (
	opWrite = block.Write

	maxGather = 1 << 20 // bytes of one write to the disk
	maxZero   = 8 << 20 // bytes of one request for zeroes
)

// writeOp is one request of the writeback: a run of the disk, gathered from
// the snapshots of neighbouring pages.
type writeOp struct {
	sub   sub
	end   int64
	vec   [][]byte
	pages []*page // whose parts it carries
	next  *writeOp
}

// compose starts the writeback of a page: of each sector the newest version
// that is fit for it. All such versions count as written when the write is
// done, since the newer ones replace the older ones only with it.
func (l *Logger) compose(p *page) {
	first := p.newest
	for first.rec.seq > l.eligible {
		first = first.older
	}
	p.wb, p.parts = first, 1 // kept up until all parts are started
	var src [sectors]*version
	seen, kind := uint8(0), discarded
	for v := first; v != nil; v = v.older {
		for s := 0; s < sectors; s++ {
			if v.mask&^seen>>s&1 != 0 {
				src[s] = v
				kind = weaker(kind, v.kind)
			}
		}
		seen |= v.mask
		if g := v.rec.log; g != nil {
			g.max = max(g.max, v.rec.end)
		}
	}
	base := p.number << pageShift
	for s := 0; s < sectors; {
		v := src[s]
		n := s + 1
		for n < sectors && src[n] == v {
			n++
		}
		if v != nil {
			l.emit(p, kind, v, base, s, n)
		}
		s = n
	}
	l.partDone(p)
}

// weaker tells how a page is written that has both kinds of content.
func weaker(a, b content) content {
	switch {
	case a == inBuffer || b == inBuffer:
		return inBuffer
	case a == zeroes || b == zeroes:
		return zeroes
	}
	return discarded
}

// emit adds sectors [s, n) of a page to the open request, or opens another.
func (l *Logger) emit(p *page, kind content, v *version, base int64, s, n int) {
	op, most := opWrite, int64(maxGather)
	switch kind {
	case zeroes:
		op, most = block.WriteZeroes, maxZero
	case discarded:
		op, most = block.Discard, maxZero
	}
	from, to := base+int64(s)*sectorSize, base+int64(n)*sectorSize
	o := l.open
	if o != nil && (o.sub.m.Op != op || o.end != from || to-o.sub.m.Pos > most || len(o.vec) == env.MaxVec) {
		l.flushOpen()
		o = nil
	}
	if o == nil {
		o = l.newWrite(op, from)
		l.open = o
	}
	o.end = to
	if op == opWrite {
		data := v.buf
		if v.kind != inBuffer {
			data = l.zeroes
		}
		o.vec = append(o.vec, data[s*sectorSize:n*sectorSize])
	}
	if k := len(o.pages); k == 0 || o.pages[k-1] != p {
		o.pages = append(o.pages, p)
		p.parts++
	}
}

func (l *Logger) newWrite(op block.Op, pos int64) *writeOp {
	o := l.freeWrites
	if o == nil {
		o = &writeOp{vec: make([][]byte, 0, env.MaxVec), pages: make([]*page, 0, env.MaxVec)}
		o.sub.init(l, InputDisk, o)
	} else {
		l.freeWrites = o.next
	}
	o.next = nil
	o.sub.m.Op, o.sub.m.Pos, o.sub.m.Prio = op, pos, block.PrioLow
	return o
}

// flushOpen starts the open request.
func (l *Logger) flushOpen() {
	o := l.open
	if o == nil {
		return
	}
	l.open = nil
	m := &o.sub.m
	m.Len, m.Data, m.Vec = o.end-m.Pos, nil, nil
	switch {
	case m.Op != opWrite:
	case len(o.vec) == 1:
		m.Data = o.vec[0]
	default:
		m.Vec = o.vec
	}
	l.writes++
	l.stats.DiskWrites++
	l.stats.DiskBytes += m.Len
	l.charge(m.Len)
	o.sub.start()
}

// subDone ends a write to the disk. A failed one is repeated until it works:
// its data is nowhere else but in the log.
func (o *writeOp) subDone(_ *sub, err error) {
	l := o.sub.l
	if err != nil && !l.abandoned {
		l.diskError(err, false)
		l.retryLater(o)
		l.repeated(err)
		l.kick()
		return
	}
	if l.repeats && l.retry == nil {
		l.repeated(nil)
	}
	l.writes--
	l.pause = 0
	l.diskWritten++
	for i, p := range o.pages {
		o.pages[i] = nil
		l.partDone(p)
	}
	clear(o.vec)
	o.vec, o.pages = o.vec[:0], o.pages[:0]
	o.sub.m.Data, o.sub.m.Vec = nil, nil
	o.next = l.freeWrites
	l.freeWrites = o
	l.advance()
	l.kick()
}

// partDone counts down what a page waits for.
func (l *Logger) partDone(p *page) {
	p.parts--
	if p.parts == 0 {
		l.writtenBack(p)
	}
}

func (l *Logger) diskError(err error, final bool) {
	l.stats.DiskErrors++
	l.lastErr = err
	if fn := l.cfg.Events.OnDiskError; fn != nil {
		fn(err, final)
	}
}

// repeated tells that writes have to be repeated, or no longer.
func (l *Logger) repeated(err error) {
	l.repeats = err != nil
	if fn := l.cfg.Events.OnRepeated; fn != nil {
		fn(err)
	}
}

// retryLater keeps a failed write until the timer starts it again.
func (l *Logger) retryLater(o *writeOp) {
	o.next = l.retry
	l.retry = o
	if !l.retryTimer.Armed() {
		l.pause = min(max(2*l.pause, l.tune.RetryMin), l.tune.RetryMax)
		l.retryTimer.Reset(l.pause)
	}
}

// hurryRetry starts what failed again soon, since somebody wants the end.
func (l *Logger) hurryRetry() {
	l.lastTries, l.pause = 0, 0
	if l.retry != nil {
		l.retryTimer.Reset(l.tune.RetryMin)
	}
}

// retryNow starts what failed again.
func (l *Logger) retryNow() {
	if l.stopping {
		l.lastTries++
	}
	o := l.retry
	l.retry = nil
	for o != nil {
		next := o.next
		o.next = nil
		o.sub.start()
		o = next
	}
}

// backoff is the present pause between attempts, 0 while the disk is well.
func (l *Logger) backoff() time.Duration { return l.pause }
