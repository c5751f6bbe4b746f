// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/measure"
)

// maxParts is how many mrefs of one request are in flight at a time: it bounds
// what a discard of the whole device takes.
const maxParts = 64

// Stats are counters since the brick was made.
type Stats struct {
	Reads, Writes, Flushes, Zeroes  uint64 // requests; Zeroes: discard and write-zeroes
	ReadBytes, WriteBytes, ZeroByte uint64
	Errors                          uint64 // requests answered with an error
	Mrefs                           uint64 // started
	InFlight                        int    // requests not answered

	// Times are from request to answer in nanoseconds, as the executor saw it, by
	// operation; what is none of them is not counted.
	Times [Timed]measure.Histogram
}

// What Stats.Times has.
const (
	TimeRead = iota
	TimeWrite
	TimeZero // discard and write-zeroes
	TimeFlush
	Timed // how many there are
)

func newStats() (s Stats) {
	for i := range s.Times {
		s.Times[i].Base = int64(50 * time.Microsecond)
	}
	return s
}

// Add adds what another brick has counted.
func (s *Stats) Add(o *Stats) {
	for _, c := range []struct {
		to   *uint64
		from uint64
	}{
		{&s.Reads, o.Reads}, {&s.Writes, o.Writes}, {&s.Flushes, o.Flushes}, {&s.Zeroes, o.Zeroes}, {&s.ReadBytes, o.ReadBytes},
		{&s.WriteBytes, o.WriteBytes}, {&s.ZeroByte, o.ZeroByte}, {&s.Errors, o.Errors}, {&s.Mrefs, o.Mrefs},
	} {
		*c.to += c.from
	}
	s.InFlight += o.InFlight
	for i := range s.Times {
		s.Times[i].Merge(&o.Times[i])
	}
}

// Stats returns the counters.
func (b *Brick) Stats() Stats { return b.stats }

// handler is the side of a Brick that the device calls.
type handler Brick

// flight is one request on its way; it stays with the request for reuse.
type flight struct {
	b       *Brick
	dev     env.Device // that it came from and that gets the answer
	r       *env.DevRequest
	op      block.Op
	next    int64 // bytes of the request that went into mrefs
	begun   bool  // at least one mref was made (a flush has no bytes)
	pending int   // mrefs in flight
	issuing bool
	since   time.Duration
	err     error
}

// OpenCount implements env.DeviceHandler.
func (h *handler) OpenCount(n int) { (*Brick)(h).setCount(n) }

// Request implements env.DeviceHandler.
func (h *handler) Request(r *env.DevRequest) {
	b := (*Brick)(h)
	f, ok := r.User.(*flight)
	if !ok || f.b != b {
		f = &flight{b: b}
		r.User = f
	}
	f.dev, f.r = r.Dev, r
	f.next, f.begun, f.err, f.since = 0, false, nil, b.env.Mono()
	b.stats.InFlight++
	if f.err = b.admit(f, r); f.err == nil {
		f.issue()
	}
	f.end()
}

// admit counts a request and finds out what it is.
func (b *Brick) admit(f *flight, r *env.DevRequest) error {
	n := uint64(r.Len)
	switch r.Op {
	case env.DevRead:
		f.op = block.Read
		b.stats.Reads++
		b.stats.ReadBytes += n
	case env.DevWrite:
		f.op = block.Write
		b.stats.Writes++
		b.stats.WriteBytes += n
	case env.DevFlush:
		f.op = block.Flush
		b.stats.Flushes++
		return nil
	case env.DevDiscard, env.DevWriteZeroes:
		f.op = block.Discard
		if r.Op == env.DevWriteZeroes {
			f.op = block.WriteZeroes
		}
		b.stats.Zeroes++
		b.stats.ZeroByte += n
	default:
		return fmt.Errorf("%s: unknown operation %d", b.Name, r.Op)
	}
	data := r.Op == env.DevRead || r.Op == env.DevWrite
	if r.Pos < 0 || r.Len <= 0 || r.Len > b.bound || r.Pos > b.bound-r.Len || (r.Pos|r.Len)&(b.align-1) != 0 ||
		data && int64(len(r.Buf)) < r.Len {
		return fmt.Errorf("%s of %d bytes at %d of %s: %w", f.op, r.Len, r.Pos, b.Name, block.ErrRange)
	}
	return nil
}

// issue starts as many mrefs as may be in flight. Completions that come before
// it returns are only counted.
func (f *flight) issue() {
	f.issuing = true
	for f.more() && f.pending < maxParts {
		f.start()
	}
	f.issuing = false
}

func (f *flight) more() bool {
	if f.err != nil {
		return false
	}
	if f.op == block.Flush {
		return !f.begun
	}
	return f.next < f.r.Len
}

// start makes one mref of what is left and starts it.
func (f *flight) start() {
	b, r := f.b, f.r
	ops := block.OpsOf(b.Input(0))
	m := b.pool.New()
	m.Op, m.FUA = f.op, r.FUA && f.op == block.Write
	var left int64
	if f.op != block.Flush {
		left = r.Len - f.next
		m.Pos, m.Len = r.Pos+f.next, left
		if f.op == block.Read || f.op == block.Write {
			m.Data = r.Buf[f.next:r.Len]
		}
	}
	if f.err = ops.Get(m); f.err != nil {
		b.pool.Put(m)
		return
	}
	if m.Len > left || m.Len <= 0 && left > 0 {
		f.err = fmt.Errorf("%s of %d bytes at %d of %s: got %d: %w", f.op, left, m.Pos, b.Name, m.Len, block.ErrShort)
		ops.Put(m)
		b.pool.Put(m)
		return
	}
	if m.Data != nil {
		m.Data = m.Data[:m.Len]
	}
	f.next += m.Len
	f.begun = true
	f.pending++
	b.stats.Mrefs++
	m.Push(f)
	ops.IO(m)
}

// MrefDone implements block.Completion.
func (f *flight) MrefDone(m *block.Mref, err error) {
	b := f.b
	if err == nil && m.Short > 0 {
		err = fmt.Errorf("%s of %d bytes at %d of %s: %d missing: %w", m.Op, m.Len, m.Pos, b.Name, m.Short, block.ErrShort)
	}
	if err != nil && f.err == nil {
		f.err = err
	}
	block.OpsOf(b.Input(0)).Put(m)
	b.pool.Put(m)
	f.pending--
	if f.issuing {
		return
	}
	if f.more() {
		f.issue()
	}
	f.end()
}

// timeOf is where the time of a request is counted, Timed for nowhere.
func timeOf(op env.DevOp) int {
	switch op {
	case env.DevRead:
		return TimeRead
	case env.DevWrite:
		return TimeWrite
	case env.DevDiscard, env.DevWriteZeroes:
		return TimeZero
	case env.DevFlush:
		return TimeFlush
	}
	return Timed
}

// end answers the request if nothing of it is left to do.
func (f *flight) end() {
	if f.pending > 0 || f.issuing {
		return
	}
	b, dev, r, err := f.b, f.dev, f.r, f.err
	f.dev, f.r, f.err = nil, nil, nil
	if err != nil {
		b.stats.Errors++
	}
	b.stats.InFlight--
	if i := timeOf(r.Op); i < Timed {
		b.stats.Times[i].Add(int64(b.env.Mono() - f.since))
	}
	dev.Complete(r, err)
	switch {
	case b.stats.InFlight > 0:
	case b.state == draining:
		b.ended()
	case b.state == live && (!b.Button() || b.grow > 0):
		b.step()
	}
}
