// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"fmt"
	"unsafe"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// op is the run of one env.IO. Operations are made once and reused; the slot
// is the ring's user data.
type op struct {
	e     *Executor
	f     *file
	io    *env.IO
	next  *op
	slot  uint64
	n     int   // bytes moved so far
	err   error // the result
	tries int   // without progress
	rest  [][]byte
	iov   []unix.Iovec // of the worker variant
}

// opList is an intrusive FIFO of operations.
type opList struct{ head, tail *op }

func (l *opList) empty() bool { return l.head == nil }

func (l *opList) push(o *op) {
	o.next = nil
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.next = o
	}
	l.tail = o
}

func (l *opList) pop() *op {
	o := l.head
	if o == nil {
		return nil
	}
	if l.head = o.next; l.head == nil {
		l.tail = nil
	}
	o.next = nil
	return o
}

func (e *Executor) getOp() *op {
	o := e.freeOps
	if o == nil {
		o = &op{e: e, slot: uint64(len(e.ops))}
		e.ops = append(e.ops, o)
		return o
	}
	e.freeOps, o.next = o.next, nil
	return o
}

func (e *Executor) putOp(o *op) {
	clear(o.rest)
	clear(o.iov)
	*o = op{e: e, slot: o.slot, rest: o.rest[:0], iov: o.iov[:0], next: e.freeOps}
	e.freeOps = o
}

// finish completes an operation: the slot is free before Done runs, so that
// the next Submit takes it again.
func (e *Executor) finish(o *op) {
	io, f := o.io, o.f
	io.N, io.Impl, io.Err = o.n, nil, nil
	if o.err != nil {
		io.Err = wrap(io.Kind.String(), f.name, o.err)
	}
	e.putOp(o)
	f.pending--
	io.Done(io)
	f.mayClose()
}

// size is how many bytes a read or write is to move.
func size(io *env.IO) int {
	if io.Vec == nil {
		return len(io.Buf)
	}
	n := 0
	for _, b := range io.Vec {
		n += len(b)
	}
	return n
}

// vector is what is left of a gather list.
func (o *op) vector() [][]byte {
	if o.n == 0 {
		return o.io.Vec
	}
	o.rest = o.rest[:0]
	skip := o.n
	for _, b := range o.io.Vec {
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		o.rest = append(o.rest, b[skip:])
		skip = 0
	}
	return o.rest
}

func (o *op) off() int64 { return o.io.Off + int64(o.n) }

// maxTries bounds transfers that make no progress.
const maxTries = 100

// advance takes the result of one transfer, n bytes or an errno, and tells
// whether the operation has to go on.
func (o *op) advance(n int, errno unix.Errno) (again bool) {
	if errno == unix.EINTR || errno == unix.EAGAIN {
		if o.tries++; o.tries < maxTries {
			return true
		}
	}
	if errno != 0 {
		o.err = errno
		return false
	}
	if o.io.Kind == env.Sync {
		return false
	}
	o.n += n
	left := size(o.io) - o.n
	if left <= 0 {
		return false
	}
	if o.io.Kind == env.Read {
		// Nothing more, or a direct read that ends inside a block: the end.
		return n > 0 && (!o.f.direct || o.n%o.f.align == 0)
	}
	// A short write goes on at a border that direct IO can start from.
	if cut := o.n % o.f.align; cut != 0 {
		o.n -= cut
		n -= cut
	}
	if n <= 0 {
		o.tries++
	}
	if o.tries >= maxTries || n == 0 && o.tries > 1 {
		o.err = env.ErrShort
		return false
	}
	return true
}

// block runs the operation to its end in the calling goroutine.
func (o *op) block() {
	switch o.io.Kind {
	case env.Zero:
		o.err = o.f.zero(o.io.Off, o.io.Len)
		return
	case env.Truncate:
		o.err = retry(func() error { return unix.Ftruncate(o.f.fd, o.io.Off) })
		return
	}
	for o.advance(o.transfer()) {
		continue
	}
}

// transfer is one system call. The buffers stay where they are and are kept
// alive by the IO.
func (o *op) transfer() (int, unix.Errno) {
	io, fd := o.io, uintptr(o.f.fd)
	if io.Kind == env.Sync {
		_, _, errno := unix.Syscall(unix.SYS_FDATASYNC, fd, 0, 0)
		return 0, errno
	}
	if io.Kind == env.Read {
		b := io.Buf[o.n:]
		n, _, errno := unix.Syscall6(unix.SYS_PREAD64, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(o.off()), 0, 0)
		return int(n), errno
	}
	o.iov = o.iov[:0]
	add := func(b []byte) {
		v := unix.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		o.iov = append(o.iov, v)
	}
	if io.Vec == nil {
		add(io.Buf[o.n:])
	} else {
		for _, b := range o.vector() {
			add(b)
		}
	}
	flags := 0
	if io.Durable {
		flags = unix.RWF_DSYNC
	}
	// Two words for the offset: the second is used on 32-bit platforms only.
	n, _, errno := unix.Syscall6(unix.SYS_PWRITEV2, fd, uintptr(unsafe.Pointer(unsafe.SliceData(o.iov))), uintptr(len(o.iov)),
		uintptr(o.off()), 0, uintptr(flags))
	return int(n), errno
}

// invalid tells why an IO cannot be run on this file, or nil.
func (f *file) invalid(io *env.IO) error {
	switch {
	case io.Off < 0 || io.Len < 0:
		return fmt.Errorf("%w: negative offset or length", unix.EINVAL)
	case len(io.Vec) > env.MaxVec:
		return fmt.Errorf("%w: %d pieces", unix.EINVAL, len(io.Vec))
	case io.Kind > env.Truncate:
		return fmt.Errorf("%w: kind of IO", unix.EINVAL)
	case io.Kind == env.Truncate && f.disk:
		return fmt.Errorf("%w: a disk has a fixed size", unix.EINVAL)
	case io.Kind != env.Read && io.Kind != env.Sync && !f.write:
		return unix.EBADF
	}
	return nil
}
