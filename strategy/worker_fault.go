package strategy

import (
	"time"

	"mars/bricks/translogger"
	"mars/infra/history"
)

// How long nothing is applied after a replay that could not go on: twice as long
// each time that it stops at the same place.
const (
	faultPause   = time.Second
	longestFault = time.Minute
)

// replayFault is where a replay could not go on. That is tried again; a copy that
// is found damaged there twice is cut and fetched again. Not after one look: what
// was read wrong once may be sound on the disk, and be the last copy there is.
type replayFault struct {
	log     history.Log
	pos     int64
	code    translogger.ReplayCode
	err     string // empty: there is no fault
	tries   int
	cut     bool // the copy is still to be cut
	cutting bool
	until   time.Duration // nothing is applied before
}

// holds tells whether a copy is not to be touched until it has been cut.
func (x *replayFault) holds(l history.Log) bool { return x.err != "" && x.cut && x.log == l }

// stumbled is told how a replay came to rest that could not go on.
func (w *worker) stumbled(r *translogger.ReplayResult) {
	x := &w.fault
	if x.err == "" || x.log != w.log || x.pos != r.Pos {
		*x = replayFault{log: w.log, pos: r.Pos}
	}
	x.code, x.err = r.Code, r.Code.String()
	if r.Err != nil {
		x.err = r.Err.Error()
	}
	x.cut = x.tries > 0 && w.log.Origin != w.me && r.Code != translogger.ReplayFailed
	pause := min(faultPause<<x.tries, longestFault)
	x.tries = min(x.tries+1, 10)
	x.until = w.env.Mono() + pause
	w.faultTimer.Reset(pause)
}

// applied tells that a replay has come so far.
func (w *worker) applied(l history.Log, pos int64) {
	if x := &w.fault; x.err != "" && (x.log != l || pos > x.pos) && !x.cutting {
		*x = replayFault{}
	}
}

// stepFault cuts a damaged copy where its sound part ends, as soon as nobody
// writes or reads it here. That nothing behind it has been applied is what the
// replay's rest says.
func (w *worker) stepFault() {
	x := &w.fault
	if x.err == "" || !x.cut || x.cutting || w.mode != Idle || w.env.Mono() < x.until || w.fetch.active && w.fetch.plan.Log == x.log {
		return
	}
	x.cutting = true
	name, pos := w.logPath(x.log), x.pos
	var err error
	w.env.Offload(func() {
		if err = w.env.FS().Truncate(name, pos); err == nil {
			err = w.env.FS().SyncFile(name)
		}
	}, func() {
		x.cutting = false
		if err != nil {
			w.env.Log().Error("can not cut a damaged logfile", "resource", w.res, "log", x.log, "sound", pos, "err", err)
			x.until = w.env.Mono() + faultPause
			w.faultTimer.Reset(faultPause)
			return
		}
		x.cut = false
		w.env.Log().Warn("the copy of a logfile is damaged: it is fetched again", "resource", w.res, "log", x.log, "sound", pos, "damage", x.err)
		if l := w.find(x.log); l != nil {
			l.End = min(l.End, pos)
		}
		if x.tries > 2 { // not for what happened here
			w.fetch.shun(x.log)
		}
		w.kick()
	})
}

// fillFault reports.
func (w *worker) fillFault(s *State) {
	if x := &w.fault; x.err != "" {
		s.ReplayErr, s.ErrLog, s.ErrAt = x.err, x.log, x.pos
		s.ErrHeld = x.cut || w.env.Mono() < x.until
	}
}

// shun lets others be asked first for a log that came damaged.
func (f *fetcher) shun(l history.Log) {
	if f.plan.Log != l || f.plan.Peer.Host == "" {
		return
	}
	f.addGone(Gone{l, f.plan.Peer.Host, true})
}
