package env

import (
	"log/slog"
	"time"
)

// Env is what one executor offers to the bricks and strategies living on it.
type Env interface {
	// Mono is the monotonic clock: time since some fixed start of this node.
	// It never jumps. It is read once a turn, so it is cheap.
	Mono() time.Duration

	// Wall is the system clock in nanoseconds since the Unix epoch. It may
	// jump in both directions; only the Lamport clock is fed from it.
	Wall() int64

	// Rand returns 64 random bits (seeded in the simulator).
	Rand() uint64

	// Schedule runs t.Fn once at the end of the current turn, after every
	// event that is ready has been delivered. A task already scheduled stays
	// scheduled once. It does not allocate: the way to gather a batch.
	Schedule(t *Task)

	// Post runs fn in a later turn of this executor. It may be called from
	// anywhere, other executors included, and keeps the order of posts from
	// one caller. Posting to a closed executor drops fn.
	Post(fn func())

	// NewTimer makes a timer that is not armed.
	NewTimer(fn func()) Timer

	// Offload runs work away from the executor, in a bounded pool, then done
	// on the executor. The work must not touch anything that the executor
	// owns except what was handed to it. Work of one Env is started in the
	// order of the calls but may overlap; callers that need one after the
	// other chain it in done. It is for what blocks and is waited for.
	Offload(work func(), done func())

	// Compute is Offload for what takes much of a processor: its pool is of
	// low priority, and what is off-loaded never waits for it.
	Compute(work func(), done func())

	// Files opens log files and disks.
	Files() Files

	// FS is the blocking metadata interface to the symlink tree's directory;
	// see the package comment on where it may be used.
	FS() FS

	// Watch reports changed directories below the tree's directory.
	// See Watcher.
	Watch(fn func(dir string)) Watcher

	// Net connects to peers and listens.
	Net() Net

	// Devices makes block-device front ends.
	Devices() Devices

	// Alloc returns size bytes of zeroed-or-not memory outside the Go heap,
	// aligned to 4096, fit for direct IO. Free gives it back; it must be the
	// same slice. Both are cheap for sizes that recur. Alloc never fails: the
	// bounds of memory are kept by its callers.
	Alloc(size int) []byte
	Free(b []byte)

	// Log is for messages to people.
	Log() *slog.Logger

	// Trace adds an event to the simulator's trace, by which two runs of one
	// seed are compared. It does nothing in production.
	Trace(what string, a, b int64)
}

// Task is work that Env.Schedule runs at the end of a turn.
type Task struct {
	Fn     func() // set once by the owner
	queued bool
	next   *Task
}

// Enqueue and the two below are for implementations of Env only: they keep the
// intrusive queue of scheduled tasks.
func (q *TaskQueue) Enqueue(t *Task) {
	if t.queued {
		return
	}
	t.queued, t.next = true, nil
	if q.tail == nil {
		q.head = t
	} else {
		q.tail.next = t
	}
	q.tail = t
}

// Dequeue removes the oldest task, or returns nil. The task counts as not
// scheduled from here on, so its function may schedule it again.
func (q *TaskQueue) Dequeue() *Task {
	t := q.head
	if t == nil {
		return nil
	}
	q.head = t.next
	if q.head == nil {
		q.tail = nil
	}
	t.queued, t.next = false, nil
	return t
}

// TaskQueue is an intrusive FIFO of tasks.
type TaskQueue struct{ head, tail *Task }

// Timer calls its function once, d after Reset, on the executor.
type Timer interface {
	// Reset arms the timer, replacing an earlier setting. It does not allocate.
	Reset(d time.Duration)
	// Stop disarms it; after Stop the function is not called.
	Stop()
	// Armed tells whether the function is still to be called.
	Armed() bool
}

// Watcher reports changes in directories of the symlink tree. fn gets the
// directory's name; it says only "look again": several changes may come as one
// call, and a call may come without a change.
type Watcher interface {
	// Add starts watching a directory ("." is the root), and tells whether it
	// was not watched before: what happened in it until then nobody has told.
	// Adding a watched or a missing directory does nothing. A directory that
	// was removed and made again is another one, to be added again.
	Add(dir string) (fresh bool)
	Close()
}
