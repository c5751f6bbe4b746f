package copy

import (
	"errors"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

// Type is the brick type, of both kinds.
var Type = brick.Type{Name: "copy", Inputs: 2}

// Errors that callers decide on.
var (
	// ErrForeign ends a Follow: A and B begin differently.
	ErrForeign = errors.New("not the same logfile")
	// ErrBehind says that A has less than B.
	ErrBehind = errors.New("the source has less than the copy")
	// ErrRunning refuses a Start while the last one has not ended.
	ErrRunning = errors.New("copy is running")
)

// Side tells where an error comes from.
type Side int

// The sides; each is the number of its input.
const (
	SideA Side = 0 // source
	SideB Side = 1 // target
)

// String is "source" or "target".
func (s Side) String() string { return [...]string{"source", "target"}[s] }

// Params are what both kinds have in common. Everything may be left out. The
// functions are called on the executor, and may call any method of the brick.
type Params struct {
	// OnError is told when something failed and will be tried again.
	OnError func(side Side, err error)
	// OnDone is told the end of a copy that was not stopped; nil: all is
	// copied and durable.
	OnDone func(err error)
	// OnStopped is told the end of a copy that was stopped.
	OnStopped func()
	// Abort makes everything outstanding at A complete with an error.
	Abort func()
	// Throttle is asked before n bytes of data are read from A: 0 permits it,
	// otherwise it is asked again after that time.
	Throttle func(n int64) time.Duration
	// Window bounds the bytes of buffers in flight (default 8 MiB).
	Window int64
	// Jobs bounds how many pieces a Sync works on at a time, each with at most
	// one request to a side; it is asked before every piece. nil, or 0: as many
	// as the window allows.
	Jobs func() int
	// ReadPrio and WritePrio are the priorities at A and B.
	ReadPrio, WritePrio block.Prio
}

// Limits of the pause before something is tried again.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// base is what both kinds of copy stand on: power, requests, and waiting after
// errors. Completions only note what happened; the task pump then acts on it at
// the end of the turn, so that nothing recurses however fast a provider is.
type base struct {
	*brick.Brick
	env  env.Env
	p    Params
	pool block.Pool
	task env.Task

	running  bool
	stopping bool
	flight   [2]int // requests by side
	sums     int    // computations in flight
	mem      int64  // bytes of buffers

	blocked [2]bool // a pause after an error, by side
	backoff [2]time.Duration
	retry   [2]env.Timer
	err     [2]error // the last one, until something works

	slowed bool // by Throttle
	slow   env.Timer
}

func (b *base) init(g *brick.Graph, e env.Env, path string, p Params, w brick.Worker, pump func()) error {
	if p.Window <= 0 {
		p.Window = 8 << 20
	}
	b.env, b.p = e, p
	b.task.Fn = pump
	for side := range b.retry {
		b.retry[side] = e.NewTimer(func() {
			b.blocked[side] = false
			b.kick()
		})
	}
	b.slow = e.NewTimer(func() {
		b.slowed = false
		b.kick()
	})
	var err error
	b.Brick, err = g.Add(&Type, path, path, w)
	return err
}

// Running tells whether a Start has not ended yet.
func (b *base) Running() bool { return b.running }

// Err is the last error of a side, nil when it has worked since.
func (b *base) Err(side Side) error { return b.err[side] }

// Switch implements brick.Worker.
func (b *base) Switch(on bool) {
	if on {
		b.SetOff(false)
		b.SetOn(true)
		return
	}
	b.SetOn(false)
	if b.running {
		b.Stop()
		return
	}
	b.SetOff(true)
}

// Stop ends the copy early; OnStopped (or OnDone, if that was just coming)
// follows. It does nothing if the copy is not running.
func (b *base) Stop() {
	if !b.running || b.stopping {
		return
	}
	b.stopping = true
	b.giveUpA()
	b.kick()
}

// giveUpA ends the waiting for A.
func (b *base) giveUpA() {
	if b.flight[SideA] > 0 && b.p.Abort != nil {
		b.p.Abort()
	}
}

func (b *base) idle() bool { return b.flight[SideA]+b.flight[SideB]+b.sums == 0 }

// begin is the common part of Start.
func (b *base) begin() error {
	switch {
	case !b.On():
		return env.ErrClosed
	case b.running:
		return ErrRunning
	}
	b.running, b.stopping = true, false
	b.backoff, b.err = [2]time.Duration{}, [2]error{}
	b.kick()
	return nil
}

// end is the common end; done tells whether it came by itself.
func (b *base) end(done bool, err error) {
	b.running, b.stopping = false, false
	for side := range b.retry {
		b.retry[side].Stop()
		b.blocked[side] = false
	}
	b.slow.Stop()
	b.slowed = false
	if !b.Button() {
		b.SetOff(true)
	}
	switch {
	case done && b.p.OnDone != nil:
		b.p.OnDone(err)
	case !done && b.p.OnStopped != nil:
		b.p.OnStopped()
	}
}

func (b *base) kick() { b.env.Schedule(&b.task) }

// do makes a request; fn is called with its result, possibly at once. The mref
// is valid until fn returns.
func (b *base) do(side Side, m *block.Mref, fn func(m *block.Mref, err error)) {
	m.Prio = b.p.ReadPrio
	if side == SideB {
		m.Prio = b.p.WritePrio
	}
	ops := block.OpsOf(b.Input(int(side)))
	want := m.Len
	b.flight[side]++
	err := ops.Get(m)
	if err == nil && m.Len != want {
		ops.Put(m)
		err = block.ErrShort
	}
	finish := func(m *block.Mref, err error) {
		b.flight[side]--
		fn(m, err)
		b.pool.Put(m)
		b.kick()
	}
	if err != nil {
		finish(m, err)
		return
	}
	m.Push(block.CompletionFunc(func(m *block.Mref, err error) {
		ops.Put(m)
		finish(m, err)
	}))
	ops.IO(m)
}

// failed begins a pause of a side and reports; errors during it, and those that
// a stop causes, say nothing new.
func (b *base) failed(side Side, err error) {
	if b.stopping {
		return
	}
	b.err[side] = err
	if b.blocked[side] {
		return
	}
	b.pause(side)
	if b.p.OnError != nil {
		b.p.OnError(side, err)
	}
}

// pause waits before a side is tried again; longer each time.
func (b *base) pause(side Side) {
	b.backoff[side] = min(max(2*b.backoff[side], firstBackoff), lastBackoff)
	b.blocked[side] = true
	b.retry[side].Reset(b.backoff[side])
}

// worked ends the suspicion.
func (b *base) worked(side Side) { b.backoff[side], b.err[side] = 0, nil }

// throttled tells whether n bytes must not be read from A now.
func (b *base) throttled(n int64) bool {
	if b.p.Throttle == nil || b.slowed {
		return b.slowed
	}
	d := b.p.Throttle(n)
	if d > 0 {
		b.slowed = true
		b.slow.Reset(d)
	}
	return b.slowed
}

func (b *base) alloc(n int64) []byte {
	size := room(n)
	b.mem += size
	return b.env.Alloc(int(size))
}

func (b *base) free(buf []byte) {
	if buf != nil {
		b.mem -= int64(len(buf))
		b.env.Free(buf)
	}
}

// room is the size of a buffer for n bytes: few sizes, so that they recur.
func room(n int64) int64 {
	size := int64(4096)
	for size < n {
		size *= 2
	}
	return size
}
