// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Op is what a request asks.
type Op uint8

// The operations of a block device.
const (
	Read        Op = iota
	Write          // with FUA: durable before completion
	Flush          // all writes completed before are durable on completion
	Discard        // the content becomes undefined; Len is not bounded by MaxIO
	WriteZeroes    // the range reads as zeroes; Len is not bounded by MaxIO
)

// String is the operation as a word.
func (o Op) String() string {
	switch o {
	case Read:
		return "read"
	case Write:
		return "write"
	case Flush:
		return "flush"
	case Discard:
		return "discard"
	case WriteZeroes:
		return "write zeroes"
	}
	return fmt.Sprintf("operation %d", uint8(o))
}

// Handler takes the requests of a device.
type Handler interface {
	// Request is called on the thread of the Loop and must not block. The
	// request belongs to the handler until it calls Complete, which it may do
	// at once or later, in any order, but on that thread. After a recovery,
	// requests that a predecessor had are seen again, maybe for the second
	// time; none of them was acknowledged.
	Request(r *Request)
}

// HandlerFunc is a Handler that is a function.
type HandlerFunc func(r *Request)

// Request calls f.
func (f HandlerFunc) Request(r *Request) { f(r) }

// Request is one request of the kernel. There is one for each tag, made once
// and used again and again.
type Request struct {
	Op      Op
	FUA     bool  // of a Write: durable before completion
	NoUnmap bool  // of WriteZeroes: the range shall stay allocated
	Meta    bool  // file-system metadata, a hint
	Pos     int64 // bytes, a multiple of the block size; 0 for a Flush
	Len     int64 // bytes; 0 for a Flush
	// Buf holds the data of a Write, and takes that of a Read: all of it, for
	// what is left over from earlier requests goes to the reader otherwise. It
	// is Len bytes, outside the Go heap and page-aligned; nil for the others.
	Buf []byte
	// User is the handler's, and kept when the request is used again.
	User any

	q      *queue
	tag    uint16
	state  reqState
	held   bool  // the handler did not complete it yet
	zombie bool  // held, but the kernel has its answer
	res    int32 // what is committed
}

// reqState tells whose a tag is.
type reqState uint8

const (
	atKernel  reqState = iota
	atHandler          // the handler has it
	queued             // completed, the ring has no room yet
	gone               // aborted; nothing comes any more
)

// Complete answers the request and gives it back; nil is success. Errors reach
// the user as the errno they wrap where the block layer has a word for it (such
// as unix.ENOSPC), else as EIO. It must be called on the thread of the Loop,
// once; a second call panics. After a forced stop, or when the ring is gone, it
// only gives back Buf.
func (r *Request) Complete(err error) { r.q.complete(r, err) }

// passed are the errors that reach the user as they are. EAGAIN is not among
// them: the kernel would not try again.
var passed = [...]unix.Errno{unix.ENOSPC, unix.ENOMEM, unix.ENODEV, unix.EOPNOTSUPP, unix.ETIMEDOUT, unix.ENOLINK,
	unix.EREMOTEIO, unix.EBADE, unix.ENODATA, unix.EILSEQ, unix.EBUSY, unix.ETIME, unix.EINVAL}

// result is what is committed: exactly the length of a successful read or
// write (less makes the kernel send the rest again, nothing makes it do so for
// ever), 0 for other successes, and a negative errno otherwise.
func result(r *Request, err error) int32 {
	if err == nil {
		if r.Op == Read || r.Op == Write {
			return int32(r.Len)
		}
		return 0
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		for _, e := range passed {
			if errno == e {
				return -int32(e)
			}
		}
	}
	return -int32(unix.EIO)
}

// decode reads a descriptor into r. buf is the memory of the tag. What cannot
// be served gets an errno instead.
func decode(r *Request, d ioDesc, buf []byte) unix.Errno {
	r.FUA, r.NoUnmap, r.Meta, r.Buf = false, false, d.opFlags&rawMeta != 0, nil
	r.Pos, r.Len = int64(d.startSector)<<sectorShift, int64(d.nrSectors)<<sectorShift
	op := d.opFlags & 0xff
	if op == rawFlush {
		// Its position is -1.
		r.Op, r.Pos, r.Len = Flush, 0, 0
		return 0
	}
	if d.startSector > 1<<(63-sectorShift)-1-uint64(d.nrSectors) {
		return unix.EIO
	}
	switch op {
	case rawRead:
		r.Op = Read
	case rawWrite:
		r.Op, r.FUA = Write, d.opFlags&rawFUA != 0
	case rawDiscard:
		r.Op = Discard
		return 0
	case rawWriteZeroes:
		r.Op, r.NoUnmap = WriteZeroes, d.opFlags&rawNoUnmap != 0
		return 0
	default:
		return unix.EOPNOTSUPP
	}
	if r.Len == 0 || r.Len > int64(len(buf)) {
		return unix.EIO
	}
	r.Buf = buf[:r.Len:r.Len]
	return 0
}
