package translogger

import (
	"mars/infra/mutant"
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
	if mutant.Is(mutant.FailedLogUncut) {
		g.closed = true
	}
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
