// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"time"

	"mars/infra/env"
	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// Sizes of an executor's ring. The completion queue is no bound for what is in
// flight (the kernel keeps what does not fit), only for what is cheap.
const (
	ringEntries   = 512
	ringCQEntries = 4096
	ringHybrid    = 50 * time.Microsecond
)

// User data of ring entries: the upper 16 bits tell whose it is. 0 is nobody's:
// entries that were taken and not filled.
const (
	ownerShift = 48
	ownerFiles = 1
	ownerWake  = 2
	ownerFirst = 3 // of Executor.RingOwner
	ownerCount = 1<<16 - ownerFirst
	ownerMask  = 1<<ownerShift - 1
)

// ringEngine is the ioEngine of an executor with a ring of its own. The
// eventfd is watched by a multishot poll, so a wake-up is one completion.
type ringEngine struct {
	e      *Executor
	r      *uring.Ring
	wait   opList // found no room in the ring
	armed  bool   // the poll of the eventfd
	cqe    [1]uring.CQE
	owners []func(uring.CQE)
	last   int // owner given out
}

func newRingEngine(e *Executor) (*ringEngine, error) {
	r, err := uring.Setup(ringEntries, uring.Options{
		CQEntries: ringCQEntries, CoopTaskrun: true, SingleIssuer: true, HybridWait: ringHybrid,
	})
	if err != nil {
		return nil, err
	}
	return &ringEngine{e: e, r: r, last: -1}, nil
}

func (g *ringEngine) submit(o *op) {
	if !g.wait.empty() || !g.prepare(o) {
		g.wait.push(o)
	}
}

// room makes sure that an entry is free; without one the kernel must first be
// given what is queued.
func (g *ringEngine) room() bool {
	if g.r.Queued() < g.r.Entries() {
		return true
	}
	g.flush()
	return g.r.Queued() < g.r.Entries()
}

func (g *ringEngine) flush() {
	if _, err := g.r.Submit(); err != nil {
		panic(fmt.Sprintf("osenv: executor %d: %v", g.e.index, err))
	}
}

// prepare fills an entry; false when there is no room for it now.
func (g *ringEngine) prepare(o *op) bool {
	if !g.room() {
		return false
	}
	io, fd, off, token := o.io, o.f.fd, uint64(o.off()), ownerFiles<<ownerShift|o.slot
	if io.Kind == env.Sync {
		g.r.Get().Fsync(fd, true, token)
		return true
	}
	if io.Kind == env.Read {
		g.r.Get().Read(fd, io.Buf[o.n:], off, 0, token)
		return true
	}
	var flags uring.RWFlags
	if io.Durable {
		flags = uring.RWFDsync
	}
	if io.Vec == nil {
		g.r.Get().Write(fd, io.Buf[o.n:], off, flags, token)
		return true
	}
	if g.r.GetWritev(fd, o.vector(), off, flags, token) != nil {
		return true
	}
	// The ring's memory for pieces is full; a submission empties it.
	g.flush()
	return g.r.GetWritev(fd, o.vector(), off, flags, token) != nil
}

func (g *ringEngine) reap(b *budget) {
	for b.left > 0 && g.r.Reap(g.cqe[:]) == 1 {
		b.take()
		g.complete(g.cqe[0])
	}
}

func (g *ringEngine) complete(c uring.CQE) {
	switch owner := c.UserData >> ownerShift; owner {
	case 0:
	case ownerFiles:
		g.completeOp(g.e.ops[c.UserData&ownerMask], c.Res)
	case ownerWake:
		g.armed = c.More()
	default:
		if fn := g.owners[owner-ownerFirst]; fn != nil {
			fn(c)
		}
	}
}

func (g *ringEngine) completeOp(o *op, res int32) {
	n, errno := int(res), unix.Errno(0)
	if res < 0 {
		n, errno = 0, unix.Errno(-res)
	}
	if !o.advance(n, errno) {
		g.e.inflight--
		g.e.finish(o)
		return
	}
	if errno == unix.EAGAIN {
		// What the kernel would not do without blocking, a worker does.
		g.e.node.workers.runOp(o)
		return
	}
	g.submit(o)
}

func (g *ringEngine) ready() bool { return g.r.Ready() > 0 || !g.wait.empty() }

func (g *ringEngine) enter(d time.Duration) error {
	for o := g.wait.head; o != nil && g.prepare(o); o = g.wait.head {
		g.wait.pop()
	}
	if !g.armed && g.room() {
		g.r.Get().PollAdd(g.e.efd, unix.POLLIN, true, ownerWake<<ownerShift)
		g.armed = true
	}
	_, err := g.r.SubmitAndWait(1, d)
	return err
}

// close ends the ring. What the owners of ranges have in flight can only be
// ended by that, and is not waited for: commands of the ublk driver wait for
// requests that may never come.
func (g *ringEngine) close() error {
	for _, fn := range g.owners {
		if fn != nil {
			g.r.CloseNow()
			return nil
		}
	}
	return g.r.Close()
}

// Ring is this executor's io_uring, or nil where the worker variant runs. It is
// used on the executor only, to submit what File does not offer (the commands of
// the ublk driver). What is queued goes to the kernel at the end of the turn.
// When Get answers nil, call Submit and try again.
func (e *Executor) Ring() *uring.Ring {
	if e.ring == nil {
		return nil
	}
	return e.ring.r
}

// AtEnd has fn called at the end of the executor, on its thread, when the ring is
// closed already. It is called on the executor, or before that runs.
func (e *Executor) AtEnd(fn func()) { e.atEnd = append(e.atEnd, fn) }

// RingOwner reserves a range of user data: entries whose user data is base plus
// any number below 1<<48 complete by a call of fn, on the executor. release ends
// that; the completions of what is still in flight are then dropped (a range is
// used again only after all others). It must not be called where Ring is nil.
func (e *Executor) RingOwner(fn func(uring.CQE)) (base uint64, release func()) {
	g := e.ring
	i := (g.last + 1) % ownerCount
	for ; i < len(g.owners) && g.owners[i] != nil; i = (i + 1) % ownerCount {
		continue
	}
	if i == len(g.owners) {
		g.owners = append(g.owners, nil)
	}
	g.owners[i], g.last = fn, i
	return uint64(i+ownerFirst) << ownerShift, func() { g.owners[i] = nil }
}
