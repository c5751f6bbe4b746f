// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Errors for errors.Is. Those of control commands are *CmdError and match also
// the errno.
var (
	// ErrNoModule: this kernel has no ublk driver loaded.
	ErrNoModule = errors.New("ublk: the driver is not there")
	// ErrNoUring: io_uring, which the driver needs, is not to be had.
	ErrNoUring = errors.New("ublk: io_uring is not available")
	// ErrPermission: this process may not control ublk devices.
	ErrPermission = errors.New("ublk: not permitted")
	// ErrBadKernel: the kernel is too old, or known to crash; see KernelError.
	ErrBadKernel = errors.New("ublk: unusable kernel")
	// ErrUnsupported: this kernel does not know the command.
	ErrUnsupported = errors.New("ublk: not supported by this kernel")
	// ErrExist: the id is taken.
	ErrExist = errors.New("ublk: device id exists")
	// ErrTooMany: the limit of devices (module parameter ublks_max).
	ErrTooMany = errors.New("ublk: too many devices")
	// ErrGone: there is no such device (any more).
	ErrGone = errors.New("ublk: no such device")
	// ErrInUse: somebody has the block device open.
	ErrInUse = errors.New("ublk: device is in use")
	// ErrBusy: another server still holds the device, or it is in a state that
	// does not allow the command. Trying again later may help.
	ErrBusy = errors.New("ublk: device is busy")
	// ErrNotRecoverable: the device cannot be taken over: it was made without
	// recovery, never started, or is not of this package's shape.
	ErrNotRecoverable = errors.New("ublk: device cannot be recovered")
	// ErrHalfRecovered: a recovery failed where there is no way back: the ring of
	// the loop has tags of the device. The end of the ring (or of the process)
	// frees it for another attempt; until then its users wait.
	ErrHalfRecovered = errors.New("ublk: device is half recovered")
	// ErrForeign: the device carries another stamp than the one expected.
	ErrForeign = errors.New("ublk: device belongs to another program")
	// ErrTimeout: a command did not finish in time. It was cancelled, or, when
	// the kernel would not even do that, given up; see CmdError.Lost.
	ErrTimeout = errors.New("ublk: timed out")
	// ErrClosed: the Control, the Reactor or the Device was closed.
	ErrClosed = errors.New("ublk: closed")
	// ErrDetached is what Device.Err tells after the device was left to a
	// successor.
	ErrDetached = errors.New("ublk: device was left to a successor")
)

// CmdError is the failure of a control command.
type CmdError struct {
	Cmd   string // the kernel's name of the command
	ID    uint32
	Errno unix.Errno // 0 for a time-out without an answer
	Lost  bool       // no answer, not even to the cancellation: its effect is unknown
	Kind  error      // one of the Err values, or nil
	Hint  string     // what to do about it, or empty
}

// Error tells command, device and reason in one line.
func (e *CmdError) Error() string {
	s := fmt.Sprintf("ublk %s", e.Cmd)
	if e.ID != AutoID {
		s += fmt.Sprintf(" of device %d", e.ID)
	}
	switch {
	case e.Lost:
		s += ": no answer from the kernel, not even to the cancellation"
	case e.Kind == ErrTimeout:
		s += ": timed out and cancelled"
	case e.Errno != 0:
		s += ": " + e.Errno.Error()
	case e.Kind != nil:
		s += ": " + e.Kind.Error()
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap gives Kind and Errno.
func (e *CmdError) Unwrap() []error {
	var out []error
	if e.Kind != nil {
		out = append(out, e.Kind)
	}
	if e.Errno != 0 {
		out = append(out, e.Errno)
	}
	return out
}

// KernelError tells why a kernel is refused. It matches ErrBadKernel.
type KernelError struct {
	Release Release
	Reason  string
	Remedy  string
}

// Error gives reason and remedy in one line.
func (e *KernelError) Error() string {
	return fmt.Sprintf("ublk: kernel %v is refused: %s; %s", e.Release, e.Reason, e.Remedy)
}

// Is matches ErrBadKernel.
func (e *KernelError) Is(target error) bool { return target == ErrBadKernel }

// cmdError decodes the answer of the kernel to a command.
func cmdError(op ctrlOp, id uint32, errno unix.Errno) *CmdError {
	e := &CmdError{Cmd: op.String(), ID: id, Errno: errno}
	switch errno {
	case unix.EOPNOTSUPP:
		e.Kind = ErrUnsupported
	case unix.ENODEV:
		e.Kind = ErrGone
	case unix.EPERM:
		e.Kind = ErrPermission
	case unix.EINTR, unix.ECANCELED:
		e.Kind = ErrTimeout
	}
	switch {
	case op == opAddDev && errno == unix.EEXIST:
		e.Kind = ErrExist
	case op == opAddDev && errno == unix.EACCES:
		e.Kind, e.Hint = ErrTooMany, "raise the parameter ublks_max of module ublk_drv"
	case op == opSetParams && errno == unix.EACCES:
		e.Kind, e.Hint = ErrBusy, "parameters cannot change once the device was started"
	case op == opTryStopDev && errno == unix.EBUSY:
		e.Kind = ErrInUse
	case op == opStartDev && errno == unix.EBUSY:
		e.Kind, e.Hint = ErrBusy, "the character device of the last run is still open"
	case op == opStartDev && errno == unix.EEXIST:
		e.Kind, e.Hint = ErrBusy, "already started"
	case op == opStartRecovery && errno == unix.EINVAL:
		e.Kind = ErrNotRecoverable
	case (op == opStartDev || op == opEndRecovery) && errno == unix.EINVAL:
		e.Hint = "the character device must be served by this very process, in the initial pid namespace"
	case errno == unix.EBUSY:
		e.Kind = ErrBusy
	}
	return e
}
