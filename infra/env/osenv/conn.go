// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"mars/infra/env"
)

// Bounds of one connection, in bytes.
const (
	lowWater = 256 << 10 // of Queued, for Drained
	maxQueue = 64 << 20  // of Queued; a user that ignores it loses the connection
	maxInbox = 4 << 20   // of undelivered frames, above which nothing is read
	inFrames = 16        // delivered in one event of the executor
)

// ErrFlood ends a connection whose user sent more than can ever be queued.
var ErrFlood = errors.New("send queue overflow")

// conn is one connection. The goroutines of pump.go put events into it; deliver
// takes them out on the executor that owns it. All fields below mu are guarded
// by it; no callback runs with mu held.
type conn struct {
	w      *network
	port   int
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	wake   chan struct{} // for the writer, room for one
	run    func()        // deliver, made once

	mu     sync.Mutex
	room   sync.Cond // the inbox has emptied, or the end
	owner  *Executor
	posted *Executor // where deliver is on its way to, or nil
	h      env.ConnHandler
	accept func(env.Conn) env.ConnHandler // until the handler is known
	peer   env.PeerID
	live   *liveConn
	pumps  bool // reader and writer run

	up         bool // both sides are known, Opened is due or was
	opened     bool // Opened was delivered
	drained    bool // Drained is due
	ended      bool // Closed is due or was
	closed     bool // Closed was delivered
	own        bool // ended by Close
	err        error
	head, tail *frame
	inBytes    int

	out, spare []byte
	outRaw     int // bytes of messages in out
	writing    int // taken by the writer, not yet written
	high       bool
}

func newConn(w *network, e *Executor, port int) *conn {
	c := &conn{w: w, owner: e, port: port, wake: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(w.ctx)
	c.room.L = &c.mu
	c.run = c.deliver
	return c
}

// hold keeps the network's end where end can close it; false if it is too late.
func (c *conn) hold(live *liveConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live = live
	if c.ended {
		_ = live.Conn.Close() // never used
		return false
	}
	return true
}

// schedule makes sure that deliver runs. Called with mu held.
func (c *conn) schedule() {
	if c.posted == nil {
		c.posted = c.owner
		c.owner.Post(c.run)
	}
}

// nudge wakes the writer.
func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// end finishes the connection for a reason that is not the user's.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended, c.err = true, err
	c.stop()
	if c.live != nil {
		_ = c.live.Conn.Close() // the reason is known already
	}
}

// stop ends the waits of all goroutines. Called with mu held.
func (c *conn) stop() {
	c.out = nil
	if c.own {
		c.dropInbox()
	}
	c.room.Broadcast()
	c.cancel()
	c.nudge()
	c.schedule()
}

func (c *conn) dropInbox() {
	for f := c.head; f != nil; f = c.head {
		c.head = f.next
		c.inBytes -= f.n
		c.w.recycle(f)
	}
	c.tail = nil
}

// Close ends the connection; what was sent before still goes out, if the
// network takes it soon.
func (c *conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own || c.closed {
		return
	}
	c.own, c.err = true, nil
	if c.ended { // by the other side, which was not delivered yet
		c.dropInbox()
		return
	}
	c.ended = true
	left := c.out
	c.stop()
	if c.pumps {
		c.out = left
		c.live.limit(c.w.cfg.times.flush)
		// For a write that is stuck already; a failure means it is over.
		_ = c.live.SetWriteDeadline(c.live.before(c.w.cfg.times.flush, 0))
	} else if c.live != nil {
		_ = c.live.Conn.Close() // never used
	}
}

func (c *conn) Peer() env.PeerID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer
}

func (c *conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) + c.writing
}

// Send queues one frame.
func (c *conn) Send(f []byte) {
	if len(f) == 0 || len(f) > env.MaxFrame {
		panic(fmt.Sprintf("osenv: frame of %d bytes", len(f)))
	}
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	queued := len(c.out) + c.writing + len(f) + 4
	if queued > maxQueue {
		c.mu.Unlock()
		c.end(ErrFlood)
		return
	}
	c.out = binary.LittleEndian.AppendUint32(c.out, uint32(len(f)))
	c.out = append(c.out, f...)
	c.outRaw += len(f)
	c.high = c.high || queued > lowWater
	c.mu.Unlock()
	c.nudge()
}

// Move hands the connection to another executor and handler.
func (c *conn) Move(to env.Env, h env.ConnHandler) {
	e, ok := to.(*Executor)
	if !ok {
		panic("osenv: connection moved to a foreign environment")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner, c.h, c.accept = e, h, nil
}

// event is what deliver does next.
type event uint8

const (
	evNone event = iota
	evAccept
	evOpened
	evDrained
	evFrame
	evClosed
)

// next takes the next event. Called with mu held.
func (c *conn) next() (event, *frame) {
	switch {
	case c.closed:
		return evNone, nil
	case c.ended && (c.own || c.h == nil):
		c.dropInbox()
		c.closed = true
		return evClosed, nil
	case c.up && c.accept != nil:
		return evAccept, nil
	case c.up && !c.opened:
		c.opened = true
		return evOpened, nil
	case c.drained && !c.ended:
		c.drained = false
		return evDrained, nil
	case c.head != nil:
		f := c.head
		if c.head = f.next; c.head == nil {
			c.tail = nil
		}
		return evFrame, f
	case c.ended:
		c.closed = true
		return evClosed, nil
	}
	return evNone, nil
}

// deliver runs on an executor; when the connection has moved away meanwhile, it
// follows.
func (c *conn) deliver() {
	for range inFrames {
		c.mu.Lock()
		if c.owner != c.posted {
			c.mu.Unlock()
			break
		}
		ev, f := c.next()
		h, err := c.h, c.err
		if ev == evNone {
			c.posted = nil
		}
		c.mu.Unlock()
		if ev == evNone {
			return
		}
		c.dispatch(ev, f, h, err)
		if ev == evClosed {
			return // posted stays: nothing will ever be delivered again
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posted = nil
	c.schedule()
}

func (c *conn) dispatch(ev event, f *frame, h env.ConnHandler, err error) {
	switch ev {
	case evAccept:
		c.ask()
	case evOpened:
		h.Opened(c)
	case evDrained:
		h.Drained(c)
	case evFrame:
		h.Frame(c, f.b[:f.n])
		c.delivered(f)
	case evClosed:
		if h != nil {
			h.Closed(c, err)
		}
	}
}

// ask lets the listener's owner name the handler.
func (c *conn) ask() {
	h := c.accept(c)
	c.mu.Lock()
	moved := c.accept == nil
	c.accept = nil
	if !moved {
		c.h = h
	}
	refused := c.h == nil
	c.mu.Unlock()
	if refused {
		c.Close()
	}
}
