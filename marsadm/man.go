// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"

	"mars/infra/roff"
	"mars/infra/symtree"
	"mars/infra/translog"
)

// manPage is one manual page that this program can print.
type manPage struct {
	name string
	make func() *roff.Page
}

func manPages() []manPage {
	return []manPage{
		{"marsadm", manMarsadm},
		{"mars-symlinks", func() *roff.Page {
			p := roff.New("mars-symlinks", 7, "the symlink tree of mars")
			p.Heading("description")
			p.Doc(roff.PackageDoc(symtree.DocFile))
			p.Heading("see also")
			p.Para("marsadm(8), marsd(8), mars-log(5)")
			return p
		}},
		{"mars-log", func() *roff.Page {
			p := roff.New("mars-log", 5, "transaction logfiles of mars")
			p.Heading("description")
			p.Para("To look into a logfile use marsadm log dump FILE, to verify one marsadm log check FILE.")
			p.Doc(roff.PackageDoc(translog.DocFile))
			p.Heading("see also")
			p.Para("marsadm(8), marsd(8), mars-symlinks(7)")
			return p
		}},
		{"mars-json", manJSON},
	}
}

// showMan prints a page for man(1): marsadm man PAGE | man -l -
func showMan(x *run) error {
	var names []string
	for _, p := range manPages() {
		if p.name == x.args[0] {
			_, err := x.sys.Stdout().Write([]byte(p.make().String()))
			return err
		}
		names = append(names, p.name)
	}
	return usage("there is no page '%s'; there are: %s (marsd prints its own: marsd man)", x.args[0], strings.Join(names, ", "))
}

func manMarsadm() *roff.Page {
	p := roff.New("marsadm", 8, "administrate mars, the asynchronous replication of block devices")
	p.Heading("synopsis")
	p.Para("marsadm [OPTION]... COMMAND [RESOURCE|all] [ARGUMENT]...")
	p.Heading("description")
	p.Para("marsadm reads and writes the symlink tree in /mars; what is written there is carried out by marsd, here and on the other hosts. " +
		"A resource is named by its name; all stands for every resource that this host is a member of. force-COMMAND is COMMAND --force.")
	p.Para("A command waits for what it needs and for its effect, by default 5 seconds unless its description says otherwise; --timeout changes that. " +
		"On a terminal a wait for a sync or for replay shows how far it is.")
	manOptions(p)
	manCommands(p)
	p.Heading("exit status")
	p.Term("0", "success")
	p.Term("1", "the command was refused, failed or timed out; a refused command has changed nothing")
	p.Term("2", "the command line was not understood")
	p.Heading("environment")
	p.Para("MARS_DIR, MARS_RUN_DIR, MARS_DEV_DIR, MARS_PKI_DIR, MARS_IP and MARS_SSH are the defaults of the options. MARS_HOST is the name of this host.")
	p.Heading("see also")
	p.Para("marsd(8), mars-symlinks(7), mars-json(7), mars-log(5)")
	return p
}

func manOptions(p *roff.Page) {
	p.Heading("options")
	for _, o := range optionTable() {
		name := "--" + o.name
		if o.value != "" {
			name += "=" + o.value
		}
		if o.short != "" {
			name += ", -" + o.short
		}
		p.Term(name, o.brief)
	}
}

func manCommands(p *roff.Page) {
	p.Heading("commands")
	group := ""
	for _, c := range commandTable() {
		if c.has(hidden) {
			continue
		}
		if c.group != group {
			group = c.group
			p.Sub(group)
		}
		p.Term(strings.TrimSpace(c.name+" "+c.usage), manCommand(&c))
	}
}

// orForce says that --force does without a marsd, where it does.
func orForce(c *command) string {
	if c.has(reallyLoaded) {
		return ""
	}
	return ", or --force"
}

// manCommand is what the table says about a command.
func manCommand(c *command) string {
	text := c.brief + "."
	if c.scope == oneOrAll {
		text += " Also for all."
	}
	for _, n := range []struct {
		bit  need
		text string
	}{
		{wantMember, "The host must be a member of the resource."}, {wantSecondary, "It must be secondary there, or --force."}, {wantAttached, "The disk must be attached, or --force."},
		{wantLoaded, "A marsd must be running" + orForce(c) + "."},
		{hereOnly, "Not with --host."}, {anyone, "Not only for root."}, {speaksJSON, "Understands --json."},
	} {
		if c.has(n.bit) {
			text += " " + n.text
		}
	}
	switch {
	case c.timeout < 0:
		text += " Goes on for ever unless --timeout says otherwise."
	case c.timeout > 0:
		text += " Waits no longer than " + c.timeout.String() + " unless --timeout says otherwise."
	}
	return text
}
