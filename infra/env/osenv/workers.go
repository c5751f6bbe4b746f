// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// pool runs blocking jobs in order of arrival on at most limit goroutines,
// which are started on demand and stay. Safe for concurrent use.
type pool struct {
	limit int
	start func() // first thing in every goroutine, may be nil

	mu     sync.Mutex
	cond   sync.Cond
	jobs   jobQueue
	idle   int
	count  int
	closed bool
	wg     sync.WaitGroup
}

// job is an operation or a function.
type job struct {
	o  *op
	fn func()
}

// jobQueue is a FIFO in a ring that grows and then allocates no more.
type jobQueue struct {
	a       []job
	head, n int
}

func (q *jobQueue) push(j job) {
	if q.n == len(q.a) {
		bigger := make([]job, max(64, 2*q.n))
		for i := range q.n {
			bigger[i] = q.a[(q.head+i)%len(q.a)]
		}
		q.a, q.head = bigger, 0
	}
	q.a[(q.head+q.n)%len(q.a)] = j
	q.n++
}

func (q *jobQueue) pop() job {
	j := q.a[q.head]
	q.a[q.head] = job{}
	q.head = (q.head + 1) % len(q.a)
	q.n--
	return j
}

func newPool(limit int, start func()) *pool {
	p := &pool{limit: limit, start: start}
	p.cond.L = &p.mu
	return p
}

// run queues a function; on a closed pool it is dropped.
func (p *pool) run(fn func()) { p.put(job{fn: fn}) }

// runOp queues an operation, which goes back to its executor when done.
func (p *pool) runOp(o *op) { p.put(job{o: o}) }

func (p *pool) put(j job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.jobs.push(j)
	if p.idle >= p.jobs.n || p.count == p.limit {
		p.cond.Signal()
		return
	}
	p.count++
	p.wg.Add(1)
	go p.work()
}

func (p *pool) work() {
	defer p.wg.Done()
	if p.start != nil {
		p.start()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.jobs.n == 0 {
			if p.closed {
				return
			}
			p.idle++
			p.cond.Wait()
			p.idle--
		}
		j := p.jobs.pop()
		p.mu.Unlock()
		if j.o != nil {
			j.o.block()
			j.o.e.completed(j.o)
		} else {
			j.fn()
		}
		p.mu.Lock()
	}
}

// close lets the jobs that are queued run, takes no more and tells on the
// returned channel when all goroutines are gone.
func (p *pool) close() <-chan struct{} {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(done)
	}()
	return done
}

// workerEngine is the ioEngine where io_uring is refused: every operation goes
// to the pool of workers, and the executor sleeps in poll(2).
type workerEngine struct {
	e    *Executor
	fds  [1]unix.PollFd
	ts   unix.Timespec
	word [8]byte
}

func (w *workerEngine) submit(o *op)   { w.e.node.workers.runOp(o) }
func (w *workerEngine) reap(b *budget) {}
func (w *workerEngine) ready() bool    { return false }
func (w *workerEngine) close() error   { return nil }

func (w *workerEngine) enter(d time.Duration) error {
	if d == 0 {
		return nil
	}
	var ts *unix.Timespec
	if d > 0 {
		w.ts = unix.NsecToTimespec(int64(d))
		ts = &w.ts
	}
	w.fds[0] = unix.PollFd{Fd: int32(w.e.efd), Events: unix.POLLIN}
	n, err := unix.Ppoll(w.fds[:], ts, nil)
	if err != nil && err != unix.EINTR && err != unix.EAGAIN {
		return err
	}
	if n > 0 {
		// Non-blocking; a failure means that somebody wakes again.
		_, _ = unix.Read(w.e.efd, w.word[:])
	}
	return nil
}
