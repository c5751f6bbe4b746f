// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// ReactorOptions tune a Reactor. The zero value is fine.
type ReactorOptions struct {
	// Entries is the size of the ring: no less than the deepest device has;
	// 0 is 512.
	Entries int
	// HybridWait is that of uring.Options; 0 is 50 us, below 0 is off.
	HybridWait time.Duration
}

// Reactor is a Loop of its own: a thread with a ring, for programs without an
// event loop. Handlers run on its thread.
type Reactor struct {
	ring *uring.Ring
	efd  int
	one  [8]byte

	mu     sync.Mutex
	posts  []func()
	stop   bool
	closed bool // efd is not valid any more

	// Of the thread.
	owners  []owner
	last    uint64
	devices []*Device
	ending  bool

	done chan struct{}
	err  error // of the thread, valid after done
}

type owner struct {
	base uint64
	fn   func(uring.CQE)
}

const (
	reactorEntries = 512
	reactorHybrid  = 50 * time.Microsecond
	reactorWake    = 1 // user data of the poll; owners begin at 1<<ownerShift
	ownerShift     = 48

	prSetIOFlusher = 57
)

// NewReactor starts the thread. Errors match uring.ErrUnavailable where there is
// no io_uring.
func NewReactor(opt ReactorOptions) (*Reactor, error) {
	if opt.Entries == 0 {
		opt.Entries = reactorEntries
	}
	if opt.HybridWait == 0 {
		opt.HybridWait = reactorHybrid
	}
	efd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("ublk: eventfd: %w", err)
	}
	r := &Reactor{efd: efd, done: make(chan struct{})}
	binary.NativeEndian.PutUint64(r.one[:], 1)
	started := make(chan error, 1)
	go r.run(opt, started)
	if err := <-started; err != nil {
		_ = unix.Close(efd)
		return nil, err
	}
	return r, nil
}

// Close ends the thread and its ring, and waits for that. Devices that it
// serves stay, with their users waiting, for a successor to Recover; the
// requests that a handler still has come to that again. Stop the devices before,
// if they shall go. It must not be called on the thread.
func (r *Reactor) Close() error {
	r.mu.Lock()
	r.stop = true
	r.wake()
	r.mu.Unlock()
	<-r.done
	return r.err
}

// Post runs fn on the thread; from anywhere. After Close it does nothing.
func (r *Reactor) Post(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.posts = append(r.posts, fn)
	r.wake()
}

// wake is called with the lock held, which keeps the descriptor open.
func (r *Reactor) wake() {
	if !r.closed {
		// It cannot fail but by a full counter, which wakes as well.
		_, _ = unix.Write(r.efd, r.one[:])
	}
}

// Ring is the ring; on the thread only.
func (r *Reactor) Ring() *uring.Ring { return r.ring }

func (r *Reactor) dataRing() dataRing { return r.ring }

// RingOwner reserves user data, see Loop; on the thread only.
func (r *Reactor) RingOwner(fn func(uring.CQE)) (base uint64, release func()) {
	r.last++ // 65535 owners in the life of a reactor, then again from the start
	if r.last >= 1<<(64-ownerShift) {
		r.last = 1
	}
	for slices.ContainsFunc(r.owners, func(o owner) bool { return o.base == r.last<<ownerShift }) {
		r.last++
	}
	base = r.last << ownerShift
	r.owners = append(r.owners, owner{base, fn})
	return base, func() {
		r.owners = slices.DeleteFunc(r.owners, func(o owner) bool { return o.base == base })
	}
}

func (r *Reactor) register(d *Device) bool {
	if !r.ending {
		r.devices = append(r.devices, d)
	}
	return !r.ending
}

func (r *Reactor) forget(d *Device) {
	r.devices = slices.DeleteFunc(r.devices, func(x *Device) bool { return x == d })
}

func (r *Reactor) run(opt ReactorOptions, started chan<- error) {
	runtime.LockOSThread() // for good: the kernel binds the devices to the thread
	defer close(r.done)
	// Allocations of a server of block devices must not wait for writeback
	// through them. Needs a privilege; without it only low memory is a danger.
	_ = unix.Prctl(prSetIOFlusher, 1, 0, 0, 0)
	var err error
	// Never DEFER_TASKRUN: on some kernels the death of such a server is not survived.
	r.ring, err = uring.Setup(uint32(opt.Entries), uring.Options{CoopTaskrun: true, SingleIssuer: true,
		CQEntries: uint32(4 * opt.Entries), HybridWait: opt.HybridWait})
	started <- err
	if err != nil {
		return
	}
	armed := false
	for r.err == nil && !r.runPosts() {
		if !armed {
			if s := r.ring.Get(); s != nil {
				s.PollAdd(r.efd, unix.POLLIN, true, reactorWake)
				armed = true
			}
		}
		if _, r.err = r.ring.SubmitAndWait(1, -1); r.err != nil {
			break
		}
		r.ring.ForEachCQE(func(c uring.CQE) {
			if c.UserData == reactorWake {
				armed = c.More()
				return
			}
			r.deliver(c)
		})
	}
	r.end()
}

func (r *Reactor) deliver(c uring.CQE) {
	base := c.UserData >> ownerShift << ownerShift
	for i := range r.owners {
		if r.owners[i].base == base {
			r.owners[i].fn(c)
			return
		}
	}
}

// runPosts runs what was posted and tells whether to stop.
func (r *Reactor) runPosts() bool {
	r.mu.Lock()
	posts, stop := r.posts, r.stop
	r.posts = nil
	r.mu.Unlock()
	for _, fn := range posts {
		fn()
	}
	return stop
}

// end closes the ring first: with it the kernel takes back the commands, which
// cannot be cancelled otherwise.
func (r *Reactor) end() {
	r.ending = true
	r.mu.Lock()
	r.closed = true
	_ = unix.Close(r.efd)
	r.mu.Unlock()
	// What was completed shall reach the kernel, the rest comes again.
	if _, err := r.ring.Submit(); err != nil && r.err == nil {
		r.err = err
	}
	r.ring.CloseNow()
	for _, d := range r.devices {
		d.Abandon()
	}
	r.devices = nil
	// Who waits for a post learns so that it is over.
	for _, fn := range r.posts {
		fn()
	}
	r.posts = nil
}
