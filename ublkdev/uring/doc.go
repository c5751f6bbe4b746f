// SPDX-License-Identifier: GPL-2.0-or-later

// Package uring is a small binding of Linux io_uring: enough for an executor
// (disk and log IO, wake-ups by eventfd, timeouts) and for the control and the
// data plane of the ublk driver. It imports nothing of the project.
//
// # Life cycle
//
// Setup makes a Ring. Get hands out a free submission entry, a helper such as
// SQE.Read fills it, Submit or SubmitAndWait gives all filled entries to the
// kernel in one system call, Reap collects completions. Close cancels what is
// still in flight, waits a bounded time for it and frees the ring.
//
//	r, err := uring.Setup(256, uring.Options{CoopTaskrun: true})
//	sqe := r.Get() // nil: the queue is full, submit first
//	sqe.Write(fd, buf, off, uring.RWFDsync, token)
//	_, err = r.SubmitAndWait(1, time.Second)
//	for _, c := range cqes[:r.Reap(cqes[:])] { ... c.UserData, c.Res ... }
//
// # One owner
//
// A Ring belongs to one goroutine locked to its OS thread
// (runtime.LockOSThread), which also calls Setup and Close. Nothing here locks.
// The thread must outlive the ring: when a thread ends, the kernel cancels the
// requests that it submitted. Other threads wake the owner through an eventfd
// on which the ring holds a multishot PollAdd or a Read.
//
// # Memory
//
// The kernel reads and writes memory by address after the call that named it
// has returned, and the address is stored as a number that the garbage
// collector does not see. So:
//
//   - IO buffers are the caller's memory outside the Go heap (Map, or any
//     mmap), or heap memory held by a runtime.Pinner. Never a stack variable.
//     A buffer belongs to the kernel from Submit until the final completion of
//     its request is reaped; after ErrInFlight or CloseNow it may belong to the
//     kernel for ever and must not be used again.
//   - Arrays of Iovec given to SQE.Readv and SQE.Writev obey the same rule, but
//     only until the submission that consumes the entry. GetReadv and GetWritev
//     copy into memory of the ring and free the caller of it.
//   - Times given to GetTimeout are copied into memory of the ring.
//   - The command area of UringCmd is part of the entry. Memory to which a
//     command itself points is the caller's, as an IO buffer is.
//
// # Invariants
//
//   - Submission entry i always sits in slot i of the index array.
//   - Every entry taken by Get reaches the kernel with the next submission,
//     filled or not (an unfilled one is a Nop with UserData 0).
//   - Every submitted entry yields exactly one CQE without CQEMore, which is what
//     InFlight counts on. The binding offers no flag that breaks this.
//   - Nothing allocates after Setup, except errors that end the ring's use.
//
// # Errors
//
// Errors of requests are in CQE.Res. Errors returned by Submit and
// SubmitAndWait are fatal to the ring: interruption, time-out and temporary
// refusal (EINTR, ETIME, EAGAIN, EBUSY) are not reported, what the kernel did
// not take stays queued and goes with the next call. Setup answers with an
// error that matches ErrUnavailable where this host offers no io_uring, so that
// a caller can fall back to a pool of blocking workers.
package uring
