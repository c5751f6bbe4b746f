// SPDX-License-Identifier: GPL-2.0-or-later

// Package marsadm is the administrator's command (manual chapter 3). It knows
// the symlink tree and nothing of bricks: all it does is to read the tree, to
// write links, and to wait for what marsd makes of them.
//
// # A command
//
// Every command is one line of a table: its name and arguments, what must be
// the case before it may run (needs), and its phases. Run checks the needs,
// finds the resources ("all" means every one that this host is a member of)
// and runs each phase for all of them. What a phase writes is committed at its
// end in one batch: made under temporary names, stamped with one Lamport
// stamp, renamed in order, made durable. Then marsd is told to look.
//
//	needs -> phase 1 of every resource -> commit -> phase 2 of every ... -> commit
//
// A resource whose phase fails is left out of the later ones. What it wanted to
// write in the failed phase is not written: a refused command changes nothing.
//
// With --dry-run the changes are told and applied in memory only, so that the
// later phases go on; nobody waits.
//
// A command that writes may be killed anywhere and repeated.
//
// # What is read
//
// The tree of a large cluster has tens of thousands of links. A command about
// one resource reads that one; those about all of them say what they go by (see
// reads.go). After a commit the tree is not read again but changed in memory.
//
// # Waiting
//
// A phase waits on the state of the tree, polled, for no longer than --timeout
// in all: 5 s unless the command has another default; -1 is for ever. With 0
// a missing precondition is an error at once, and nobody waits for effects.
//
// # Output and exit status
//
// What is shown of links was written by anybody: control characters are made
// visible. Only get-link and cat put out what there is as it is.
//
// Normal text goes to stdout. Warnings ("WARNING: ...") and errors ("DYING:
// ...", then a hint what to do) go to stderr. The exit status is 0 for success,
// 1 for a command that was refused or failed or timed out, 2 for a command line
// that is not understood.
//
// # Joining
//
// join-cluster runs "marsadm enrol" on a member over ssh, with fixed words only;
// a request goes over stdin and an answer over stdout (see transfer.go for the
// format). The answer is checked by the grammar of the tree before anything is
// written.
//
// # view
//
// "view" evaluates texts in the language of package macro, with functions that
// tell of the tree: viewprims.go (primitives), viewstate.go (the words and lines
// that scripts look for), viewfacts.go (amounts), viewtext.go (built-in texts).
//
// # The outside
//
// Everything outside is behind Sys, so that the same code runs as a coroutine
// in the simulator. No goroutines, no clocks, no global state.
package marsadm
