package simenv

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"mars/infra/env"
)

// executor is one Env of one life of a node.
type executor struct {
	w    *World
	inc  *incarnation
	idx  int
	id   uint32
	name string
	rng  rng

	tasks    env.TaskQueue
	pending  int  // tasks queued
	flushing bool // an event for the tasks is under way
	inTasks  bool

	lanes    []time.Duration // last delivery of posts, by sender
	workLane time.Duration

	fl  files
	fs  *fsHandle
	nt  nodeNet
	dv  devices
	log *slog.Logger
}

var _ env.Env = (*executor)(nil)

func newExecutor(w *World, inc *incarnation, idx int) *executor {
	n := inc.node
	ex := &executor{w: w, inc: inc, idx: idx, name: fmt.Sprintf("%s/%d", n.host, idx),
		id: uint32(n.id)<<16 | uint32(idx+1), rng: w.rng.fork(uint64(n.id)<<8 | uint64(idx)),
		lanes: make([]time.Duration, n.opt.Executors+1)}
	ex.fl.ex, ex.nt.ex, ex.dv.ex = ex, ex, ex
	ex.fs = &fsHandle{node: n, inc: inc}
	ex.log = slog.New(newLogHandler(ex))
	return ex
}

// Mono, Wall and the others below implement env.Env.
func (ex *executor) Mono() time.Duration  { return ex.w.now - ex.inc.node.bootAt }
func (ex *executor) Wall() int64          { return ex.inc.node.wall() }
func (ex *executor) Rand() uint64         { return ex.rng.next() }
func (ex *executor) Files() env.Files     { return &ex.fl }
func (ex *executor) FS() env.FS           { return ex.fs }
func (ex *executor) Net() env.Net         { return &ex.nt }
func (ex *executor) Devices() env.Devices { return &ex.dv }
func (ex *executor) Log() *slog.Logger    { return ex.log }
func (ex *executor) Alloc(n int) []byte   { return ex.inc.mem.alloc(n) }

func (ex *executor) Free(b []byte) {
	if !ex.inc.dead {
		ex.inc.mem.release(b)
	}
}

func (ex *executor) Trace(what string, a, b int64) {
	if ex.inc.dead {
		return
	}
	w := ex.w
	w.mixString(what)
	w.mix(uint64(ex.id))
	w.mix(uint64(a))
	w.mix(uint64(b))
	if w.opt.Trace != nil {
		fmt.Fprintf(w.opt.Trace, "%v %s + %s %d %d\n", w.now, ex.name, what, a, b)
	}
}

func (ex *executor) Schedule(t *env.Task) {
	if ex.inc.dead {
		return
	}
	ex.tasks.Enqueue(t)
	if ex.w.cur != ex {
		ex.flushLater()
	}
}

// flushLater makes a turn for tasks that were scheduled outside of one.
func (ex *executor) flushLater() {
	if !ex.flushing {
		ex.flushing = true
		ex.w.push(ex.w.now+1, ex, evTasks, (*taskEvent)(ex), 0)
	}
}

type taskEvent executor

func (t *taskEvent) fire(*World, uint32) bool {
	t.flushing = false
	return true // endTurn runs the tasks
}

// maxTasks bounds the tasks of a turn; one that schedules itself for ever
// must not stop time.
const maxTasks = 64

func (ex *executor) endTurn() {
	for range maxTasks {
		if ex.inc.dead {
			return
		}
		t := ex.tasks.Dequeue()
		if t == nil {
			return
		}
		t.Fn()
	}
	ex.flushLater()
}

func (ex *executor) Post(fn func()) {
	w := ex.w
	if ex.inc.dead {
		return
	}
	lane := 0
	if w.cur != nil && w.cur.inc == ex.inc {
		lane = w.cur.idx + 1
	}
	at := max(w.now+w.rng.in(w.opt.Post), ex.lanes[lane]+1)
	ex.lanes[lane] = at
	w.push(at, ex, evPost, funcEvent(fn), 0)
}

func (ex *executor) Offload(work func(), done func()) {
	w := ex.w
	if ex.inc.dead {
		return
	}
	at := max(w.now+w.rng.in(w.opt.Work), ex.workLane+1)
	ex.workLane = at
	w.push(at, ex, evWork, funcEvent(func() {
		// The work is not on the executor: its posts are a stranger's.
		w.cur, w.cost = nil, 0
		work()
		w.cur = nil
		w.push(w.now+w.cost+w.rng.in(w.opt.Work), ex, evWorkDone, funcEvent(done), 0)
		w.cost = 0
	}), 0)
}

// Compute is Offload: there is no priority here.
func (ex *executor) Compute(work func(), done func()) { ex.Offload(work, done) }

// NewTimer makes a timer that is not armed.
func (ex *executor) NewTimer(fn func()) env.Timer { return &timer{ex: ex, fn: fn} }

// timer leaves its entry in the queue when it is set to a later time, and
// moves it on when that comes up.
type timer struct {
	ex       *executor
	fn       func()
	deadline time.Duration
	queuedAt time.Duration
	gen      uint32 // of the entry that counts
	armed    bool
	queued   bool
}

func (t *timer) Reset(d time.Duration) {
	w := t.ex.w
	if t.ex.inc.dead {
		return
	}
	t.armed = true
	t.deadline = w.now + max(d, 0) + w.rng.in(w.opt.TimerSlack) + 1
	if !t.queued || t.queuedAt > t.deadline {
		t.enqueue()
	}
}

func (t *timer) enqueue() {
	t.gen++
	t.queued, t.queuedAt = true, t.deadline
	t.ex.w.push(t.deadline, t.ex, evTimer, t, t.gen)
}

func (t *timer) Stop() { t.armed = false }

func (t *timer) Armed() bool { return t.armed && !t.ex.inc.dead }

func (t *timer) fire(w *World, gen uint32) bool {
	if gen != t.gen {
		return false
	}
	t.queued = false
	if !t.armed {
		return false
	}
	if w.now < t.deadline {
		t.enqueue()
		return false
	}
	t.armed = false
	t.fn()
	return true
}

// logHandler gives messages the virtual time and the node's name.
type logHandler struct {
	slog.Handler
	ex *executor
}

func newLogHandler(ex *executor) slog.Handler {
	out := ex.w.opt.Log
	if out == nil {
		return slog.DiscardHandler
	}
	h := slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})
	return &logHandler{Handler: h.WithAttrs([]slog.Attr{slog.String("node", ex.name)}), ex: ex}
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Time = time.Unix(0, h.ex.w.opt.Start).UTC().Add(h.ex.w.now)
	return h.Handler.Handle(ctx, r)
}

func (h *logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &logHandler{Handler: h.Handler.WithAttrs(a), ex: h.ex}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{Handler: h.Handler.WithGroup(name), ex: h.ex}
}
