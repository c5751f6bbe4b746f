// Package client is the brick type "client": an output of another host as if
// it were local (manual 4.5). No input, one output. What it asks is answered by
// a server brick there (bricks/server); the messages are infra/wire's.
//
// There are two kinds: NewLog reads one transaction logfile of a resource,
// NewData the resource's disk for the initial sync.
//
// # Life cycle
//
// Switching on lights the on LED at once and starts to connect; requests wait
// until there is a connection. A lost connection is made again, after 0.2 s at
// first, after up to 5 s when it keeps failing. On a new connection both sides
// say Hello and check the other's; then everything unanswered is sent again, so
// the peer may see a request twice: all of them are reads. Connected, Err and
// Params.OnState tell how it stands.
//
// Switching off completes all requests with env.ErrClosed; the off LED is lit
// when the connection is gone. Abort completes them in the same way but the
// brick stays on: for consumers that want to stop without waiting for a peer
// that does not answer.
//
// # Operations
//
//	Read    of a log: what is there from Pos on, up to the durable end; Short
//	        tells how much less than Len. With Wait the peer holds the request
//	        at the end of the log until there is more (Params.LongPoll at most;
//	        then it completes with nothing read). TotalSize is the durable end.
//	Read    of a disk: Len bytes or an error
//	Digest  of a disk: one digest per Gran bytes, Gran is wire.Coarse or
//	        wire.Fine
//
// Get shortens reads to 1 MiB. Everything else is refused with ErrOp: no
// message writes at a peer.
//
// Errors that the peer reports come as *wire.Error, so that a consumer decides
// by their code.
//
// # Time
//
// A request fails with ErrTimeout when for Params.Timeout (the manual's
// network_io_timeout) nothing has been answered, not only not this request: on
// a thin line many are under way and each waits for those before it. While
// there is no connection the time runs too.
//
// # Invariants
//
//   - At most 64 requests are under way; more wait here.
//   - Every request is completed exactly once, an answer that comes later is
//     ignored.
//   - What a peer sends is checked: an answer that does not fit its request
//     ends the connection, and never touches memory outside of the request's.
package client
