// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// macroDef is a built-in macro that is a text.
type macroDef struct{ name, text string }

func macroDefs() []macroDef {
	return []macroDef{
		{"default", `%if{%{res}}{%default-resource{}}{%default-global{}}`},
		{"default-resource", `%device-info{}  %{res} [%count-resource-peers{}/%count-cluster-peers{}] %diskstate{} %replstate{} %flags{} %role{} %primarynode{} %commstate{}\n%syncinfo{}%replinfo{}%resource-errors{}`},
		{"default-global", `%comminfo{}`},
		// What another marsd than ours may tell of its features; both are there to be
		// replaced.
		{"default-header", `%if{%features-version{}}{used-log-compression="%used-log-compression{}"\nused-net-compression="%used-net-compression{}"\nused-log-digest="%used-log-digest{}"\nused-net-digest="%used-net-digest{}"\n}`},
		{"default-footer", `%if{0}{}`},
		{"device-info", `%if{%is-primary{}}{  LocalDevice /dev/mars/%get-device{} [%if{%device-opened{}}{Opened}{Closed}]\n}`},
		{"device-stats", `%if{%device-present{}}{%device-opened{} opens\n}`},
		{"1and1", `%default{}`},
		{"default-1and1", `%default{}`},
		{"diskstate-1and1", `%diskstate{}`},
		{"replstate-1and1", `%replstate{}`},
		{"flags-1and1", `%flags{}`},
		{"todo-role-1and1", `%todo-role{}`},
		{"role-1and1", `%role{}`},
		{"primarynode-1and1", `%primarynode{}`},
		{"commstate-1and1", `%commstate{}`},
		{"syncinfo-1and1", `%syncinfo{}`},
		{"replinfo-1and1", `%replinfo{}`},
	}
}

// macroText finds a built-in text by its plain name.
func macroText(name string) string {
	for _, d := range macroDefs() {
		if plainMacro(d.name) == name {
			return d.text
		}
	}
	return ""
}

// showMacros lists what view knows.
func showMacros(x *run) {
	x.say("marsadm view[-MACRO] [RES|all] [ARG]..., or --macro=TEXT. A text has calls like %%name{argument}{argument} and variables like %%{res}.")
	x.say("Files NAME.tpl below $MARS_PATH (/etc/marsadm) are macros, too, and go before these.\n\nmacros:")
	for _, d := range macroDefs() {
		x.say("  %-24s %s", d.name, quoteLines(d.text))
	}
	x.say("\nprimitives (the host may be given as an argument):")
	empty := &run{sys: x.sys, tree: symtree.New(), cmd: x.cmd}
	p := (&view{x: empty}).primitives()
	slices.Sort(p.names)
	for _, name := range p.names {
		x.say("  %s", name)
	}
	x.say("\nfunctions of the language:")
	for _, name := range macro.Names() {
		x.say("  %s", name)
	}
}

func quoteLines(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
