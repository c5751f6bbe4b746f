// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// enterFunc is the io_uring_enter call; a field of Ring so that tests can play
// a kernel that interrupts, refuses or takes a part. raw hides the call from
// the Go scheduler: only for calls that return soon.
type enterFunc func(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, argSize uintptr, raw bool) (int, unix.Errno)

func sysEnter(fd int, toSubmit, minComplete, flags uint32, arg unsafe.Pointer, argSize uintptr, raw bool) (int, unix.Errno) {
	var n uintptr
	var errno unix.Errno
	if raw {
		n, _, errno = unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(toSubmit),
			uintptr(minComplete), uintptr(flags), uintptr(arg), argSize)
	} else {
		n, _, errno = unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(fd), uintptr(toSubmit),
			uintptr(minComplete), uintptr(flags), uintptr(arg), argSize)
	}
	return int(n), errno
}

// backoff is how long a wait goes on before submissions that the kernel
// refused for the moment are tried again.
const backoff = time.Millisecond

// Submit gives all queued entries to the kernel, in one call unless it takes
// only a part, and returns how many it took. Entries that it has no room for at
// the moment stay queued (see Queued): reap, then submit again. An error is fatal.
func (r *Ring) Submit() (int, error) {
	return r.submit(0)
}

// SubmitAndWait is Submit followed, in the same system call, by a wait until n
// completions (at most CQEntries) can be reaped or the timeout passed, whichever
// is first; a negative timeout is none. With n or timeout at 0 it does not wait
// but lets due completions in. It returns how many entries the kernel took; a
// time-out is no error. It may return early with fewer than n completions
// when the kernel refuses entries until some are reaped.
func (r *Ring) SubmitAndWait(n int, timeout time.Duration) (int, error) {
	if n <= 0 || timeout == 0 {
		return r.submit(enterGetEvents)
	}
	if r.fd < 0 {
		return 0, ErrClosed
	}
	var start time.Time
	if timeout > 0 {
		start = time.Now()
	}
	n = min(n, int(r.cqEntries))
	taken, left, raw := 0, timeout, r.hybrid > 0
	for r.Ready() < n || r.Queued() > 0 {
		limit := left
		if raw && (left < 0 || left > r.hybrid) {
			limit = r.hybrid
		}
		queued := r.Queued()
		got, errno := r.call(queued, n, enterGetEvents, limit, raw)
		raw = false
		taken += got
		switch errno {
		case 0:
			if got == 0 && queued > 0 {
				return taken, errNoProgress
			}
		case unix.ETIME, unix.EINTR:
		case unix.EAGAIN, unix.EBUSY:
			if r.Ready() > 0 {
				return taken, nil
			}
			if err := r.pause(left); err != nil {
				return taken, err
			}
		default:
			return taken, enterError(errno)
		}
		if timeout > 0 {
			if left = timeout - time.Since(start); left <= 0 {
				break
			}
		}
	}
	return taken, nil
}

// pause waits a moment for any completion, without submitting: completions are
// what makes the kernel accept submissions again.
func (r *Ring) pause(left time.Duration) error {
	if left < 0 || left > backoff {
		left = backoff
	}
	switch _, errno := r.call(0, 1, enterGetEvents, left, false); errno {
	case 0, unix.ETIME, unix.EINTR, unix.EAGAIN, unix.EBUSY:
		return nil
	default:
		return enterError(errno)
	}
}

// submit passes all queued entries and at least once the flags.
func (r *Ring) submit(flags uint32) (int, error) {
	if r.fd < 0 {
		return 0, ErrClosed
	}
	taken := 0
	for queued := r.Queued(); queued > 0 || flags != 0; queued = r.Queued() {
		got, errno := r.call(queued, 0, flags, -1, r.hybrid > 0)
		taken += got
		switch errno {
		case 0:
			if got == 0 && queued > 0 {
				return taken, errNoProgress
			}
			flags = 0
		case unix.EINTR:
		case unix.EAGAIN, unix.EBUSY, unix.ETIME:
			return taken, nil
		default:
			return taken, enterError(errno)
		}
	}
	return taken, nil
}

// call enters the kernel once. What it took is read from the ring rather than
// from the result, which an error of the wait may replace. limit bounds the
// wait, negative is for ever.
func (r *Ring) call(queued, minComplete int, flags uint32, limit time.Duration, raw bool) (int, unix.Errno) {
	var arg unsafe.Pointer
	var size uintptr
	if limit >= 0 {
		r.aux.wait.set(limit)
		arg, size = unsafe.Pointer(r.aux.arg), unsafe.Sizeof(*r.aux.arg)
		flags |= enterExtArg
	}
	head := atomic.LoadUint32(r.sqHead)
	atomic.StoreUint32(r.sqTail, r.tail)
	_, errno := r.enter(r.fd, uint32(queued), uint32(minComplete), flags|r.always, arg, size, raw)
	now := atomic.LoadUint32(r.sqHead)
	got := int(now - head)
	r.inflight += got
	if now == r.tail {
		r.aux.used = 0
	}
	return got, errno
}

func enterError(errno unix.Errno) error {
	switch errno {
	case unix.EEXIST:
		return fmt.Errorf("io_uring: ring used on a thread that does not own it: %w", errno)
	case unix.EBADR:
		return fmt.Errorf("io_uring: the kernel lost completions for want of memory: %w", errno)
	}
	return fmt.Errorf("io_uring: enter: %w", errno)
}

// SyncCancel cancels the request with the given user data and waits until that
// took effect, at most timeout. ENOENT: there is none; ETIME: it would not end.
// The cancelled request still completes. Needs kernel 6.0.
func (r *Ring) SyncCancel(userData uint64, timeout time.Duration) error {
	if r.fd < 0 {
		return ErrClosed
	}
	*r.aux.cancel = syncCancelReg{addr: userData, fd: -1}
	r.aux.cancel.timeout.set(max(timeout, 0))
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerSyncCancel,
		uintptr(unsafe.Pointer(r.aux.cancel)), 1, 0, 0)
	if errno != 0 {
		return fmt.Errorf("io_uring: cancel: %w", errno)
	}
	return nil
}
