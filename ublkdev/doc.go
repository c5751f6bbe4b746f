// SPDX-License-Identifier: GPL-2.0-or-later

// Package ublkdev serves Linux block devices from user space through the ublk
// driver: /dev/ublkbN appears, and each request to it comes to a Handler. Users
// of the device survive the death of its server: a successor takes it over and
// no request fails. The package needs nothing but golang.org/x/sys and the
// io_uring binding below it.
//
// # Use
//
//	ctl, err := ublkdev.Open(ublkdev.ControlOptions{}) // tells what is missing, and what to do
//	loop, err := ublkdev.NewReactor(ublkdev.ReactorOptions{})
//	dev, err := ublkdev.Create(ctx, ctl, loop, ublkdev.Config{Size: 1 << 30}, handler)
//	... dev.Path() is in use; handler.Request(r) is called, and calls r.Complete(err) ...
//	err = dev.Stop(ctx, false)
//
// A program with an event loop on io_uring serves the devices on that: it
// implements Loop. The example and the program ublkdev/memdisk are complete.
//
// # Life cycle
//
//   - Create: ADD_DEV, SET_PARAMS, open of the character device, FETCH of all
//     tags, map of the descriptors, START_DEV. Then the block device is there.
//   - Stop: in-use check, write-back, STOP_DEV, abort of all tags, unmap, close,
//     DEL_DEV.
//   - Reactor.Close, death of the process, or Detach: the device stays and its
//     users wait. Recover: START_USER_RECOVERY, open, FETCH, map,
//     END_USER_RECOVERY; what was not answered comes again.
//
// # Rules
//
// They keep clear of what kernels do badly; each is shown by a test.
//
//   - All tags are fetched in one io_uring_enter, before the descriptors are
//     mapped: a crash with some fetched is fatal for the device, on some kernels
//     for the host. A submission is not interrupted by a signal.
//   - Buffers and everything else that takes time are made before the character
//     device is opened; handlers must be ready before Create and Recover.
//   - Commits come from the thread that fetched, the Loop's; it may serve many
//     devices. Each device has one queue.
//   - Devices have USER_RECOVERY and its REISSUE, except on kernels that can
//     crash in a recovery (before 6.12.24): there users get IO errors when their
//     server dies. What the kernel granted is compared. Never FAIL_IO.
//   - STOP throws away dirty page cache: the device is found not in use before. It
//     is synced if this process has it open; otherwise the kernel did so when the
//     last user closed it, and the process must not: a thread that is killed while
//     it waits for its own device would keep the successor out.
//   - io_timeout is lowered on kernels that wait for it when a server died with
//     all requests in hand.
//   - VOLATILE_CACHE and FUA are always set, so flushes and FUA writes arrive.
//   - Results are the exact length or a negative errno that users understand;
//     never 0 for a write, never short, never EAGAIN.
//   - START and END carry the pid of this process, which opened the device.
//   - Descriptors are close-on-exec.
//   - The thread of a Reactor is an IO flusher. Protect keeps the process from
//     the OOM killer; CheckNamespace tells of the mount namespace that deadlocks.
//   - No DEFER_TASKRUN (a Loop with it is refused where it can wedge the kernel).
//   - Each control command has a deadline and is cancelled then. The memory of
//     one that does not end even so is given up, never used again.
//
// # Kernels
//
// Probe refuses what is below 6.5 or known to crash, with reason and remedy.
// What has a feature bit goes by it, the rest by the release (see Plan):
//
//	need                   6.5-6.8      6.9-6.12     6.13-6.15    6.16-6.19    7.0 and later
//	level                  best effort  supported    supported    supported    supported
//	GET_FEATURES           0xfe, 0x1fe  0x1fe        0x3fe,0x3ff  0x3fff,      0x7ffff and more
//	                                                              0x7fff
//	user recovery          -            from 6.12.24 yes          yes          yes
//	delete without wait    DEL, timed   DEL_ASYNC    DEL_ASYNC    DEL_ASYNC    DEL_ASYNC
//	crash with full queue  io_timeout   io_timeout   6.15: seen   seen         seen
//	                       1 s          1 s          at once      at once      at once
//	graceful restart       end of ring  end of ring  end of ring  QUIESCE      QUIESCE
//	resize                 -            -            -            UPDATE_SIZE  UPDATE_SIZE
//	                                                              when live    when live
//	stop unless in use     checked      checked      checked      checked      TRY_STOP
//	partition scan         in START     in START     in START     in START     NO_AUTO_PART_SCAN
//	pid of START, END      own          own          own          own, checked own, checked
//	DEFER_TASKRUN          allowed      allowed      refused      refused,     allowed
//	                                                              6.18.15: ok
//	thread rule            a queue      a queue      a queue      a tag        a tag
//
// 6.12.31 is the least that is recommended; known defects of others are in
// Plan.Warnings.
//
// # Concurrency
//
// Control, and the methods of Device that take a context, block and may be
// called from any goroutine but a Loop's thread. Handler.Request and
// Request.Complete are that thread's.
package ublkdev
