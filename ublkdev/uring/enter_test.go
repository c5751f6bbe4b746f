// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"errors"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// step is one answer of a scripted kernel: an errno without doing anything, or
// the real call with at most max entries.
type step struct {
	errno unix.Errno
	max   uint32
}

type seen struct {
	toSubmit, min uint32
	limit         time.Duration // -1: none
	raw           bool
}

// script lets the ring's next calls be answered by steps, then by the kernel.
func script(r *Ring, steps ...step) *[]seen {
	var calls []seen
	r.enter = func(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, size uintptr, raw bool) (int, unix.Errno) {
		c := seen{toSubmit, minComplete, -1, raw}
		if flags&enterExtArg != 0 {
			c.limit = time.Duration(r.aux.wait.sec)*time.Second + time.Duration(r.aux.wait.nsec)
		}
		calls = append(calls, c)
		if len(steps) > 0 {
			s := steps[0]
			steps = steps[1:]
			if s.errno != 0 {
				return -1, s.errno
			}
			if toSubmit > s.max {
				// As the kernel: a part is taken, then it does not wait.
				return sysEnter(fd, s.max, 0, flags, arg, size, raw)
			}
		}
		return sysEnter(fd, toSubmit, minComplete, flags, arg, size, raw)
	}
	return &calls
}

func nops(r *Ring, n int) {
	for i := range n {
		r.Get().Nop(uint64(i))
	}
}

func TestSubmitInterruptedAndPartial(t *testing.T) {
	r := newRing(t, 8, Options{})
	calls := script(r, step{errno: unix.EINTR}, step{max: 2}, step{errno: unix.EINTR}, step{max: 3})
	nops(r, 8)
	if n, err := r.Submit(); n != 8 || err != nil {
		t.Fatal(n, err)
	}
	var to []uint32
	for _, c := range *calls {
		to = append(to, c.toSubmit)
	}
	want := []uint32{8, 8, 6, 6, 3}
	if len(to) != len(want) || to[2] != 6 || to[4] != 3 {
		t.Errorf("offered %v, want %v", to, want)
	}
	wait(t, r, 8)
}

func TestSubmitBusyKeepsEntries(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EBUSY, unix.EAGAIN} {
		r := newRing(t, 8, Options{})
		script(r, step{max: 3}, step{errno: errno})
		nops(r, 8)
		if n, err := r.Submit(); n != 3 || err != nil || r.Queued() != 5 || r.InFlight() != 3 {
			t.Fatalf("%v: %d, %v, queued %d, in flight %d", errno, n, err, r.Queued(), r.InFlight())
		}
		if got := wait(t, r, 8); len(got) != 8 {
			t.Errorf("%d completions", len(got))
		}
	}
}

func TestWaitPartialGoesOn(t *testing.T) {
	r := newRing(t, 8, Options{})
	calls := script(r, step{max: 1}, step{errno: unix.EINTR}, step{max: 2})
	nops(r, 8)
	if n, err := r.SubmitAndWait(8, -1); n != 8 || err != nil || r.Ready() != 8 {
		t.Fatal(n, err, r.Ready())
	}
	if len(*calls) != 4 || (*calls)[0].limit != -1 {
		t.Errorf("calls %+v", *calls)
	}
}

func TestWaitBusy(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EBUSY, unix.EAGAIN} {
		// Nothing to reap: wait a moment without submitting, then go on.
		r := newRing(t, 8, Options{})
		calls := script(r, step{errno: errno}, step{errno: errno})
		nops(r, 2)
		if n, err := r.SubmitAndWait(2, -1); n != 2 || err != nil || r.Ready() != 2 {
			t.Fatal(n, err, r.Ready())
		}
		c := *calls
		if len(c) != 3 || c[1].toSubmit != 0 || c[1].limit != backoff || c[2].toSubmit != 2 {
			t.Errorf("calls %+v", c)
		}
		wait(t, r, 2)

		// Something to reap: back to the caller at once, the rest queued.
		r = newRing(t, 8, Options{})
		nops(r, 1)
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		calls = script(r, step{errno: errno})
		nops(r, 2)
		if n, err := r.SubmitAndWait(3, -1); n != 0 || err != nil || r.Queued() != 2 || len(*calls) != 1 {
			t.Errorf("%v: %d, %v, queued %d, calls %+v", errno, n, err, r.Queued(), *calls)
		}
	}
}

func TestWaitBusyEndsInTime(t *testing.T) {
	r := newRing(t, 4, Options{})
	steps := make([]step, 0, 1000)
	for range cap(steps) {
		steps = append(steps, step{errno: unix.EAGAIN}, step{max: 8}) // the pause is real
	}
	calls := script(r, steps...)
	nops(r, 1)
	start := time.Now()
	n, err := r.SubmitAndWait(1, 10*time.Millisecond)
	if d := time.Since(start); n != 0 || err != nil || d < 10*time.Millisecond {
		t.Errorf("%d, %v after %v", n, err, d)
	}
	if len(*calls) > 40 {
		t.Errorf("%d calls in 10 ms: a busy loop", len(*calls))
	}
	r.enter = sysEnter
}

func TestFatalErrors(t *testing.T) {
	for _, errno := range []unix.Errno{unix.EBADF, unix.EEXIST, unix.EBADR, unix.EINVAL} {
		r := newRing(t, 4, Options{})
		script(r, step{errno: errno}, step{errno: errno}, step{errno: errno})
		nops(r, 1)
		_, err1 := r.Submit()
		_, err2 := r.SubmitAndWait(1, long)
		_, err3 := r.SubmitAndWait(0, 0)
		for i, err := range []error{err1, err2, err3} {
			if !errors.Is(err, errno) {
				t.Errorf("call %d: %v, want %v", i, err, errno)
			}
		}
		wait(t, r, 1)
	}
}

func TestNoProgressIsAnError(t *testing.T) {
	r := newRing(t, 4, Options{})
	script(r, step{max: 0}, step{max: 0})
	nops(r, 1)
	if _, err := r.Submit(); !errors.Is(err, errNoProgress) {
		t.Error(err)
	}
	if _, err := r.SubmitAndWait(1, long); !errors.Is(err, errNoProgress) {
		t.Error(err)
	}
	wait(t, r, 1)
}

func TestHybridWait(t *testing.T) {
	const spin = 80 * time.Microsecond
	for _, tc := range []struct {
		timeout time.Duration
		want    []seen
	}{
		// Hidden and bounded, then visible: with what is left, or for ever.
		{-1, []seen{{1, 2, spin, true}, {0, 2, -1, false}}},
		{time.Second, []seen{{1, 2, spin, true}, {0, 2, time.Second, false}}},
	} {
		r := newRing(t, 4, Options{HybridWait: spin})
		efd := eventfd(t)
		buf := mapped(t, 4096)
		r.Get().Read(efd, buf[:8], 0, 0, 1)
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		calls := script(r)
		real := r.enter
		r.enter = func(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, size uintptr, raw bool) (int, unix.Errno) {
			if !raw {
				signal(t, efd)
			}
			return real(fd, toSubmit, minComplete, flags, arg, size, raw)
		}
		r.Get().Nop(2)
		if _, err := r.SubmitAndWait(2, tc.timeout); err != nil || r.Ready() != 2 {
			t.Fatal(err, r.Ready())
		}
		got := *calls
		if len(got) == 2 && tc.timeout > 0 && got[1].limit < tc.timeout && got[1].limit > tc.timeout/2 {
			got[1].limit = tc.timeout
		}
		if len(got) != 2 || got[0] != tc.want[0] || got[1] != tc.want[1] {
			t.Errorf("timeout %v: calls %+v, want %+v", tc.timeout, got, tc.want)
		}
	}
	r := newRing(t, 4, Options{HybridWait: time.Hour})
	calls := script(r)
	if _, err := r.SubmitAndWait(1, 2*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if (*calls)[0].limit != maxHybridWait {
		t.Errorf("hidden wait of %v", (*calls)[0].limit)
	}
}

func TestDrainGivesUp(t *testing.T) {
	r := newRing(t, 4, Options{})
	buf := mapped(t, 4096)
	r.Get().Read(eventfd(t), buf[:8], 0, 0, 1)
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	r.enter = func(int, uint32, uint32, uint32, unsafe.Pointer, uintptr, bool) (int, unix.Errno) {
		return -1, unix.ETIME
	}
	if err := r.drain(time.Millisecond); !errors.Is(err, ErrInFlight) {
		t.Errorf("drain of what never ends: %v", err)
	}
	r.enter = sysEnter // Close tries again, in earnest
}
