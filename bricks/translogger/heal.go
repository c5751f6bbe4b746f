package translogger

import (
	"errors"
	"fmt"
	"io"
	"time"

	"mars/infra/block"
	"mars/infra/mutant"
	"mars/infra/translog"
)

// This file is what happens after a failed flush of the disk in log mode. Nobody
// knows then what the disk holds of the writes since the last flush that worked.
// But the logs have all of them: they are written to the disk once more, from
// the last published position on, and flushed. Meanwhile requests are held: the
// disk may show old data. If it does not work the disk is used as it is, nothing
// is published, and it is tried again now and then.

// heal is one such attempt.
type heal struct {
	l     *Logger
	logs  []*logFile // still to be read, oldest first
	from  int64      // in the first of them
	scan  *translog.Scanner
	sub   sub
	buf   []byte
	busy  bool // a read is in flight
	rec   translog.Record
	has   bool
	drain bool   // what was read is written back before more is read
	fed   bool   // everything was read
	flush bool   // in flight
	cover uint64 // writes that it covers
	fails int    // attempts that failed in a row
	begun bool   // under way
	stale bool   // the disk or the buffer may show older data than before
}

// healTries is how many attempts in a row hold requests back to back. Later ones
// come after pauses in which the disk is used as it is.
const healTries = 4

// stepHeal begins an attempt when it is due, and goes on with it.
func (l *Logger) stepHeal() {
	h := &l.heal
	switch {
	case l.frozen == nil || l.rp != nil:
		return
	case !h.begun:
		if !l.healTimer.Armed() {
			h.begin()
		}
		return
	case h.busy || h.flush:
		return
	case l.retry != nil:
		h.fail(l.lastErr) // the disk does not even take writes
		return
	case h.feeding() && (l.writes > 0 || l.reads > 0 || l.pub.busy):
		return // what is in flight comes first
	}
	h.feed()
	if h.drain || h.fed {
		h.drained()
	}
}

// feeding tells whether records are being taken from the logs: nothing is
// written back meanwhile.
func (h *heal) feeding() bool { return h.begun && !h.drain && !h.fed }

// begin takes the logs from the last published position on.
func (h *heal) begin() {
	l := h.l
	h.begun, h.fed, h.drain, h.has, h.scan = true, false, false, false, nil
	h.logs = h.logs[:0]
	last := l.pub.last
	for _, g := range []*logFile{l.old, l.cur} {
		if g != nil && g.builder != nil {
			h.logs = append(h.logs, g)
		}
	}
	h.from = 0
	if len(h.logs) > 1 && l.pub.told && last.Number == h.logs[1].id.Number {
		h.logs = h.logs[1:]
	}
	if len(h.logs) > 0 && l.pub.told && last.Number == h.logs[0].id.Number {
		h.from = last.Min
	}
	if h.buf == nil {
		h.buf = l.env.Alloc(readSize)
	}
	l.env.Log().Warn("the disk is written once more, from the log", "brick", l.String(), "from", h.from, "logs", len(h.logs))
	l.kick()
}

// feed reads records into the memory buffer, behind all that is in it.
func (h *heal) feed() {
	l := h.l
	for !h.fed && !h.drain && !h.busy {
		if len(h.logs) == 0 || mutant.Is(mutant.HealNothing) {
			h.fed, h.stale = true, false
			return
		}
		g := h.logs[0]
		if h.scan == nil {
			size := block.OpsOf(l.Input(InputDisk)).Info().Size
			h.scan = translog.NewScanner(translog.Options{Identity: g.id, Start: h.from, Limit: g.max, Published: g.max, Size: size})
		}
		rec, err := h.scan.Next()
		switch {
		case err == nil:
			h.take(g, &rec)
			h.drain = l.buf.used >= l.tune.MemLimit
		case errors.Is(err, translog.ErrNeedMore):
			h.read(g)
		case errors.Is(err, io.EOF) && h.scan.Pos() < g.max:
			// What was written back meanwhile counts as well: older records
			// of the same places may have been written behind it.
			h.scan.SetLimit(g.max)
		case errors.Is(err, io.EOF):
			h.logs, h.from, h.scan = h.logs[1:], 0, nil
		default:
			h.fail(fmt.Errorf("read %s again: %w", g.id.Name(), err))
			return
		}
	}
}

// read brings the next part of the log.
func (h *heal) read(g *logFile) {
	pos := h.scan.Pos()
	if pos >= g.max {
		h.fail(fmt.Errorf("%s ends at %d, not %d: %w", g.id.Name(), pos, g.max, block.ErrShort))
		return
	}
	h.scan.Feed(nil, pos) // the buffer is overwritten now
	align := int64(g.align)
	m := &h.sub.m
	h.sub.input = g.input
	m.Op, m.Pos, m.Short = block.Read, pos&^(align-1), 0
	m.Len = min((g.max-m.Pos+align-1)&^(align-1), readSize)
	m.Data = h.buf[:m.Len]
	h.busy = true
	h.sub.start()
}

// subDone ends a read of the log, or the flush at the end.
func (h *heal) subDone(s *sub, err error) {
	l := h.l
	l.kick()
	if h.flush {
		h.flush = false
		h.flushed(err)
		return
	}
	h.busy = false
	switch {
	case l.abandoned || !h.begun:
	case err != nil:
		h.fail(err)
	default:
		h.scan.Feed(s.m.Data[:s.m.Len-s.m.Short], s.m.Pos)
	}
}

// take puts a record into the memory buffer as one that is older than all that
// is there, but newer than what was taken before.
func (h *heal) take(g *logFile, rec *translog.Record) {
	l := h.l
	kind := inBuffer
	switch rec.Code {
	case translog.CodeWriteNew:
	case translog.CodeWriteZeroes:
		kind = zeroes
	case translog.CodeDiscard:
		kind = discarded
	default:
		return
	}
	h.stale = true
	q := l.buf.newRecord()
	q.end, q.pos, q.len, q.code, q.stamp, q.healed = rec.End, rec.Pos, rec.Len, rec.Code, rec.Stamp, true
	for pos, end := rec.Pos, rec.Pos+rec.Len; pos < end; {
		off := pos & (pageSize - 1)
		n := min(pageSize-off, end-pos)
		v := l.buf.newVersion(q, pos>>pageShift, sectorMask(off, n), kind)
		if kind == inBuffer {
			copy(v.buf[off:], rec.Payload[pos-rec.Pos:][:n])
		}
		l.buf.sink(v)
		l.dirty.add(v.page, l.env.Mono().Nanoseconds())
		pos += n
	}
	q.versions = nil
	l.healing++
}

// sink moves a version, the newest of its page, behind all that are not healed.
func (b *membuf) sink(v *version) {
	p := v.page
	if v.older == nil || v.older.rec.healed {
		return
	}
	p.newest = v.older
	link := &p.newest
	for *link != nil && !(*link).rec.healed {
		link = &(*link).older
	}
	v.older = *link
	*link = v
}

// drained goes on when all that was taken is on the disk: with more of the log,
// or with the flush.
func (h *heal) drained() {
	l := h.l
	if l.healing > 0 || l.writes > 0 {
		return
	}
	h.drain = false
	if !h.fed {
		l.kick()
		return
	}
	if fn := l.cfg.Events.OnDiskRewritten; fn != nil {
		fn()
	}
	h.flush, h.cover = true, l.diskWritten
	m := &h.sub.m
	h.sub.input = InputDisk
	m.Op, m.Pos, m.Len, m.Data = block.Flush, 0, 0, nil
	h.sub.start()
}

// flushed ends an attempt.
func (h *heal) flushed(err error) {
	l := h.l
	if err != nil {
		h.fail(err)
		return
	}
	l.env.Log().Warn("the disk holds again what the log says", "brick", l.String())
	l.frozen, l.diskFlushed = nil, max(l.diskFlushed, h.cover)
	h.begun, h.fails = false, 0
	l.env.Free(h.buf)
	h.buf = nil
	h.resume()
	if fn := l.cfg.Events.OnDiskHealed; fn != nil {
		fn()
	}
}

// fail ends an attempt without success.
func (h *heal) fail(err error) {
	l := h.l
	h.fails++
	h.begun = false
	l.diskError(err, true)
	pause := l.tune.RetryMin << min(h.fails, healTries)
	if h.fails >= healTries {
		pause = max(pause, l.tune.RetryMax)
		h.resume()
	}
	l.healTimer.Reset(min(pause, max(l.tune.RetryMax, time.Second)))
}

// resume lets requests go on.
func (h *heal) resume() {
	l := h.l
	for l.heldReads.head != nil {
		w := l.heldReads.pop()
		m := w.m
		w.m, w.next = nil, l.freeWaiters
		l.freeWaiters = w
		(*ops)(l).IO(m)
	}
	l.kick()
}

// holds tells whether requests are held for the sake of the disk.
func (h *heal) holds() bool {
	return h.l.frozen != nil && h.l.rp == nil && !h.l.abandoned && (h.begun || h.fails < healTries)
}

// lost tells whether the disk was given up for now.
func (h *heal) lost() bool { return h.l.frozen != nil && h.l.rp == nil && h.fails >= healTries }

// hold keeps a read until the attempt is over; false if there is none. If the
// log could not be read to its end the data can not be told any more.
func (h *heal) hold(m *block.Mref) bool {
	switch {
	case h.holds():
		h.l.heldReads.push(h.l.newWaiter(0, m, nil))
	case h.lost() && h.stale:
		m.Complete(h.l.wrap(m.Op.String(), "", h.l.frozen))
	default:
		return false
	}
	return true
}

// reset forgets everything: the brick ends.
func (h *heal) reset() {
	l := h.l
	l.healTimer.Stop()
	if h.buf != nil {
		l.env.Free(h.buf)
	}
	*h = heal{l: l, sub: h.sub}
	l.healing = 0
}
