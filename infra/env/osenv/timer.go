// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"time"

	"mars/infra/env"
)

// timer is one of an executor's heap. Timers of the same deadline fire in the
// order in which they were armed.
type timer struct {
	e   *Executor
	fn  func()
	at  time.Duration
	seq uint64
	pos int // in the heap, -1 when not armed
}

// NewTimer makes a timer that is not armed.
func (e *Executor) NewTimer(fn func()) env.Timer { return &timer{e: e, fn: fn, pos: -1} }

func (t *timer) Reset(d time.Duration) {
	h := &t.e.timers
	if t.pos >= 0 {
		h.remove(t)
	}
	t.at = t.e.now + max(d, 0)
	h.seq++
	t.seq = h.seq
	h.add(t)
}

func (t *timer) Stop() {
	if t.pos >= 0 {
		t.e.timers.remove(t)
	}
}

func (t *timer) Armed() bool { return t.pos >= 0 }

// timerHeap is a binary heap, earliest first. It allocates only to grow.
type timerHeap struct {
	a   []*timer
	seq uint64
}

func (h *timerHeap) less(i, j int) bool {
	if h.a[i].at != h.a[j].at {
		return h.a[i].at < h.a[j].at
	}
	return h.a[i].seq < h.a[j].seq
}

func (h *timerHeap) swap(i, j int) {
	h.a[i], h.a[j] = h.a[j], h.a[i]
	h.a[i].pos, h.a[j].pos = i, j
}

func (h *timerHeap) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !h.less(i, p) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h *timerHeap) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(h.a) {
			return
		}
		if c+1 < len(h.a) && h.less(c+1, c) {
			c++
		}
		if !h.less(c, i) {
			return
		}
		h.swap(i, c)
		i = c
	}
}

func (h *timerHeap) add(t *timer) {
	t.pos = len(h.a)
	h.a = append(h.a, t)
	h.up(t.pos)
}

func (h *timerHeap) remove(t *timer) {
	i, last := t.pos, len(h.a)-1
	h.swap(i, last)
	h.a[last] = nil
	h.a = h.a[:last]
	t.pos = -1
	if i < last {
		h.down(i)
		h.up(i)
	}
}

// due takes the earliest timer whose time has come and which was armed before
// the limit, so that a timer armed for now waits for the next turn.
func (h *timerHeap) due(now time.Duration, limit uint64) *timer {
	if len(h.a) == 0 {
		return nil
	}
	t := h.a[0]
	if t.at > now || t.seq > limit {
		return nil
	}
	h.remove(t)
	return t
}
