package translogger

import "mars/infra/translog"

// record is one record of a log from its arrival until all of it is on the
// disk. The records of a logger form one list in their order, across logs:
//
//	head            eligible                      unapp               tail
//	 |  durable, to be written back | in batches | not yet in a batch |
type record struct {
	seq      uint64 // in the logger, from 1: a Mark
	log      *logFile
	end      int64 // of the record in log, once it is in a batch
	pos, len int64 // on the disk
	code     translog.Code
	stamp    translog.Stamp
	versions *version // by sib; valid until the record is durable
	pending  int      // versions not written back yet
	healed   bool     // taken from a log again, and in no list; see heal.go
	next     *record
}

// Mark is a place in the order of all writes that a logger has taken.
type Mark uint64

// size is about what the record takes in a batch.
func (r *record) size() int64 {
	if r.code == translog.CodeWriteNew {
		return translog.Overhead + r.len
	}
	return translog.Overhead + 8
}

// push puts a complete record at the end of the list.
func (l *Logger) push(r *record) {
	l.lastSeq++
	r.seq = l.lastSeq
	if l.tail == nil {
		l.head = r
	} else {
		l.tail.next = r
	}
	l.tail = r
}

// promote makes the versions of a record fit for writeback: it is durable (or
// need not be). The records come here in their order.
func (l *Logger) promote(r *record) {
	l.eligible = r.seq
	for v := r.versions; v != nil; v = v.sib {
		l.buf.absorb(v)
		l.dirty.add(v.page, l.env.Mono().Nanoseconds())
	}
	r.versions = nil
}

// written ends a version that a write to the disk has carried, or covered.
func (l *Logger) written(v *version) {
	for a := v.absorbed; a != nil; {
		next := a.older
		l.countDown(a.rec)
		l.buf.dropVersion(a)
		a = next
	}
	l.countDown(v.rec)
	l.buf.dropVersion(v)
}

// countDown notes that a version of r is on the disk.
func (l *Logger) countDown(r *record) {
	r.pending--
	if r.healed && r.pending == 0 {
		l.healing--
		l.buf.dropRecord(r)
	}
}

// advance takes the records off the list's head that are wholly on the disk,
// and moves the positions of their logs.
func (l *Logger) advance() {
	for r := l.head; r != nil && r.pending == 0; r = l.head {
		l.head = r.next
		if l.head == nil {
			l.tail = nil
		}
		if r.log != nil {
			r.log.min = r.end
			r.log.max = max(r.log.max, r.end)
		}
		l.doneSeq = r.seq
		l.buf.dropRecord(r)
	}
	if l.old != nil && l.drained(l.old) {
		l.old.min, l.old.max = l.old.durable, l.old.durable
	}
	if l.cur != nil && (l.head == nil || l.head.seq > l.eligible) {
		l.cur.min = l.cur.durable
		l.cur.max = max(l.cur.max, l.cur.min)
	}
}

// drained tells whether no durable record of an older log is left.
func (l *Logger) drained(g *logFile) bool {
	return l.head == nil || l.head.log != g
}
