// Package env is the one door between mars and the world.
//
// Bricks and strategy are state machines. They run on an executor: one loop
// that delivers events (completions, timers, frames from peers, posts) one
// after the other. Everything an event handler needs from outside it asks of
// its Env: time, timers, randomness, files, disks, block-device front ends,
// connections to peers, memory, off-load of computations. Two implementations
// exist: env/osenv (the real thing) and env/simenv (many nodes in one
// goroutine, with virtual time, a seeded scheduler and every fault).
//
// # Rules for code above this package
//
// All methods of an Env are called on its executor, and every callback runs
// on that executor, never from inside the call that asked for it, unless the
// method's comment says otherwise. Code above env therefore needs no lock.
//
// It must be deterministic: with the same events in the same order it does the
// same. Forbidden, and held by a test over the sources: go statements, select,
// ranging over a map without sorting, the functions of package time that read
// a clock or wait (Duration and its constants are fine), contexts with
// deadlines, math/rand, sync.Pool, sync primitives, order by pointers,
// unsorted directory reads, and encoders that start goroutines.
//
// # What may block
//
// The metadata interface FS blocks. It is used only inside the work function
// of Env.Offload, by marsadm (which is a process of its own) and by recovery
// tools; never directly on an executor.
//
// # Paths
//
// Names given to FS and Files are relative to the directory of the symlink
// tree (the manual's /mars), with single slashes and no "." or "..". Disks
// are named by absolute paths.
package env
