package strategy

import (
	"cmp"
	"slices"
	"time"

	"mars/bricks/aio"
	"mars/bricks/client"
	"mars/bricks/ifbrick"
	"mars/bricks/server"
	"mars/bricks/translogger"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/lamport"
	"mars/infra/measure"
	"mars/infra/translog"
	"mars/infra/tunable"
	"mars/infra/wire"
)

// workerConfig is what a worker is made with. The functions are called on the
// worker's executor and post to strategy's.
type workerConfig struct {
	env      env.Env
	me, res  string
	cluster  string
	clock    *lamport.Clock
	tunables *tunable.Set
	limits   *limits
	tune     func(*translogger.Tuning) // nil: nothing
	report   func(State)
	publish  func(position)
	noSpace  func() // there is no space for logs: look at once
}

// position is what a worker wants to be published: a replay position, and the
// durable end of the log being written.
type position struct {
	translogger.Info
	replay bool
	bypass bool // no log follows: the bypass waits for the final one
	// Cur is the log that is appended to, when it is not Info's; CurEnd its
	// durable end.
	Cur    history.Log
	CurEnd int64
}

// worker owns the bricks of one resource, on one executor. It is told what is
// wanted (a Plan), compares that with what is, and takes the next step: each
// change of an LED, of a plan or of a position makes it look again. Modes
// exclude each other; the way from one to another leads through Idle.
type worker struct {
	workerConfig
	graph brick.Graph
	want  Plan
	task  env.Task
	sent  State // last report
	retry env.Timer
	tick  env.Timer
	force bool // take the device away although it is open

	scanned  bool
	scanning bool
	logs     []LocalLog // sorted by number, then origin
	waiters  []*logWaiter

	disk      *aio.AIO
	diskErr   error
	diskUntil time.Duration // no new attempt before
	diskLost  error         // a flush failed: the disk is to be opened anew
	diskWas   error         // it was, but no flush has worked since
	diskSick  error         // writes fail, and are repeated
	diskIll   error         // a flush failed: the logger writes everything once more

	mode                   Mode
	ending                 bool        // of the mode: there is no way back, see stepEnd
	ends                   int         // how many modes have ended
	log                    history.Log // of the mode: replayed or appended to
	logger                 *translogger.Logger
	logs2                  [3]*aio.AIO    // log bricks by input of the logger; 1 and 2 are used
	named                  [3]history.Log // by input: whose log its brick is
	curIn, nextIn, opening int            // inputs of the logger, 0: none
	released               [3]bool        // by input: its log is to be closed
	dev                    *ifbrick.Brick
	devErr                 error         // why it could not be made
	devUntil               time.Duration // no new attempt before
	held                   int           // open count of a device that was left
	probing                bool
	nextLog                history.Log // at nextIn
	failed, full           bool        // the log can not be appended to, for want of space
	bypassing              bool        // logger.SetBypass was called, and no next log was taken since
	lean                   bool        // the logger keeps no space prepared
	replayd                translogger.ReplayResult
	tailLog                history.Log // see State.TailLog
	tailPos, tailEnd       int64
	replayEnd              int64
	fault                  replayFault
	faultTimer             env.Timer

	past   counted // by bricks that are gone
	paceAt time.Duration
	share  int64 // of the memory, for the logger's buffer
	rates  struct{ fetch, sync, replay measure.Rate }

	fetch fetcher
	sync  syncer
	srv   *server.Server
	feed  bool // the server's input is connected to the logger
}

func newWorker(c workerConfig) *worker {
	w := &worker{workerConfig: c, share: mostBuffer}
	w.task.Fn = w.converge
	w.retry = c.env.NewTimer(w.kick)
	w.tick = c.env.NewTimer(w.kick)
	w.faultTimer = c.env.NewTimer(w.kick)
	w.fetch.w, w.sync.w = w, w
	return w
}

// setPlan is called on the worker's executor.
func (w *worker) setPlan(p Plan, force bool) {
	w.want, w.force = p, force
	w.kick()
}

func (w *worker) kick() { w.env.Schedule(&w.task) }

// converge takes the next steps towards what is wanted.
func (w *worker) converge() {
	w.stepScan()
	w.stepFault()
	if w.diskLost != nil {
		w.stepLost()
		w.tell()
		return
	}
	w.stepDisk()
	w.stepMode()
	w.fetch.step()
	w.stepServe()
	w.tell()
}

// stepMode starts, adjusts or ends what is done with the disk.
func (w *worker) stepMode() {
	switch {
	case w.mode == Idle && w.want.Mode != Idle:
		// What was decided before the last mode ended knows an older place.
		if w.want.Ends == w.ends && w.disk != nil && w.disk.On() && w.scanned && w.want.Attach {
			w.mode = w.want.Mode
			w.log, w.failed, w.full, w.bypassing = w.want.Log, false, false, false
			w.replayd = translogger.ReplayResult{}
			if w.mode != Replaying {
				w.applied(history.Log{}, 0) // it begins elsewhere
			}
		}
	case w.ending || w.mode != w.want.Mode || w.mode == Replaying && w.want.Log != w.log:
		w.stepEnd()
		return
	}
	switch w.mode {
	case Replaying:
		w.stepReplay()
	case Primary:
		w.stepPrimary()
	case Syncing:
		w.sync.step()
	}
}

// stepEnd ends the present mode, orderly: the device first, then the logger
// with all its memory, then the logs. As long as a device is there everything
// can go on again; after that bricks are being switched off that would have
// nothing to do when switched on, so that the only way leads through Idle.
func (w *worker) stepEnd() {
	w.ending = w.ending || w.dev == nil
	if !w.sync.end() || !w.endDevice() {
		return
	}
	w.ending = true
	if !w.endLogger() {
		return
	}
	w.diskIll, w.ending = nil, false
	w.ends++
	w.mode, w.log, w.bypassing, w.failed, w.full = Idle, history.Log{}, false, false, false
	w.kick()
}

// stepLost lets everything go that stands on a disk whose flush failed, without
// waiting for it, and then the disk. It is opened again after a while.
func (w *worker) stepLost() {
	if w.logger != nil {
		w.logger.ForceOff()
	}
	if w.mode != Idle {
		w.stepEnd()
	}
	if w.mode != Idle || w.disk == nil {
		return
	}
	w.disk.ForceOff()
	if w.disk.Off() && w.remove(w.disk.Brick) {
		w.disk, w.diskErr, w.diskWas, w.diskLost = nil, w.diskLost, w.diskLost, nil
		w.diskUntil = w.env.Mono() + 2*time.Second
		w.retry.Reset(2 * time.Second)
	}
}

func (w *worker) gone(fn func()) bool { fn(); return true }

// endLogger switches the logger off, which writes everything back and
// publishes the final position, and removes it and its logs.
func (w *worker) endLogger() bool {
	if w.logger != nil {
		if !w.unfeed() {
			return false
		}
		if err := w.logger.Press(false); err != nil {
			w.env.Log().Error("switch the logger off", "resource", w.res, "err", err)
		}
		if !w.logger.Off() || !w.remove(w.logger.Brick) {
			return false
		}
		w.logger, w.diskSick = nil, nil
	}
	for i := range w.logs2 {
		if !w.endLog(i) {
			return false
		}
	}
	return true
}

// endLog closes the log at an input of the logger.
func (w *worker) endLog(i int) bool {
	b := w.logs2[i]
	if b == nil {
		return true
	}
	if w.logger != nil {
		brick.Disconnect(w.logger.Input(i))
	}
	if err := b.Press(false); err != nil || !b.Off() {
		return false
	}
	return w.remove(b.Brick) && w.gone(func() { w.logs2[i] = nil })
}

func (w *worker) remove(b *brick.Brick) bool {
	if err := w.graph.Remove(b); err != nil {
		w.env.Log().Error("remove a brick", "resource", w.res, "err", err)
		return false
	}
	w.retire(b)
	return true
}

// openLog makes and switches on the brick of a log at an input of the logger.
// It is ready when it returns true. A log that could not be opened may have been
// given up for a later one.
func (w *worker) openLog(i int, l history.Log) bool {
	if w.logs2[i] != nil && w.named[i] != l && !w.endLog(i) {
		w.retry.Reset(time.Second)
		return false
	}
	if w.logs2[i] == nil {
		mode := env.OpenMode{Write: true}
		b, err := aio.NewFile(&w.graph, w.env, "log/"+l.String(), w.logPath(l), mode)
		if err != nil {
			w.env.Log().Error("open a logfile", "resource", w.res, "log", l, "err", err)
			return false
		}
		b.OnLED(w.kick)
		b.OnError(func(err error) {
			w.env.Log().Error("open a logfile", "resource", w.res, "log", l, "err", err)
			w.retry.Reset(time.Second)
		})
		w.logs2[i], w.named[i] = b, l
	}
	b := w.logs2[i]
	if !b.On() {
		if err := b.Press(true); err != nil {
			w.retry.Reset(time.Second)
		}
	}
	return b.On()
}

// stepDisk attaches and detaches the disk.
func (w *worker) stepDisk() {
	switch {
	case w.want.Attach && w.disk == nil:
		if w.env.Mono() < w.diskUntil {
			return
		}
		d, err := aio.NewDisk(&w.graph, w.env, "data", w.want.DiskPath)
		if err != nil {
			w.diskErr = err
			return
		}
		d.OnLED(w.kick)
		d.OnError(func(err error) {
			w.diskErr = err
			w.kick()
		})
		w.disk, w.diskErr = d, nil
		_ = d.Press(true)
	case w.disk != nil && w.diskErr != nil && !w.disk.On():
		// Opening failed: forget it, and try again after a while.
		w.disk.ForceOff()
		if w.disk.Off() && w.remove(w.disk.Brick) {
			w.disk = nil
			w.diskUntil = w.env.Mono() + 2*time.Second
			w.retry.Reset(2 * time.Second)
		}
	case w.disk != nil && w.mode == Idle && (!w.want.Attach || !w.disk.Button()):
		// Once it is being closed there is no way back, but to open it anew.
		if err := w.disk.Press(false); err != nil || !w.disk.Off() {
			return
		}
		if w.remove(w.disk.Brick) {
			w.disk = nil
			w.kick()
		}
	}
	if !w.want.Attach && w.disk == nil {
		w.diskErr, w.diskWas, w.diskUntil = nil, nil, 0
	}
}

// tell reports the state if it changed.
func (w *worker) tell() {
	s := State{
		Scanned: w.scanned, Logs: slices.Clone(w.logs), Mode: w.mode, Ends: w.ends, Log: w.log, LogFailed: w.failed, NoSpace: w.full, Bypass: w.bypassing,
		Attached: w.disk != nil && w.disk.On(),
	}
	if s.Attached {
		s.DiskSize = w.disk.Size()
	}
	if w.diskErr != nil {
		s.AttachErr = w.diskErr.Error()
	}
	if err := cmp.Or(w.diskIll, w.diskLost, w.diskWas); err != nil {
		s.DiskErr = err.Error()
	}
	if w.diskSick != nil {
		s.DiskSick = w.diskSick.Error()
	}
	w.fillDevice(&s)
	if w.mode == Primary && w.logger != nil {
		s.LogEnd = w.logger.DurableEnd()
	}
	s.TailLog, s.TailPos, s.TailEnd = w.tailLog, w.tailPos, w.tailEnd
	w.fillFault(&s)
	w.fetch.fill(&s)
	w.sync.fill(&s)
	s.Details = w.details()
	if news := w.pace(&s); news || !sameState(&s, &w.sent) {
		w.sent = s
		w.report(s)
	}
}

func sameState(a, b *State) bool {
	x, y := *a, *b
	if !slices.Equal(x.Logs, y.Logs) {
		return false
	}
	x.Logs, y.Logs = nil, nil
	// The growth of a log being written is told by publications, rates by
	// pace.
	x.LogEnd, y.LogEnd = 0, 0
	return x.equal(&y) && x.Details == y.Details
}

// hello is the greeting of this host on a worker's connections.
func (w *worker) hello() wire.Hello {
	r := lamport.Reading{System: lamport.Stamp(w.env.Wall()), Mono: int64(w.env.Mono())}
	return wire.Hello{
		ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: w.cluster, Host: w.me,
		Stamp: w.clock.Now(r), SystemTime: r.System, Version: TreeVersion,
	}
}

// clientParams are for a connection to a peer.
func (w *worker) clientParams(p Peer) client.Params {
	return client.Params{
		Endpoints: []env.Endpoint{{Host: p.Host, Addr: p.Addr}},
		Hello:     w.hello,
		Observe: func(h *wire.Hello) {
			w.clock.Observe(h.Stamp, lamport.Reading{System: lamport.Stamp(w.env.Wall()), Mono: int64(w.env.Mono())})
		},
		OnState: func(bool, error) { w.kick() },
		Timeout: w.tunables.NetworkIOTimeout(),
	}
}

// stamp is the time of a new record.
func (w *worker) stamp() translog.Stamp {
	t := w.clock.Now(lamport.Reading{System: lamport.Stamp(w.env.Wall()), Mono: int64(w.env.Mono())})
	return translog.Stamp{Sec: int64(t / lamport.Second), Nsec: int64(t % lamport.Second)}
}
