// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"fmt"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// queue is the data plane of one device: its only queue. Everything but
// newQueue runs on the thread of the loop.
type queue struct {
	p       port
	handler Handler
	hooks   queueHooks
	depth   int
	maxIO   int
	mem     []byte // a buffer for each tag, and one more: the sink
	reqs    []Request

	ring    dataRing
	base    uint64 // user data of tag 0
	release func() // gives back the range of user data
	fd      int    // the character device
	descs   []byte // nil: not mapped

	inKernel int // tags that the kernel has
	owned    int // tags that the handler has, and those that wait for room
	aborted  int
	zombies  int      // requests failed in a forced stop that the handler still has
	backlog  []uint16 // tags that wait for room in the ring
	retry    bool     // flush is posted
	failing  bool     // every request fails at once
	broken   bool     // the ring takes no more
	over     bool
	leak     bool // the memory must stay
}

// queueHooks tell the device what happens.
type queueHooks struct {
	// post runs a function on the loop, soon; it is Loop.Post.
	post func(func())
	// ended: the kernel and the handler have none of the tags, everything but
	// zombies is freed.
	ended func()
	// trouble: a tag was lost to an error. The device cannot be served fully.
	trouble func(error)
}

// newQueue does all that takes time. It runs anywhere.
func newQueue(p port, info Info, h Handler, hooks queueHooks) (*queue, error) {
	mem, err := uring.Map((info.Depth + 1) * info.MaxIO)
	if err != nil {
		return nil, err
	}
	q := &queue{p: p, handler: h, hooks: hooks, depth: info.Depth, maxIO: info.MaxIO, mem: mem, fd: -1,
		reqs: make([]Request, info.Depth), backlog: make([]uint16, 0, info.Depth)}
	for i := range q.reqs {
		q.reqs[i].q, q.reqs[i].tag = q, uint16(i)
	}
	return q, nil
}

// suits tells whether a ring can carry a queue of that depth: all fetches must
// go in one submission.
func suits(ring dataRing, depth int, plan Plan) error {
	if ring.Entries() < depth {
		return fmt.Errorf("ublk: a ring of %d entries cannot carry a queue of depth %d", ring.Entries(), depth)
	}
	if ring.Flags()&uring.SetupDeferTaskrun != 0 && !plan.DeferredOK {
		return fmt.Errorf("%w: a ring with DEFER_TASKRUN can wedge it; make the ring without", ErrBadKernel)
	}
	return nil
}

// start fetches every tag in one submission, then maps the descriptors. A crash
// with only some tags fetched, or with the map before the fetch, leaves the
// device in a state that some kernels cannot recover from. From here on the
// queue owns fd and release.
func (q *queue) start(ring dataRing, base uint64, release func(), fd int) error {
	q.ring, q.base, q.release, q.fd = ring, base, release, fd
	if ring.Queued() > ring.Entries()-q.depth {
		if _, err := ring.Submit(); err != nil {
			return err
		}
	}
	if free := ring.Entries() - ring.Queued(); free < q.depth {
		return fmt.Errorf("ublk: the ring has room for %d of %d fetches", free, q.depth)
	}
	for i := range q.reqs {
		q.put(ring.Get(), cmdFetch, &q.reqs[i])
	}
	if _, err := ring.Submit(); err != nil {
		return err
	}
	page := q.p.pageSize()
	descs, err := q.p.mapDescs(fd, descMapOffset(0, page), descMapSize(q.depth, page))
	if err != nil {
		return fmt.Errorf("ublk: map descriptors: %w", err)
	}
	q.descs = descs
	return nil
}

// put fills an entry and counts the tag as the kernel's.
func (q *queue) put(s *uring.SQE, cmd uint32, r *Request) {
	s.UringCmd(q.fd, cmd, q.base|uint64(r.tag))
	arg := ioCmd{tag: r.tag, result: r.res, addr: addressOf(q.buffer(r.tag))}
	if cmd == cmdFetch {
		arg.result = -1
	}
	copy(s.Cmd[:], bytesOf(&arg))
	r.state = atKernel
	q.inKernel++
}

// buffer is the memory where data of the tag goes.
func (q *queue) buffer(tag uint16) []byte {
	i := int(tag)
	if q.failing {
		// The handler may still look at the tag's own. Nobody looks here.
		i = q.depth
	}
	return q.mem[i*q.maxIO : (i+1)*q.maxIO : (i+1)*q.maxIO]
}

// handle takes a completion.
func (q *queue) handle(c uring.CQE) {
	tag := c.UserData - q.base
	if q.over || tag >= uint64(q.depth) {
		return
	}
	r := &q.reqs[tag]
	q.inKernel--
	switch {
	case c.Res == 0 && q.descs != nil:
		q.request(r)
	case c.Res == -int32(unix.ENODEV):
		r.state = gone
		q.aborted++
	default:
		r.state = gone
		q.hooks.trouble(fmt.Errorf("ublk: tag %d: the kernel answered %d to a fetch", tag, c.Res))
	}
	q.settle()
}

// request passes a fetched request to the handler.
func (q *queue) request(r *Request) {
	// The kernel wrote the descriptor before the completion; it is read once.
	d := *(*ioDesc)(unsafe.Pointer(&q.descs[int(r.tag)*ioDescSize]))
	q.owned++
	if q.failing {
		q.commit(r, -int32(unix.EIO))
		return
	}
	if errno := decode(r, d, q.buffer(r.tag)); errno != 0 {
		q.commit(r, -int32(errno))
		return
	}
	r.state, r.held = atHandler, true
	q.handler.Request(r)
}

func (q *queue) complete(r *Request, err error) {
	if !r.held {
		panic(fmt.Sprintf("ublkdev: request of tag %d completed twice", r.tag))
	}
	r.held = false
	if r.zombie {
		r.zombie = false
		q.zombies--
		if q.over {
			q.free()
		}
		return
	}
	q.commit(r, result(r, err))
	q.settle()
}

// failAll answers all requests with EIO, those the handler has and those to
// come, so that a stop has nothing to wait for.
func (q *queue) failAll() {
	if q.over || q.failing {
		return
	}
	q.failing = true
	for i := range q.reqs {
		if r := &q.reqs[i]; r.held {
			r.zombie = true
			q.zombies++
			q.commit(r, -int32(unix.EIO))
		}
	}
	q.settle()
}

// abandon is the end of a queue whose ring is gone. The memory stays: the kernel
// may still put the data of writes there, until it let go of the device.
func (q *queue) abandon() {
	if q.over {
		return
	}
	q.over, q.leak = true, true
	for i := range q.reqs {
		if r := &q.reqs[i]; r.held && !r.zombie {
			r.zombie = true
			q.zombies++
		}
	}
	q.closeFiles()
}

// free gives back the memory once nobody looks at it.
func (q *queue) free() {
	if q.zombies > 0 || q.leak || q.mem == nil {
		return
	}
	if err := uring.Unmap(q.mem); err != nil {
		panic(fmt.Sprintf("ublkdev: unmap of our own buffers: %v", err))
	}
	q.mem = nil
}

// commit gives a tag back to the kernel, later if the ring is full.
func (q *queue) commit(r *Request, res int32) {
	r.res, r.state = res, queued
	if len(q.backlog) > 0 || !q.give(r) {
		q.backlog = append(q.backlog, r.tag)
		q.again()
	}
}

func (q *queue) give(r *Request) bool {
	s := q.ring.Get()
	if s == nil {
		if _, err := q.ring.Submit(); err != nil {
			q.broken = true
			q.hooks.trouble(err)
			return false
		}
		if s = q.ring.Get(); s == nil {
			return false
		}
	}
	q.put(s, cmdCommitAndFetch, r)
	q.owned--
	return true
}

// again posts a flush of the backlog: the ring takes entries again after its
// owner took completions.
func (q *queue) again() {
	if q.retry || q.broken {
		return
	}
	q.retry = true
	q.hooks.post(func() {
		q.retry = false
		q.flush()
	})
}

func (q *queue) flush() {
	if q.over {
		return
	}
	for len(q.backlog) > 0 {
		if !q.give(&q.reqs[q.backlog[0]]) {
			q.again()
			return
		}
		q.backlog = append(q.backlog[:0], q.backlog[1:]...)
	}
	q.settle()
}

// settle ends the queue when neither side has any of its tags.
func (q *queue) settle() {
	if !q.over && q.owned == 0 && q.inKernel == 0 && q.fd >= 0 {
		q.finish()
	}
}

// finish frees what the queue has.
func (q *queue) finish() {
	q.over = true
	q.closeFiles()
	q.free()
	q.hooks.ended()
}

func (q *queue) closeFiles() {
	if q.descs != nil {
		if err := q.p.unmapDescs(q.descs); err != nil {
			panic(fmt.Sprintf("ublkdev: unmap of our own mapping: %v", err))
		}
		q.descs = nil
	}
	if q.fd >= 0 {
		q.p.close(q.fd)
		q.fd = -1
	}
	if q.release != nil {
		q.release()
		q.release = nil
	}
}
