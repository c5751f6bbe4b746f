// Package aio is the brick type "aio": block IO on a file or a disk. It is the
// bottom of every graph: no input, one output.
//
// It stands for the original's aio, sio and bio bricks (manual 4.5): files and
// disks differ here only in how they are opened and in their bounds.
//
// # Life cycle
//
// Switching on opens the file; the on LED is lit when it is open. A failed
// open leaves the brick off with its button pressed, Err tells why, and the
// button may be pressed again. Switching off waits for the requests in flight,
// closes, and lights the off LED.
//
// # Operations
//
//	Read         fills Data; Short tells how much a file's end cut off. Wait is
//	             ignored: nothing here knows when a file grows
//	Write        Data or Vec; FUA makes it durable before completion
//	Flush        makes durable what had completed before it was started;
//	             answered at once when there is nothing of that kind
//	WriteZeroes  the range reads as zeroes
//	Discard      the same: replicas must stay equal
//	Truncate     files only: Pos becomes the size
//	Digest       refused with ErrOp: bricks above compute digests
//
// # Invariants
//
//   - A request outside of a disk is refused by Get with block.ErrRange. A file
//     grows by writing, not by WriteZeroes; Info().Size follows the writes that
//     completed.
//   - After a failed Flush every later Flush and FUA write of this open file
//     fails with the same error: what the failure lost cannot be known, so
//     nothing may rely on the file until it has been opened anew.
//   - A request allocates nothing once the pool of requests is warm.
package aio
