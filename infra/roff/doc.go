// SPDX-License-Identifier: GPL-2.0-or-later

// Package roff writes manual pages. What a page tells comes from the code
// itself: tables of commands and options, and the comments of packages, whose
// form (go.dev/doc/comment) it understands. So a page can not be out of date.
//
// # Life cycle
//
//	p := roff.New("marsadm", 8, "administrate mars")
//	p.Heading("SYNOPSIS")
//	p.Doc(roff.PackageDoc(symtree.DocFile))
//	p.String()
//
// # Invariants
//
//   - Whatever text is given, none of it becomes a command of roff.
//   - Equal calls give equal pages: there is no date.
package roff
