// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTimeout(t *testing.T) {
	r := newRing(t, 8, Options{})
	start := time.Now()
	r.GetTimeout(20*time.Millisecond, 0, 0, 1)
	expect(t, r, map[uint64]int32{1: -int32(unix.ETIME)})
	if d := time.Since(start); d < 20*time.Millisecond {
		t.Errorf("after %v", d)
	}
	r.GetTimeout(time.Hour, 2, 0, 2)
	r.Get().Nop(3)
	r.Get().Nop(4)
	expect(t, r, map[uint64]int32{2: 0, 3: 0, 4: 0})

	r.GetTimeout(time.Hour, 0, 0, 5)
	if n, err := r.Submit(); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	r.Get().TimeoutRemove(5, 6)
	r.Get().TimeoutRemove(99, 7)
	expect(t, r, map[uint64]int32{5: -int32(unix.ECANCELED), 6: 0, 7: -int32(unix.ENOENT)})

	// Many at once: every slot keeps its own time until submission. In which
	// order they expire is the machine's business, but none does before its time.
	first := func(i uint64) time.Duration { return time.Duration(8-i) * 5 * time.Millisecond }
	start = time.Now()
	for i := range uint64(8) {
		r.GetTimeout(first(i), 0, 0, i)
	}
	for left := 8; left > 0; {
		if _, err := r.SubmitAndWait(1, long); err != nil {
			t.Fatal(err)
		}
		r.ForEachCQE(func(c CQE) {
			left--
			if d := time.Since(start); c.UserData > 7 || d < first(c.UserData) {
				t.Errorf("%d expired after %v", c.UserData, d)
			}
		})
	}
	r.GetTimeout(-time.Second, 0, 0, 9)
	r.GetTimeout(time.Second, 0, TimeoutAbs, 10)
	expect(t, r, map[uint64]int32{9: -int32(unix.ETIME), 10: -int32(unix.ETIME)})
}

func TestWaitTimesOut(t *testing.T) {
	for _, opt := range []Options{{}, {CoopTaskrun: true, HybridWait: 50 * time.Microsecond}, {DeferTaskrun: true}} {
		r := newRing(t, 4, opt)
		buf := mapped(t, 4096)
		r.Get().Read(eventfd(t), buf[:8], 0, 0, 1)
		for _, d := range []time.Duration{0, 20 * time.Microsecond, 30 * time.Millisecond} {
			start := time.Now()
			if _, err := r.SubmitAndWait(1, d); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got < d || r.Ready() != 0 {
				t.Errorf("%+v: wait of %v took %v, ready %d", opt, d, got, r.Ready())
			}
		}
		if r.InFlight() != 1 {
			t.Errorf("in flight: %d", r.InFlight())
		}
	}
}

// A wait is not cut short by the signals that Go's scheduler uses.
func TestWaitUnderSignals(t *testing.T) {
	for _, opt := range []Options{{}, {HybridWait: time.Millisecond}} {
		r := newRing(t, 4, opt)
		pid, tid := unix.Getpid(), unix.Gettid()
		stop, begun := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		sent := 0
		wg.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					if unix.Tgkill(pid, tid, unix.SIGURG) == nil {
						if sent++; sent == 1 {
							close(begun)
						}
					}
				}
			}
		})
		<-begun
		const d = 60 * time.Millisecond
		start := time.Now()
		r.Get().Nop(1)
		_, err := r.SubmitAndWait(2, d)
		took := time.Since(start)
		close(stop)
		wg.Wait()
		if err != nil || took < d || r.Ready() != 1 {
			t.Errorf("%v after %v, ready %d", err, took, r.Ready())
		}
		if sent == 0 {
			t.Error("no signal sent")
		}
	}
}

func TestWakeByEventfdRead(t *testing.T) {
	for _, opt := range []Options{{}, {CoopTaskrun: true}, {DeferTaskrun: true}, {HybridWait: 50 * time.Microsecond}} {
		r := newRing(t, 4, opt)
		buf := mapped(t, 4096)
		efd := eventfd(t)
		for round := range 50 {
			r.Get().Read(efd, buf[:8], 0, 0, uint64(round))
			go signal(t, efd)
			expect(t, r, map[uint64]int32{uint64(round): 8})
			if buf[0] != 1 {
				t.Fatalf("counter %v", buf[:8])
			}
		}
	}
}

func TestWakeByMultishotPoll(t *testing.T) {
	r := newRing(t, 4, Options{CoopTaskrun: true})
	efd := eventfd(t)
	r.Get().PollAdd(efd, unix.POLLIN, true, 7)
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	for round := range 50 {
		go signal(t, efd) // nobody reads the eventfd
		if _, err := r.SubmitAndWait(1, -1); err != nil {
			t.Fatal(err)
		}
		var c [1]CQE
		if r.Reap(c[:]) != 1 || c[0].UserData != 7 || c[0].Res&unix.POLLIN == 0 || !c[0].More() {
			t.Fatalf("round %d: %+v", round, c[0])
		}
		if r.InFlight() != 1 {
			t.Fatalf("in flight: %d", r.InFlight())
		}
	}
	r.Get().AsyncCancel(7, 0, 8)
	expect(t, r, map[uint64]int32{7: -int32(unix.ECANCELED), 8: 0})
	if r.InFlight() != 0 {
		t.Errorf("in flight: %d", r.InFlight())
	}

	r.Get().PollAdd(efd, unix.POLLIN, false, 9) // still readable
	expect(t, r, map[uint64]int32{9: unix.POLLIN})
}

// With DeferTaskrun completions happen in calls that ask for them: all must.
func TestDeferredCompletionsComeWithSubmit(t *testing.T) {
	r := newRing(t, 4, Options{DeferTaskrun: true})
	buf := mapped(t, 4096)
	efd := eventfd(t)
	r.Get().Read(efd, buf[:8], 0, 0, 1)
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	signal(t, efd)
	r.Get().Nop(2)
	if _, err := r.Submit(); err != nil || r.Ready() != 2 {
		t.Errorf("%v, %d completions", err, r.Ready())
	}
}

func TestCancel(t *testing.T) {
	r := newRing(t, 8, Options{})
	buf := mapped(t, 4096)
	a, b := eventfd(t), eventfd(t)
	start := func(uds ...uint64) {
		for i, ud := range uds {
			r.Get().Read([]int{a, b}[i%2], buf[8*i:8*i+8], 0, 0, ud)
		}
		if n, err := r.Submit(); n != len(uds) || err != nil {
			t.Fatal(n, err)
		}
	}
	const gone = -int32(unix.ECANCELED)
	start(1, 2, 3)
	r.Get().AsyncCancel(1, 0, 10)
	r.Get().AsyncCancel(77, 0, 11)
	expect(t, r, map[uint64]int32{1: gone, 10: 0, 11: -int32(unix.ENOENT)})
	r.Get().AsyncCancelFd(b, 12)
	expect(t, r, map[uint64]int32{2: gone, 12: 1})
	if err := r.SyncCancel(3, time.Second); err != nil {
		t.Error(err)
	}
	expect(t, r, map[uint64]int32{3: gone})
	if err := r.SyncCancel(3, time.Second); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
	start(4, 5, 6)
	r.Get().AsyncCancel(0, CancelAll|CancelAny, 13)
	expect(t, r, map[uint64]int32{4: gone, 5: gone, 6: gone, 13: 3})
}
