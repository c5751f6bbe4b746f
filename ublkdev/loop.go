// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"fmt"
	"sync/atomic"

	"mars/ublkdev/uring"
)

// Loop is a thread that owns a ring and serves devices: a Reactor, or an event
// loop of the caller's. One Loop may serve many devices.
type Loop interface {
	// Post runs fn soon on the thread of the loop, in order. It may be called
	// by any goroutine. A loop that has ended may drop fn.
	Post(fn func())
	// Ring is the ring, used only on the thread. Entries filled there must go
	// to the kernel before the loop sleeps. It must have at least as many
	// entries as the deepest device has, and not ask for DEFER_TASKRUN unless
	// Plan.DeferredOK.
	Ring() *uring.Ring
	// RingOwner reserves user data: completions with user data of base plus any
	// number below 1<<48 are passed to fn, on the thread, until release. Called
	// on the thread.
	RingOwner(fn func(uring.CQE)) (base uint64, release func())
}

// looper is Loop with the ring as an interface.
type looper interface {
	Post(fn func())
	dataRing() dataRing
	RingOwner(fn func(uring.CQE)) (base uint64, release func())
}

type ringLoop struct{ Loop }

func (l ringLoop) dataRing() dataRing { return l.Ring() }

const (
	postWaits int32 = iota
	postRuns
	postDropped
)

// onLoop runs fn on the loop and waits for it. When ctx ends before fn began, or
// the loop does not come to it for too long, it never runs.
func onLoop(ctx context.Context, l looper, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	var state atomic.Int32
	done := make(chan error, 1)
	l.Post(func() {
		if state.CompareAndSwap(postWaits, postRuns) {
			done <- fn()
		}
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if state.CompareAndSwap(postWaits, postDropped) {
			return fmt.Errorf("%w: the loop does not answer: %w", ErrTimeout, ctx.Err())
		}
		return <-done
	}
}

// registrar is a loop that tells its devices when it ends.
type registrar interface {
	// register and forget run on the thread. register refuses when the loop
	// is about to end.
	register(d *Device) bool
	forget(d *Device)
}

func wrap(l Loop) looper {
	if r, ok := l.(*Reactor); ok {
		return r
	}
	return ringLoop{l}
}
