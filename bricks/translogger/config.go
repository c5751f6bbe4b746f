package translogger

import (
	"errors"
	"time"

	"mars/infra/translog"
)

// The inputs.
const (
	InputDisk = 0 // the underlying disk: reads and writeback
	InputLog1 = 1 // a transaction logfile
	InputLog2 = 2 // the other one, for rotation
)

// MaxRequest is the longest write in bytes that is served in one piece; Get
// shortens longer ones.
const MaxRequest = 1 << 20

// Errors of the control interface and of requests.
var (
	ErrBusy     = errors.New("a rotation or another mode is under way")
	ErrState    = errors.New("not possible in this state")
	ErrNotEmpty = errors.New("logfile is not empty")
	ErrReplay   = errors.New("no writes while a log is replayed")
	ErrOff      = errors.New("logger is switched off")
	ErrStuck    = errors.New("neither the log nor the links can be written")
)

// Tuning are the values that may be changed at any time.
type Tuning struct {
	MemLimit  int64 // bytes of the memory buffer; at this limit writers are held
	Batches   int   // log_batches: most batches in flight, 1 to 4
	Semantics int   // logger_completion_semantics: 2 durable, 1 submitted, 0 buffered

	BatchSize   int   // largest batch in bytes
	SecondBatch int64 // bytes that must wait before another batch joins one in flight

	PrepareMin int64 // bytes zeroed ahead of an idle log
	PrepareMax int64 // most bytes zeroed ahead; 0: none, and what there is is given back
	LargeBatch int64 // batches from this size on may outrun the zeroed space

	SweepPages int           // most pages of one sweep of the writeback
	MaxWrites  int           // most writes to the disk in flight
	MaxAge     time.Duration // a dirty page older than this is written back
	Idle       time.Duration // the log counts as idle after this time without a batch
	Publish    time.Duration // shortest time between two publications of a position
	RetryMin   time.Duration // first pause after an error of the disk or the log's cutting
	RetryMax   time.Duration // longest pause
	Patience   time.Duration // requests fail when a bypass could not begin for so long

	// WritebackLimit bounds the writeback in bytes a second while nothing
	// presses; 0: no limit.
	WritebackLimit int64

	ReplayWindow int64 // bytes of log that a replay may be ahead of its published position
}

// DefaultTuning is what production starts with.
func DefaultTuning() Tuning {
	return Tuning{
		MemLimit: 64 << 20, Batches: 2, Semantics: 2,
		BatchSize: 1<<20 + 1<<16, SecondBatch: 64 << 10,
		PrepareMin: 1 << 20, PrepareMax: 64 << 20, LargeBatch: 512 << 10,
		SweepPages: 2048, MaxWrites: 32,
		MaxAge: time.Second, Idle: 20 * time.Millisecond, Publish: time.Second,
		RetryMin: 100 * time.Millisecond, RetryMax: 10 * time.Second, Patience: 30 * time.Second,
		ReplayWindow: 8 << 20,
	}
}

// sane puts values that would stop the engine into their ranges.
func (t Tuning) sane() Tuning {
	t.MemLimit = max(t.MemLimit, 1)
	t.Batches = min(max(t.Batches, 1), 4)
	t.BatchSize = min(max(t.BatchSize, 16<<10), 4<<20) &^ 4095
	t.PrepareMax = max(t.PrepareMax, 0)
	t.PrepareMin = min(max(t.PrepareMin, 0), t.PrepareMax)
	t.SweepPages = max(t.SweepPages, 1)
	t.MaxWrites = max(t.MaxWrites, 1)
	t.RetryMin = max(t.RetryMin, time.Millisecond)
	t.RetryMax = max(t.RetryMax, t.RetryMin)
	t.Patience = max(t.Patience, time.Second)
	t.WritebackLimit = max(t.WritebackLimit, 0)
	t.ReplayWindow = max(t.ReplayWindow, 64<<10)
	return t
}

// Info is a position to be published as replay link and version link.
type Info struct {
	Serial uint64 // of the publication, ascending; see Logger.PositionDurable
	Number int    // of the log
	Origin string // of the log
	Min    int64  // everything below is on the disk, flushed
	Max    int64  // nothing at or behind has touched the disk
	LogPos int64  // the log's durable end (log mode), the end to replay to (replay mode)
	// Final: the log is cut at LogPos and all of it is on the disk; nothing
	// will be said of it any more.
	Final bool
}

// LogError reports a log that can not be appended to any more.
type LogError struct {
	Input  int
	ID     translog.Identity
	End    int64 // its durable end: where it has been cut
	Err    error // of the batch that failed
	CutErr error // nil, or why cutting was given up: bytes behind End may be left
}

// Events are the calls to strategy. They come on the executor, never from
// inside a method that strategy called, except that OnPosition of a replay may
// be answered by PositionDurable at once. A nil function is not called.
type Events struct {
	// OnDurable tells that a log's durable end moved.
	OnDurable func(number int, end int64)
	// OnPosition asks to publish a position. Everything it says is durable on
	// the disk before the call.
	OnPosition func(Info)
	// OnLogReleased tells that the log at an input is written back, its final
	// position published and its end cut: disconnect it.
	OnLogReleased func(input int)
	// OnLogError tells that appending failed. Requests wait for SetNextLog or
	// SetBypass.
	OnLogError func(LogError)
	// OnNoSpace tells that there is no space to prepare. The log goes on in
	// what is prepared, but for a reserve; then it fails with ErrNoSpace.
	OnNoSpace func()
	// OnDiskError tells of a failed request to the disk. Writes are repeated.
	// final: a flush failed, after which nobody knows what the disk holds; no
	// position is published any more. A replay then has come to its end, and
	// the disk has to be opened anew. In log mode the logger writes everything
	// since the last published position once more, from the log; each attempt
	// that fails is told again.
	OnDiskError func(err error, final bool)
	// OnRepeated tells that a write to the disk failed and is repeated, or,
	// with nil, that all that were have worked.
	OnRepeated func(err error)
	// OnDiskRewritten tells that everything was written once more: the next
	// flush counts, whatever came before.
	OnDiskRewritten func()
	// OnDiskHealed tells that this has worked.
	OnDiskHealed func()
	// OnReplayEnd tells that a replay came to rest; see ReplayResult.
	OnReplayEnd func(ReplayResult)
}

// Config is what a logger is made with.
type Config struct {
	// Now gives the Lamport stamp of a new record. Called once a request.
	Now    func() translog.Stamp
	Tuning Tuning
	Events Events
}
