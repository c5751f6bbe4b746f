// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mars/infra/place"
	"mars/infra/symtree"
)

// options are the global options. They may stand anywhere on the line.
type options struct {
	force    bool
	verbose  bool
	dryRun   bool           // tell what would be written, write nothing
	host     string         // act as if on that host; empty: this one
	timeout  *time.Duration // nil: the command's default; negative: for ever
	insecure bool           // create-cluster --insecure-network
	ip       string
	macro    string // text in place of view's first macro
	json     bool   // JSON instead of text
	help     bool
	version  bool
}

// usageError is a command line that is not understood: exit status 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// optionDef is one option of the command line.
type optionDef struct {
	name  string
	short string
	value string // what the value is called; empty: there is none
	brief string
	set   func(o *options, p *place.Place, value string) error
}

func optionTable() []optionDef {
	dir := func(to func(*place.Place) *string) func(*options, *place.Place, string) error {
		return func(_ *options, p *place.Place, v string) error { *to(p) = v; return nil }
	}
	flag := func(to func(*options) *bool) func(*options, *place.Place, string) error {
		return func(o *options, _ *place.Place, _ string) error { *to(o) = true; return nil }
	}
	return []optionDef{
		{"force", "f", "", "skip some preconditions (dangerous)", flag(func(o *options) *bool { return &o.force })},
		{"timeout", "", "SECONDS", "wait no longer (-1: for ever, 0: not at all)", setTimeout},
		{"host", "", "NAME", "act as if on that host", setHost},
		{"verbose", "v", "", "tell more", flag(func(o *options) *bool { return &o.verbose })},
		{"dry-run", "d", "", "show the link changes, change nothing, wait for nothing", flag(func(o *options) *bool { return &o.dryRun })},
		{"ip", "", "ADDRESS", "own address, for create-cluster and join-cluster", func(o *options, _ *place.Place, v string) error { o.ip = v; return nil }},
		{"macro", "", "TEXT", "for view: what to show", func(o *options, _ *place.Place, v string) error { o.macro = v; return nil }},
		{"insecure-network", "", "", "for create-cluster: no encryption, no identities", flag(func(o *options) *bool { return &o.insecure })},
		{"mars-dir", "", "DIR", "the symlink tree ($MARS_DIR)", dir(func(p *place.Place) *string { return &p.MarsDir })},
		{"run-dir", "", "DIR", "marsd's run directory ($MARS_RUN_DIR)", dir(func(p *place.Place) *string { return &p.RunDir })},
		{"dev-dir", "", "DIR", "where devices appear ($MARS_DEV_DIR)", dir(func(p *place.Place) *string { return &p.DevDir })},
		{"pki-dir", "", "DIR", "keys ($MARS_PKI_DIR)", dir(func(p *place.Place) *string { return &p.PKIDir })},
		{"ssh", "", "PROGRAM", "called as PROGRAM HOST COMMAND... ($MARS_SSH)", dir(func(p *place.Place) *string { return &p.SSH })},
		{"json", "", "", "for status and explain: JSON instead of text", flag(func(o *options) *bool { return &o.json })},
		{"help", "h", "", "show the commands", flag(func(o *options) *bool { return &o.help })},
		{"version", "", "", "show the version", flag(func(o *options) *bool { return &o.version })},
	}
}

// setHost: an empty name, of a variable that a script has not set, must not
// mean this host.
func setHost(o *options, _ *place.Place, v string) error {
	if err := symtree.CheckHost(v); err != nil {
		return usage("--host: %v", err)
	}
	o.host = v
	return nil
}

func setTimeout(o *options, _ *place.Place, v string) error {
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < -1 {
		return usage("--timeout must be a number of seconds, or -1 to wait for ever, found '%s'", v)
	}
	d := time.Duration(n) * time.Second
	o.timeout = &d
	return nil
}

// parseLine takes options out of the arguments, wherever they stand, and
// returns the words that remain. Behind "--" everything is a word. "-1" and
// other negative numbers are words.
func parseLine(args []string, p *place.Place) (words []string, o options, err error) {
	defs := optionTable()
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(words, args[i+1:]...), o, nil
		}
		if len(arg) < 2 || arg[0] != '-' || arg[1] >= '0' && arg[1] <= '9' {
			words = append(words, arg)
			continue
		}
		name, value, given := strings.Cut(arg, "=")
		def := findOption(defs, name)
		if def == nil {
			return nil, o, usage("unknown option '%s'", name)
		}
		switch {
		case def.value == "" && given:
			return nil, o, usage("option --%s takes no value", def.name)
		case def.value != "" && !given:
			if i++; i >= len(args) {
				return nil, o, usage("option --%s needs a value: --%s=%s", def.name, def.name, def.value)
			}
			value = args[i]
		}
		if err := def.set(&o, p, value); err != nil {
			return nil, o, err
		}
	}
	return words, o, nil
}

func findOption(defs []optionDef, arg string) *optionDef {
	for i := range defs {
		if arg == "--"+defs[i].name || defs[i].short != "" && arg == "-"+defs[i].short {
			return &defs[i]
		}
	}
	return nil
}
