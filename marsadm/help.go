// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
)

func toolCommands() []command {
	return []command{
		{name: "help", usage: "[COMMAND|macros]", group: grpTool, brief: "show this text, or what is to be known of one command, or the macros of view", max: 1, needs: anyone | inspects, run: func(x *run) error {
			if len(x.args) > 0 && x.args[0] == "macros" {
				showMacros(x)
				return nil
			}
			if len(x.args) > 0 {
				return showHelpOf(x.sys.Stdout(), x.args[0])
			}
			showHelp(x.sys.Stdout())
			return nil
		}},
		{name: "version", group: grpTool, brief: "show the version", needs: anyone | inspects, run: func(x *run) error {
			x.say("marsadm %s (symlink tree %s)", buildVersion(), treeVersion)
			return nil
		}},
	}
}

// buildVersion is what the build recorded about the source.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	if info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// showHelp lists the commands by group, and the options.
func showHelp(w io.Writer) {
	fmt.Fprintf(w, "marsadm [OPTION]... COMMAND [RESOURCE|all] [ARGUMENT]...\n\nOptions stand anywhere. 'force-COMMAND' is 'COMMAND --force'.\n")
	for _, o := range optionTable() {
		name := "--" + o.name
		if o.value != "" {
			name += "=" + o.value
		}
		if o.short != "" {
			name += ", -" + o.short
		}
		fmt.Fprintf(w, "  %-24s %s\n", name, o.brief)
	}
	table := commandTable()
	var groups []string
	for _, c := range table {
		if !c.has(hidden) && !slices.Contains(groups, c.group) {
			groups = append(groups, c.group)
		}
	}
	for _, group := range groups {
		fmt.Fprintf(w, "\n%s:\n", group)
		for _, c := range table {
			if c.group == group && !c.has(hidden) {
				fmt.Fprintf(w, "  %-24s %s\n", c.name, c.brief)
			}
		}
	}
}

func showHelpOf(w io.Writer, name string) error {
	c := findCommand(strings.TrimPrefix(name, "force-"))
	if c == nil {
		return usage("unknown command '%s'", name)
	}
	text := manCommand(c)
	if c.timeout == 0 && !c.has(inspects) && c.phases != nil {
		text += " If it has to wait, then no longer than " + defaultTimeout.String() + " unless --timeout says otherwise."
	}
	fmt.Fprintf(w, "usage: marsadm %s\n  %s\n", strings.TrimSpace(c.name+" "+c.usage), text)
	return nil
}
