// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// An aside is an OS thread with a table of file descriptors of its own, for
// system calls that wait for an answer of our own FUSE server.
//
// When a process is killed, a thread that waits for a FUSE answer cannot die
// before it has got it. With a common table it would thereby keep the FUSE
// connection open that only this process can answer: an unkillable process,
// which holds locks of the loop driver. A thread that does not have the
// connection gets an error instead as soon as the others are gone.
//
// What runs on an aside must not use descriptors made elsewhere, nor let its
// own escape: plain system calls only, no package os, no logging, no posting.
type aside struct {
	jobs chan func()
	done chan struct{}
	err  error // the thread could not be set up
}

func newAside() *aside {
	a := &aside{jobs: make(chan func()), done: make(chan struct{})}
	go a.run()
	<-a.done
	return a
}

func (a *aside) run() {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	a.err = ownDescriptors()
	a.done <- struct{}{}
	for fn := range a.jobs {
		fn()
		a.done <- struct{}{}
	}
}

// do runs fn on the thread and returns its result, or why it could not be run.
// One caller at a time.
func (a *aside) do(fn func() error) (err error) {
	if a.err != nil {
		return a.err
	}
	a.jobs <- func() { err = fn() }
	<-a.done
	return err
}

func (a *aside) end() { close(a.jobs) }

// asideDo runs fn on a thread made for it alone.
func asideDo(fn func() error) error {
	a := newAside()
	defer a.end()
	return a.do(fn)
}

// ownDescriptors gives the calling thread a table of its own and closes in it
// what it does not need: everything but the standard files and what the Go
// runtime itself uses from any thread.
func ownDescriptors() error {
	if err := unix.Unshare(unix.CLONE_FILES); err != nil {
		return fmt.Errorf("own table of file descriptors: %w", err)
	}
	dir, err := unix.Open("/proc/thread-self/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("list own file descriptors: %w", err)
	}
	defer unix.Close(dir)
	var (
		fds  []int
		buf  [4096]byte
		link [64]byte
	)
	for {
		n, err := unix.ReadDirent(dir, buf[:])
		if err != nil {
			return fmt.Errorf("list own file descriptors: %w", err)
		}
		if n == 0 {
			break
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if fd, err := strconv.Atoi(name); err == nil && fd > 2 && fd != dir {
				fds = append(fds, fd)
			}
		}
	}
	for _, fd := range fds {
		n, err := unix.Readlinkat(dir, strconv.Itoa(fd), link[:])
		if err == nil && strings.HasPrefix(string(link[:n]), "anon_inode:[event") {
			continue
		}
		_ = unix.Close(fd)
	}
	return nil
}
