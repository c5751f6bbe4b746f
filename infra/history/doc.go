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
// A member never applies anything behind a fork, but for one case: when it was
// made a copy of the designated primary's disk after others had forked off, it has
// chosen (AfterSync), and need not wait for the others to do so. Lengths count durable bytes
// only, so a crash can not produce a false alarm.
//
// # For people
//
// Forks tells of all members at once where their histories part, and of each
// branch which host began it, since when, how many bytes it has and who stands
// in it: for status and explain. Since-when is the stamp of the version link by
// which its author left the common log; it is never written again.
//
// # What was checked
//
// TestForksModel visits every state that two members can reach in 8 steps and
// three in 5 (MARS_SIM_DEPTH=2, as in make soak: 10 and 7, some 200,000 states): write,
// sync, publish, rotate, fetch, replay, crash, secondary, primary, primary
// --force, invalidate, with links heard of from one member or from all. Forks
// and Walk say "split" if and only if two members' histories part, and never
// while nobody was forced. Two limits show there:
//
//   - histories are compared by links for logs of one number. Two members that
//     were both invalidated from others may have none in common with a third
//     one that stayed behind; it then waits, and nothing is mixed up.
//   - a host that gave up a log by invalidate must not make one of the same name
//     at the same place while another member still has the first one. Walk
//     leads it to the old log, which it has not; so strategy waits there.
//
// Everything here is a pure function over values.
package history
