// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// OpSet is the set of operations a kernel knows.
type OpSet [4]uint64

// Has reports whether op is in the set.
func (s *OpSet) Has(op Op) bool { return s[op>>6]&(1<<(op&63)) != 0 }

// Probe asks the kernel which operations it knows.
func (r *Ring) Probe() (OpSet, error) {
	var set OpSet
	if r.fd < 0 {
		return set, ErrClosed
	}
	p := new(probe)
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerProbe,
		uintptr(unsafe.Pointer(p)), uintptr(len(p.ops)), 0, 0)
	if errno != 0 {
		return set, fmt.Errorf("io_uring: probe: %w", errno)
	}
	for _, o := range p.ops[:p.opsLen] {
		if o.flags&opSupported != 0 {
			set[o.op>>6] |= 1 << (o.op & 63)
		}
	}
	return set, nil
}

var needed = [...]struct {
	op   Op
	name string
}{
	{OpNop, "nop"}, {OpReadv, "readv"}, {OpWritev, "writev"}, {OpFsync, "fsync"},
	{OpPollAdd, "poll"}, {OpTimeout, "timeout"}, {OpTimeoutRemove, "timeout removal"},
	{OpAsyncCancel, "cancel"}, {OpFallocate, "fallocate"}, {OpRead, "read"}, {OpWrite, "write"},
}

// missing names the first needed operation that is not in the set.
func missing(set *OpSet) string {
	for _, n := range needed {
		if !set.Has(n.op) {
			return n.name
		}
	}
	return ""
}

// Supported tries a tiny ring and returns nil when disk and file IO through
// io_uring works for this process. Otherwise the error tells why, and matches
// ErrUnavailable where nothing but a fallback helps. UringCmd, which only ublk
// needs, is not asked for; see Ring.Probe. Any goroutine may call it.
func Supported() (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := Setup(2, Options{})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	set, err := r.Probe()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if name := missing(&set); name != "" {
		return fmt.Errorf("%w: the kernel lacks the %s operation", ErrUnavailable, name)
	}
	const token = 0x6d617273
	r.Get().Nop(token)
	if _, err := r.SubmitAndWait(1, time.Second); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	c, ok := r.Peek()
	if !ok || c.UserData != token || c.Res != 0 {
		return fmt.Errorf("%w: a trial request did not complete", ErrUnavailable)
	}
	return nil
}
