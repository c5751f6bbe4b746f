// SPDX-License-Identifier: GPL-2.0-or-later

// Package devnode has what the makers of block devices (fuseloop, ublkfront)
// share: the names by which devices appear, a registry of them, who has a block device open, and
// what protects a process that serves block IO.
//
// Nothing here is tied to a life cycle; all functions are safe for concurrent
// use. Those that look at users walk through /proc and may take milliseconds:
// they are not for executors.
package devnode
