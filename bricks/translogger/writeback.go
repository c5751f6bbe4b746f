package translogger

import (
	"cmp"
	"slices"
	"time"

	"mars/infra/mutant"
)

// spare is how many snapshots an empty memory buffer keeps for the next burst.
const spare = 256

// dirtyList is a FIFO of pages that have versions fit for writeback.
type dirtyList struct {
	head, tail *page
	n          int
}

// add queues a page, unless it is queued or being written: then it comes back
// by itself.
func (d *dirtyList) add(p *page, now int64) {
	if p.queued || p.wb != nil && !mutant.Is(mutant.WritesOverlap) {
		return
	}
	p.queued, p.since, p.qnext = true, now, nil
	if d.head == nil {
		d.head = p
	} else {
		d.tail.qnext = p
	}
	d.tail = p
	d.n++
}

func (d *dirtyList) pop() *page {
	p := d.head
	d.head = p.qnext
	if d.head == nil {
		d.tail = nil
	}
	p.qnext = nil
	d.n--
	return p
}

// sweep is one run over the disk in ascending order.
type sweep struct {
	pages []*page
	at    int
}

func (s *sweep) left() int { return len(s.pages) - s.at }

func byNumber(a, b *page) int { return cmp.Compare(a.number, b.number) }

// urgency of the writeback.
type urgency uint8

const (
	notNow urgency = iota
	lazy           // the log is idle: gives way to new batches
	forced         // pressure, age, or somebody waits for the end
)

// urgent decides whether to write back now.
func (l *Logger) urgent() urgency {
	switch {
	case l.rp != nil, l.stopping, l.old != nil, l.bypass, l.next != nil, l.healing > 0:
		return forced
	case l.buf.used >= l.tune.MemLimit/2:
		return forced
	}
	now := l.env.Mono()
	if l.dirty.head != nil && now.Nanoseconds()-l.dirty.head.since >= l.tune.MaxAge.Nanoseconds() {
		return forced
	}
	if l.logIdle() && now-l.lastAppend >= l.tune.Idle {
		return lazy
	}
	return notNow
}

func (l *Logger) logIdle() bool {
	return l.unapp == nil && (l.cur == nil || l.cur.inFlight == 0)
}

// stepWriteback starts writes to the disk as far as policy and limits allow.
func (l *Logger) stepWriteback() {
	for l.writes < l.tune.MaxWrites && !l.throttled() && !l.heal.feeding() {
		if l.sweep.left() == 0 && !l.newSweep() {
			break
		}
		if l.sweepForced || l.logIdle() || l.urgent() == forced {
			p := l.sweep.pages[l.sweep.at]
			l.sweep.pages[l.sweep.at] = nil
			l.sweep.at++
			p.queued = false
			l.compose(p)
			continue
		}
		break // a lazy sweep gives way to the log
	}
	l.flushOpen()
	l.armWriteback()
}

// throttled tells whether the writeback has to pause for its limit. Pressure
// knows no limit.
func (l *Logger) throttled() bool {
	t := &l.tune
	if t.WritebackLimit == 0 || l.env.Mono() >= l.wbNext || l.dirty.n == 0 && l.sweep.left() == 0 {
		return false
	}
	switch {
	case l.rp != nil, l.stopping, l.bypass, l.healing > 0, l.buf.used >= t.MemLimit/2:
		return false
	}
	if !l.wbTimer.Armed() {
		l.wbTimer.Reset(l.wbNext - l.env.Mono())
	}
	return true
}

// charge notes n bytes written back, for the limit.
func (l *Logger) charge(n int64) {
	if limit := l.tune.WritebackLimit; limit > 0 {
		l.wbNext = max(l.wbNext, l.env.Mono()) + time.Duration(n*int64(time.Second)/limit)
	}
}

// newSweep takes the oldest dirty pages and sorts them.
func (l *Logger) newSweep() bool {
	if l.dirty.n == 0 {
		return false
	}
	u := l.urgent()
	if u == notNow {
		return false
	}
	s := &l.sweep
	s.pages, s.at = s.pages[:0], 0
	for l.dirty.n > 0 && len(s.pages) < l.tune.SweepPages {
		s.pages = append(s.pages, l.dirty.pop())
	}
	slices.SortFunc(s.pages, byNumber)
	l.sweepForced = u == forced
	return true
}

// armWriteback arms the timer for the next moment at which the policy may
// change its mind by itself. An idle logger has no timer armed.
func (l *Logger) armWriteback() {
	if l.buf.used == 0 {
		l.buf.trim(spare)
	}
	if l.dirty.n == 0 || l.sweep.left() > 0 || l.writes >= l.tune.MaxWrites || l.wbTimer.Armed() {
		return
	}
	now := l.env.Mono()
	idle := l.tune.Idle
	if l.logIdle() {
		idle += l.lastAppend - now
	}
	wait := min(idle, time.Duration(l.dirty.head.since)+l.tune.MaxAge-now)
	l.wbTimer.Reset(max(wait, time.Millisecond))
}

// writtenBack ends the writeback of a page.
func (l *Logger) writtenBack(p *page) {
	v := p.wb
	p.wb = nil
	link := &p.newest
	for *link != v {
		link = &(*link).older
	}
	*link = nil
	for v != nil {
		next := v.older
		l.written(v)
		v = next
	}
	if p.newest == nil {
		l.buf.drop(p)
		return
	}
	for v := p.newest; v != nil; v = v.older {
		if v.rec.seq <= l.eligible {
			l.dirty.add(p, l.env.Mono().Nanoseconds())
			return
		}
	}
}
