package simenv

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"time"
)

// Errors of World.Run.
var (
	ErrTimeout = errors.New("condition not met in the virtual time given")
	ErrIdle    = errors.New("condition not met and nothing is left to happen")
)

// Options of a world. The zero value is a good default.
type Options struct {
	// Start is the true wall clock at virtual time 0, in ns since the epoch
	// (default: 2026-01-01 00:00 UTC).
	Start int64
	// Log receives what Env.Log is told, one line a message (default: nobody).
	Log io.Writer
	// Trace receives one line an event and one an Env.Trace (default: nobody).
	Trace io.Writer
	// Post is the delay of a post between executors, Work the delays before
	// and after an off-loaded computation, Watch the delay of a report of a
	// change, TimerSlack how much later than asked timers fire.
	Post, Work, Watch, TimerSlack Span
	// Turn is how close together events of one executor must be to come
	// within one turn (they then do in half of the cases).
	Turn time.Duration
	// Latency and Bandwidth (bytes a second; 0: unlimited) of links that were
	// not set otherwise.
	Latency   Span
	Bandwidth int64
	// Unstable allows writers to change a buffer while its IO is in flight;
	// otherwise that is a panic.
	Unstable bool
	// CheckMemory makes IO on direct files fail when its memory is not
	// aligned. Off by default because Go's heap aligns by chance.
	CheckMemory bool
}

func (o *Options) setDefaults() {
	if o.Start == 0 {
		o.Start = 1767225600 * 1e9
	}
	def := func(s *Span, lo, hi time.Duration) {
		if *s == (Span{}) {
			*s = Span{lo, hi}
		}
	}
	def(&o.Post, time.Microsecond, 20*time.Microsecond)
	def(&o.Work, time.Microsecond, 200*time.Microsecond)
	def(&o.Watch, 50*time.Microsecond, 5*time.Millisecond)
	def(&o.TimerSlack, 0, 30*time.Microsecond)
	def(&o.Latency, 50*time.Microsecond, 500*time.Microsecond)
	if o.Turn == 0 {
		o.Turn = 2 * time.Microsecond
	}
}

// World is a simulated world: virtual time, nodes, and the network between
// them. All of it runs in the goroutine that calls Step, Run or RunFor; none
// of it may be used by two goroutines.
type World struct {
	opt   Options
	seed  uint64
	now   time.Duration
	q     queue
	seq   uint64
	rng   rng
	hash  uint64
	count uint64

	cur   *executor // whose event is being delivered, or nil
	inEv  bool
	nodes []*Node
	doom  []*Node // nodes to be powered off when the event ends
	hooks []func()
	net   network
	bufs  bufPool
	ops   []*ioOp
	coros []*Coroutine
	cost  time.Duration // time that the running work spent in the file system
}

// New makes an empty world. Everything that happens in it follows from seed
// and from what the caller does.
func New(seed uint64, opt Options) *World {
	opt.setDefaults()
	w := &World{opt: opt, seed: seed, rng: newRNG(seed), hash: mix64(seed)}
	w.net.init(w)
	return w
}

// Seed is what the world was made from.
func (w *World) Seed() uint64 { return w.seed }

// Now is the virtual time since the beginning of the world.
func (w *World) Now() time.Duration { return w.now }

// Events is the number of events delivered so far.
func (w *World) Events() uint64 { return w.count }

// Hash is the hash of everything that happened so far: every event with its
// time, every byte written or sent, every Env.Trace. Two runs of one seed must
// agree in it.
func (w *World) Hash() uint64 { return mix64(w.hash) }

// After adds a function that is called after every turn: an event and the
// tasks it scheduled (at times a few events of one executor). It is the place
// to check invariants.
func (w *World) After(fn func()) { w.hooks = append(w.hooks, fn) }

// In calls fn after d of virtual time, outside of every node.
func (w *World) In(d time.Duration, fn func()) { w.push(w.now+d, nil, evTest, funcEvent(fn), 0) }

// Rand returns 64 bits of the world's randomness, for choices of the test.
func (w *World) Rand() uint64 { return w.rng.next() }

// Intn is uniform in [0, n), for choices of the test.
func (w *World) Intn(n int) int { return int(w.rng.intn(int64(n))) }

func (w *World) push(at time.Duration, ex *executor, kind evKind, h firer, arg uint32) {
	if at < w.now {
		at = w.now
	}
	w.seq++
	w.q.push(event{at: at, key: w.rng.next()<<48 | w.seq&(1<<48-1), ex: ex, h: h, arg: arg, kind: kind})
}

func (w *World) mix(x uint64) {
	w.hash = bits.RotateLeft64(w.hash^x, 29) * 0x9e3779b97f4a7c15
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (w *World) mixBytes(b []byte) {
	w.mix(uint64(len(b))<<32 | uint64(crc32.Checksum(b, castagnoli)))
}

func (w *World) mixString(s string) {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	w.mix(h)
}

// Step delivers the next event, with what comes in the same turn. It returns
// false when nothing is left to happen.
func (w *World) Step() bool {
	w.execute()
	for {
		e, ok := w.q.pop()
		if !ok {
			return false
		}
		if !w.deliver(&e) {
			continue
		}
		ex := w.cur
		if ex != nil {
			w.sameTurn(ex)
			ex.endTurn()
		}
		w.cur, w.inEv = nil, false
		w.execute()
		for _, fn := range w.hooks {
			fn()
		}
		return true
	}
}

// deliver makes one event happen; false if it was none. The executor that got
// it is left in w.cur.
func (w *World) deliver(e *event) bool {
	if e.ex != nil && e.ex.inc.dead {
		return false
	}
	was := w.now
	w.now = max(w.now, e.at)
	w.cur, w.inEv = e.ex, true
	if !e.h.fire(w, e.arg) {
		w.now, w.cur, w.inEv = was, nil, false
		return false
	}
	w.count++
	who := uint64(0)
	if w.cur != nil {
		who = uint64(w.cur.id)
	}
	w.mix(uint64(w.now))
	w.mix(who<<8 | uint64(e.kind))
	if w.opt.Trace != nil {
		w.traceEvent(e.kind)
	}
	return true
}

// note adds a line about the event being delivered to the trace for people.
func (w *World) note(format string, args ...any) {
	if w.opt.Trace != nil {
		fmt.Fprintf(w.opt.Trace, "%v   "+format+"\n", append([]any{w.now}, args...)...)
	}
}

func (w *World) traceEvent(k evKind) {
	who := "-"
	if w.cur != nil {
		who = w.cur.name
	}
	fmt.Fprintf(w.opt.Trace, "%v %s %s %016x\n", w.now, who, evNames[k], w.hash)
}

// sameTurn delivers what comes for ex almost at once within the same turn.
func (w *World) sameTurn(ex *executor) {
	for range 16 {
		e := w.q.peek()
		if e == nil || e.ex != ex || e.at-w.now > w.opt.Turn || ex.inc.dead || w.rng.next()&1 == 0 {
			return
		}
		next, _ := w.q.pop()
		w.deliver(&next)
		w.cur, w.inEv = ex, true
	}
}

// execute powers off the nodes that are to be.
func (w *World) execute() {
	for len(w.doom) > 0 {
		n := w.doom[0]
		w.doom = w.doom[1:]
		if !n.lost {
			n.Crash(n.doomModel)
		}
	}
	w.reap()
}

// Run delivers events until the condition holds, which is looked at before
// every turn. It fails with ErrTimeout when max of virtual time has passed,
// and with ErrIdle when nothing is left to happen. A nil condition never holds.
func (w *World) Run(until func() bool, max time.Duration) error {
	w.execute()
	limit, start := w.now+max, w.count
	for until == nil || !until() {
		e := w.q.peek()
		switch {
		case e == nil:
			return fmt.Errorf("seed %d, %v, %d events: %w", w.seed, w.now, w.count-start, ErrIdle)
		case e.at > limit:
			w.now = limit
			return fmt.Errorf("seed %d, %v, %d events: %w", w.seed, w.now, w.count-start, ErrTimeout)
		}
		w.Step()
	}
	return nil
}

// RunFor lets d of virtual time pass.
func (w *World) RunFor(d time.Duration) {
	w.execute()
	limit := w.now + d
	for e := w.q.peek(); e != nil && e.at <= limit; e = w.q.peek() {
		w.Step()
	}
	w.now = max(w.now, limit)
}

// Close ends all coroutines. A world without coroutines needs no Close.
func (w *World) Close() { w.stopCoroutines(nil) }
