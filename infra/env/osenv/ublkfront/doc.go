// SPDX-License-Identifier: GPL-2.0-or-later

// Package ublkfront makes block-device front ends (env.Devices) of the kernel's
// ublk driver, on the rings of the executors:
//
//	program -> DEV_DIR/NAME -> /dev/ublkbN -> ring of the executor -> handler
//
// # Life cycle
//
//	h, err := ublkfront.New(ublkfront.Config{RunDir: ..., DevDir: ..., Owner: ..., Logger: ...})
//	osenv.Config{Devices: func(e *osenv.Executor) env.Devices { return h.For(e) }}
//
// A Host is one a process. Create takes over the device of that name that a
// predecessor left, or makes one. Close removes it unless it is in use. Hold, and
// the death of the process, leave it: users wait, and what was not answered
// comes again to the successor. Cleanup removes what nobody will take over.
//
// # A request
//
// It arrives as a completion of the executor's ring, goes to the handler, and its
// answer is the next command of the same tag in the same ring: one thread, no
// allocation, and no copy but the kernel's into the tag's buffer.
//
// Everything else blocks (control commands, looking for users) and runs on
// goroutines of its own, each step with a deadline.
//
// # Whose is a device?
//
// Ids are shared with all other users of the driver, so each device carries a
// stamp that the kernel keeps: a mark of this package, of the owner (cluster and
// host), and of the name. RUN_DIR/ublk/NAME tells people, and Orphans, the name
// that belongs to an id; the stamp alone decides. What has another stamp is never
// touched.
//
// # Is it in use?
//
// The driver does not tell, so it is found out in steps (see usage.go):
//
//  1. descriptors of other processes in /proc;
//  2. file systems mounted from it in any mount namespace, or alive without being
//     mounted (sysfs), swap, devices stacked on it;
//  3. an exclusive open, which fails also for what is not visible otherwise. It
//     makes a mount or mkfs fail that comes in the same moment, so it is tried
//     only when the device is to be closed or its count is asked for;
//  4. from kernel 7.0 on Close asks the driver, which knows.
//
// Before 7.0 a plain opener that comes in the microseconds between the last look
// and the end sees IO errors, as of a disk that was pulled; mounts are kept out.
// What can fool it: a process in a foreign PID namespace that /proc does not show
// and that only has the device open.
//
// While devices exist one goroutine watches them: the module's reference
// count, one small file a second, changes with every open and close of any ublk
// device; a change, or a change of the mount table (heard at once), brings the
// look above, for all devices in one pass, with at most 1/20 of a core. Without
// a change there is one look a minute. So the count is old by about a second (more
// on an overloaded host), and never when Close decides.
//
// # Never wait for oneself
//
// A thread of this process that waited for IO of its own device would be in the
// way of its own death: the driver lets a successor in only when the last thread
// is gone. So the process opens the block device only when nobody else was
// seen to have it open, reads and writes nothing through it, and never syncs it:
// the kernel did so when its last user closed it.
package ublkfront
