// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one io_uring. It belongs to one goroutine on one locked thread, see
// the package comment; no method may be called by another.
type Ring struct {
	fd     int // -1 when closed
	flags  SetupFlags
	always uint32 // flags of every enter
	enter  enterFunc
	hybrid time.Duration

	// Shared with the kernel: it moves sqHead and cqTail, we the others.
	sqHead, sqTail, sqFlags, cqHead, cqTail *uint32

	sqes                unsafe.Pointer
	sqeSize             uintptr
	sqEntries, sqMask   uint32
	tail                uint32 // of entries handed out, ahead of *sqTail until submission
	cqes                []CQE
	cqEntries, cqMask   uint32
	inflight            int
	ringMem, sqeMem     []byte
	aux                 aux
	deadWord, deadWord2 uint32 // what the pointers of a closed ring point at
}

// Fd is the ring's descriptor, for poll(2) and the like; -1 when closed.
func (r *Ring) Fd() int { return r.fd }

// Flags tells what the kernel granted.
func (r *Ring) Flags() SetupFlags { return r.flags }

// Entries is the size of the submission queue.
func (r *Ring) Entries() int { return int(r.sqEntries) }

// CQEntries is the size of the completion queue.
func (r *Ring) CQEntries() int { return int(r.cqEntries) }

// InFlight counts the submitted requests whose final completion was not reaped.
func (r *Ring) InFlight() int { return r.inflight }

// Queued counts the entries taken by Get that the kernel has not taken yet.
func (r *Ring) Queued() int { return int(r.tail - atomic.LoadUint32(r.sqHead)) }

// Get hands out the next free entry, zeroed, or nil when the submission queue
// is full (or the ring closed): then call Submit and try again. The entry is
// valid until the next Submit or SubmitAndWait, with which it goes.
func (r *Ring) Get() *SQE {
	if r.tail-atomic.LoadUint32(r.sqHead) >= r.sqEntries {
		return nil
	}
	p := unsafe.Add(r.sqes, uintptr(r.tail&r.sqMask)*r.sqeSize)
	if r.sqeSize == sqe128Size {
		*(*[sqe128Size]byte)(p) = [sqe128Size]byte{}
	} else {
		*(*[sqeSize]byte)(p) = [sqeSize]byte{}
	}
	r.tail++
	return (*SQE)(p)
}

// Cmd is the command area of an entry of this ring: 80 bytes with SQE128, else
// 16. Fill it after SQE.UringCmd, which clears the first 16.
func (r *Ring) Cmd(s *SQE) []byte {
	n := uintptr(len(s.Cmd)) + r.sqeSize - sqeSize
	return unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(s), unsafe.Offsetof(s.Cmd))), n)
}

// closeWait bounds how long Close waits for requests in flight.
const closeWait = time.Second

// cancelEvery is the time after which Close cancels again what did not end.
const cancelEvery = 10 * time.Millisecond

// Close drops entries that were not submitted, cancels requests in flight,
// waits up to one second until all are finished (their completions are
// discarded) and frees the ring. After nil no buffer is in the kernel's hands.
// After ErrInFlight some may be, for ever. Either way the ring is closed; a
// second Close does nothing. ublk commands cannot be cancelled so: stop the
// device first, or use CloseNow.
func (r *Ring) Close() error {
	if r.fd < 0 {
		return nil
	}
	err := r.drain(closeWait)
	r.release()
	return err
}

// CloseNow frees the ring without waiting. The kernel finishes or cancels what
// is in flight in the background and may meanwhile use the buffers; the caller
// must not. For rings whose requests are known to hang.
func (r *Ring) CloseNow() {
	if r.fd >= 0 {
		r.release()
	}
}

// drain cancels everything and reaps until nothing is in flight. It repeats the
// cancellation: a request that a kernel worker is just taking up can slip
// through one.
func (r *Ring) drain(limit time.Duration) error {
	r.tail = atomic.LoadUint32(r.sqHead)
	r.discard()
	start := time.Now()
	for left := limit; r.inflight > 0; left = limit - time.Since(start) {
		if left <= 0 {
			return fmt.Errorf("%w: %d", ErrInFlight, r.inflight)
		}
		if s := r.Get(); s != nil {
			s.AsyncCancel(0, CancelAll|CancelAny, 0)
		}
		if _, err := r.SubmitAndWait(r.inflight+r.Queued(), min(left, cancelEvery)); err != nil {
			return fmt.Errorf("%w: %d: %w", ErrInFlight, r.inflight, err)
		}
		r.discard()
	}
	return nil
}

func (r *Ring) discard() {
	var c [16]CQE
	for r.Reap(c[:]) > 0 {
		continue
	}
}

// release frees everything and leaves the ring full and empty at once, so that
// Get answers nil and Reap 0 without asking whether it is closed.
func (r *Ring) release() {
	for _, mem := range [][]byte{r.ringMem, r.sqeMem, r.aux.mem} {
		if mem == nil {
			continue
		}
		if err := unix.Munmap(mem); err != nil {
			panic(fmt.Sprintf("io_uring: unmap of the ring's own memory: %v", err))
		}
	}
	// An error of close says nothing here: the descriptor is gone regardless.
	_ = unix.Close(r.fd)
	r.fd = -1
	r.ringMem, r.sqeMem, r.aux, r.cqes, r.sqes = nil, nil, aux{}, nil, nil
	r.sqEntries, r.cqEntries, r.tail, r.inflight = 0, 0, 0, 0
	r.deadWord, r.deadWord2 = 0, 0
	r.sqHead, r.sqTail, r.sqFlags = &r.deadWord, &r.deadWord, &r.deadWord2
	r.cqHead, r.cqTail = &r.deadWord, &r.deadWord
}
