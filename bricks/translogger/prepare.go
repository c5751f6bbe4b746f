package translogger

import (
	"time"

	"mars/infra/block"
)

// This file zeroes the space ahead of a log's appending position, so that
// small batches overwrite blocks which the file system has laid out already:
// a durable overwrite needs no change of metadata.

const (
	zeroPiece = 128 << 10 // bytes of one write of zeroes
	zeroFlush = 8 << 20   // most bytes zeroed between two flushes
)

// prepare is the state of that for one log.
type prepare struct {
	at      int64         // zeroed or being zeroed up to here
	flushed int64         // zeroed and flushed up to here
	start   int64         // of the write of zeroes in flight
	on      bool          // going on until the target is reached
	off     bool          // given up: no space, or an error
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

// zeroing tells whether zeroes in flight touch [from, to).
func (g *logFile) zeroing(from, to int64) bool {
	p := &g.prep
	return g.ctlBusy && g.ctl.m.Op == opWrite && p.start < to && from < p.at
}

// prepared is how many bytes behind the appending position are zeroed.
func (g *logFile) prepared() int64 { return max(0, g.prep.at-g.appendPos) }

// stepPrepare starts the next piece of zeroes, or the flush behind them.
func (l *Logger) stepPrepare() {
	g := l.cur
	if g == nil || g.builder == nil || g.failed != nil || g.closing || g.ctlBusy || g.prep.off || l.next != nil || l.stopping {
		return
	}
	p := &g.prep
	if p.at < g.appendPos {
		p.at = g.appendPos
	}
	p.flushed = max(p.flushed, min(p.at, g.appendPos))
	target := min(max(p.recent, l.tune.PrepareMin), l.tune.PrepareMax)
	ahead := p.at - g.appendPos
	if ahead <= target/2 {
		p.on = target > 0
	}
	if ahead >= target {
		p.on = false
	}
	switch {
	case p.on && p.at-p.flushed < zeroFlush:
		p.start = p.at
		p.at += zeroPiece
		g.control(opWrite, p.start, zeroPiece, l.zeroes)
	case p.at > p.flushed:
		g.control(block.Flush, 0, 0, nil)
	}
}

// prepDone ends a piece of zeroes or a flush. Preparing is a convenience: when
// there is no space for it the log goes on without. A failed flush is final for
// the file.
func (g *logFile) prepDone(op block.Op, err error) {
	p := &g.prep
	switch {
	case op == block.Flush && err != nil:
		g.failed = err
	case op == block.Flush:
		p.flushed = p.at
	case err != nil:
		p.off = true
		g.l.env.Log().Warn("space ahead of the log is not prepared", "log", g.id.Name(), "err", err)
	}
}
