// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// Backend is a store with calls that block, such as a file. Calls come from
// several goroutines at a time. Writes that returned must survive a crash after
// Flush returned.
type Backend interface {
	io.ReaderAt
	io.WriterAt
	Flush() error
}

// Zeroer is a Backend that can zero or drop a range. Without it WriteZeroes and
// Discard are answered as not supported.
type Zeroer interface {
	// Zero makes the range read as zeroes; with unmap it may free the space.
	Zero(pos, n int64, unmap bool) error
}

// Blocking is a Handler that runs a Backend on goroutines of its own.
type Blocking struct {
	loop  Loop
	b     Backend
	work  chan *Request
	wait  sync.WaitGroup
	close sync.Once
}

// NewBlocking starts workers goroutines, at least 1. Devices that use it must be
// served by loop.
func NewBlocking(loop Loop, b Backend, workers int) *Blocking {
	h := &Blocking{loop: loop, b: b, work: make(chan *Request, maxDepth)}
	for range max(workers, 1) {
		h.wait.Add(1)
		go h.run()
	}
	return h
}

// Close ends the workers, after the devices have ended.
func (h *Blocking) Close() {
	h.close.Do(func() { close(h.work) })
	h.wait.Wait()
}

// Request hands r to a worker. Of several devices on one Blocking the loop may
// have to wait for one.
func (h *Blocking) Request(r *Request) { h.work <- r }

func (h *Blocking) run() {
	defer h.wait.Done()
	for r := range h.work {
		err := h.serve(r)
		h.loop.Post(func() { r.Complete(err) })
	}
}

func (h *Blocking) serve(r *Request) error {
	switch r.Op {
	case Read:
		n, err := h.b.ReadAt(r.Buf, r.Pos)
		if n == len(r.Buf) {
			return nil
		}
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return err
	case Write:
		if _, err := h.b.WriteAt(r.Buf, r.Pos); err != nil || !r.FUA {
			return err
		}
		return h.b.Flush()
	case Flush:
		return h.b.Flush()
	}
	z, ok := h.b.(Zeroer)
	if !ok {
		return unix.EOPNOTSUPP
	}
	return z.Zero(r.Pos, r.Len, r.Op == Discard || !r.NoUnmap)
}
