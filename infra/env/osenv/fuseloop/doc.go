// SPDX-License-Identifier: GPL-2.0-or-later

// Package fuseloop makes block-device front ends (env.Devices) on kernels
// without ublk: a FUSE file system with one file, and a loop device over that
// file with direct IO.
//
//	program -> DEV_DIR/NAME -> /dev/loopN -> RUN_DIR/fuse/NAME/NAME -> this process
//
// # Life cycle
//
//	h, err := fuseloop.New(fuseloop.Config{RunDir: ..., DevDir: ..., Logger: ...})
//	osenv.Config{Devices: func(e *osenv.Executor) env.Devices { return h.For(e.Post) }}
//
// A Host is one a process. Create mounts the file system, binds a free loop
// device and makes the symlink, in this order; Close goes the other way round:
// the loop driver must be gone before its file is. What a killed predecessor
// left is removed by Cleanup. The devices die with the process: their users
// get IO errors until it is restarted and they have been unmounted.
//
// # Who may block on whom
//
// Requests arrive on goroutines of the FUSE server, which wait for
// Device.Complete; executors never wait for anything here. Everything else
// (making, closing, probing) runs on goroutines of its own. All system calls that
// could wait for our own FUSE server are ordinary blocking ones, so the server's
// goroutines go on meanwhile; and they run on threads that do not share the
// process's file descriptors, so that a kill -9 at any moment ends the process
// (see aside). The process keeps neither the file
// nor the loop device open: closing them while the process dies could wait for
// an answer that nobody is left to give. No buffered IO is done on the device
// from here. FLUSH (close of a file) is answered with ENOSYS, so
// the kernel does not ask again. Programs call devnode.Protect first of all, so that
// memory allocations of the serving threads do not wait for write-back
// through the devices they serve.
//
// # Is it in use?
//
// The kernel counts openers but does not tell. So: an exclusive open fails
// while the device is mounted, swapped on or below another device, in whatever
// namespace; a pass over /proc/*/fd finds plain openers. The count reported is
// the number of plain openers, or 1 when only the exclusive open tells. Close
// without force holds the exclusive open until the end, which keeps mounts
// out. A plain opener between the pass and the end is detected afterwards and
// Close is taken back, or, at the very end, sees IO errors, as of a disk that
// was pulled. Openers in foreign PID namespaces that /proc does not show are not
// seen.
//
// While devices exist one goroutine looks after all of them. It hears when somebody opens or
// closes one (inotify; not who, and nothing of mounts) and then goes through /proc at
// once, and some times more. Besides: exclusive open once a second where there was IO or the
// device is in use, each 5 s otherwise; one pass over /proc for all devices, at most
// each 5 s, at most 1/500 of the time (1/50 when something was heard), and when nothing
// happened only once a minute. A mount(8) that comes within the few microseconds of an
// exclusive open is refused with EBUSY; that is why it is not tried more often.
//
// # Invariants
//
//   - A request is never completed with an errno that makes the FUSE client
//     assume a missing feature (a failed flush would be success from then on).
//   - No request reaches the handler before Create's done was posted.
//   - The FUSE file can be opened only while the device is being made: nobody
//     gets around the loop device.
//   - The symlink is removed before the loop device is given up, so it never
//     points to a loop device of somebody else.
package fuseloop
