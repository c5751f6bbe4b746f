package translogger

import (
	"fmt"
	"time"

	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/measure"
)

// Type is the brick type.
var Type = brick.Type{Name: "trans_logger", Inputs: 3, Outputs: 1}

// Stats counts what a logger did since it was made.
type Stats struct {
	Reads, BufferedReads int64 // requests; those that needed the memory buffer
	Writes, WriteBytes   int64 // accepted, discards and zeroes included
	Flushes              int64
	Held                 int64 // writes that waited for memory
	Batches, LogBytes    int64
	DiskWrites           int64 // requests of the writeback
	DiskBytes            int64
	DiskErrors           int64
	ReplayBytes          int64 // of logs, applied by replays

	// Of batches that became durable: from start to end in nanoseconds, as the
	// executor saw it; bytes with fillers; records.
	BatchTime, BatchBytes, BatchRecords measure.Histogram
}

// newStats are counters at 0.
func newStats() Stats {
	return Stats{
		BatchTime:    measure.Histogram{Base: int64(50 * time.Microsecond)},
		BatchBytes:   measure.Histogram{Base: 512},
		BatchRecords: measure.Histogram{Base: 1},
	}
}

// Add adds what another logger has counted.
func (s *Stats) Add(o *Stats) {
	for _, c := range []struct {
		to   *int64
		from int64
	}{
		{&s.Reads, o.Reads}, {&s.BufferedReads, o.BufferedReads}, {&s.Writes, o.Writes}, {&s.WriteBytes, o.WriteBytes},
		{&s.Flushes, o.Flushes}, {&s.Held, o.Held}, {&s.Batches, o.Batches}, {&s.LogBytes, o.LogBytes},
		{&s.DiskWrites, o.DiskWrites}, {&s.DiskBytes, o.DiskBytes}, {&s.DiskErrors, o.DiskErrors}, {&s.ReplayBytes, o.ReplayBytes},
	} {
		*c.to += c.from
	}
	s.BatchTime.Merge(&o.BatchTime)
	s.BatchBytes.Merge(&o.BatchBytes)
	s.BatchRecords.Merge(&o.BatchRecords)
}

// Logger is one trans_logger brick. All methods are called on its executor.
type Logger struct {
	*brick.Brick
	env   env.Env
	cfg   Config
	tune  Tuning
	stats Stats

	task env.Task // work, at the end of a turn

	// Records: see record.go.
	head, tail, unapp *record
	unappBytes        int64
	lastSeq           uint64 // newest record
	submitted         uint64 // in a batch that was started
	eligible          uint64 // may be written back
	acked             uint64 // durable: requests up to here may be answered
	doneSeq           uint64 // written back without a gap

	buf membuf

	waiting waitQueue // for acked
	early   waitQueue // for submitted
	held    waitQueue // for memory

	// Logs: see rotate.go.
	cur, old, next *logFile
	bypass         bool // writes go to the disk without a log
	wantBypass     bool
	lastAppend     time.Duration

	// Writeback.
	dirty       dirtyList
	sweep       sweep
	sweepForced bool
	open        *writeOp      // being gathered
	writes      int           // in flight, those to be repeated included
	wbNext      time.Duration // not before, for the limit
	retry       *writeOp
	lastTries   int // of what failed, since the stop
	pause       time.Duration
	diskWritten uint64 // writes to the disk that ended
	diskFlushed uint64 // of those, how many a flush covers
	lastErr     error  // of the disk
	repeats     bool   // writes have failed and are repeated
	frozen      error  // of the flush that failed
	heal        heal   // see heal.go
	healing     int    // records that it took and that are not on the disk yet
	heldReads   waitQueue

	pub publisher
	rp  *replay // nil in log mode

	starting    *logFile // what StartLog was given
	startRp     *ReplayParams
	startBypass bool

	stopping  bool
	abandoned bool // forced off: nothing is waited for but what is in flight
	reads     int  // in flight: readOps, and what was handed to the disk
	subs      int  // own requests in flight
	working   bool

	stuckAt time.Duration // see stepStuck; 0: not waiting

	wbTimer, retryTimer, cutTimer, healTimer, stuckTimer env.Timer

	zeroes []byte // zeroPiece bytes, never written to

	freeWaiters *waiter
	freeBatches *batch
	freeWrites  *writeOp
	freeReads   *readOp
	freeParts   *readPart
	freeFlushes *diskFlush
}

// New makes a trans_logger brick at path. It is off; StartLog or StartReplay
// says what it does when it is switched on.
func New(g *brick.Graph, e env.Env, path string, cfg Config) (*Logger, error) {
	if cfg.Now == nil {
		return nil, fmt.Errorf("trans_logger %s without a clock: %w", path, ErrState)
	}
	l := &Logger{env: e, cfg: cfg, tune: cfg.Tuning.sane(), stats: newStats()}
	b, err := g.Add(&Type, path, path, l)
	if err != nil {
		return nil, err
	}
	l.Brick = b
	b.Output(0).Ops = (*ops)(l)
	l.task.Fn = l.work
	l.buf.init(e.Alloc, e.Free)
	l.wbTimer = e.NewTimer(l.kick)
	l.cutTimer = e.NewTimer(l.kick)
	l.healTimer = e.NewTimer(l.kick)
	l.stuckTimer = e.NewTimer(l.kick)
	l.heal.l = l
	l.heal.sub.init(l, InputDisk, &l.heal)
	l.retryTimer = e.NewTimer(l.retryNow)
	l.pub.init(l)
	return l, nil
}

func (l *Logger) wrap(what string, arg any, err error) error {
	return fmt.Errorf("%v: %s %v: %w", l, what, arg, err)
}

// SetTuning changes the tuning at once.
func (l *Logger) SetTuning(t Tuning) {
	l.tune = t.sane()
	l.kick()
}

// Stats returns the counters.
func (l *Logger) Stats() Stats { return l.stats }

// MemUsed is how many bytes the memory buffer accounts for.
func (l *Logger) MemUsed() int64 { return l.buf.used }

// Pending is how many bytes of the memory buffer are not on the disk yet, by whole
// pages.
func (l *Logger) Pending() int64 { return int64(l.buf.bufs) << pageShift }

// MemLimit is at how many bytes writers are held.
func (l *Logger) MemLimit() int64 { return l.tune.MemLimit }

// Mark is the newest write that has been taken: what a read that is served now
// may contain.
func (l *Logger) Mark() Mark { return Mark(l.lastSeq) }

// WhenDurable calls fn as soon as the log is durable up to the mark: at once
// if it is already. A server holds the answer to a read that long, so that no
// peer ever knows what this node could still lose.
func (l *Logger) WhenDurable(mark Mark, fn func()) {
	if uint64(mark) <= l.acked {
		fn()
		return
	}
	l.waiting.push(l.newWaiter(uint64(mark), nil, fn))
}

// running tells whether requests are served.
func (l *Logger) running() bool { return l.On() || l.stopping && !l.abandoned }

// kick lets work run at the end of this turn.
func (l *Logger) kick() { l.env.Schedule(&l.task) }

// Switch implements brick.Worker.
func (l *Logger) Switch(on bool) {
	switch {
	case on && l.On():
	case on && l.stopping:
		// Too late; strategy presses again when it is off.
	case on:
		l.switchOn()
	case l.Off():
	default:
		if !l.stopping { // the button is pressed again and again until it is off
			l.hurryRetry()
		}
		l.stopping = true
		l.abandoned = l.abandoned || l.ForcedOff()
		l.SetOn(false)
		l.kick()
	}
}

func (l *Logger) switchOn() {
	if l.starting == nil && l.startRp == nil && !l.startBypass || l.Input(InputDisk).Peer() == nil {
		l.env.Log().Warn("trans_logger has nothing to do", "brick", l.String())
		return
	}
	l.SetOff(false)
	l.zeroes = l.env.Alloc(zeroPiece)
	clear(l.zeroes)
	l.lastAppend = l.env.Mono()
	l.submitted, l.eligible, l.acked, l.doneSeq = l.lastSeq, l.lastSeq, l.lastSeq, l.lastSeq
	l.diskFlushed, l.frozen, l.pause = l.diskWritten, nil, 0
	l.pub.reset()
	if l.startRp != nil {
		l.beginReplay(*l.startRp)
	} else {
		l.cur, l.bypass = l.starting, l.startBypass
	}
	l.starting, l.startRp, l.startBypass = nil, nil, false
	l.SetOn(true)
	l.kick()
}

// work is everything that is decided, once at the end of each turn in which
// something happened. Each step looks at the state alone, so that the order of
// events does not matter.
func (l *Logger) work() {
	if l.Off() || l.working {
		return
	}
	l.working = true
	defer func() { l.working = false }()
	if l.abandoned {
		l.stepAbandon()
		return
	}
	l.stepRotate()
	l.stepHeld()
	l.stepPrepare()
	l.stepAppend()
	l.stepBypass()
	l.stepReplay()
	l.stepHeal()
	l.stepWriteback()
	l.stepClosing()
	l.stepPublish()
	l.stepStop()
}
