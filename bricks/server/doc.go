// Package server is the brick type "server": it answers what client bricks of
// other hosts ask about one resource (manual 4.5). One input, no output.
//
// Input 0 is the data of the resource: at the primary the output of its
// trans_logger. It may be unconnected; then only logs are served.
//
// # Life cycle
//
// Strategy listens, reads Hello and the first request of a connection, answers
// with its own Hello, and gives the connection to Serve of the resource that
// the request names. Switching on lights the on LED at once. Switching off
// drops all requests and closes all connections; the off LED is lit when no
// read, computation or open file is left. A connection that is given to a
// server that is off is closed.
//
// # Answers
//
//	FetchLog    from the logfile that Logs knows, up to its durable end. At the
//	            end the request is held until there is more, the log is closed,
//	            or its WaitMs are over
//	ReadBlocks  from input 0, then held until Params.Hold says go
//	Digest      the same, with BLAKE3 of each piece (Sum) instead of the bytes
//	SyncInfo    Params.Ready, asked after Params.Hold said go
//
// Hold is what keeps a peer from getting anything that this host could still
// lose: the data read may contain writes whose log records are not durable yet.
//
// # Limits
//
// A connection has at most 128 requests, the next is refused with CodeBusy, and
// 4 MiB of memory for answers being made. While more than 2 MiB of answers wait
// for a slow reader, no new ones are started. A request that waits for a log to
// grow costs no memory. Data is read with low priority.
//
// # Rights
//
// wire.May decides, with Params.Member; then Params.Allowed may refuse for
// another reason, like emergency mode. A peer that sends what is no request
// here loses its connection; it is logged once a connection.
//
// # Invariants
//
//   - No byte behind the durable end of a log is ever read for a peer.
//   - No verb writes, no verb names a path: the name of a logfile is put
//     together here from checked parts, and only if Logs knows the log.
//   - Every request is answered at most once, and exactly once unless its
//     connection ends.
package server
