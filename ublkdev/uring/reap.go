// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Err is the errno of a failed request, nil for one that succeeded.
func (c CQE) Err() error {
	if c.Res < 0 {
		return unix.Errno(-c.Res)
	}
	return nil
}

// More tells whether the same entry will yield further completions.
func (c CQE) More() bool { return c.Flags&CQEMore != 0 }

// Ready counts the completions that Reap would find now.
func (r *Ring) Ready() int { return int(atomic.LoadUint32(r.cqTail) - *r.cqHead) }

// Peek returns the oldest completion without taking it.
func (r *Ring) Peek() (CQE, bool) {
	if r.Ready() == 0 {
		return CQE{}, false
	}
	return r.cqes[*r.cqHead&r.cqMask], true
}

// Reap takes up to len(dst) completions, oldest first, and returns how many. It
// enters the kernel only when the completion queue had overflowed.
func (r *Ring) Reap(dst []CQE) int {
	n := r.take(dst)
	for n < len(dst) && atomic.LoadUint32(r.sqFlags)&sqCQOverflow != 0 {
		// The queue is empty now, so the kernel can move in what it kept.
		// Failure needs no care: the next wait tries again and reports.
		_, _ = r.call(0, 0, enterGetEvents, -1, false)
		more := r.take(dst[n:])
		if more == 0 {
			break
		}
		n += more
	}
	return n
}

func (r *Ring) take(dst []CQE) int {
	head := *r.cqHead
	n := min(int(atomic.LoadUint32(r.cqTail)-head), len(dst))
	final := 0
	for i := range n {
		c := r.cqes[(head+uint32(i))&r.cqMask]
		if !c.More() {
			final++
		}
		dst[i] = c
	}
	if n > 0 {
		r.inflight -= final
		atomic.StoreUint32(r.cqHead, head+uint32(n))
	}
	return n
}

// ForEachCQE takes the completions that are ready, and those that become so
// meanwhile up to the size of the queue, and passes them to fn, which may use
// the ring and even close it. It returns how many there were.
func (r *Ring) ForEachCQE(fn func(CQE)) int {
	var one [1]CQE
	n := 0
	for limit := int(r.cqEntries); n < limit && r.Reap(one[:]) == 1; n++ {
		fn(one[0])
	}
	return n
}
