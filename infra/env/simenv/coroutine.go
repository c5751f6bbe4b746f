package simenv

import (
	"fmt"
	"iter"
	"time"

	"mars/infra/env"
)

// Coroutine is a process of its own on a node that is written as blocking
// code, such as a command of the CLI. It runs only while the world waits for
// it, so everything stays deterministic. Calls of its FS are points where
// others may come in between. It lives until its function ends or the power
// of its node goes; the death of the node's daemon (Node.Kill) does not end it.
type Coroutine struct {
	node  *Node
	fs    fsHandle
	next  func() (time.Duration, bool)
	stop  func()
	yield func(time.Duration) bool
	rng   rng
	runs  bool // between events: it is its turn
	dead  bool
	done  bool
}

// Go runs fn as a coroutine; it starts in a later event. On a node without
// power fn is never called.
func (n *Node) Go(fn func(c *Coroutine)) *Coroutine {
	w := n.w
	c := &Coroutine{node: n, rng: w.rng.fork(uint64(len(w.coros)))}
	c.fs = fsHandle{node: n, co: c}
	if n.lost {
		c.dead, c.done = true, true
		return c
	}
	c.next, c.stop = iter.Pull(func(yield func(time.Duration) bool) {
		c.yield = yield
		fn(c)
	})
	w.coros = append(w.coros, c)
	w.push(w.now+w.rng.in(w.opt.Post), nil, evCoroutine, c, 0)
	return c
}

// Done tells whether the function has ended, by itself or with its node.
func (c *Coroutine) Done() bool { return c.done }

// FS is the file system as this process sees it.
func (c *Coroutine) FS() env.FS { return &c.fs }

// Wall is the node's wall clock, Mono a clock that never jumps.
func (c *Coroutine) Wall() int64         { return c.node.wall() }
func (c *Coroutine) Mono() time.Duration { return c.node.w.now }

// Rand returns 64 random bits.
func (c *Coroutine) Rand() uint64 { return c.rng.next() }

// Node is where it runs.
func (c *Coroutine) Node() *Node { return c.node }

// Sleep lets d of virtual time pass. It fails with env.ErrCrashed when the
// node's power went; the function should then return.
func (c *Coroutine) Sleep(d time.Duration) error {
	if c.dead || !c.yield(max(d, 1)) || c.dead {
		return fmt.Errorf("sleep: %w", env.ErrCrashed)
	}
	return nil
}

// pause lets others in before a call of the file system.
func (c *Coroutine) pause(change bool) {
	if !c.dead && c.runs && (change || c.rng.chance(0.25)) {
		c.yield(c.rng.in(Span{time.Microsecond, 50 * time.Microsecond}))
	}
}

func (c *Coroutine) fire(w *World, _ uint32) bool {
	if c.dead {
		return false
	}
	c.runs = true
	d, more := c.next()
	c.runs = false
	if !more {
		c.done = true
		w.forgetCoroutine(c)
		return true
	}
	if !c.dead {
		w.push(w.now+d, nil, evCoroutine, c, 0)
	}
	return true
}

func (w *World) forgetCoroutine(c *Coroutine) {
	for i, x := range w.coros {
		if x == c {
			w.coros = append(w.coros[:i], w.coros[i+1:]...)
			return
		}
	}
}

// stopCoroutines ends those of a node; the running one ends with its event.
func (w *World) stopCoroutines(n *Node) {
	for _, c := range w.coros {
		if n == nil || c.node == n {
			c.dead = true
		}
	}
	if !w.inEv {
		w.reap()
	}
}

// reap lets dead coroutines run to their end.
func (w *World) reap() {
	for i := 0; i < len(w.coros); {
		c := w.coros[i]
		if !c.dead {
			i++
			continue
		}
		w.coros = append(w.coros[:i], w.coros[i+1:]...)
		c.stop()
		c.done = true
	}
}
