package simenv

import (
	"fmt"

	"mars/infra/env"
)

// SimDevice is a simulated block device, seen from its users. Tests drive it.
// After the death of the process that serves it (Node.Kill) it waits with its
// unanswered requests for the next one to Create it, unless
// NodeOptions.FuseDevices. At a power cut it vanishes with all requests.
type SimDevice struct {
	node     *Node
	name     string
	size     int64
	bs       int
	opens    int
	reported int
	reqs     []*devReq // not answered, in order of submission
	free     []*devReq
	srv      *devServer // nil: nobody serves it
	gone     bool
	unheard  bool // gone with the power: nobody is left to hear an answer
}

// devReq is a tag of the device.
type devReq struct {
	env.DevRequest
	d    *SimDevice
	data []byte // Write: the user's
	dst  []byte // Read: the user's
	done func(error)
	srv  *devServer // who has it to answer
	busy bool
	err  error
	ver  uint32
}

// Device finds a device by name; nil when there is none.
func (n *Node) Device(name string) *SimDevice {
	for _, d := range n.devices {
		if d.name == name {
			return d
		}
	}
	return nil
}

// Size and BlockSize of the device in bytes, the number of Openers, of Pending
// requests, and whether it is Gone.
func (d *SimDevice) Size() int64    { return d.size }
func (d *SimDevice) BlockSize() int { return d.bs }
func (d *SimDevice) Openers() int   { return d.opens }
func (d *SimDevice) Pending() int   { return len(d.reqs) }
func (d *SimDevice) Gone() bool     { return d.gone }

// Open adds an opener, CloseDev takes one away.
func (d *SimDevice) Open() error {
	if d.gone {
		return fmt.Errorf("open %s: %w", d.name, env.ErrNotExist)
	}
	d.opens++
	d.notify()
	return nil
}

// CloseDev takes an opener away.
func (d *SimDevice) CloseDev() {
	if d.opens == 0 {
		panic("simenv: " + d.name + " is not open")
	}
	d.opens--
	d.notify()
}

func (d *SimDevice) notify() {
	if d.srv != nil && !d.node.opt.SilentOpens {
		s, w := d.srv, d.node.w
		w.push(w.now+w.rng.in(w.opt.Watch), s.ex, evDevice, funcEvent(s.report), 0)
	}
}

// Write writes data at pos; done is called when the device has answered, with
// ErrIO or another error if it failed. data may be reused at once.
func (d *SimDevice) Write(pos int64, data []byte, fua bool, done func(error)) {
	r := d.tag(env.DevWrite, pos, int64(len(data)), done)
	r.FUA, r.data = fua, d.node.w.bufs.copyOf(data)
	d.submit(r)
}

// Read reads into buf, which is filled when done is called without error.
func (d *SimDevice) Read(pos int64, buf []byte, done func(error)) {
	r := d.tag(env.DevRead, pos, int64(len(buf)), done)
	r.dst = buf
	d.submit(r)
}

// Flush asks that all answered writes become durable.
func (d *SimDevice) Flush(done func(error)) { d.submit(d.tag(env.DevFlush, 0, 0, done)) }

// Discard gives a range up; WriteZeroes makes it read as zeroes.
func (d *SimDevice) Discard(pos, n int64, done func(error)) {
	d.submit(d.tag(env.DevDiscard, pos, n, done))
}

// WriteZeroes makes a range read as zeroes.
func (d *SimDevice) WriteZeroes(pos, n int64, done func(error)) {
	d.submit(d.tag(env.DevWriteZeroes, pos, n, done))
}

func (d *SimDevice) tag(op env.DevOp, pos, n int64, done func(error)) *devReq {
	var r *devReq
	if k := len(d.free); k > 0 {
		r, d.free = d.free[k-1], d.free[:k-1]
	} else {
		r = &devReq{d: d}
		r.Impl = r
	}
	r.Op, r.Pos, r.Len, r.FUA = op, pos, n, false
	r.done, r.err, r.data, r.dst = done, nil, nil, nil
	return r
}

func (d *SimDevice) submit(r *devReq) {
	bs := int64(d.bs)
	switch {
	case d.gone:
		r.answerUser(fmt.Errorf("%s: %w", d.name, ErrIO))
		return
	case r.Pos < 0 || r.Len < 0 || r.Pos%bs != 0 || r.Len%bs != 0 || r.Pos+r.Len > d.size,
		r.Op != env.DevFlush && r.Len == 0:
		r.answerUser(fmt.Errorf("%s: request of %d at %d: invalid argument", d.name, r.Len, r.Pos))
		return
	}
	d.reqs = append(d.reqs, r)
	d.deliver(r)
}

// deliver hands a request to who serves the device.
func (d *SimDevice) deliver(r *devReq) {
	if d.srv != nil {
		w := d.node.w
		r.srv = d.srv
		w.push(w.now+w.rng.in(w.opt.Post), d.srv.ex, evDevice, r, r.ver)
	}
}

func (r *devReq) fire(w *World, ver uint32) bool {
	s := r.srv
	if ver != r.ver || s == nil || s.closed || s.holding {
		return false
	}
	r.Dev, r.Buf = s, nil
	if r.Op == env.DevWrite || r.Op == env.DevRead {
		r.Buf = s.ex.inc.mem.alloc(int(r.Len))
		copy(r.Buf, r.data)
	}
	r.busy = true
	w.mix(uint64(r.Op)<<56 | uint64(r.Pos))
	w.mixBytes(r.data)
	s.h.Request(&r.DevRequest)
	return true
}

// answerUser ends a request.
func (r *devReq) answerUser(err error) {
	w := r.d.node.w
	r.err = err
	w.push(w.now+w.rng.in(w.opt.Post), nil, evDevice, (*answer)(r), 0)
}

type answer devReq

func (a *answer) fire(w *World, _ uint32) bool {
	r := (*devReq)(a)
	if r.d.unheard {
		return false
	}
	done, err := r.done, r.err
	w.recycle(r.data)
	r.ver++
	r.data, r.dst, r.done = nil, nil, nil
	r.d.free = append(r.d.free, r)
	if done != nil {
		done(err)
	}
	return true
}

func (d *SimDevice) forget(r *devReq) {
	for i, x := range d.reqs {
		if x == r {
			d.reqs = append(d.reqs[:i], d.reqs[i+1:]...)
			return
		}
	}
}

// remove makes the device vanish; its users get errors, or with silent nothing.
func (d *SimDevice) remove(silent bool) {
	d.gone, d.unheard = true, silent
	if d.srv != nil {
		d.srv.closed = true
		d.srv = nil
	}
	for _, r := range d.reqs {
		r.ver++
		r.busy = false
		if !silent {
			r.answerUser(fmt.Errorf("%s: %w", d.name, ErrIO))
		}
	}
	d.reqs = nil
	for i, x := range d.node.devices {
		if x == d {
			d.node.devices = append(d.node.devices[:i], d.node.devices[i+1:]...)
			return
		}
	}
}

// killDevices is the end of the process, keep says whether devices wait for
// the next one.
func (n *Node) killDevices(keep bool) {
	for _, d := range append([]*SimDevice(nil), n.devices...) {
		if !keep {
			d.remove(n.lost)
			continue
		}
		d.detach()
	}
}

// detach leaves the device without a server, its requests to the next one.
func (d *SimDevice) detach() {
	d.srv = nil
	for _, r := range d.reqs {
		r.ver++
		r.busy, r.srv = false, nil
		r.Dev, r.User = nil, nil // of the process that is gone
	}
	for _, r := range d.free {
		r.Dev, r.User = nil, nil
	}
}
