// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"testing"
	"time"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// hasRing tells whether this host has io_uring, and says loudly when not.
func hasRing(t *testing.T) bool {
	t.Helper()
	err := uring.Supported()
	if err != nil {
		t.Logf("NOT RUN: %s needs io_uring: %v", t.Name(), err)
	}
	return err == nil
}

func TestReactor(t *testing.T) {
	if !hasRing(t) {
		return
	}
	r, err := NewReactor(ReactorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	got := make(chan uring.CQE, 4)
	var bases []uint64
	var release func()
	err = onLoop(ctx, r, func() error {
		// Rules 11 and 12.
		const prGetIOFlusher = 58
		if on, err := unix.PrctlRetInt(prGetIOFlusher, 0, 0, 0, 0); err == nil && on != 1 {
			t.Errorf("IO flusher: %d", on)
		}
		if r.Ring().Flags()&uring.SetupDeferTaskrun != 0 {
			t.Error("the ring has DEFER_TASKRUN")
		}
		for range 2 {
			base, rel := r.RingOwner(func(c uring.CQE) { got <- c })
			bases, release = append(bases, base), rel
		}
		r.Ring().Get().Nop(bases[0] | 5)
		r.Ring().Get().Nop(bases[1] | 1<<47)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[uint64]bool{bases[0] | 5: true, bases[1] | 1<<47: true}
	for range 2 {
		c := <-got
		if !want[c.UserData] {
			t.Errorf("completion of %#x", c.UserData)
		}
		delete(want, c.UserData)
	}
	// What is given back is delivered no more.
	if err := onLoop(ctx, r, func() error {
		release()
		r.Ring().Get().Nop(bases[1])
		r.Ring().Get().Nop(bases[0])
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if c := <-got; c.UserData != bases[0] {
		t.Errorf("completion of %#x", c.UserData)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := onLoop(short, r, func() error { return nil }); !errors.Is(err, ErrTimeout) {
		t.Errorf("a post after the end: %v", err)
	}
	if _, err := NewReactor(ReactorOptions{Entries: 1 << 20}); err == nil {
		t.Error("a ring of a million entries")
	}
}

// store is a Backend in memory.
type store struct {
	data    [8192]byte
	flushes int
	err     error
}

func (s *store) ReadAt(p []byte, off int64) (int, error)  { return copy(p, s.data[off:]), s.err }
func (s *store) WriteAt(p []byte, off int64) (int, error) { return copy(s.data[off:], p), s.err }
func (s *store) Flush() error                             { s.flushes++; return s.err }

func TestBlocking(t *testing.T) {
	s := &store{}
	h := NewBlocking(nil, s, 2)
	h.Close()
	h.Close()
	buf := []byte("0123456789")
	for _, x := range []struct {
		r       Request
		err     error
		want    error
		flushes int
	}{
		{Request{Op: Write, Pos: 10, Buf: buf}, nil, nil, 0},
		{Request{Op: Write, Pos: 10, Buf: buf, FUA: true}, nil, nil, 1},
		{Request{Op: Flush}, nil, nil, 2},
		{Request{Op: Read, Pos: 10, Buf: make([]byte, 10)}, nil, nil, 2},
		{Request{Op: Discard}, nil, unix.EOPNOTSUPP, 2},
		{Request{Op: WriteZeroes}, nil, unix.EOPNOTSUPP, 2},
		{Request{Op: Write, Buf: buf, FUA: true}, unix.ENOSPC, unix.ENOSPC, 2},
		{Request{Op: Flush}, unix.EIO, unix.EIO, 3},
		{Request{Op: Read, Pos: 8190, Buf: make([]byte, 10)}, unix.EIO, unix.EIO, 3},
	} {
		s.err = x.err
		if err := h.serve(&x.r); err != x.want || s.flushes != x.flushes {
			t.Errorf("%v: %v, %d flushes", x.r.Op, err, s.flushes)
		}
		if x.r.Op == Read && x.err == nil && string(x.r.Buf) != "0123456789" {
			t.Errorf("read %q", x.r.Buf)
		}
	}
	s.err = nil
	if err := h.serve(&Request{Op: Read, Pos: 8190, Buf: buf}); err == nil {
		t.Error("a short read passed")
	}
}
