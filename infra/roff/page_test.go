// SPDX-License-Identifier: GPL-2.0-or-later

package roff

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPage(t *testing.T) {
	p := New("x-y", 8, "does things")
	p.Term("--all=N", `like "this"`)
	p.Doc("Text with [Link] and\nmore.\n\n# A heading\n\nMore:\n\n\t.code here\n\tand there\n\nList:\n\n  - one\n    and more\n  - two\n\nNumbers:\n\n 1. first\n")
	want := `.TH X\-Y 8 "" mars "mars"
.SH "NAME"
x\-y \- does things
.TP
.B "\-\-all=N"
like "this"
.PP
Text with [Link] and more.
.SH "A HEADING"
.PP
More:
.PP
.nf
\&.code here
and there
.fi
.PP
List:
.IP "\-" 4
one and more
.IP "\-" 4
two
.PP
Numbers:
.IP "1" 4
first
`
	if got := p.String(); got != want {
		t.Errorf("found\n%s", got)
	}
}

// Nothing that is given as text becomes a command.
func TestNoCommands(t *testing.T) {
	allowed := regexp.MustCompile(`^\.(TH |SH "|SS "|PP$|TP$|B "|nf$|fi$|IP ")`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z.'\\"\n \t#-]*`)
		p := New("x", 1, text.Draw(t, "brief"))
		p.Heading(text.Draw(t, "heading"))
		p.Para(text.Draw(t, "para"))
		p.Term(text.Draw(t, "term"), text.Draw(t, "meaning"))
		p.Code(text.Draw(t, "code"))
		p.Doc(text.Draw(t, "doc"))
		for l := range strings.Lines(p.String()) {
			l = strings.TrimSuffix(l, "\n")
			if strings.HasPrefix(l, "'") || strings.HasPrefix(l, ".") && !allowed.MatchString(l) {
				t.Fatalf("a command: %q in\n%s", l, p)
			}
			if strings.Count(l, `"`)%2 == 1 && strings.HasPrefix(l, ".") {
				t.Fatalf("an argument that does not end: %q", l)
			}
		}
	})
}

func TestPackageDoc(t *testing.T) {
	if got := PackageDoc("// Copyright\n\n// Package x is.\n//\n// More.\npackage x\n"); got != "Package x is.\n\nMore.\n" {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{"", "package x\n", "no source"} {
		if got := PackageDoc(bad); got != "" {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}
