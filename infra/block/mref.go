package block

import (
	"mars/infra/brick"
)

// Op says what an mref asks.
type Op uint8

// Operations. Digest is a read that brings checksums instead of data
// (the manual's fast fullsync): Data receives the digests.
const (
	Read Op = iota
	Write
	Flush       // everything completed before is durable at completion
	WriteZeroes // [Pos, Pos+Len) reads as zeroes afterwards
	Discard     // as WriteZeroes, and the space may be freed
	Truncate    // cut a file to Pos bytes
	Digest      // Data = digests of [Pos, Pos+Len), one per Gran bytes, DigestSize each
)

// DigestSize is the size in bytes of one digest in the answer to Digest.
const DigestSize = 16

// String names the operation for messages.
func (o Op) String() string {
	return [...]string{"read", "write", "flush", "write-zeroes", "discard", "truncate", "digest"}[o]
}

// IsWrite tells whether the operation changes data.
func (o Op) IsWrite() bool { return o == Write || o == WriteZeroes || o == Discard || o == Truncate }

// Prio is the manual's IO priority.
type Prio int8

// Priorities; the zero value is normal.
const (
	PrioHigh   Prio = -1
	PrioNormal Prio = 0
	PrioLow    Prio = 1
)

// maxDepth is how many bricks may wait for one mref.
const maxDepth = 8

// Mref is one block IO request. It belongs to one executor.
type Mref struct {
	brick.Object

	Op   Op
	Prio Prio
	FUA  bool  // Write: durable at completion
	Pos  int64 // bytes
	Len  int64 // bytes; Get may shorten it
	Gran int64 // Digest: bytes per digest
	Data []byte
	Vec  [][]byte // Write: gather list instead of Data; at most env.MaxVec pieces

	// Wait makes a Read at or behind the end of a growing file wait for more
	// bytes instead of completing short (log fetch). The provider may still
	// give up after some time and complete with nothing read.
	Wait bool

	// TotalSize is set by Get or at completion: the present size of what is
	// behind the output; of a log, its durable end.
	TotalSize int64
	// Short is set at completion of a Read: how many bytes fewer than Len
	// were there. Zero for disks, always.
	Short int64

	chain [maxDepth]Completion
	depth int

	pool *Pool
	next *Mref
}

// Completion is told when a request is done. Bricks implement it on a small
// structure of their own (or on themselves), so that nothing is allocated.
type Completion interface {
	MrefDone(m *Mref, err error)
}

// CompletionFunc makes a function a Completion. Making one from a closure
// allocates; on hot paths use a method of a lasting structure.
type CompletionFunc func(m *Mref, err error)

// MrefDone calls f.
func (f CompletionFunc) MrefDone(m *Mref, err error) { f(m, err) }

// Push puts c in front of the completions that are to be called.
func (m *Mref) Push(c Completion) {
	if m.depth == maxDepth {
		panic("block: more than 8 completions pushed on one mref")
	}
	m.chain[m.depth] = c
	m.depth++
}

// Complete pops the completion pushed last and calls it.
func (m *Mref) Complete(err error) {
	if m.depth == 0 {
		panic("block: " + m.Op.String() + " request completed more often than started")
	}
	m.depth--
	c := m.chain[m.depth]
	m.chain[m.depth] = nil
	c.MrefDone(m, err)
}

// Pending tells how many completions are still to be called.
func (m *Mref) Pending() int { return m.depth }

// Info describes what is behind an output.
type Info struct {
	Size  int64 // bytes: of a file its size, of a disk its capacity
	Align int   // Pos and Len are multiples of it, bytes
	// Serial tells that overlapping or even parallel writes are served one
	// after the other, so that more than one in flight gains nothing.
	Serial bool
}

// Ops are the operations of an output. None blocks.
type Ops interface {
	// Info may be called while the brick is on.
	Info() Info
	// Get pins the mref and may shorten Len; an error means that nothing was
	// taken and IO and Put must not follow.
	Get(m *Mref) error
	// IO starts the request. Every path ends in one m.Complete.
	IO(m *Mref)
	// Put ends what Get began.
	Put(m *Mref)
}
