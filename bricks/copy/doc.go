// Package copy is the brick type "copy": it copies from input 0 (A) to input 1
// (B); no output (manual 4.5). There are two kinds of it.
//
// # Sync
//
// Sync makes B equal to A in a range of bytes: the initial sync, and later
// syncs of a disk that is mostly equal (the manual's fast fullsync, 6.4). A is
// a client brick for the data of a resource, B the aio brick of a disk. A may
// change while it is read; what changes is in the logs that are replayed
// afterwards.
//
// The range is worked on in chunks, several at a time. With fast, digests of
// 64 KiB pieces of A and B are compared, inside of pieces that differ those of
// 4 KiB blocks, and only blocks that differ are read from A and written to B.
// Without, everything is.
//
// Pos is the end of the chunks completed without a gap. B is flushed after
// every 8 MiB or 2 s of progress, and at the end; only then OnProgress tells
// the position: it is durable, and the place to begin at another time. A failed
// flush throws the copy back there, for what it lost cannot be known; what had
// been worked on is then copied whole, without comparing (Suspect).
//
// # Follow
//
// Follow appends to B, a buffered regular file, what A, a client brick for a
// transaction logfile, has more than B, and goes on as A grows. It first
// compares the beginnings: two logs of one name with different identities end
// it with ErrForeign. Bytes are written strictly in order and durably; after
// each write OnGrow tells the new end. At the end of what is known of A one
// read waits there for more, so new bytes come at once and an idle log costs
// nothing. It never writes beyond the limit, nor beyond what A said is durable.
//
// # Life cycle
//
// Switching on does nothing but permit Start. After a successful Start exactly
// one of OnDone and OnStopped follows; nothing is written to B after it. Stop
// waits for what is in flight, for which Params.Abort helps: it makes A give up
// (client.Abort). Switching off stops; the off LED is lit when nothing is left.
// A copy that has stopped can be started again.
//
// Errors do not end a copy: the failed part is tried again after 0.2 s, up to
// 5 s when it keeps failing, and OnError tells each of these rounds. Strategy
// decides by the error whether to stop.
//
// # Sizes
//
// How much is asked in one piece follows the time that pieces take, from 64 KiB
// on a thin line to 1 MiB. Buffers in flight are bounded by Params.Window.
package copy
