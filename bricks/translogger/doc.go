// Package translogger is the brick type "trans_logger" (manual, chapter
// "Transaction Logger"): it writes every change to a transaction logfile
// first, answers it when that is durable, keeps it in a memory buffer, and
// writes it back to the disk later, in order of position. In replay mode it
// brings a log to a disk: on a secondary, and after a crash.
//
//	     output 0
//	        |
//	+---------------+
//	|  trans_logger |      input 0: the disk
//	+---------------+      input 1: a log
//	  |     |     |        input 2: the next one, for rotation
//
// # Path of a write
//
//	IO       the data is copied once, into snapshots of 4 KiB pages, and reads
//	         see it from here on; one record a page is queued (ops.go, membuf.go)
//	append   at the end of the turn the queued records are packed into a batch:
//	         one durable write to the log; a second joins it only if it is large
//	         (append.go); the space ahead of the log is zeroed (prepare.go)
//	durable  batches end in any order, but the durable end and the answers
//	         advance as a prefix; the records' versions become fit for writeback
//	sweep    dirty pages, oldest first, sorted, merged; of each sector the newest
//	         durable version (writeback.go, compose.go)
//	done     records that are on the disk leave the list at its head: Min moves
//	publish  the disk is flushed, then OnPosition is called (position.go)
//
// Reads that meet no version go to the disk untouched; others take from the
// versions what they have, when they arrive, and the rest from the disk
// (read.go).
//
// WRITE_ZEROES and DISCARD are records without data. Both mean zeroes, at
// once and for ever, so that replicas stay equal.
//
// # Life cycle
//
// While the brick is off, StartLog, StartReplay or StartBypass says what comes
// when it is switched on; its disk and log are connected and on by then. Logs
// rotate by SetNextLog, any time (rotate.go). Switching off drains: everything
// is logged, written back, flushed, published, and the log cut at its durable
// end, before the off LED is lit. ForceOff drops everything but what is in
// flight, as a crash would. The executor's turn structure is simple: events
// only change state and ask for Logger.work, which runs once at the end of the
// turn and decides everything from the state.
//
// # Invariants
//
//   - Write-ahead: no byte goes to the disk before its record is durable (in
//     bypass: before every log is out of the way).
//   - Prefix: a write is answered only when its record and all before it are
//     durable. With semantics 1 and 0 that holds for flushes and FUA.
//   - Overlapping changes reach the disk in log order, and no two are in flight
//     there: a page is written by one sweep at a time, and its older versions
//     count as written only together with the newer ones that replaced them.
//   - A position is published only when the disk is flushed up to Min. It is
//     a single scalar: it stays in the old log until all of that is written back.
//   - After a failed flush of the disk nothing is published until all that it
//     may have lost was written once more, from the log, and flushed; no read
//     shows older data meanwhile (heal.go).
//   - A log that failed gets nothing any more. It is cut at its durable end,
//     durably, before the records behind it go into the next log; no request
//     fails because of a log.
//   - Replay: nothing at or behind Max of the newest acknowledged publication
//     touches the disk; at rest Max is Min and the disk is exactly the state
//     there.
//   - The memory buffer stays below its limit (one request may exceed it alone);
//     writers are held in their order, readers never. Writeback needs no memory.
//   - A request allocates nothing once the pools are warm; an idle logger has no
//     timer armed.
//
// # What strategy does
//
//	OnPosition      write the replay link and the version link, make them durable,
//	                then PositionDurable (a replay and a bypass wait for that)
//	OnDurable       tell fetchers how far the log may be read
//	OnLogError      make the next log: SetNextLog; or SetBypass. Also while the
//	                brick is being switched off, if records are not logged yet
//	OnLogReleased   disconnect that input; the other one is in use
//	OnDiskError     report; if final in a replay: switch off by force, open the
//	                disk anew and replay from the last published position
//	OnRepeated      report, until it comes with nil
//	OnDiskRewritten take back that a failed flush is final for the disk
//	OnNoSpace       look at the free space now
//	OnReplayEnd     next log, or cut the own one at Pos, or stop and tell people
//
// # Limits
//
// A write of up to MaxRequest bytes is one request, several records: a power
// cut may leave a part of a write that was not answered, as on any disk. A
// sector is never torn.
package translogger
