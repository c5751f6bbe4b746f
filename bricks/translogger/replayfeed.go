package translogger

import (
	"errors"
	"fmt"
	"io"

	"mars/infra/block"
	"mars/infra/translog"
)

// feed puts records into the memory buffer, as far as the publication and the
// memory allow.
func (r *replay) feed() {
	l := r.l
	for !r.ended && !l.stopping && l.buf.used < l.tune.MemLimit {
		if r.scan == nil {
			if !r.identify() {
				return
			}
			continue
		}
		if r.probe != nil {
			r.judge()
			return
		}
		if !r.has {
			rec, err := r.scan.Next()
			if err != nil {
				if !r.cope(err) {
					return
				}
				continue
			}
			r.rec, r.has = rec, true
		}
		if r.rec.End > r.acked {
			return
		}
		if err := r.apply(); err != nil {
			r.end(ReplayDamage, translog.VerdictDamage, err)
			return
		}
		l.stats.ReplayBytes += r.rec.End - r.rec.Off
		r.has = false
	}
}

// cope handles what the scanner says instead of a record; true to go on.
func (r *replay) cope(err error) bool {
	switch {
	case errors.Is(err, translog.ErrNeedMore):
		return r.rd.window(r.scan.Pos(), r.scan.Feed)
	case errors.Is(err, io.EOF) && r.rd.limit() < r.p.End:
		r.end(ReplayTail, translog.VerdictEnd, fmt.Errorf("log %d ends at %d, not %d: %w", r.p.Number, r.rd.eof, r.p.End, block.ErrShort))
		return false
	case errors.Is(err, io.EOF):
		r.end(ReplayReached, 0, nil)
		return false
	case errors.As(err, &r.bad):
		r.probe = r.scan.Probe(r.bad)
		return true
	}
	r.end(ReplayFailed, 0, err)
	return false
}

// judge finds out what the bad position means.
func (r *replay) judge() {
	for {
		v, err := r.probe.Verdict()
		switch {
		case err != nil:
			if !r.rd.window(r.probe.Pos(), r.probe.Feed) {
				return
			}
			continue
		case v == translog.VerdictDamage:
			r.end(ReplayDamage, v, r.bad)
		default:
			r.end(ReplayTail, v, r.bad)
		}
		return
	}
}

// identify reads whose log it is, for a replay that starts in the middle.
func (r *replay) identify() bool {
	var id translog.Identity
	var err error
	if !r.rd.window(0, func(b []byte, off int64) {
		id, _, err = translog.ReadIdentity(b)
	}) {
		return false
	}
	if err != nil {
		r.end(ReplayDamage, translog.VerdictDamage, fmt.Errorf("identity of log %d: %w", r.p.Number, err))
		return false
	}
	r.newScanner(id)
	return true
}

// apply puts the record into the memory buffer.
func (r *replay) apply() error {
	l, rec := r.l, &r.rec
	kind := inBuffer
	switch rec.Code {
	case translog.CodeFiller, translog.CodeWriteOld:
		return nil
	case translog.CodeWriteNew:
	case translog.CodeWriteZeroes:
		kind = zeroes
	case translog.CodeDiscard:
		kind = discarded
	default:
		return fmt.Errorf("record of %v at %d: not known to this release", rec.Code, rec.Off)
	}
	if rec.Len == 0 {
		return nil
	}
	if (rec.Pos|rec.Len)&(sectorSize-1) != 0 || rec.Len > maxRange || rec.Pos < 0 || rec.Pos > r.size-rec.Len {
		return fmt.Errorf("record at %d: %d bytes at %d of a disk of %d: %w", rec.Off, rec.Len, rec.Pos, r.size, block.ErrRange)
	}
	q := l.buf.newRecord()
	q.log, q.end, q.pos, q.len, q.code, q.stamp = r.g, rec.End, rec.Pos, rec.Len, rec.Code, rec.Stamp
	if kind != inBuffer {
		l.spread(q, kind)
	} else {
		l.fill(q, rec.Payload)
	}
	l.push(q)
	l.submitted, l.acked = q.seq, q.seq
	l.promote(q)
	return nil
}

// fill makes the versions of a record of data.
func (l *Logger) fill(q *record, data []byte) {
	for pos := q.pos; len(data) > 0; {
		off := pos & (pageSize - 1)
		n := min(pageSize-off, int64(len(data)))
		v := l.buf.newVersion(q, pos>>pageShift, sectorMask(off, n), inBuffer)
		copy(v.buf[off:], data[:n])
		data = data[n:]
		pos += n
	}
}
