package translogger

import (
	"time"

	"mars/infra/mutant"
	"mars/infra/translog"
)

// batch is one write to a log, with the staging buffer it is packed in.
type batch struct {
	sub      sub
	log      *logFile
	buf      []byte
	off, end int64
	first    *record
	lastSeq  uint64
	last     *record
	done     bool
	err      error
	since    time.Duration // when it was started
	records  int64
	next     *batch
}

// stepAppend packs waiting records into batches and starts them.
func (l *Logger) stepAppend() {
	for l.unapp != nil && l.mayAppend() {
		if l.cur.starved() {
			l.cur.starve()
			return
		}
		l.startBatch()
	}
}

// mayAppend decides whether a batch may start now.
func (l *Logger) mayAppend() bool {
	g := l.cur
	if g == nil || g.builder == nil || g.failed != nil || g.closing || g.trimming() || l.switching() || l.bypass {
		return false
	}
	most := l.tune.Batches
	if g.serial {
		most = 1
	}
	if g.inFlight > 0 && (g.inFlight >= most || l.unappBytes < l.tune.SecondBatch) {
		return false
	}
	n := min(l.unappBytes+2*translog.MaxRecord+int64(g.align), int64(l.tune.BatchSize))
	least := min(l.unappBytes, int64(l.tune.BatchSize)-2*translog.MaxRecord)
	return !g.prep.blocked(g.appendPos, least, n, l.tune.LargeBatch, g.zeroing())
}

func (l *Logger) newBatch() *batch {
	b := l.freeBatches
	if b != nil && len(b.buf) == l.tune.BatchSize {
		l.freeBatches = b.next
		b.next = nil
		return b
	}
	if b == nil {
		b = &batch{}
	} else {
		l.freeBatches = b.next
		l.env.Free(b.buf)
	}
	*b = batch{buf: l.env.Alloc(l.tune.BatchSize)}
	return b
}

func (l *Logger) dropBatch(b *batch) {
	b.log, b.first, b.last, b.err = nil, nil, nil, nil
	b.sub.m.Data = nil
	b.next = l.freeBatches
	l.freeBatches = b
}

func (l *Logger) startBatch() {
	g, b := l.cur, l.newBatch()
	if b.sub.owner == nil {
		b.sub.init(l, g.input, b)
	}
	b.sub.input = g.input
	b.log, b.off, b.first, b.done, b.since, b.records = g, g.appendPos, l.unapp, false, l.env.Mono(), 0
	g.builder.Begin(b.buf, g.appendPos, g.durable)
	rest := l.share(g)
	for r := l.unapp; r != nil && l.unappBytes > rest && l.pack(g, r); r = r.next {
		b.last = r
		b.records++
		l.unapp = r.next
		l.unappBytes -= r.size()
	}
	data := g.builder.Close(g.align)
	b.lastSeq, b.end = b.last.seq, b.off+int64(len(data))
	g.appendPos = b.end
	if g.lastBatch == nil {
		g.batches = b
	} else {
		g.lastBatch.next = b
	}
	g.lastBatch = b
	g.inFlight++
	g.rate(l.env.Mono(), int64(len(data)), l.tune.LargeBatch)
	l.submitted = b.lastSeq
	l.stats.Batches++
	l.stats.LogBytes += int64(len(data))
	m := &b.sub.m
	m.Op, m.FUA, m.Pos, m.Len, m.Data = opWrite, !mutant.Is(mutant.AckBeforeDurable), b.off, int64(len(data)), data
	b.sub.start()
	l.answer(&l.early, l.submitted)
}

// share is how many waiting bytes the batch that starts now leaves to a second one.
// Writers who all wait for one batch would all come back at once, and log and
// processor would take turns; in two halves they overlap from then on.
func (l *Logger) share(g *logFile) int64 {
	if g.serial || g.inFlight > 0 || l.tune.Batches < 2 || l.unappBytes < 2*l.tune.SecondBatch {
		return 0
	}
	return l.unappBytes / 2
}

// pack appends one record to the open batch; false if it does not fit.
func (l *Logger) pack(g *logFile, r *record) bool {
	if r.code != translog.CodeWriteNew {
		if !g.builder.Fits(8) {
			return false
		}
		r.end = g.builder.AppendRange(r.code, r.pos, r.len, r.stamp)
	} else {
		if !g.builder.Fits(int(r.len)) {
			return false
		}
		off := r.pos & (pageSize - 1)
		r.end = g.builder.Append(r.code, r.pos, r.versions.buf[off:off+r.len], r.stamp)
	}
	r.log = g
	return true
}

// subDone ends a batch. Batches may end in any order, but only a prefix of
// them counts as durable.
func (b *batch) subDone(_ *sub, err error) {
	g, l := b.log, b.log.l
	b.done, b.err = true, err
	if err == nil {
		l.stats.BatchTime.Add(int64(l.env.Mono() - b.since))
		l.stats.BatchBytes.Add(b.end - b.off)
		l.stats.BatchRecords.Add(b.records)
	}
	g.inFlight--
	if err != nil && g.failed == nil {
		g.failed = err
	}
	l.lastAppend = l.env.Mono()
	if mutant.Is(mutant.AckOutOfOrder) && err == nil {
		l.answer(&l.waiting, b.lastSeq)
	}
	l.settle(g)
	l.kick()
}

// settle moves the durable end over the batches that are durable, and makes
// their records fit for writeback. What failed, and what came behind it, goes
// back in front of the waiting records once nothing is in flight.
func (l *Logger) settle(g *logFile) {
	before := g.durable
	for b := g.batches; b != nil && b.done && b.err == nil; b = g.batches {
		g.batches = b.next
		if g.batches == nil {
			g.lastBatch = nil
		}
		g.durable = b.end
		for r := b.first; ; r = r.next {
			l.promote(r)
			if r == b.last {
				break
			}
		}
		l.acked = b.lastSeq
		l.dropBatch(b)
	}
	if g.failed != nil && g.inFlight == 0 && g.batches != nil {
		l.rewind(g)
	}
	if g.durable == before {
		return
	}
	l.advance()
	if fn := l.cfg.Events.OnDurable; fn != nil {
		fn(g.id.Number, g.durable)
	}
	l.answer(&l.waiting, l.acked)
}

// rewind takes the records of failed batches back; they are in the list still.
func (l *Logger) rewind(g *logFile) {
	first := g.batches.first
	for b := g.batches; b != nil; b = g.batches {
		g.batches = b.next
		l.dropBatch(b)
	}
	g.lastBatch = nil
	for r := first; r != l.unapp; r = r.next {
		r.log, r.end = nil, 0
		l.unappBytes += r.size()
	}
	l.unapp = first
	g.appendPos = g.durable
}
