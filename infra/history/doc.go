// Package history answers the question what a member may apply next: it reads
// the version links of all members as a history and finds its forks (manual
// 1.4.2.2, split brain).
//
// # The model
//
// Every member h writes, for each logfile number N that it has applied or
// written, a version link: a claim that log N of origin O, up to a length,
// came after a predecessor (N-1) of an exact length. The claim's head is a
// digest over all of that, so two equal heads mean equal histories.
//
//	log 1 of A, 900 bytes  --+--  log 2 of A, 500 bytes    (A went on)
//	                         |
//	                         +--  log 2 of B, 40 bytes     (B was forced)
//
// A member stands at a Point: so many bytes of one log applied, with the claim
// of the log before. From there Walk follows the successors that fit: first to
// the end of its log, which is where a successor says that it forked off, then
// through the next log, and so on, until the history is open (somebody is
// still writing) or splits.
//
// # What counts as a split
//
//   - two different successors of the same log, or
//   - a successor that forked off at L while somebody else claims that the log
//     itself goes on behind L, or
//   - a claim of another member about a log that this member passed already,
//     of another origin, with another predecessor, or longer than where this
//     member left it: the fork lies behind.
//
// A member never applies anything behind a fork. Lengths count durable bytes
// only, so a crash can not produce a false alarm.
//
// Everything here is a pure function over values.
package history
