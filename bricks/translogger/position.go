package translogger

import (
	"time"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/mutant"
)

// publisher moves positions out: first a flush of the disk that covers the
// writes below Min, then the call to strategy, which writes the links.
type publisher struct {
	l       *Logger
	timer   env.Timer
	flush   sub
	cover   uint64 // writes that the flush in flight covers
	busy    bool   // a flush is in flight
	want    Info   // what it is for
	final   bool   // it is the last of the old log
	last    Info   // published last
	lastAt  time.Duration
	serial  uint64 // of last
	durable uint64 // of the newest that is acknowledged
	told    bool   // last is valid
}

func (p *publisher) init(l *Logger) {
	p.l = l
	p.timer = l.env.NewTimer(l.kick)
	p.flush.init(l, InputDisk, p)
	p.flush.m.Op = block.Flush
}

func (p *publisher) reset() {
	p.last, p.told, p.busy, p.final = Info{}, false, false, false
	p.durable = p.serial
	p.lastAt = p.l.env.Mono() - p.l.tune.Publish
}

// info is the present position of a log.
func (l *Logger) info(g *logFile) Info {
	i := Info{Number: g.id.Number, Origin: g.id.Origin, Min: g.min, Max: max(g.min, g.max), LogPos: g.durable}
	if mutant.Is(mutant.EarlyPosition) {
		i.Min, i.Max = g.durable, g.durable
	}
	if g == l.old && (l.bypass || l.cur != nil && l.cur.max > 0) {
		i.Max = max(i.Max, i.LogPos) // what came behind it is being written already
	}
	return i
}

// Position is the present position, published or not: of the log before the
// current one as long as that is not written back. ok is false in bypass.
func (l *Logger) Position() (i Info, ok bool) {
	switch {
	case l.old != nil:
		return l.info(l.old), true
	case l.cur != nil:
		return l.info(l.cur), true
	}
	return Info{}, false
}

func (p *publisher) same(i Info) bool {
	i.Serial, i.Final = p.last.Serial, p.last.Final
	return p.told && i == p.last
}

// stepPublish publishes the position when it moved and the time has come: at
// most once in a while, but at once at the end of a log.
func (l *Logger) stepPublish() {
	p := &l.pub
	if p.busy || l.rp != nil || l.frozen != nil {
		return
	}
	g, forced := l.cur, false
	switch {
	case l.old != nil:
		g = l.old
		forced = g.closed && l.drained(g)
	case g == nil || l.bypassed():
		return
	default:
		forced = l.stopping && l.head == nil && g.closed
	}
	i := l.info(g)
	final := forced && g == l.old
	if p.same(i) && !final {
		return
	}
	now := l.env.Mono()
	if due := p.lastAt + l.tune.Publish; !forced && now < due {
		if !p.timer.Armed() {
			p.timer.Reset(due - now)
		}
		return
	}
	p.publish(i, final)
}

// bypassed tells whether writes without a log stand before the current one: as
// long as they do, no position in it means anything.
func (l *Logger) bypassed() bool {
	return l.head != nil && l.head.log == nil && l.head.seq <= l.eligible
}

// publish flushes the disk if it has to, then tells strategy.
func (p *publisher) publish(i Info, final bool) {
	l := p.l
	p.want, p.final = i, final
	if l.diskWritten == l.diskFlushed || mutant.Is(mutant.NoFlush) {
		p.tell()
		return
	}
	p.busy, p.cover = true, l.diskWritten
	p.flush.start()
}

// subDone ends the flush.
func (p *publisher) subDone(_ *sub, err error) {
	l := p.l
	p.busy = false
	l.kick()
	if err != nil {
		l.freeze(err)
		return
	}
	l.diskFlushed = max(l.diskFlushed, p.cover)
	if !l.abandoned {
		p.tell()
	}
}

func (p *publisher) tell() {
	l := p.l
	p.timer.Stop()
	p.lastAt = l.env.Mono()
	p.serial++
	p.want.Serial, p.want.Final = p.serial, p.final
	p.last, p.told = p.want, true
	released := 0
	if p.final {
		p.final = false
		released = l.old.input
		l.old = nil
	}
	l.kick()
	if fn := l.cfg.Events.OnPosition; fn != nil {
		fn(p.last)
	}
	if fn := l.cfg.Events.OnLogReleased; fn != nil && released != 0 {
		fn(released)
	}
}
