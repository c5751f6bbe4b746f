// SPDX-License-Identifier: GPL-2.0-or-later

// Package e2e holds end-to-end tests: the built marsd and marsadm, run as
// several nodes on one machine, against what chapter 1 of the manual promises.
// There is no code for production in it.
//
// # The rig
//
// The binaries are built once for all tests. A cluster is a set of nodes, each
// with its own directories, its own address (127.0.0.1 to .3) and a disk that
// is a loop device on a sparse file; a script stands in for ssh. Every cluster
// has ports of its own below the range of outgoing connections, so that nothing
// else takes them while a daemon is down.
//
// # What is checked
//
// Writes are stamped: write number i carries i all over and goes to a place
// that follows from i. So a look at a disk tells whether it is a past version
// of the primary, and which one, without a record of what was written.
//
// A refused command must leave its node's tree as it was: every name, value
// and stamp, except the few links that a running marsd renews by itself.
//
// TestCommands runs each command of marsadm at least once; one that help lists
// and that has no step there makes it fail.
//
// # Waiting
//
// Nothing sleeps. A wait polls a state and fails when that state has stopped
// changing for a while, not when a slow machine needs long.
//
// # Needs
//
// Root, /dev/fuse and /dev/loop-control. Where one is missing the tests say so
// and pass, unless MARS_NEED_ROOT=1 makes that a failure.
package e2e
