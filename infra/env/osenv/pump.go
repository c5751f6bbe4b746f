// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"mars/infra/env"
)

const (
	readBuffer = 32 << 10
	writePiece = 128 << 10 // of what is queued, between two looks at Queued
	keepSpare  = 1 << 20   // the largest send buffer that is kept for reuse
	minRate    = 4 << 10   // bytes a second below which a frame is given up
)

// frame is a received frame on its way to the executor.
type frame struct {
	b    []byte // as large as its class
	n    int
	next *frame
}

// frameSizes are the classes in which memory for frames is reused.
var frameSizes = [...]int{4 << 10, 64 << 10, env.MaxFrame}

// framePools is memory for frames, of all connections of a node.
type framePools [len(frameSizes)]sync.Pool

func (p *framePools) get(n int) *frame {
	for i, size := range frameSizes {
		if n > size {
			continue
		}
		f, ok := p[i].Get().(*frame)
		if !ok {
			f = &frame{b: make([]byte, size)}
		}
		f.n, f.next = n, nil
		return f
	}
	panic("osenv: frame was not checked")
}

func (p *framePools) put(f *frame) {
	for i, size := range frameSizes {
		if len(f.b) == size {
			p[i].Put(f)
		}
	}
}

// recycle ends the life of a received frame.
func (w *network) recycle(f *frame) {
	w.receive.Release(int64(f.n))
	w.frames.put(f)
}

// pump moves frames until the connection ends; it runs in the connection's
// goroutine, which becomes the reader.
func (c *conn) pump(stream net.Conn, peer env.PeerID) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.peer, c.up, c.pumps = peer, true, true
	c.schedule()
	c.mu.Unlock()

	writer := make(chan struct{})
	go func() {
		defer close(writer)
		c.writeLoop(stream)
	}()
	c.end(c.readLoop(stream))
	<-writer
	c.w.traffic.retire(c)
	_ = c.live.Conn.Close() // all is said
}

func (c *conn) readLoop(stream net.Conn) error {
	br := bufio.NewReaderSize(stream, readBuffer)
	err := c.readFrames(br)
	if c.closing() {
		// To close with bytes unread would take back what was sent last.
		_, _ = io.Copy(io.Discard, br)
	}
	return err
}

func (c *conn) closing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}

// readFrames reads until an error or the end of the connection.
func (c *conn) readFrames(br *bufio.Reader) error {
	var head [4]byte
	for {
		if _, err := io.ReadFull(br, head[:]); err != nil {
			if err == io.EOF {
				return fmt.Errorf("%w by the peer", env.ErrClosed)
			}
			return c.readError(err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n == 0 {
			continue // keepalive
		}
		if n > env.MaxFrame {
			return fmt.Errorf("peer announces a frame of %d bytes", n)
		}
		if err := c.w.receive.Acquire(c.ctx, int64(n)); err != nil {
			if errors.Is(err, context.Canceled) {
				err = env.ErrClosed
			}
			return err
		}
		f := c.w.frames.get(int(n))
		limit := c.w.cfg.times.dead + time.Duration(n)*time.Second/minRate
		c.limitRead(limit)
		if _, err := io.ReadFull(br, f.b[:n]); err != nil {
			c.w.recycle(f)
			return c.readError(err)
		}
		c.limitRead(0)
		c.live.rawReceived.Add(int64(n))
		if !c.push(f) {
			return env.ErrClosed
		}
	}
}

// limitRead bounds the time of a frame, except when Close has set a limit.
func (c *conn) limitRead(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own {
		return
	}
	c.live.limitRead(d)
}

func (c *conn) readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("peer is dead or too slow: nothing whole came in time: %w", err)
	}
	return fmt.Errorf("receive: %w", err)
}

// push hands a frame to the executor; while that is behind, it waits. False:
// the connection has ended.
func (c *conn) push(f *frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		c.w.recycle(f)
		return false
	}
	if c.tail == nil {
		c.head = f
	} else {
		c.tail.next = f
	}
	c.tail = f
	c.inBytes += f.n
	c.schedule()
	for c.inBytes > maxInbox && !c.ended {
		c.room.Wait()
	}
	return !c.ended
}

// delivered takes back a frame that the handler has seen.
func (c *conn) delivered(f *frame) {
	n := f.n
	c.w.recycle(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inBytes -= n
	if c.inBytes <= maxInbox/2 {
		c.room.Signal()
	}
}

// writeLoop is the writer's goroutine.
func (c *conn) writeLoop(stream net.Conn) {
	idle := time.NewTimer(c.w.untilBeat(time.Now()))
	defer idle.Stop()
	for {
		buf, raw, over := c.takeOut()
		if over {
			break
		}
		if len(buf) > 0 {
			if err := c.write(stream, buf); err != nil {
				c.end(fmt.Errorf("send: %w", err))
				break
			}
			c.live.rawSent.Add(int64(raw))
			idle.Reset(c.w.untilBeat(time.Now()))
			continue
		}
		select {
		case <-c.wake:
		case <-idle.C:
			c.keepalive()
			idle.Reset(c.w.untilBeat(time.Now()))
		}
	}
	if !c.closing() {
		return
	}
	// Say goodbye; the reader waits for the peer's. Failures mean that it is
	// gone already.
	if tc, ok := stream.(*tls.Conn); ok {
		_ = tc.CloseWrite()
	}
	if tcp, ok := c.live.Conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

// untilBeat is how long a connection stays silent from now on before it sends a
// keepalive. All of them do so at the same moments: a machine with many idle
// connections wakes once for all.
func (w *network) untilBeat(now time.Time) time.Duration {
	idle := w.cfg.times.idle
	d := idle - now.Sub(w.start)%idle
	if d < idle/2 {
		d += idle
	}
	return d
}

// takeOut takes all that is queued, of which raw bytes are messages; over tells that
// nothing will come any more.
func (c *conn) takeOut() (buf []byte, raw int, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended && !c.own {
		return nil, 0, true
	}
	if len(c.out) == 0 {
		return nil, 0, c.ended
	}
	buf, c.out, c.spare = c.out, c.spare, nil
	raw, c.outRaw = c.outRaw, 0
	c.writing = len(buf)
	return buf, raw, false
}

func (c *conn) keepalive() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && len(c.out) == 0 {
		c.out = append(c.out, 0, 0, 0, 0)
	}
}

// write sends what takeOut took and counts it down.
func (c *conn) write(stream net.Conn, buf []byte) error {
	for rest := buf; len(rest) > 0; {
		n, err := stream.Write(rest[:min(writePiece, len(rest))])
		if err != nil {
			return err
		}
		rest = rest[n:]
		c.wrote(n)
	}
	if cap(buf) <= keepSpare {
		c.mu.Lock()
		c.spare = buf[:0]
		c.mu.Unlock()
	}
	return nil
}

func (c *conn) wrote(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing -= n
	if c.high && len(c.out)+c.writing < lowWater {
		c.high, c.drained = false, true
		c.schedule()
	}
}
