package translogger

import (
	"errors"
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/env"
)

// This file zeroes the space ahead of a log's appending position, so that
// small batches overwrite blocks which the file system has laid out already:
// a durable overwrite needs no change of metadata.

const (
	zeroPiece = 128 << 10 // bytes of one write of zeroes
	zeroFlush = 8 << 20   // most bytes zeroed between two flushes
	zeroLead  = 4         // a log that was outrun gets this many waiting batches ahead first

	// zeroReserve is what is kept of the prepared space when the file system
	// is full: giving it back makes room for the links of the way out.
	zeroReserve = 128 << 10
	zeroRetry   = 200 * time.Millisecond // pause after there was no space
)

// prepare is the state of that for one log.
type prepare struct {
	at      int64         // zeroed or being zeroed up to here
	flushed int64         // zeroed and flushed up to here
	start   int64         // of the write of zeroes in flight
	on      bool          // going on until the target is reached
	off     bool          // given up: an error
	full    bool          // there was no space for the last piece
	ragged  bool          // the file may reach beyond at: a piece failed, or a cut is not synced
	again   time.Duration // if full: no new attempt before
	recent  int64         // bytes of small batches, halved every second
	since   time.Duration // when recent was halved last
}

// rate notes a batch, for the target.
func (g *logFile) rate(now time.Duration, n, large int64) {
	p := &g.prep
	for p.recent > 0 && now-p.since >= time.Second {
		p.recent /= 2
		p.since += time.Second
	}
	if p.recent == 0 {
		p.since = now
	}
	if n < large {
		p.recent += n
	}
}

// blocked tells whether a batch at the appending position, least to most bytes
// long, has to wait: zeroes in flight would wipe it out, and in space that is
// zeroed but not flushed yet it would not be durable itself, since the file's
// size is not. A large batch that is sure to end behind all that grows the
// file; a small one waits, or the log would never get ahead again.
func (p *prepare) blocked(pos, least, most, large int64, zeroing bool) bool {
	if pos >= p.at || pos+most <= p.flushed {
		return false
	}
	return zeroing && pos+most > p.start || p.at > p.flushed && (least < large || pos+least <= p.at)
}

// zeroing tells whether zeroes are in flight.
func (g *logFile) zeroing() bool { return g.ctlBusy && g.ctl.m.Op == opWrite }

// trimming tells whether prepared space is being given back: appending waits.
func (g *logFile) trimming() bool { return g.ctlBusy && g.ctl.m.Op == block.Truncate }

// prepared is how many bytes behind the appending position are zeroed.
func (g *logFile) prepared() int64 { return max(0, g.prep.at-g.appendPos) }

// stepPrepare goes on with preparing the current log, or the next one.
func (l *Logger) stepPrepare() {
	g := l.cur
	if l.next != nil {
		g = l.next
	}
	if g == nil || g.builder == nil || g.failed != nil || g.closing || g.ctlBusy {
		return
	}
	p := &g.prep
	off := p.off || l.stopping || p.full && l.env.Mono() < p.again
	if off && p.at <= p.flushed {
		return // what is zeroed but not flushed must still be: batches wait for it
	}
	if g.inFlight > 0 && g.appendPos > p.flushed {
		return // that batch lets the file grow: its size must become durable by it
	}
	p.at = max(p.at, g.appendPos)
	p.flushed = max(p.flushed, g.appendPos)
	target := min(max(p.recent, l.tune.PrepareMin), l.tune.PrepareMax)
	ahead := p.at - g.appendPos
	if ahead <= target/2 {
		p.on = target > 0
	}
	if ahead >= target || off {
		p.on = false
	}
	// The first piece is flushed at once, then ever larger runs.
	run := min(max(zeroPiece, p.flushed-g.appendPos), zeroFlush)
	lead := int64(0)
	waits := l.unapp != nil && g.inFlight == 0
	if waits && p.on {
		lead = min(zeroLead*l.unappBytes, target)
	}
	switch {
	case target == 0 && ahead > 0 && l.tune.PrepareMax == 0 && g.inFlight == 0 && l.unapp == nil:
		g.control(block.Truncate, g.appendPos, 0, nil) // give the space back
	case p.at > p.flushed && (!p.on || ahead >= lead && (waits || p.at-p.flushed >= run)):
		g.control(block.Flush, 0, 0, nil)
	case ahead == 0 && g == l.cur && l.unappBytes >= l.tune.LargeBatch:
		// That one may outrun us.
	case p.on:
		p.start = p.at
		p.at += zeroPiece
		g.control(opWrite, p.start, zeroPiece, l.zeroes)
	}
}

// starved tells whether a batch would use up what is kept in reserve on a full
// file system. The log has to end before that.
func (g *logFile) starved() bool {
	p := &g.prep
	n := min(g.l.unappBytes+int64(g.align), int64(g.l.tune.BatchSize))
	return p.full && g.failed == nil && g.appendPos+n > max(p.flushed, p.at)-zeroReserve
}

// starve ends a starved log, as a failed batch does.
func (g *logFile) starve() {
	g.failed = fmt.Errorf("%s: %d bytes are prepared, and there is no space for more: %w", g.id.Name(), g.prepared(), env.ErrNoSpace)
	g.l.kick()
}

// ready tells whether enough is prepared to let a new log take over under load.
func (g *logFile) ready() bool {
	p := &g.prep
	return p.off || p.full || g.failed != nil || p.flushed >= min(g.l.tune.PrepareMin, g.l.tune.PrepareMax)
}

// prepDone ends a piece of zeroes or a flush. Preparing is a convenience: when
// there is no space for it the log goes on without. A failed flush is final for
// the file.
func (g *logFile) prepDone(op block.Op, err error) {
	p := &g.prep
	switch {
	case op == block.Truncate && err == nil:
		p.at, p.flushed, p.ragged = g.appendPos, g.appendPos, true
	case op == block.Flush && err != nil:
		g.failed = err
		g.tries = maxCutTries - 1 // nor can a cut be made durable
	case op == block.Flush:
		p.flushed = p.at
	case err == nil:
		p.full = false
	case errors.Is(err, env.ErrNoSpace):
		// What was zeroed of the piece is of no use.
		p.ragged = true
		p.at, p.again = p.start, g.l.env.Mono()+zeroRetry
		if fn := g.l.cfg.Events.OnNoSpace; fn != nil && !p.full {
			fn()
		}
		p.full = true
	default:
		p.off = true
		g.l.env.Log().Warn("space ahead of the log is not prepared", "log", g.id.Name(), "err", err)
	}
}
