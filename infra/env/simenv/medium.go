package simenv

import (
	"errors"
	"time"

	"mars/infra/env"
)

// ErrIO is the error that failing media report unless told otherwise.
var ErrIO = errors.New("input/output error")

// IOLatency says how long the kinds of IO take.
type IOLatency struct {
	Read, Write, Durable, Sync, Zero Span
	// Tail is the share of IOs that take TailFactor times as long.
	Tail       float64
	TailFactor int
}

// DefaultLatency is roughly that of a SATA SSD.
func DefaultLatency() IOLatency {
	us := func(lo, hi int) Span {
		return Span{time.Duration(lo) * time.Microsecond, time.Duration(hi) * time.Microsecond}
	}
	return IOLatency{Read: us(40, 200), Write: us(20, 200), Durable: us(60, 500), Sync: us(100, 2000),
		Zero: us(20, 200), Tail: 0.01, TailFactor: 20}
}

// Medium is the handle on the timing and the faults of a disk or of a file.
// It stays valid over crashes and restarts of its node.
type Medium struct {
	w       *World
	lat     *IOLatency // nil: the node's
	slow    float64
	stalled bool
	lying   bool
	held    []*ioOp
	faults  []func(io *env.IO) error
	counts  [env.Truncate + 1]uint64
	faulted uint64
}

// SetLatency replaces the node's default latencies.
func (m *Medium) SetLatency(l IOLatency) { m.lat = &l }

// SetSlow multiplies all latencies; 0 and 1 mean normal.
func (m *Medium) SetSlow(factor float64) { m.slow = factor }

// Stall holds back every completion until called with false.
func (m *Medium) Stall(on bool) {
	m.stalled = on
	if on {
		return
	}
	for _, op := range m.held {
		if !op.ex().inc.dead {
			m.w.push(m.w.now+m.w.rng.in(Span{time.Microsecond, 100 * time.Microsecond}), op.ex(), evIO, op, 0)
		}
	}
	m.held = nil
}

// Fail adds a fault: fn is asked at every submission, and the IO fails with
// the error it returns. A failed write reaches the medium wholly, in part or
// not at all; after a failed sync some of what it should have covered is lost
// for good even if a later sync succeeds. Fail(nil) removes all faults.
func (m *Medium) Fail(fn func(io *env.IO) error) {
	if fn == nil {
		m.faults = nil
		return
	}
	m.faults = append(m.faults, fn)
}

// Lie makes syncs and durable writes report success without making anything
// durable: the negative control of a test that relies on them.
func (m *Medium) Lie(on bool) { m.lying = on }

// Count is the number of IOs of that kind submitted so far, and Faults of
// those that were made to fail.
func (m *Medium) Count(k env.Kind) uint64 { return m.counts[k] }
func (m *Medium) Faults() uint64          { return m.faulted }

// FailNth is a fault: the nth IO (from 1) of the given kind fails, once.
func FailNth(kind env.Kind, n int, err error) func(*env.IO) error {
	return func(io *env.IO) error {
		if io.Kind != kind {
			return nil
		}
		if n--; n == 0 {
			return err
		}
		return nil
	}
}

// FailKind is a fault: every IO of the given kind fails.
func FailKind(kind env.Kind, err error) func(*env.IO) error {
	return func(io *env.IO) error {
		if io.Kind == kind {
			return err
		}
		return nil
	}
}

// check counts an IO and asks the faults.
func (m *Medium) check(io *env.IO) error {
	m.counts[io.Kind]++
	for _, fn := range m.faults {
		if err := fn(io); err != nil {
			m.faulted++
			return err
		}
	}
	return nil
}

func (m *Medium) latency(io *env.IO, def *IOLatency) time.Duration {
	l := m.lat
	if l == nil {
		l = def
	}
	s := l.Write
	switch {
	case io.Kind == env.Read:
		s = l.Read
	case io.Kind == env.Write && io.Durable:
		s = l.Durable
	case io.Kind == env.Sync, io.Kind == env.Truncate:
		s = l.Sync
	case io.Kind == env.Zero:
		s = l.Zero
	}
	d := m.w.rng.in(s)
	if l.Tail > 0 && m.w.rng.chance(l.Tail) {
		d *= time.Duration(l.TailFactor)
	}
	if m.slow > 0 {
		d = time.Duration(float64(d) * m.slow)
	}
	return max(d, 1)
}
