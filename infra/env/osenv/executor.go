// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// The bounds of a turn: so many events, or so long, and so many tasks.
const (
	turnEvents = 64
	turnTime   = 200 * time.Microsecond
	turnTasks  = 256
)

// States of an executor, for those who would wake it.
const (
	awake int32 = iota
	asleep
)

// Executor is one event loop; it implements env.Env. Only Post may be called
// from outside its goroutine.
type Executor struct {
	node  *Node
	index int
	log   *slog.Logger
	rng   *rand.ChaCha8
	dev   env.Devices

	now    time.Duration
	rotate int
	budget budget
	timers timerHeap
	tasks  env.TaskQueue
	more   bool // tasks are left over
	mem    memory

	io       ioEngine
	ring     *ringEngine // io, when it is the ring
	ops      []*op       // all operations ever made, by slot
	freeOps  *op
	fin      opList // to be completed in the next turn
	inflight int    // submitted to the kernel or to workers
	files    map[*file]struct{}

	in       inbox
	posts    []func() // taken from the inbox, not yet run
	postAt   int
	comps    opList
	draining bool

	atEnd   []func()
	state   atomic.Int32
	efd     int
	one     [8]byte     // what is written to efd
	abandon atomic.Bool // leave without waiting for IO
	done    chan struct{}
}

// inbox is what others hand to an executor.
type inbox struct {
	mu     sync.Mutex
	posts  []func()
	spare  []func() // memory of the batch before
	comps  opList
	stop   bool
	closed bool
}

// ioEngine runs reads, writes and syncs: the ring or the workers.
type ioEngine interface {
	// submit starts an operation; it is completed by Executor.finish later.
	submit(o *op)
	// reap delivers completions within the budget.
	reap(b *budget)
	// ready tells whether completions wait.
	ready() bool
	// enter gives what was submitted to the kernel and waits at most d for
	// something to happen; 0 does not wait, below 0 is for ever.
	enter(d time.Duration) error
	close() error
}

// budget bounds the events of one turn.
type budget struct {
	e    *Executor
	left int
}

func (b *budget) take() bool {
	if b.left <= 0 {
		return false
	}
	b.left--
	if b.left%8 == 0 && b.e.node.mono()-b.e.now > turnTime {
		b.left = 0
	}
	return true
}

// prSetIOFlusher tells the kernel that this thread serves block IO, so that
// its allocations do not wait for writeback through our own devices.
const prSetIOFlusher = 57

// run is the executor's goroutine. started gets the result of the set-up.
func (e *Executor) run(started chan<- error) {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	defer close(e.done)
	// Needs a privilege; without it only low memory is a danger.
	_ = unix.Prctl(prSetIOFlusher, 1, 0, 0, 0)
	err := e.setup()
	started <- err
	if err != nil {
		return
	}
	for !e.finished() {
		e.turn()
		if err := e.pause(); err != nil {
			panic(fmt.Sprintf("osenv: executor %d cannot go on: %v", e.index, err))
		}
	}
	e.shutdown()
}

func (e *Executor) setup() (err error) {
	if e.efd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	binary.NativeEndian.PutUint64(e.one[:], 1)
	e.now = e.node.mono()
	if e.node.useRing {
		if e.ring, err = newRingEngine(e); err != nil {
			_ = unix.Close(e.efd)
			return err
		}
		e.io = e.ring
		return nil
	}
	e.io = &workerEngine{e: e}
	return nil
}

// turn delivers what is ready, within bounds, then runs the tasks.
func (e *Executor) turn() {
	const sources = 3
	e.now = e.node.mono()
	b := &e.budget
	*b = budget{e: e, left: turnEvents}
	for i := range sources {
		switch (e.rotate + i) % sources {
		case 0:
			e.fireTimers(b)
		case 1:
			e.completeAll(b)
		case 2:
			e.runPosts(b)
		}
	}
	e.rotate++
	e.runTasks()
}

func (e *Executor) fireTimers(b *budget) {
	if e.draining {
		return
	}
	for limit := e.timers.seq; b.left > 0; {
		t := e.timers.due(e.now, limit)
		if t == nil {
			return
		}
		b.take()
		t.fn()
	}
}

// completeAll delivers completions of IO from all sides.
func (e *Executor) completeAll(b *budget) {
	e.io.reap(b)
	e.fetch()
	for b.left > 0 {
		o := e.fin.pop()
		if o == nil {
			if o = e.comps.pop(); o == nil {
				return
			}
			e.inflight--
		}
		b.take()
		e.finish(o)
	}
}

func (e *Executor) runPosts(b *budget) {
	e.fetch()
	for e.postAt < len(e.posts) && b.take() {
		fn := e.posts[e.postAt]
		e.posts[e.postAt] = nil
		e.postAt++
		fn()
	}
}

// fetch takes over the inbox, each part when the one before is used up.
func (e *Executor) fetch() {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.comps.empty() {
		e.comps, e.in.comps = e.in.comps, opList{}
	}
	if e.postAt == len(e.posts) {
		e.posts, e.in.posts, e.in.spare = e.in.posts, e.in.spare[:0], e.posts
		e.postAt = 0
	}
	e.draining = e.in.stop
}

// runTasks runs what was scheduled, and what that schedules, up to a bound.
func (e *Executor) runTasks() {
	e.more = false
	for range turnTasks {
		t := e.tasks.Dequeue()
		if t == nil {
			return
		}
		t.Fn()
	}
	e.more = true
}

// pause submits and sleeps until something happens.
func (e *Executor) pause() error {
	d := e.sleepTime()
	if d != 0 {
		e.state.Store(asleep)
		if e.inboxFull() {
			d = 0
		}
	}
	err := e.io.enter(d)
	e.state.Store(awake)
	return err
}

// sleepTime is how long there is nothing to do: 0 is busy, below 0 for ever.
func (e *Executor) sleepTime() time.Duration {
	if e.more || e.postAt < len(e.posts) || !e.fin.empty() || !e.comps.empty() || e.io.ready() || e.finished() {
		return 0
	}
	if e.draining || len(e.timers.a) == 0 {
		return -1
	}
	return max(e.timers.a[0].at-e.node.mono(), 0)
}

func (e *Executor) inboxFull() bool {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	return len(e.in.posts) > 0 || !e.in.comps.empty() || e.in.stop && !e.draining || e.abandon.Load()
}

// wake is called with the inbox locked, which keeps the eventfd open.
func (e *Executor) wake() {
	if !e.state.CompareAndSwap(asleep, awake) {
		return
	}
	// It cannot fail but by a full counter, which wakes as well.
	_, _ = unix.Write(e.efd, e.one[:])
}

// Post runs fn in a later turn; from anywhere.
func (e *Executor) Post(fn func()) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.in.closed {
		return
	}
	e.in.posts = append(e.in.posts, fn)
	e.wake()
}

// completed hands back an operation that a worker has done; from anywhere.
func (e *Executor) completed(o *op) {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	if e.in.closed {
		return
	}
	e.in.comps.push(o)
	e.wake()
}

// stop makes the executor finish its IO and end; from anywhere.
func (e *Executor) stop() {
	e.in.mu.Lock()
	defer e.in.mu.Unlock()
	e.in.stop = true
	if !e.in.closed {
		e.wake()
	}
}

// giveUp makes it end at once; from anywhere.
func (e *Executor) giveUp() {
	e.abandon.Store(true)
	e.stop()
}

// finished tells whether a draining executor has nothing left to wait for.
func (e *Executor) finished() bool {
	if e.abandon.Load() {
		return true
	}
	return e.draining && e.inflight == 0 && e.fin.empty() && e.comps.empty() && e.postAt == len(e.posts)
}

// shutdown frees what the executor owns, at the end of its goroutine.
func (e *Executor) shutdown() {
	e.in.mu.Lock()
	e.in.closed = true
	e.in.posts, e.in.spare, e.in.comps = nil, nil, opList{}
	e.in.mu.Unlock()
	err := e.io.close()
	if err != nil {
		e.log.Error("executor ended with IO in flight", "executor", e.index, "err", err)
	}
	for _, fn := range e.atEnd {
		fn()
	}
	if e.inflight == 0 && err == nil {
		for f := range e.files {
			f.shut()
		}
		e.mem.release()
	}
	_ = unix.Close(e.efd)
}

// Mono is the time since the node started, read once a turn.
func (e *Executor) Mono() time.Duration { return e.now }

// Wall is the system clock.
func (e *Executor) Wall() int64 { return time.Now().UnixNano() }

// Rand returns 64 random bits of a generator seeded by the kernel.
func (e *Executor) Rand() uint64 { return e.rng.Uint64() }

// Schedule runs t.Fn at the end of the current turn.
func (e *Executor) Schedule(t *env.Task) { e.tasks.Enqueue(t) }

// Offload runs work in its pool, then done here. Links are written there, which
// writers may wait for, so its priority is that of all: on a host without an idle
// processor, what yields to everything else is late by many seconds.
func (e *Executor) Offload(work func(), done func()) { e.away(e.node.offload, work, done) }

// Compute runs work in the low-priority pool, then done here.
func (e *Executor) Compute(work func(), done func()) { e.away(e.node.compute, work, done) }

func (e *Executor) away(p *pool, work func(), done func()) {
	p.run(func() {
		work()
		if done != nil {
			e.Post(done)
		}
	})
}

// FS is the blocking metadata interface.
func (e *Executor) FS() env.FS { return treeFS{t: e.node.tree} }

// Log is the node's logger.
func (e *Executor) Log() *slog.Logger { return e.log }

// Trace does nothing here.
func (e *Executor) Trace(string, int64, int64) {}

// Devices makes front ends; without a factory in Config its Create fails.
func (e *Executor) Devices() env.Devices { return e.dev }

var _ env.Env = (*Executor)(nil)
