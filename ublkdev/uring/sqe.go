// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"encoding/binary"
	"time"
	"unsafe"
)

// The helpers overwrite the entry (of an SQE128 ring its first half; Get
// cleared the other). userData comes back in the completion. Set Flags after
// the helper. Results are in CQE.Res: bytes moved for reads and writes, which
// may be fewer than asked for, otherwise 0 unless told, or a negative errno.

func addr(b []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

func rwLen(b []byte) uint32 { return uint32(min(len(b), maxRWCount)) }

// Nop completes at once.
func (s *SQE) Nop(userData uint64) {
	*s = SQE{Opcode: OpNop, Fd: -1, UserData: userData}
}

// Read reads from the file at byte offset off into buf (at most 2 GiB - 4 KiB;
// what is longer is read short). off is ignored on pipes and eventfds. A Read
// on an eventfd waits for an event, unless the eventfd is non-blocking.
func (s *SQE) Read(fd int, buf []byte, off uint64, flags RWFlags, userData uint64) {
	*s = SQE{Opcode: OpRead, Fd: int32(fd), Off: off, Addr: addr(buf), Len: rwLen(buf),
		OpFlags: uint32(flags), UserData: userData}
}

// Write writes buf to the file at byte offset off, with the limit of Read.
func (s *SQE) Write(fd int, buf []byte, off uint64, flags RWFlags, userData uint64) {
	*s = SQE{Opcode: OpWrite, Fd: int32(fd), Off: off, Addr: addr(buf), Len: rwLen(buf),
		OpFlags: uint32(flags), UserData: userData}
}

// Readv reads into the pieces of iov, at most MaxIovecs. The array itself must
// be off-heap and stay untouched until the submission.
func (s *SQE) Readv(fd int, iov []Iovec, off uint64, flags RWFlags, userData uint64) {
	s.vector(OpReadv, fd, iov, off, flags, userData)
}

// Writev writes the pieces of iov, under the rule of Readv.
func (s *SQE) Writev(fd int, iov []Iovec, off uint64, flags RWFlags, userData uint64) {
	s.vector(OpWritev, fd, iov, off, flags, userData)
}

func (s *SQE) vector(op Op, fd int, iov []Iovec, off uint64, flags RWFlags, userData uint64) {
	*s = SQE{Opcode: op, Fd: int32(fd), Off: off, Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(iov)))),
		Len: uint32(len(iov)), OpFlags: uint32(flags), UserData: userData}
}

// Fsync makes the file durable, as fsync(2), or with datasync as fdatasync(2).
// It covers only writes that completed before it was submitted.
func (s *SQE) Fsync(fd int, datasync bool, userData uint64) {
	*s = SQE{Opcode: OpFsync, Fd: int32(fd), UserData: userData}
	if datasync {
		s.OpFlags = fsyncDatasync
	}
}

// Fallocate is fallocate(2): mode are FALLOC_FL_ flags, off and length bytes.
func (s *SQE) Fallocate(fd int, mode uint32, off, length uint64, userData uint64) {
	*s = SQE{Opcode: OpFallocate, Fd: int32(fd), Off: off, Addr: length, Len: mode, UserData: userData}
}

// PollAdd completes when one of events (POLLIN ...) is there, with the events
// as result. With multishot it completes at every further event too, each
// completion carrying CQEMore as long as it stays armed; when one comes without,
// arm it again. A multishot poll of an eventfd fires at every write, whether or
// not anybody reads the eventfd.
func (s *SQE) PollAdd(fd int, events uint32, multishot bool, userData uint64) {
	*s = SQE{Opcode: OpPollAdd, Fd: int32(fd), OpFlags: pollMask(events), UserData: userData}
	if multishot {
		s.Len = pollAddMulti
	}
}

// pollMask gives the order of halves that the kernel keeps for the sake of an
// older 16-bit field.
func pollMask(events uint32) uint32 {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return events<<16 | events>>16
	}
	return events
}

// TimeoutRemove disarms the timeout with user data target, which then completes
// with ECANCELED; ENOENT if there is none.
func (s *SQE) TimeoutRemove(target, userData uint64) {
	*s = SQE{Opcode: OpTimeoutRemove, Fd: -1, Addr: target, UserData: userData}
}

// AsyncCancel cancels the request with user data target, or what flags choose
// instead. The result is 0 (with CancelAll or CancelAny the number cancelled),
// ENOENT when nothing matches, EALREADY when it runs already. What is cancelled
// completes by itself, with ECANCELED or EINTR, or as if nothing happened.
func (s *SQE) AsyncCancel(target uint64, flags CancelFlags, userData uint64) {
	*s = SQE{Opcode: OpAsyncCancel, Fd: -1, Addr: target, OpFlags: uint32(flags), UserData: userData}
}

// AsyncCancelFd cancels all requests on the descriptor; results as of AsyncCancel.
func (s *SQE) AsyncCancelFd(fd int, userData uint64) {
	*s = SQE{Opcode: OpAsyncCancel, Fd: int32(fd), OpFlags: uint32(CancelAll | CancelFd), UserData: userData}
}

// UringCmd is a command cmdOp to the driver behind fd; put its argument into
// Ring.Cmd(s) (or s.Cmd on a ring without SQE128). The result is the driver's.
func (s *SQE) UringCmd(fd int, cmdOp uint32, userData uint64) {
	*s = SQE{Opcode: OpUringCmd, Fd: int32(fd), UserData: userData}
	*(*uint32)(unsafe.Pointer(&s.Off)) = cmdOp
}

// GetReadv is Get and SQE.Readv in one: bufs are copied as pieces into memory of
// the ring, the slice of slices is free at once. It returns nil when the queue
// or that memory is full: submit and try again.
func (r *Ring) GetReadv(fd int, bufs [][]byte, off uint64, flags RWFlags, userData uint64) *SQE {
	return r.getVector(OpReadv, fd, bufs, off, flags, userData)
}

// GetWritev is Get and SQE.Writev in one, as GetReadv.
func (r *Ring) GetWritev(fd int, bufs [][]byte, off uint64, flags RWFlags, userData uint64) *SQE {
	return r.getVector(OpWritev, fd, bufs, off, flags, userData)
}

func (r *Ring) getVector(op Op, fd int, bufs [][]byte, off uint64, flags RWFlags, userData uint64) *SQE {
	if r.Queued() >= int(r.sqEntries) {
		return nil
	}
	var iov []Iovec
	if len(bufs) > MaxIovecs {
		// Never fits: let the kernel say EINVAL, where errors of requests
		// are looked for, instead of nil for ever. It checks the count first.
		iov = r.aux.iovs[:MaxIovecs+1]
	} else if iov = r.aux.gather(bufs); iov == nil {
		return nil
	}
	s := r.Get()
	s.vector(op, fd, iov, off, flags, userData)
	return s
}

// GetTimeout is Get and a timeout in one; nil when the queue is full. It
// completes with ETIME after d, or with 0 as soon as count other requests
// completed after it was submitted (count 0: never by count). With TimeoutAbs, d
// is the time since the clock's zero. Negative d counts as 0.
func (r *Ring) GetTimeout(d time.Duration, count uint32, flags TimeoutFlags, userData uint64) *SQE {
	slot := r.tail & r.sqMask
	s := r.Get()
	if s == nil {
		return nil
	}
	ts := &r.aux.times[slot]
	ts.set(max(d, 0))
	*s = SQE{Opcode: OpTimeout, Fd: -1, Off: uint64(count), Addr: uint64(uintptr(unsafe.Pointer(ts))), Len: 1,
		OpFlags: uint32(flags), UserData: userData}
	return s
}
