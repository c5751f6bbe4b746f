// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrUnavailable is matched by errors of Setup and Supported that mean:
	// this host does not offer io_uring, or not enough of it, to this process.
	// Trying again is of no use, falling back is.
	ErrUnavailable = errors.New("io_uring is not available")

	// ErrClosed answers calls on a closed ring.
	ErrClosed = errors.New("io_uring: ring is closed")

	// ErrInFlight is returned by Close when requests would neither finish nor
	// be cancelled in time. The ring is gone all the same; the kernel may still
	// write to the buffers of those requests, so they must never be used again.
	ErrInFlight = errors.New("io_uring: requests still in flight")

	errNoProgress = errors.New("io_uring: kernel takes no submissions and reports no error")
)

// SetupError tells why no ring could be made. It unwraps to Errno and matches
// ErrUnavailable unless the reason is a shortage (memory, descriptors) or a bad
// argument.
type SetupError struct {
	Errno  unix.Errno
	Detail string // the reason in words, for a log
}

// Error gives the reason in one line.
func (e *SetupError) Error() string {
	return fmt.Sprintf("io_uring setup: %s (%v)", e.Detail, e.Errno)
}

// Unwrap returns Errno.
func (e *SetupError) Unwrap() error { return e.Errno }

// Is reports whether the error is a refusal, for errors.Is(err, ErrUnavailable).
func (e *SetupError) Is(target error) bool {
	if target != ErrUnavailable {
		return false
	}
	switch e.Errno {
	case unix.EPERM, unix.EACCES, unix.ENOSYS, unix.EOPNOTSUPP:
		return true
	}
	return false
}

// setupError puts the answer of the setup call into words. sysctl is the
// content of kernel.io_uring_disabled, empty when there is none.
func setupError(errno unix.Errno, sysctl string) *SetupError {
	detail := "the kernel refused"
	switch errno {
	case unix.EPERM, unix.EACCES:
		switch strings.TrimSpace(sysctl) {
		case "2":
			detail = "switched off by sysctl kernel.io_uring_disabled=2"
		case "1":
			detail = "sysctl kernel.io_uring_disabled=1 asks for CAP_SYS_ADMIN or membership in kernel.io_uring_group"
		default:
			detail = "forbidden by a seccomp filter or a security module (common in containers)"
		}
	case unix.ENOSYS:
		detail = "the kernel is built without io_uring, or a seccomp filter hides it"
	case unix.EINVAL:
		// Validated sizes and the plainest flags were refused: the kernel
		// does not know what is left (128-byte entries, queue size).
		errno = unix.EOPNOTSUPP
		detail = "the kernel is too old for the ring asked for; 6.5 or later is needed"
	case unix.ENOMEM:
		detail = "no memory for the ring"
	case unix.EMFILE, unix.ENFILE:
		detail = "out of file descriptors"
	}
	return &SetupError{Errno: errno, Detail: detail}
}

// readSysctl returns kernel.io_uring_disabled, or nothing before kernel 6.6.
func readSysctl() string {
	b, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	if err != nil {
		return ""
	}
	return string(b)
}
