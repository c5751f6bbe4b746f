// Package block is the block IO layer of the brick infrastructure (manual
// 4.5): the request object mref and what a brick's output can do with it.
//
// # Life of an mref
//
// The consumer takes an Mref from a Pool (or its own memory), fills Op, Pos,
// Len, Data and flags, pushes its completion, and calls three operations of
// the output that its input is connected to:
//
//	Get   the provider may shorten Len to what it serves in one piece
//	IO    starts the request; it returns at once
//	Put   gives back what Get took, after completion
//
// The completion that was pushed last is called exactly once, on the same
// executor, possibly before IO returns. A brick in the middle pushes its own
// completion before it passes the mref on, and calls Mref.Complete again in
// it to hand the result to the one before. An error is any error; nil is
// success. Completing twice, or with nothing pushed, panics: it is a bug.
//
// # Data
//
// Data is the consumer's, Len bytes; for writes it must not change until
// completion (a provider that needs it longer copies it). Pos and Len are
// multiples of the provider's Info.Align.
//
// # Order
//
// Requests that overlap while in flight have no order among them, except that
// trans_logger orders what it is given by arrival. Bricks below trans_logger
// never see two overlapping writes in flight.
package block
