// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"errors"
	"fmt"
	"syscall"

	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

const prSetIOFlusher = 57

// Protect prepares this process for serving block IO: memory that it allocates
// must not wait for write-back through its own devices, its pages must not be
// swapped out to them, and the OOM killer would free nothing by killing it. To
// be called once, at the start of the program, before there is a device. What
// cannot be had (each needs a privilege) is told by the error; the rest is done
// nevertheless, and only low memory is a danger then.
func Protect() error { return errors.Join(ioFlusher(), lockMemory(), ublkdev.Protect()) }

// ioFlusher marks all threads of this process, and those they start, as serving
// block IO. It fails in a program with cgo.
func ioFlusher() error {
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, prSetIOFlusher, 1, 0, 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("mark threads as serving block IO: %w", errno)
	}
	return nil
}

// lockMemory keeps what was once touched in memory. What was not costs nothing.
func lockMemory() error {
	// With a limit, memory to come would be refused once it is reached.
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
		return fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}
