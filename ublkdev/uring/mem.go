// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map returns size bytes of zeroed, page-aligned memory outside the Go heap, fit
// for IO buffers (O_DIRECT too). size is in bytes and above zero. Give it back
// with Unmap, unchanged, when the kernel holds none of it.
func Map(size int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("io_uring: map %d bytes: %w", size, err)
	}
	return mem, nil
}

// Unmap gives back memory of Map.
func Unmap(mem []byte) error {
	if err := unix.Munmap(mem); err != nil {
		return fmt.Errorf("io_uring: unmap: %w", err)
	}
	return nil
}

// Set points v at buf, which is memory as an IO buffer must be.
func (v *Iovec) Set(buf []byte) {
	v.Base = uintptr(unsafe.Pointer(unsafe.SliceData(buf)))
	v.Len = uintptr(len(buf))
}

// MaxIovecs is the most pieces of one vectored request; with more the kernel
// completes it with EINVAL.
const MaxIovecs = 1024

// aux is memory of the ring to which the kernel is pointed: arguments of the
// wait and of the synchronous cancel, a time for every submission slot, and the
// pieces of vectored requests that were not submitted yet.
type aux struct {
	mem    []byte
	arg    *getEventsArg
	wait   *timespec
	cancel *syncCancelReg
	times  []timespec // one a submission slot
	iovs   []Iovec    // handed out from the front, empty again after a full submission
	used   int        // of iovs
}

const (
	auxWait   = 32
	auxCancel = 64
	auxTimes  = 128
)

func newAux(entries uint32) (aux, error) {
	n := int(entries)
	iovs := max(2*MaxIovecs, 4*n)
	iovOff := auxTimes + n*int(unsafe.Sizeof(timespec{}))
	mem, err := Map(iovOff + iovs*int(unsafe.Sizeof(Iovec{})))
	if err != nil {
		return aux{}, err
	}
	a := aux{
		mem:    mem,
		arg:    (*getEventsArg)(unsafe.Pointer(&mem[0])),
		wait:   (*timespec)(unsafe.Pointer(&mem[auxWait])),
		cancel: (*syncCancelReg)(unsafe.Pointer(&mem[auxCancel])),
		times:  unsafe.Slice((*timespec)(unsafe.Pointer(&mem[auxTimes])), n),
		iovs:   unsafe.Slice((*Iovec)(unsafe.Pointer(&mem[iovOff])), iovs),
	}
	a.arg.ts = uint64(uintptr(unsafe.Pointer(a.wait)))
	return a, nil
}

// gather copies the addresses of bufs into memory of the ring, nil when there
// is no room until the next submission.
func (a *aux) gather(bufs [][]byte) []Iovec {
	if len(bufs) > len(a.iovs)-a.used {
		return nil
	}
	out := a.iovs[a.used : a.used+len(bufs) : a.used+len(bufs)]
	for i, b := range bufs {
		out[i].Set(b)
	}
	a.used += len(bufs)
	return out
}

// set writes d, which is not negative.
func (t *timespec) set(d time.Duration) {
	t.sec = int64(d / time.Second)
	t.nsec = int64(d % time.Second)
}
