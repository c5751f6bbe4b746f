package translogger

import (
	"mars/infra/block"
	"mars/infra/translog"
)

// This file is the life of the logs at the two log inputs:
//
//	next   given by SetNextLog; becomes cur when nothing is in flight to cur
//	cur    new records go there
//	old    the one before: stays until its records are written back, its final
//	       position is published and its end is cut; then it is released

// StartLog says which log the brick appends to when it is switched on next.
// The log is behind the input, switched on and empty; the brick is off.
func (l *Logger) StartLog(input int, id translog.Identity) error {
	if !l.Off() {
		return l.wrap("start log", id.Name(), ErrState)
	}
	g, err := l.newLog(input, id)
	if err != nil {
		return err
	}
	l.starting, l.startRp, l.startBypass = g, nil, false
	return nil
}

// StartBypass says that the brick goes into bypass at once when it is switched
// on next: there is no space for a log.
func (l *Logger) StartBypass() error {
	if !l.Off() {
		return l.wrap("start bypass", "", ErrState)
	}
	l.starting, l.startRp, l.startBypass = nil, nil, true
	return nil
}

// SetNextLog gives the log to go on with, at the input that is free: rotation,
// the way out of a failed log, and the end of a bypass. ErrBusy: the log before
// the current one is not released yet.
func (l *Logger) SetNextLog(input int, id translog.Identity) error {
	if l.rp != nil || !l.running() {
		return l.wrap("next log", id.Name(), ErrState)
	}
	if l.next != nil || l.old != nil || l.cur != nil && l.cur.input == input {
		return l.wrap("next log", id.Name(), ErrBusy)
	}
	g, err := l.newLog(input, id)
	if err != nil {
		return err
	}
	l.next, l.wantBypass = g, false
	l.kick()
	return nil
}

// SetBypass begins the emergency bypass (manual, emergency mode): what is in
// no log yet, and everything new, is written to the disk without a log, and
// answered when it is there; flushes go to the disk. SetNextLog ends it. The
// current log is released like after a rotation, and the bypass waits until
// its final position is acknowledged by PositionDurable.
func (l *Logger) SetBypass() error {
	if l.rp != nil || !l.running() || l.next != nil {
		return l.wrap("bypass", "", ErrState)
	}
	l.wantBypass = true
	l.kick()
	return nil
}

// Bypass tells whether writes go to the disk without a log now.
func (l *Logger) Bypass() bool { return l.bypass }

// LogFailed tells why the current log can not be appended to, or nil.
func (l *Logger) LogFailed() error {
	if l.cur == nil {
		return nil
	}
	return l.cur.failed
}

// DurableEnd is the durable end of the current log, 0 if there is none.
func (l *Logger) DurableEnd() int64 {
	if l.cur == nil {
		return 0
	}
	return l.cur.durable
}

// AppendPos is the end of what has been sent to the current log.
func (l *Logger) AppendPos() int64 {
	if l.cur == nil {
		return 0
	}
	return l.cur.appendPos
}

// Prepared is how many bytes of the current log are zeroed ahead: space that
// counts as free.
func (l *Logger) Prepared() int64 {
	if l.cur == nil {
		return 0
	}
	return l.cur.prepared()
}

// Log is the identity of the current log; ok is false if there is none.
func (l *Logger) Log() (id translog.Identity, ok bool) {
	if l.cur == nil {
		return id, false
	}
	return l.cur.id, true
}

// stepRotate moves on to the next log, or into or out of the bypass.
func (l *Logger) stepRotate() {
	l.handleFailure()
	switch {
	case l.old != nil:
	case l.bypass:
		if l.next != nil && l.head == nil && l.acked == l.lastSeq && l.settledDisk() {
			l.bypass = false
			l.takeNext()
		}
	case l.cur == nil || l.cur.inFlight > 0 || l.cur.failed != nil && !l.cur.reported:
	case l.switching():
		l.retire()
		l.takeNext()
	case l.wantBypass:
		l.retire()
		l.bypass, l.wantBypass = true, false
	}
}

// switching tells whether the next log is to take over as soon as nothing is
// in flight to the current one.
func (l *Logger) switching() bool {
	return l.next != nil && (l.stopping || l.cur == nil || l.cur.failed != nil || l.next.ready())
}

func (l *Logger) retire() {
	l.old, l.cur = l.cur, nil
	l.old.close()
	l.advance()
}

func (l *Logger) takeNext() {
	l.cur, l.next = l.next, nil
	l.lastAppend = l.env.Mono()
}

// handleFailure cuts a log that failed, then reports it. Nobody may read the
// file behind its durable end in between: nothing there was answered.
func (l *Logger) handleFailure() {
	g := l.cur
	if g == nil || g.failed == nil || g.reported || g.inFlight > 0 {
		return
	}
	if g.batches != nil {
		l.rewind(g)
	}
	g.close()
	if !g.closed {
		return
	}
	g.reported = true
	if fn := l.cfg.Events.OnLogError; fn != nil {
		fn(LogError{Input: g.input, ID: g.id, End: g.durable, Err: g.failed, CutErr: g.cutErr})
	}
}

// stepClosing goes on with cutting the logs that are to be closed.
func (l *Logger) stepClosing() {
	if l.old != nil {
		l.old.stepClose()
	}
	if l.cur != nil {
		l.cur.stepClose()
	}
}

// stepBypass lets everything that is in no log be written back. Before that
// the last log must be out of the way for good: its replay after a power cut
// would put old data over what the bypass has written.
func (l *Logger) stepBypass() {
	if !l.bypass || l.old != nil || l.pub.durable < l.pub.serial {
		return
	}
	for r := l.unapp; r != nil; r = r.next {
		l.promote(r)
	}
	l.unapp, l.unappBytes = nil, 0
	l.submitted = l.lastSeq
	l.answer(&l.early, l.submitted)
	if l.doneSeq > l.acked {
		l.acked = l.doneSeq
		l.answer(&l.waiting, l.acked)
	}
}

// settledDisk tells whether everything written to the disk is flushed, and
// starts a flush if not. Called until it is: what was answered in bypass must
// be as durable as what the next log holds.
func (l *Logger) settledDisk() bool {
	if l.diskWritten == l.diskFlushed || l.frozen != nil {
		return true
	}
	l.flushDisk(nil)
	return false
}

// diskFlush is a flush of the disk for one request, or for nobody.
type diskFlush struct {
	sub   sub
	m     *block.Mref
	cover uint64
	next  *diskFlush
}

// flushDisk answers m when the disk is flushed. With m nil there is one such
// flush at a time.
func (l *Logger) flushDisk(m *block.Mref) {
	if m == nil {
		if l.pub.busy {
			return
		}
		l.pub.busy = true
	}
	f := l.freeFlushes
	if f == nil {
		f = &diskFlush{}
		f.sub.init(l, InputDisk, f)
	} else {
		l.freeFlushes = f.next
	}
	f.m, f.cover, f.next = m, l.diskWritten, nil
	f.sub.m.Op = block.Flush
	f.sub.start()
}

// subDone ends a flush of the disk.
func (f *diskFlush) subDone(_ *sub, err error) {
	l, m := f.sub.l, f.m
	f.m = nil
	f.next = l.freeFlushes
	l.freeFlushes = f
	if err != nil {
		l.freeze(err)
	} else {
		l.diskFlushed = max(l.diskFlushed, f.cover)
	}
	if m != nil {
		m.Complete(err)
	} else {
		l.pub.busy = false
	}
	l.kick()
}

// freeze stops publishing for good: after a failed flush nobody knows what the
// disk holds. The last published position is right still: the log has all
// that came behind it.
func (l *Logger) freeze(err error) {
	if l.frozen != nil {
		return
	}
	l.frozen = err
	l.diskError(err, true)
}
