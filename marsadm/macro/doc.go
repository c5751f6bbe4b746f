// SPDX-License-Identifier: GPL-2.0-or-later

// Package macro is the small language in which "marsadm view" is told what to
// print. It knows nothing of the symlink tree: who runs a text brings functions
// of his own along.
//
// # The language
//
// A text stands for itself, but for calls:
//
//	%name{argument}{argument}...   the result of a function
//	%{variable}                    the value of a variable, empty if it has none
//	%{variable}{delim}{index}      one field of it; the last one if index is * or empty
//	%{++}{variable}, %{variable}{++}, the same with --
//
// An argument is a text again, evaluated when the function wants it, so that
// %if{c}{a}{b} evaluates only one of a and b. \n \t \r \f \b \a \e are control
// characters, \\ \{ \} \% the characters themselves. In names - and _ do not
// count: %syncpos{}, %sync-pos{} and %sync_pos{} are one.
//
// True is everything but the empty text and 0. A number is what a text begins
// with; none is 0.
//
// # Limits
//
// A text comes from the command line or from a file, and is not trusted to
// end: steps, depth and length of the result are bounded (ErrLimit). There is
// no way from a text to a shell, a file or the network, but for what the
// functions of the caller do.
//
// # Life cycle
//
//	m := New(functions)          // looks first there, then at the built-in ones
//	m.Set("res", "mydata")
//	text, err := m.Run("%{res} is %upper{%state{}}\n")
//
// A Machine belongs to one user at a time.
package macro
