package main

import (
	_ "embed" // for docFile
	"fmt"
	"io"
	"strings"

	"mars/infra/roff"
	"mars/infra/tunable"

	"github.com/urfave/cli/v2"
)

//go:embed doc.go
var docFile string

// manPage is marsd(8), made of what the program is made of.
func manPage(app *cli.App) *roff.Page {
	p := roff.New("marsd", 8, "the daemon of mars")
	p.Heading("synopsis")
	for _, c := range app.Commands {
		if !c.Hidden {
			p.Para("marsd " + c.Name + " [OPTION]...")
		}
	}
	p.Heading("description")
	p.Doc(roff.PackageDoc(docFile))
	for _, c := range app.Commands {
		if c.Hidden || len(c.Flags) == 0 {
			continue
		}
		p.Heading("options of " + c.Name)
		p.Para(c.Usage + ". " + c.Description)
		for _, f := range c.Flags {
			if doc, ok := f.(cli.DocGenerationFlag); ok {
				p.Term("--"+f.Names()[0]+valueName(doc), strings.ReplaceAll(doc.GetUsage(), "`", "")+defaultText(doc))
			}
		}
	}
	p.Heading("tunables")
	p.Para("Files of RUN_DIR/sys, lines mars.NAME = VALUE in sysctl.d, and --set NAME=VALUE.")
	for _, d := range tunable.Defs() {
		p.Term(d.Name, fmt.Sprintf("%s (%s)", d.Doc, tunableText(d)))
	}
	p.Doc("# Tunables without effect\n" + after(roff.PackageDoc(tunable.DocFile), "# Without effect\n", "# "))
	p.Heading("metrics")
	p.Para("Served for Prometheus with --metrics, at /metrics.")
	for _, m := range metricDefs() {
		name := m.name
		if len(m.labels) > 0 {
			name += "{" + strings.Join(m.labels, ",") + "}"
		}
		p.Term(name, m.help)
	}
	p.Heading("see also")
	p.Para("marsadm(8), mars-symlinks(7), mars-log(5)")
	return p
}

// after is the part of text between two marks.
func after(text, from, to string) string {
	_, text, _ = strings.Cut(text, from)
	text, _, _ = strings.Cut(text, "\n"+to)
	return text
}

func valueName(f cli.DocGenerationFlag) string {
	if !f.TakesValue() {
		return ""
	}
	if _, name, ok := strings.Cut(f.GetUsage(), "`"); ok {
		name, _, _ = strings.Cut(name, "`")
		return "=" + name
	}
	return "=VALUE"
}

func defaultText(f cli.DocGenerationFlag) string {
	if v := f.GetValue(); f.TakesValue() && v != "" && v != "[]" {
		return " (" + v + ")"
	}
	return ""
}

func tunableText(d tunable.Def) string {
	switch d.Mode {
	case tunable.ReadOnly:
		return strings.TrimSpace("measured, read-only " + d.Unit)
	case tunable.AtStart:
		return fmt.Sprintf("default %d, %s, at start only", d.Default, d.Range())
	}
	return fmt.Sprintf("default %d, %s", d.Default, d.Range())
}

// manCommand prints the page: of no host in particular, without anybody's
// environment.
func manCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name: "man", Usage: "print the manual page marsd(8): marsd man | man -l -",
		Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			_, err := io.WriteString(stdout, manPage(newApp(func(string) string { return "" }, "", io.Discard, io.Discard)).String())
			return err
		},
	}
}
