// SPDX-License-Identifier: GPL-2.0-or-later

// Package osenv is the real environment: env.Env on Linux.
//
// # Life cycle
//
//	n, err := osenv.New(osenv.Config{MarsDir: "/mars", Host: "a", ...})
//	n.Executor(0).Post(func() { ... build the bricks ... })
//	err = n.Close(10 * time.Second)
//
// A Node is everything one process has. It owns
//
//   - executors: goroutines, each locked to an OS thread, that deliver events,
//   - one pool of workers for what blocks (opening, truncating, punching holes,
//     and all IO where io_uring is refused),
//   - one pool for off-loaded work, which is waited for,
//   - one pool for computations, as many threads as cores, at nice 10: a tenth of a
//     processor that others want,
//   - the network: two goroutines a connection, one a listener.
//
// # A turn
//
// The loop of an executor goes in turns. A turn reads the clock once, delivers
// at most 64 events or 200 us worth of them (due timers, completions of the
// ring, completions of workers, posts; the kind that goes first rotates), runs
// the scheduled tasks, and gives everything that was submitted to the kernel in
// one system call, which is also the one that sleeps when nothing is left to
// do. Others wake a sleeping executor through one eventfd, which is written
// only when the executor sleeps. An idle executor has no timer armed.
//
// # Invariants
//
//   - A callback runs on its executor's goroutine and never inside the call
//     that asked for it. A panic in a callback ends the process.
//   - Every submitted IO is completed once, also while the node is closing,
//     unless Close gave up waiting.
//   - Submitting IO allocates nothing once the executor has as many operation
//     slots as are in flight at a time.
//   - No name leads out of the symlink tree's directory and no symlink is
//     followed below it.
//   - Nothing that a peer sends is allocated before its length was checked
//     and counted.
//
// # Wire format
//
// A frame is a little-endian length of 4 bytes and as many bytes; length 0 is a
// keepalive and is not delivered. The first frame in both directions is the
// hello, see hello.go; then the frames belong to the users of the connection.
package osenv
