// Package lamport is the physical Lamport clock of MARS (manual 2.2): an
// almost-realtime clock that never runs backwards and never contradicts a
// stamp that was received. Every stamp in the symlink tree, on the wire and in
// a transaction log is taken from it.
//
// The package is pure: it does no IO and reads no clock. Whoever calls it
// passes a Reading of the system clock and of the monotonic clock.
//
// # Life cycle
//
//	c := lamport.New(lamport.DefaultFuture)
//	c.Restore(newestOwn)        // once, before the first Now, see below
//	t := c.Now(reading)         // unique, strictly increasing
//	ok := c.Observe(t, reading) // a stamp from a peer; false: quarantine it
//
// The clock has no file of its own: it lives on in the mtimes of the links in
// /mars. At start the newest stamp of those links that only this host's own
// daemon writes (alive, time, tree, replay, ...) is given to Restore, which
// believes it without a plausibility check; the rest of the tree is then given
// to Observe. So a host whose battery-backed clock came up in 1970 continues
// where it stopped.
//
// # Invariants
//
//   - Two calls of Now never return the same stamp, a later call returns a
//     larger one, whatever the system clock does.
//   - After Observe(t) returned true, Now returns more than t.
//   - While the Lamport clock is ahead of the system clock it crawls at 1 ns a
//     call, until the system clock has caught up (the manual's "runs slower").
//   - Without jumps and foreign stamps it is the system clock.
//
// # Plausibility
//
// One stamp from the year 3000, believed once, would be a value that no later
// set-link could ever replace. The window (tunable max_lamport_future, 30 days)
// guards against it in two directions:
//
//   - A received stamp more than the window ahead of both the system clock and
//     the Lamport clock is refused (quarantined), never adopted.
//   - A system clock that leaps further than the window past the Lamport clock
//     is not followed: the clock then runs on the monotonic clock, from where
//     it was, and Status reports it. Replication goes on. It returns to the
//     system clock when the latter is back within the window, when a stamp
//     from a peer shows that the cluster really is at that time, or, for a
//     host that was merely switched off for long, when a peer's system clock
//     agrees with its own (Meet).
//
// A window of 0 switches both checks off. It is a guard against mistakes, and
// against a single stamp: a member of the cluster that steps ahead again and again
// by less than the window takes the clock along.
//
// # Format
//
// A stamp is written "sec.nnnnnnnnn": seconds since the epoch and always nine
// digits of nanoseconds, as in the links time-HOST and in the file
// lamport_clock (spec of the manual's /proc/sys/mars/lamport_clock).
package lamport
