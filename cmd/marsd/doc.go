// Command marsd is the daemon of mars: one process a host, what the kernel
// module is in the manual.
//
//	marsd run        runs in the foreground until SIGTERM
//	marsd cleanup    removes the devices of a daemon that will not come back
//	marsd recover    replays the logs of a dead host onto a disk, offline
//	marsd man        prints the manual page
//	marsd --version
//
// The package holds flags and the wiring of the real environment; what is
// decided about resources is in package strategy.
//
// # Start
//
// In this order; each step can refuse, with what was expected, what was found
// and what to do:
//
//  1. the places: absolute paths, the kind of devices, the own name;
//  2. the directory of the symlink tree: there, mounted (where it is /mars
//     itself), with a link uuid;
//  3. the lock in the run directory ("module loaded"), and one on the
//     directory of the symlink tree, which no two daemons may share;
//  4. the tunables: defaults, sysctl.d, the files that an earlier daemon has
//     left in RUN_DIR/sys, --set;
//  5. the size of /mars (required_total_space_0_gb);
//  6. the keys, or the cluster's word that its network has none;
//  7. executors, network, device front ends; then strategy starts.
//
// It is ready when strategy says so: READY=1 goes to $NOTIFY_SOCKET
// (sd_notify(3)) and a line that begins with "marsd: ready" to stderr. No
// other line before it does.
//
// # End
//
// SIGTERM, SIGINT and SIGHUP stop everything in order: devices that nobody has
// open are closed, others are left to the next marsd, where the kernel can (else
// they are waited for, --stop-grace), buffers are written back, positions are
// durable; exit code 0. A second
// signal ends the process at once, exit code 1, as does an error after which
// strategy can not go on. Both are what a crash is: the next start recovers.
//
// # Metrics
//
// With --metrics marsd answers Prometheus, without a host in the address on
// 127.0.0.1 alone. What is told is gathered when it is asked for; bricks only
// count, on their executors. Names, labels and types are an interface: see
// metricdefs.go and testdata/metrics.txt.
//
// # RUN_DIR
//
//	lock            flock(2) held while marsd runs; its content is the pid
//	sys/NAME        the tunables (manual: /proc/sys/mars), 0600 or 0400
//	sys/tuning/NAME
//	sys/lamport_clock   system and Lamport time, renewed each second
//	sys/info            all bricks, renewed every statusfiles_rollover_sec
//	sys/trigger     write a number to look at everything now
//	ublk/NAME       which ublk device has that name (package ublkfront)
//	fuse/NAME/      where a FUSE file is mounted (package fuseloop)
//
// The directory lock is for one daemon; what else is below RUN_DIR belongs to
// the device front ends.
package main
