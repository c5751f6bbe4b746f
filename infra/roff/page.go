// SPDX-License-Identifier: GPL-2.0-or-later

package roff

import (
	"fmt"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"strings"
)

// Page is a manual page being made, with the macros of man(7). It belongs to
// one user.
type Page struct{ b strings.Builder }

// New begins the page of name in a section, with its one line for whatis(1).
func New(name string, section int, brief string) *Page {
	p := &Page{}
	fmt.Fprintf(&p.b, ".TH %s %d \"\" mars \"mars\"\n", strings.ToUpper(escape(name)), section)
	p.Heading("NAME")
	p.line(name + " - " + brief)
	return p
}

// escape makes text that roff prints as it is.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\t", "        ").Replace(text)
}

// line writes one line of text, which may not begin like a command.
func (p *Page) line(text string) {
	text = escape(strings.ReplaceAll(text, "\n", " "))
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	p.b.WriteString(text + "\n")
}

// macro writes a command with one argument.
func (p *Page) macro(name, arg string) {
	fmt.Fprintf(&p.b, ".%s \"%s\"\n", name, strings.ReplaceAll(escape(strings.ReplaceAll(arg, "\n", " ")), `"`, `\(dq`))
}

// Heading begins a section of the page.
func (p *Page) Heading(text string) { p.macro("SH", strings.ToUpper(text)) }

// Sub begins a part of a section.
func (p *Page) Sub(text string) { p.macro("SS", text) }

// Para writes a paragraph.
func (p *Page) Para(text string) {
	p.b.WriteString(".PP\n")
	p.line(text)
}

// Term writes a term and, indented below it, what it means.
func (p *Page) Term(term, text string) {
	p.b.WriteString(".TP\n")
	p.macro("B", term)
	p.line(text)
}

// Code writes lines as they are.
func (p *Page) Code(text string) {
	p.b.WriteString(".PP\n.nf\n")
	for l := range strings.Lines(text) {
		p.line(strings.TrimRight(l, "\n"))
	}
	p.b.WriteString(".fi\n")
}

// Doc writes the comment of a package. Its headings become sections.
func (p *Page) Doc(text string) {
	for _, block := range new(comment.Parser).Parse(text).Content {
		switch x := block.(type) {
		case *comment.Heading:
			p.Heading(plain(x.Text))
		case *comment.Paragraph:
			p.Para(plain(x.Text))
		case *comment.Code:
			p.Code(x.Text)
		case *comment.List:
			for _, item := range x.Items {
				mark := item.Number
				if mark == "" {
					mark = "-"
				}
				var text []string
				for _, b := range item.Content {
					if para, ok := b.(*comment.Paragraph); ok {
						text = append(text, plain(para.Text))
					}
				}
				fmt.Fprintf(&p.b, ".IP \"%s\" 4\n", escape(mark))
				p.line(strings.Join(text, " "))
			}
		}
	}
}

// plain is a text without its marks.
func plain(list []comment.Text) string {
	var b strings.Builder
	for _, t := range list {
		switch x := t.(type) {
		case comment.Plain:
			b.WriteString(string(x))
		case comment.Italic:
			b.WriteString(string(x))
		case *comment.Link:
			b.WriteString(plain(x.Text))
		case *comment.DocLink:
			b.WriteString(plain(x.Text))
		}
	}
	return b.String()
}

// String is the page.
func (p *Page) String() string { return p.b.String() }

// PackageDoc is the comment of the package in a source file; empty if it has
// none.
func PackageDoc(source string) string {
	f, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil || f.Doc == nil {
		return ""
	}
	return f.Doc.Text()
}
