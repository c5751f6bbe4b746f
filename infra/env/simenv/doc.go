// Package simenv is the deterministic simulation of everything that package
// env offers: many nodes in one goroutine, with virtual time, a seeded
// scheduler, storage that loses, tears and reorders what was not synced, a
// network that delays, cuts and resets, and clocks that jump.
//
// # A test
//
//	w := simenv.New(seed, simenv.Options{})
//	defer w.Close()
//	n := w.AddNode("a", "10.0.0.1", simenv.NodeOptions{})
//	n.AddDisk("/dev/vdb", 1<<20)
//	var f env.File
//	n.Env(0).Files().OpenDisk("/dev/vdb", func(g env.File, err error) { f = g })
//	if err := w.Run(func() bool { return f != nil }, time.Second); err != nil {
//		t.Fatal(err) // no progress: virtual time is up, or nothing is left to happen
//	}
//	... let the bricks work: w.Run(until, limit), w.RunFor(d), w.After(invariant) ...
//	img := n.CrashImage(seed, simenv.Ordered()) // what a power cut now would leave
//	n.Crash(simenv.Zero())                      // or have it for real
//	n.Start()
//	... recover with n.Env(0), check n.Disk("/dev/vdb").ReadAt ...
//
// Between events the test may call anything: the code above env, methods of an
// Env, and the faults below.
//
// # Determinism
//
// Everything follows from the seed, the options and what the test does.
// World.Hash runs over every event with its time, every byte that is written
// or sent, and every Env.Trace: two runs of one seed have the same hash, in
// any process. If they have not, the code above env is not deterministic; set
// Options.Trace in both runs and compare the lines.
//
// # Storage
//
// A disk, and the content of a file, have what readers see, what is durable,
// and between them a list of completed changes and of ops in flight. A sync
// makes durable, at its completion, the writes that had completed before it
// was submitted; a Durable write only itself. At a power cut each change that
// is not durable is there, is not, or is torn at a boundary of 512 bytes; a
// file's size and its data go different ways. Entries of directories (mtimes
// are a part of them) become durable by SyncDir of their directory, not by a
// sync of the file. A rename is one change unless CrashModel.SplitRename says
// otherwise. How much survives is the CrashModel's choice: Zero, Ordered,
// Independent. Code has to survive them all (Models).
//
// A write that fails may have happened in part. A sync that fails loses some
// of what it should have covered for ever.
//
// Death of the process (Node.Kill) loses nothing that was written, but every
// IO in flight happens or not.
//
// # Network
//
// Frames arrive in order, after a random latency. World.Cut swallows them:
// what is healed before 20 s arrives late, a longer cut is found by whoever
// hears nothing. A killed peer resets its connections, one without power says
// nothing. Close drops what is still queued.
//
// # Devices
//
// Node.Device(name) is a device that code above env has created, seen from its
// users: Open, Read, Write, Flush, Discard. Unanswered requests wait for the
// next process after a Kill and are lost at a Crash.
//
// # Blocking code
//
// Node.Go runs a function as a process of its own, with FS and Sleep: for the
// CLI. It outlives Kill, which is the daemon's death, and ends with a Crash.
//
// # Faults
//
//	Node.Crash, Kill, Start, CrashAtFSOp, CrashImage, RestoreFS, SyncAll
//	Disk.Fail (FailNth, FailKind, own), Stall, SetSlow, SetLatency, Lie;
//	the same of Node.File(name)
//	Disk.WriteAt, Node.Poke: corruption
//	Node.FailFS, SetSpace, JumpClock, SetDrift, SetCluster
//	World.Cut, Heal, Isolate, HealAll, Reset, SetLink
//
// Found by themselves, with a panic: a buffer that changes while its write is
// in flight, memory freed twice, a device request answered twice. Memory from
// Alloc, frames and request buffers are filled with poison when they are given
// back.
//
// # Limits
//
// A disk is what AddDisk made; files below the tree cannot be opened as disks.
// Writing does not change a file's mtime. Zero does not make a file longer.
// The work of one Offload happens at one moment.
package simenv
