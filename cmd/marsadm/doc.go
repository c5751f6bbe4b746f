// SPDX-License-Identifier: GPL-2.0-or-later

// Command marsadm is the administrator's interface of mars (manual chapter 3).
// All it does here is to connect package marsadm with this host: its file
// system, its clock, its terminal, ssh.
//
// An interrupt (SIGINT, SIGTERM) ends the wait that is under way, so that a
// command that has to put something back still does.
package main
