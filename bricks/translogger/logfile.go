package translogger

import (
	"mars/infra/block"
	"mars/infra/translog"
)

// logFile is a log at one of the log inputs.
//
//	0        min        max       durable      appendPos    zeroed      size
//	| on disk | dirty    | logged  | in flight  | zeros      |
type logFile struct {
	l      *Logger
	input  int
	id     translog.Identity
	align  int
	serial bool

	builder   *translog.Builder
	appendPos int64 // where the next batch goes
	durable   int64 // durable end: every batch below is durable
	min, max  int64

	batches   *batch // in flight, oldest first
	lastBatch *batch
	inFlight  int   // of those, not completed
	failed    error // why nothing may be appended any more
	reported  bool

	prep prepare

	ctl       sub // the one request for zeroing, cutting and flushing
	ctlBusy   bool
	cutting   bool // it belongs to stepClose
	closing   bool // no more appending: cut it at the durable end
	closed    bool // cut, or given up: see cutErr
	truncated bool
	tries     int
	cutErr    error
}

// newLog checks that the log at an input can be used.
func (l *Logger) newLog(input int, id translog.Identity) (*logFile, error) {
	if input != InputLog1 && input != InputLog2 {
		return nil, l.wrap("log at input", input, ErrState)
	}
	in := l.Input(input)
	if in.Peer() == nil || !in.Peer().Brick.On() {
		return nil, l.wrap("log is not connected and on, input", input, ErrState)
	}
	info := block.OpsOf(in).Info()
	if info.Size != 0 {
		return nil, l.wrap("log", id.Name(), ErrNotEmpty)
	}
	g := &logFile{l: l, input: input, id: id, align: max(info.Align, translog.Unit), serial: info.Serial}
	b, err := translog.NewBuilder(id, l.cfg.Now())
	if err != nil {
		return nil, err
	}
	g.builder = b
	g.ctl.init(l, input, g)
	return g, nil
}

// control starts the log's control request; its end comes to MrefDone.
func (g *logFile) control(op block.Op, pos, n int64, data []byte) {
	g.ctlBusy = true
	m := &g.ctl.m
	m.Op, m.Pos, m.Len, m.Data = op, pos, n, data
	g.ctl.start()
}

// subDone ends a control request.
func (g *logFile) subDone(s *sub, err error) {
	g.ctlBusy = false
	if g.cutting {
		g.cutting = false
		g.cutDone(s.m.Op, err)
	} else {
		g.prepDone(s.m.Op, err)
	}
	g.l.kick()
}

// close asks to cut the log at its durable end.
func (g *logFile) close() { g.closing = true }

// stepClose goes on with cutting. A log that ends where its file ends needs
// nothing: each batch was durable together with the file's size.
func (g *logFile) stepClose() {
	if !g.closing || g.closed || g.ctlBusy || g.inFlight > 0 || g.l.cutTimer.Armed() {
		return
	}
	switch {
	case g.failed == nil && !g.prep.ragged && g.prep.at <= g.durable:
		g.closed = true
		g.l.kick()
	case !g.truncated:
		g.cutting = true
		g.control(block.Truncate, g.durable, 0, nil)
	default:
		g.cutting = true
		g.control(block.Flush, 0, 0, nil)
	}
}

// maxCutTries bounds the attempts to cut a log. After them its bytes behind the
// durable end stay: they belong to the records that come first in the next log,
// so that replaying them twice does no harm, and requests must not wait for a
// file that is beyond repair.
const maxCutTries = 4

func (g *logFile) cutDone(op block.Op, err error) {
	switch {
	case err != nil:
		g.tries++
		g.truncated = false
		if g.tries < maxCutTries {
			g.l.cutTimer.Reset(g.l.tune.RetryMin << g.tries)
			return
		}
		g.cutErr, g.closed = err, true
	case op == block.Truncate:
		g.truncated = true
	case op == block.Flush:
		g.closed = true
	}
}
