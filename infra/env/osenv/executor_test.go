// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"mars/infra/env"
	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// TestPosts sends from many goroutines: nothing is lost, every sender's order
// is kept.
func TestPosts(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		e := newNode(t, Config{ForceWorkers: force, Executors: 1}).Executor(0)
		const senders, each = 16, 2000
		var next [senders]int
		all := make(chan struct{})
		left := senders * each
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					e.Post(func() {
						if next[s] != i {
							t.Errorf("post %d of %d came as %d", i, s, next[s])
						}
						next[s]++
						if left--; left == 0 {
							close(all)
						}
					})
					if i%100 == 0 {
						runtime.Gosched() // lets the executor fall asleep
					}
				}
			})
		}
		wg.Wait()
		wait(t, all)
	})
}

// TestPingPong crosses two executors, each of which sleeps between.
func TestPingPong(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force, Executors: 2})
		done := make(chan struct{})
		left := 2000
		var hop func()
		hop = func() {
			if left--; left == 0 {
				close(done)
				return
			}
			n.Executor(left % 2).Post(hop)
		}
		n.Executor(0).Post(hop)
		wait(t, done)
	})
}

func TestTimers(t *testing.T) {
	variants(t, func(t *testing.T, force bool) {
		e := newNode(t, Config{ForceWorkers: force, Executors: 1}).Executor(0)
		var order []int
		on(t, e, func(done func()) {
			start := e.Mono()
			mk := func(i int) env.Timer { return e.NewTimer(func() { order = append(order, i) }) }
			late, never, early, moved := mk(3), mk(9), mk(1), mk(2)
			last := e.NewTimer(func() {
				if gone := e.Mono() - start; gone < 30*time.Millisecond {
					t.Errorf("30 ms lasted %v", gone)
				}
				done()
			})
			if late.Armed() {
				t.Error("armed before Reset")
			}
			late.Reset(20 * time.Millisecond)
			never.Reset(5 * time.Millisecond)
			moved.Reset(time.Hour)
			early.Reset(-1)
			last.Reset(30 * time.Millisecond)
			never.Stop()
			never.Stop()
			moved.Reset(10 * time.Millisecond)
			if never.Armed() || !moved.Armed() {
				t.Error("wrong state")
			}
		})
		if len(order) != 3 || order[0] != 1 || order[1] != 2 || order[2] != 3 {
			t.Errorf("fired %v", order)
		}
		// One that arms itself for now must not hold up the others.
		on(t, e, func(done func()) {
			var self env.Timer
			turns := 0
			self = e.NewTimer(func() {
				if turns++; turns < 1000 {
					self.Reset(0)
				}
			})
			self.Reset(0)
			e.Post(func() {
				if turns > 2 {
					t.Errorf("%d rounds before a post", turns)
				}
				done()
			})
		})
	})
}

// TestTimerHeap compares the heap with a plain list.
func TestTimerHeap(t *testing.T) {
	e := &Executor{}
	var all []*timer
	rnd := uint32(1)
	for range 5000 {
		rnd = rnd*1664525 + 1013904223
		switch i := int(rnd >> 8); {
		case i%4 != 0 || len(all) == 0:
			tm := e.NewTimer(nil).(*timer)
			tm.Reset(time.Duration(i % 97))
			all = append(all, tm)
		case i%8 == 0:
			all[i%len(all)].Stop()
		default:
			all[i%len(all)].Reset(time.Duration(i % 89))
		}
	}
	armed := 0
	for _, tm := range all {
		if tm.Armed() {
			armed++
		}
	}
	var last *timer
	for tm := e.timers.due(100, e.timers.seq); tm != nil; tm = e.timers.due(100, e.timers.seq) {
		if last != nil && (tm.at < last.at || tm.at == last.at && tm.seq < last.seq) {
			t.Fatalf("%v/%d after %v/%d", tm.at, tm.seq, last.at, last.seq)
		}
		last = tm
		armed--
	}
	if armed != 0 || len(e.timers.a) != 0 {
		t.Errorf("%d timers lost", armed)
	}
}

// TestSchedule: a task runs once a turn, after all events that were ready.
func TestSchedule(t *testing.T) {
	e := newNode(t, Config{Executors: 1}).Executor(0)
	var log []string
	on(t, e, func(done func()) {
		var a, b env.Task
		a.Fn = func() { log = append(log, "a"); e.Schedule(&b) }
		b.Fn = func() { log = append(log, "b"); done() }
		e.Schedule(&a)
		e.Post(func() {})
		e.Schedule(&a)
		log = append(log, "event")
	})
	if len(log) != 3 || log[0] != "event" || log[1] != "a" || log[2] != "b" {
		t.Errorf("%v", log)
	}
	// A task that schedules itself does not stop the rest.
	on(t, e, func(done func()) {
		var again env.Task
		stop := false
		again.Fn = func() {
			if !stop {
				e.Schedule(&again)
			}
		}
		e.Schedule(&again)
		e.Post(func() { stop = true; done() })
	})
}

func TestCompute(t *testing.T) {
	n := newNode(t, Config{Executors: 1})
	e := n.Executor(0)
	const jobs = 100
	var mu sync.Mutex
	running, most, prio := 0, 0, 0
	on(t, e, func(done func()) {
		left := jobs
		for range jobs {
			e.Compute(func() {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
				mu.Lock()
				if prio = 20 - p; err != nil {
					t.Error(err)
				}
				running--
				mu.Unlock()
			}, func() {
				if left--; left == 0 {
					done()
				}
			})
		}
	})
	if most > runtime.NumCPU() || prio != computeNice {
		t.Errorf("%d at a time, nice %d", most, prio)
	}
}

// TestOffloadPastCompute: what is waited for has the priority of all, and its own
// pool, however much there is to compute.
func TestOffloadPastCompute(t *testing.T) {
	n := newNode(t, Config{Executors: 1})
	e := n.Executor(0)
	want, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	release, left := make(chan struct{}), 4*runtime.NumCPU()
	on(t, e, func(done func()) {
		for range left {
			e.Compute(func() { <-release }, func() {
				if left--; left == 0 {
					done()
				}
			})
		}
		e.Offload(func() {
			if p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()); err != nil || p != want {
				t.Errorf("priority %d, %v; that of the process is %d", p, err, want)
			}
		}, func() { close(release) })
	})
}

func TestAlloc(t *testing.T) {
	e := newNode(t, Config{Executors: 1}).Executor(0)
	on(t, e, func(done func()) {
		defer done()
		if e.Alloc(0) != nil {
			t.Error("memory of size 0")
		}
		e.Free(nil)
		for _, size := range []int{1, 512, 4096, 4097, 65536, 100000, 1 << 20, 1<<20 + 1, 5 << 20} {
			a, b := e.Alloc(size), e.Alloc(size)
			if len(a) != size || uintptr(unsafe.Pointer(&a[0]))%4096 != 0 || uintptr(unsafe.Pointer(&b[0]))%4096 != 0 {
				t.Errorf("size %d: %d bytes at %p", size, len(a), a)
			}
			fill(a, 1)
			fill(b, 2)
			if a[size-1] != 1 || a[0] != 1 {
				t.Errorf("size %d: pieces overlap", size)
			}
			e.Free(a[:0])
			if c := e.Alloc(size); &c[0] != &a[0] {
				t.Errorf("size %d: not reused", size)
			}
			e.Free(b)
		}
		for range 3 * keepBig { // more than are kept
			defer e.Free(e.Alloc(2 << 20))
		}
	})
}

// watched is the descriptor by which a directory is watched, 0 for none.
func watched(w env.Watcher, dir string) int32 {
	x := w.(*watcher)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.byName[dir]
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, "sub/log"), nil, 0o600))
	e := newNode(t, Config{MarsDir: dir, Executors: 1}).Executor(0)
	seen := make(chan string, 1000)
	w := get(t, e, func() env.Watcher {
		w := e.Watch(func(d string) { seen <- d })
		for _, d := range []string{".", "sub", "sub", "none", "../etc"} {
			w.Add(d)
		}
		return w
	})
	ok(t, os.Symlink("v", filepath.Join(dir, "sub/link")))
	if d := recv(t, seen); d != "sub" {
		t.Errorf("%q changed", d)
	}
	for i := range 50 {
		ok(t, os.Symlink("v", filepath.Join(dir, "l"+string(rune('a'+i)))))
	}
	if d := recv(t, seen); d != "." {
		t.Errorf("%q changed", d)
	}
	// A directory that goes and comes back can be watched again.
	ok(t, os.RemoveAll(filepath.Join(dir, "sub")))
	for recv(t, seen) != "sub" {
		continue
	}
	// The kernel tells of the end of the watch after the changes.
	for watched(w, "sub") != 0 {
		runtime.Gosched()
	}
	ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	on(t, e, func(done func()) { w.Add("sub"); done() })
	for len(seen) > 0 {
		<-seen
	}
	ok(t, os.Symlink("v", filepath.Join(dir, "sub/link")))
	for recv(t, seen) != "sub" {
		continue
	}
	// One that was made again before its end was known is watched on.
	end := make([]byte, unix.SizeofInotifyEvent)
	binary.NativeEndian.PutUint32(end, uint32(watched(w, "sub")))
	binary.NativeEndian.PutUint32(end[4:], unix.IN_IGNORED)
	w.(*watcher).take(end)
	for watched(w, "sub") == 0 {
		runtime.Gosched()
	}
	on(t, e, func(done func()) { w.Close(); w.Close(); done() })
	for len(seen) > 0 {
		<-seen
	}
	ok(t, os.Symlink("v", filepath.Join(dir, "sub/link2")))
	on(t, e, func(done func()) { e.Post(done) })
	if len(seen) > 0 {
		t.Error("a report after Close")
	}
}

func TestNodeBasics(t *testing.T) {
	if _, err := New(Config{MarsDir: filepath.Join(t.TempDir(), "none"), Logger: quiet()}); !errors.Is(err, env.ErrNotExist) {
		t.Error(err)
	}
	variants(t, func(t *testing.T, force bool) {
		n := newNode(t, Config{ForceWorkers: force})
		e := n.Executor(0)
		if (n.IOVariant() == "workers") != (force || uring.Supported() != nil) {
			t.Errorf("variant %s", n.IOVariant())
		}
		on(t, e, func(done func()) {
			if e.Rand() == e.Rand() || e.Wall() < 1e18 || e.Log() == nil {
				t.Error("wrong basics")
			}
			e.Trace("x", 1, 2)
			e.Devices().Create(env.DeviceConfig{Name: "x"}, nil, func(d env.Device, err error) {
				is(t, err, ErrNoDevices)
				e.Devices().Cleanup("x", false, func(err error) {
					if err != nil {
						t.Error(err)
					}
					done()
				})
			})
		})
	})
}

// TestHang ends a node whose off-loaded work hangs.
func TestHang(t *testing.T) {
	n := newNode(t, Config{Executors: 1})
	e := n.Executor(0)
	release := make(chan struct{})
	on(t, e, func(done func()) {
		e.Offload(func() { done(); <-release }, nil)
	})
	is(t, n.Close(50*time.Millisecond), ErrTimeout)
	close(release)
	if err := n.Close(patience); err != nil {
		t.Error(err)
	}
}

// TestRingOwner completes entries of a user other than files.
func TestRingOwner(t *testing.T) {
	e := newNode(t, Config{Executors: 1}).Executor(0).(*Executor)
	on(t, e, func(done func()) {
		if e.Ring() == nil {
			done() // the worker variant has none
			return
		}
		base, release := e.RingOwner(func(c uring.CQE) { t.Error("completion for another owner") })
		release()
		var mine uint64
		mine, release = e.RingOwner(func(c uring.CQE) {
			if c.UserData != mine+77 {
				t.Errorf("user data %#x", c.UserData)
			}
			release()
			done()
		})
		if base == mine {
			t.Error("the same range twice in a row")
		}
		e.Ring().Get() // not filled: nobody's
		e.Ring().Get().Nop(base)
		e.Ring().Get().Nop(mine + 77)
	})
}

// TestAtEnd: what a user of the ring has in flight does not hold up the end, and
// the user is told when the ring is gone.
func TestAtEnd(t *testing.T) {
	n := newNode(t, Config{})
	e := n.Executor(0).(*Executor)
	if e.ring == nil {
		t.Log("no io_uring here: there is no ring to be ended")
		return
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	defer unix.Close(fds[0])
	closed := &uring.SQE{}
	on(t, e, func(done func()) {
		base, _ := e.RingOwner(func(uring.CQE) { t.Error("a completion after the end") })
		e.Ring().Get().PollAdd(fds[0], unix.POLLIN, false, base) // never comes
		e.AtEnd(func() { closed = e.Ring().Get() })
		done()
	})
	if err := n.Close(patience); err != nil {
		t.Fatal(err)
	}
	if closed != nil {
		t.Error("told before the ring was closed, or not at all")
	}
}
