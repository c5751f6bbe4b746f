package translogger

import (
	"cmp"

	"mars/infra/block"
	"mars/infra/mutant"
)

// StartBypass says that the brick goes into bypass at once when it is switched
// on next: there is no space for a log.
func (l *Logger) StartBypass() error {
	if !l.Off() {
		return l.wrap("start bypass", "", ErrState)
	}
	l.starting, l.startRp, l.startBypass = nil, nil, true
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

// waits tells whether the last log is still in the way of the bypass: not
// written back, or its final position not durable.
func (l *Logger) waits() bool {
	return l.bypass && (l.old != nil || l.pub.durable < l.pub.serial)
}

// stepStuck fails the requests that wait for a bypass that does not come: the
// disk was given up, or nobody can make the final position durable. Then nothing
// can keep what they bring.
func (l *Logger) stepStuck() {
	if !l.waits() {
		if l.stuckAt != 0 {
			l.stuckTimer.Stop()
			l.stuckAt = 0
		}
		return
	}
	now := l.env.Mono()
	if l.stuckAt == 0 {
		l.stuckAt = now + l.tune.Patience
		l.stuckTimer.Reset(l.tune.Patience)
	}
	err := l.frozen
	switch {
	case l.old != nil && l.heal.lost():
	case now >= l.stuckAt:
		err = cmp.Or(err, ErrStuck)
	default:
		return
	}
	err = l.wrap("write", "", err)
	l.failAll(&l.held, err)
	l.failAll(&l.early, err)
	l.failAll(&l.waiting, err)
}

// stepBypass lets everything that is in no log be written back. Before that
// the last log must be out of the way for good: its replay after a power cut
// would put old data over what the bypass has written.
func (l *Logger) stepBypass() {
	l.stepStuck()
	if !l.bypass || !mutant.Is(mutant.BypassTooSoon) && l.waits() {
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
	switch {
	case err != nil && l.bypass && l.old == nil:
		l.diskError(err, false) // as with any disk: who asked for the flush is told
	case err != nil:
		l.freeze(err)
	default:
		l.diskFlushed = max(l.diskFlushed, f.cover)
	}
	if m != nil {
		m.Complete(err)
	} else {
		l.pub.busy = false
	}
	l.kick()
}

// freeze stops publishing: after a failed flush nobody knows what the disk
// holds. The last published position is right still: the log has all that came
// behind it. In log mode it is written to the disk once more (heal.go).
func (l *Logger) freeze(err error) {
	if l.frozen != nil {
		return
	}
	l.frozen = err
	l.diskError(err, true)
}
