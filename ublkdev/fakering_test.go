// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bytes"
	"sync"
	"time"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// fakeRing is the ring of a fakeLoop. Only Submit reaches the driver, as in
// truth.
type fakeRing struct {
	f       *fake
	l       *fakeLoop
	entries int
	flags   uring.SetupFlags
	refuse  int        // so many submissions take nothing
	queue   []*fakeSQE // by address: the queue fills them after Get
}

type fakeSQE struct{ b [64]byte }

func (r *fakeRing) Get() *uring.SQE {
	if len(r.queue) >= r.entries {
		return nil
	}
	s := new(fakeSQE)
	r.queue = append(r.queue, s)
	return (*uring.SQE)(unsafe.Pointer(s))
}

func (r *fakeRing) Queued() int             { return len(r.queue) }
func (r *fakeRing) Entries() int            { return r.entries }
func (r *fakeRing) Flags() uring.SetupFlags { return r.flags }

func (r *fakeRing) Submit() (int, error) {
	if r.refuse > 0 {
		r.refuse--
		return 0, nil
	}
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	n, fetches := len(r.queue), 0
	for _, s := range r.queue {
		e := (*uring.SQE)(unsafe.Pointer(s))
		arg := *(*ioCmd)(unsafe.Pointer(&s.b[48]))
		d := f.byFd(int(e.Fd))
		switch {
		case e.Opcode != uring.OpUringCmd || d == nil || arg.qID != 0 || arg.tag >= d.info.queueDepth:
			f.t.Errorf("bad entry %+v %+v", *e, arg)
		case uint32(e.Off) == cmdFetch:
			fetches++
			if f.refuseTag && arg.tag == 3 {
				r.complete(e.UserData, -int32(unix.EINVAL))
				continue
			}
			d.armed[arg.tag] = fakeTag{arg.addr, e.UserData, r}
		case uint32(e.Off) == cmdCommitAndFetch:
			f.commit(d, arg, fakeTag{arg.addr, e.UserData, r})
		default:
			f.t.Errorf("unknown data command %#x", e.Off)
		}
	}
	r.queue = nil
	if fetches > 0 {
		f.note("submit %d fetches", fetches)
	}
	f.touch()
	return n, nil
}

// commit completes a request, with the lock held.
func (f *fake) commit(d *fakeDev, arg ioCmd, tag fakeTag) {
	q := d.busy[arg.tag]
	if q == nil {
		f.t.Errorf("commit of tag %d, which the server does not have", arg.tag)
		return
	}
	delete(d.busy, arg.tag)
	res := fakeResult{res: arg.result, addr: arg.addr}
	if q.desc.opFlags&0xff == rawRead && arg.result > 0 {
		res.data = bytes.Clone(at(q.desc.addr, int(arg.result)))
	}
	d.armed[arg.tag] = tag
	q.done <- res
}

// send gives a request to the server, on the lowest idle tag.
func (f *fake) send(id uint32, desc ioDesc, data []byte) *fakeReq {
	f.t.Helper()
	q := &fakeReq{desc: desc, done: make(chan fakeResult, 1)}
	ok := f.until(time.Minute, func() bool {
		d := f.dev(id)
		for tag := range d.info.queueDepth {
			a, idle := d.armed[tag]
			if !idle {
				continue
			}
			delete(d.armed, tag)
			copy(at(a.addr, len(data)), data)
			q.tag, q.desc.addr = tag, a.addr
			copy(d.descs[int(tag)*24:], bytesOf(&q.desc))
			d.busy[tag] = q
			a.ring.complete(a.ud, 0)
			return true
		}
		return false
	})
	if !ok {
		f.t.Fatal("no idle tag")
	}
	return q
}

func (f *fake) result(q *fakeReq) fakeResult {
	f.t.Helper()
	select {
	case r := <-q.done:
		return r
	case <-time.After(time.Minute):
		f.t.Fatal("no answer to a request")
	}
	return fakeResult{}
}

// crash is the death of the server: nothing of it is left but the device.
func (f *fake) crash(id uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.devs[id]
	d.info.state = uint16(Quiesced)
	d.armed = make(map[uint16]fakeTag)
	if d.charFd != 0 {
		d.charFd = 0
		f.opened--
	}
	f.note("crash")
}

// oneEntry is a ring that takes everything into one entry.
type oneEntry struct{ sqe uring.SQE }

func (o *oneEntry) Get() *uring.SQE         { return &o.sqe }
func (o *oneEntry) Queued() int             { return 0 }
func (o *oneEntry) Entries() int            { return 1 }
func (o *oneEntry) Submit() (int, error)    { return 0, nil }
func (o *oneEntry) Flags() uring.SetupFlags { return 0 }

// fakeLoop is a loop with fake rings; completions and posts run in order.
type fakeLoop struct {
	ring   *fakeRing
	mu     sync.Mutex
	todo   []func()
	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}
	owners map[uint64]func(uring.CQE)
	next   uint64
}

func (f *fake) loop(entries int) *fakeLoop {
	l := &fakeLoop{wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		owners: make(map[uint64]func(uring.CQE))}
	l.ring = &fakeRing{f: f, l: l, entries: entries}
	go l.run()
	f.t.Cleanup(l.end)
	return l
}

func (l *fakeLoop) end() {
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	<-l.done
}

func (l *fakeLoop) run() {
	defer close(l.done)
	for {
		select {
		case <-l.wake:
		case <-l.quit:
			return
		}
		for {
			l.mu.Lock()
			todo := l.todo
			l.todo = nil
			l.mu.Unlock()
			if todo == nil {
				break
			}
			for _, fn := range todo {
				fn()
			}
			if _, err := l.ring.Submit(); err != nil {
				panic(err)
			}
		}
	}
}

func (l *fakeLoop) Post(fn func()) {
	l.mu.Lock()
	l.todo = append(l.todo, fn)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fakeLoop) dataRing() dataRing { return l.ring }

func (l *fakeLoop) RingOwner(fn func(uring.CQE)) (uint64, func()) {
	l.next++
	base := l.next << 48
	l.owners[base] = fn
	return base, func() { delete(l.owners, base) }
}

// complete delivers a completion as the loop does; any goroutine.
func (r *fakeRing) complete(ud uint64, res int32) {
	r.l.Post(func() {
		if fn := r.l.owners[ud>>48<<48]; fn != nil {
			fn(uring.CQE{UserData: ud, Res: res})
		}
	})
}

// sync runs fn on the loop and waits.
func (l *fakeLoop) sync(fn func()) {
	done := make(chan struct{})
	l.Post(func() { fn(); close(done) })
	<-done
}
