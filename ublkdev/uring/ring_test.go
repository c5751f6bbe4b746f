// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestNopOrderAndPeek(t *testing.T) {
	r := newRing(t, 8, Options{})
	if _, ok := r.Peek(); ok || r.Reap(make([]CQE, 4)) != 0 {
		t.Error("a completion out of nothing")
	}
	for i := range 6 {
		r.Get().Nop(uint64(100 + i))
	}
	if r.Queued() != 6 || r.InFlight() != 0 {
		t.Errorf("queued %d, in flight %d", r.Queued(), r.InFlight())
	}
	if n, err := r.SubmitAndWait(6, -1); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if r.Queued() != 0 || r.InFlight() != 6 || r.Ready() != 6 {
		t.Errorf("queued %d, in flight %d, ready %d", r.Queued(), r.InFlight(), r.Ready())
	}
	for range 2 {
		if c, ok := r.Peek(); !ok || c.UserData != 100 {
			t.Errorf("peek: %+v %v", c, ok)
		}
	}
	var buf [4]CQE
	if n := r.Reap(buf[:]); n != 4 || buf[3].UserData != 103 || r.InFlight() != 2 {
		t.Errorf("reaped %d: %+v", n, buf)
	}
	var rest []uint64
	if n := r.ForEachCQE(func(c CQE) { rest = append(rest, c.UserData) }); n != 2 || rest[0] != 104 || rest[1] != 105 {
		t.Errorf("rest %d: %v", n, rest)
	}
	r.Get() // not filled: a nop
	if c := wait(t, r, 1); c[0].Res != 0 {
		t.Errorf("unfilled entry: %+v", c)
	}
}

func TestCompletionOverflow(t *testing.T) {
	r := newRing(t, 4, Options{CQEntries: 4})
	const total = 40
	seen := make([]bool, total)
	overflowed := false
	reap := func() {
		var buf [total]CQE
		for _, c := range buf[:r.Reap(buf[:])] {
			if seen[c.UserData] {
				t.Fatalf("completion %d twice", c.UserData)
			}
			seen[c.UserData] = true
		}
	}
	for i := 0; i < total; {
		s := r.Get()
		if s == nil {
			reap()
			continue
		}
		s.Nop(uint64(i))
		i++
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		overflowed = overflowed || atomic.LoadUint32(r.sqFlags)&sqCQOverflow != 0
	}
	for r.Queued() > 0 {
		if _, err := r.SubmitAndWait(1, long); err != nil {
			t.Fatal(err)
		}
		reap()
	}
	reap()
	if !overflowed {
		t.Error("the completion queue never overflowed")
	}
	for i, ok := range seen {
		if !ok {
			t.Errorf("completion %d lost", i)
		}
	}
	if r.InFlight() != 0 {
		t.Errorf("in flight: %d", r.InFlight())
	}
}

// Every request completes exactly once, whatever the order of calls.
func TestEveryRequestCompletesOnce(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	rapid.Check(t, func(rt *rapid.T) {
		opts := []Options{{}, {CoopTaskrun: true, HybridWait: time.Microsecond * 20}, {DeferTaskrun: true}, {CQEntries: 8}}
		r, err := Setup(8, rapid.SampledFrom(opts).Draw(rt, "options"))
		if err != nil {
			rt.Fatal(err)
		}
		next, open := uint64(0), map[uint64]bool{}
		started := func(s *SQE) {
			if s != nil {
				open[next] = true
				next++
			}
		}
		finish := func(c CQE) {
			if !open[c.UserData] {
				rt.Fatalf("completion of %d, which is not open", c.UserData)
			}
			delete(open, c.UserData)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"nop": func(*rapid.T) {
				s := r.Get()
				if s != nil {
					s.Nop(next)
				}
				started(s)
			},
			"timeout": func(rt *rapid.T) {
				us := rapid.IntRange(0, 200).Draw(rt, "us")
				started(r.GetTimeout(time.Duration(us)*time.Microsecond, 0, 0, next))
			},
			"submit": func(rt *rapid.T) {
				if _, err := r.Submit(); err != nil {
					rt.Fatal(err)
				}
			},
			"wait": func(rt *rapid.T) {
				if _, err := r.SubmitAndWait(rapid.IntRange(0, 9).Draw(rt, "n"), 300*time.Microsecond); err != nil {
					rt.Fatal(err)
				}
			},
			"reap": func(rt *rapid.T) {
				buf := make([]CQE, rapid.IntRange(1, 20).Draw(rt, "size"))
				for _, c := range buf[:r.Reap(buf)] {
					finish(c)
				}
			},
			"each": func(*rapid.T) { r.ForEachCQE(finish) },
			"": func(rt *rapid.T) {
				if n := r.Queued() + r.InFlight(); n != len(open) {
					rt.Fatalf("%d queued, %d in flight, but %d open", r.Queued(), r.InFlight(), len(open))
				}
			},
		})
		for end := time.Now().Add(long); len(open) > 0; r.ForEachCQE(finish) {
			if _, err := r.SubmitAndWait(1, long); err != nil || time.Now().After(end) {
				rt.Fatalf("%d requests never complete (%v)", len(open), err)
			}
		}
		if err := r.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestCloseInFlight(t *testing.T) {
	for _, opt := range []Options{{}, {CoopTaskrun: true}, {DeferTaskrun: true}, {SQE128: true}} {
		r := newRing(t, 8, opt)
		buf := mapped(t, 4096)
		efd := eventfd(t)
		pr, _ := pipe(t)
		r.Get().Read(efd, buf[:8], 0, 0, 1)
		r.Get().PollAdd(efd, unix.POLLIN, true, 2)
		r.GetTimeout(time.Hour, 0, 0, 3)
		s := r.Get()
		s.Read(int(pr.Fd()), buf[8:16], 0, 0, 4) // blocks a kernel worker
		s.Flags = SQEAsync
		s = r.Get()
		s.Fsync(tempFile(t, 0), false, 5)
		if n, err := r.Submit(); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		r.Get().Write(tempFile(t, 0), buf, 0, 0, 6) // never submitted
		start := time.Now()
		if err := r.Close(); err != nil {
			t.Errorf("%+v: %v after %v", opt, err, time.Since(start))
		}
		checkClosed(t, r)
	}
}

// A worker of the kernel that is just taking up a request can miss the first
// cancellation.
func TestCloseWhileWorkersStart(t *testing.T) {
	for range 100 {
		r := newRing(t, 8, Options{})
		buf := mapped(t, 4096)
		pr, _ := pipe(t)
		fd := int(pr.Fd())
		for i := range 4 {
			s := r.Get()
			s.Read(fd, buf[8*i:8*i+8], 0, 0, uint64(i))
			s.Flags = SQEAsync
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkClosed(t *testing.T, r *Ring) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if r.Get() != nil || r.GetTimeout(1, 0, 0, 1) != nil || r.GetWritev(1, nil, 0, 0, 1) != nil {
		t.Error("a closed ring hands out entries")
	}
	if _, ok := r.Peek(); ok || r.Reap(make([]CQE, 1)) != 0 || r.Ready() != 0 || r.Queued() != 0 || r.InFlight() != 0 {
		t.Error("a closed ring has something to give")
	}
	_, err1 := r.Submit()
	_, err2 := r.SubmitAndWait(1, -1)
	_, err3 := r.SubmitAndWait(0, 0)
	_, err4 := r.Probe()
	err5 := r.SyncCancel(1, 1)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d on a closed ring: %v", i, err)
		}
	}
	if r.Fd() != -1 {
		t.Errorf("descriptor %d", r.Fd())
	}
}

func TestCloseNow(t *testing.T) {
	r := newRing(t, 4, Options{})
	buf := mapped(t, 4096)
	r.Get().Read(eventfd(t), buf[:8], 0, 0, 1)
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	fd := r.Fd()
	r.CloseNow()
	r.CloseNow()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("descriptor after CloseNow: %v", err)
	}
	checkClosed(t, r)
}

func TestCloseFromCallback(t *testing.T) {
	r := newRing(t, 4, Options{})
	r.Get().Nop(1)
	r.Get().Nop(2)
	if _, err := r.SubmitAndWait(2, long); err != nil {
		t.Fatal(err)
	}
	if n := r.ForEachCQE(func(CQE) { r.CloseNow() }); n != 1 {
		t.Errorf("%d completions", n)
	}
}

func TestNoAllocations(t *testing.T) {
	for _, opt := range []Options{{}, {CoopTaskrun: true, HybridWait: 50 * time.Microsecond}, {SQE128: true}} {
		r := newRing(t, 16, opt)
		fd := tempFile(t, 0)
		mem := mapped(t, 8192)
		bufs := [][]byte{mem[:100], mem[100:4096]}
		cqes := make([]CQE, 16)
		bad := 0
		count := func(c CQE) {
			if c.Res < 0 {
				bad++
			}
		}
		allocs := testing.AllocsPerRun(200, func() {
			r.Get().Nop(1)
			r.Get().Write(fd, mem[:4096], 0, 0, 2)
			r.Get().Read(fd, mem[4096:], 0, 0, 3)
			r.GetWritev(fd, bufs, 4096, 0, 4)
			r.GetReadv(fd, bufs, 0, 0, 5)
			r.GetTimeout(time.Hour, 1, 0, 6)
			if _, err := r.SubmitAndWait(6, time.Second); err != nil || r.Reap(cqes) != 6 {
				bad++
			}
			r.Get().Fsync(fd, true, 7)
			r.Get().PollAdd(fd, unix.POLLIN, false, 8)
			if _, err := r.SubmitAndWait(2, -1); err != nil || r.ForEachCQE(count) != 2 {
				bad++
			}
			if _, err := r.SubmitAndWait(1, time.Microsecond); err != nil || r.Ready() != 0 {
				bad++
			}
		})
		if allocs != 0 || bad != 0 {
			t.Errorf("%+v: %v allocations a run, %d bad runs", opt, allocs, bad)
		}
	}
}
