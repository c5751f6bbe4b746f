// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"

	"mars/infra/symtree"
)

// Completion: a shell runs a small fixed script, which asks
// "marsadm complete SHELL -- WORD..." for what may stand in place of the last
// word. Names come from the tree; what is not in its grammar is not offered, so
// nothing in them has a meaning for a shell.

// scripts are what to put into the shells' own places; for bash
//
//	marsadm completion bash > /etc/bash_completion.d/marsadm
var scripts = [...]struct{ shell, text string }{
	{"bash", `# completion of marsadm for bash
_marsadm() {
	local IFS=$'\n'
	COMPREPLY=($(marsadm complete bash -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
	return 0
}
complete -o default -F _marsadm marsadm
`},
	{"zsh", `#compdef marsadm
# completion of marsadm for zsh
_marsadm() {
	local -a found open shut
	found=(${(f)"$(marsadm complete zsh -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	open=(${(M)found:#*=}) shut=(${found:#*=})
	if (( $#found )); then
		(( $#open )) && compadd -S '' -- $open
		(( $#shut )) && compadd -- $shut
		return 0
	fi
	_files
}
if [[ $funcstack[1] == _marsadm ]]; then # found by its name, at the first TAB
	_marsadm "$@"
else
	compdef _marsadm marsadm
fi
`},
	{"fish", `# completion of marsadm for fish
function __marsadm
	set -l words (commandline -opc) (commandline -ct)
	marsadm complete fish -- $words[2..-1] 2>/dev/null
end
complete -c marsadm -f -n 'count (__marsadm) >/dev/null' -a '(__marsadm)'
`},
}

func completionCommands() []command {
	return []command{
		{name: "completion", usage: "{bash|zsh|fish}", group: grpTool, brief: "print the completion script for a shell", min: 1, max: 1, needs: anyone | inspects, run: showScript},
		{name: "complete", usage: "SHELL -- WORD...", group: grpTool, brief: "what may stand in place of the last word", min: 1, max: -1, needs: anyone | inspects | hidden, reads: readsMembers, run: complete},
		{name: "man", usage: "PAGE", group: grpTool, brief: "print a manual page: marsadm, mars-symlinks, mars-log, mars-json", min: 1, max: 1, needs: anyone | inspects, run: showMan},
	}
}

func showScript(x *run) error {
	for _, s := range scripts {
		if s.shell == x.args[0] {
			_, err := x.sys.Stdout().Write([]byte(s.text))
			return err
		}
	}
	return usage("there is no completion for the shell '%s'; there is for bash, zsh and fish", x.args[0])
}

// complete prints candidates, one a line. Where there is nothing to say it says
// nothing: the shell then offers files.
func complete(x *run) error {
	words := x.args[1:]
	last := ""
	if x.args[0] == "bash" {
		words = joinBroken(words)
	}
	if n := len(words); n > 0 {
		words, last = words[:n-1], words[n-1]
	}
	typed, list := last, x.candidates(words, last)
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(last, "-") && x.args[0] == "bash" {
		// bash replaces only what stands behind the =.
		typed = value
		for i := range list {
			list[i] = strings.TrimPrefix(list[i], name+"=")
		}
	}
	for _, c := range list {
		if strings.HasPrefix(c, typed) {
			x.say("%s", c)
		}
	}
	return nil
}

// joinBroken puts words together that bash has broken at a =.
func joinBroken(words []string) []string {
	var out []string
	for i, w := range words {
		n := len(out)
		if n > 0 && (w == "=" || i > 0 && words[i-1] == "=") && strings.HasPrefix(out[n-1], "-") {
			out[n-1] += w
			continue
		}
		out = append(out, w)
	}
	return out
}

// candidates are what may stand in place of last, behind words.
func (x *run) candidates(words []string, last string) []string {
	words, opt, err := parseLine(words, x.sys.Place())
	if err != nil {
		return nil
	}
	x.opt.host = opt.host
	if x.open() != nil {
		x.tree = symtree.New() // not for root, or no tree: names of commands are enough
	}
	if strings.HasPrefix(last, "-") {
		return x.optionWords(last)
	}
	if len(words) == 0 {
		return x.firstWords(last)
	}
	c := findCommand(strings.TrimPrefix(words[0], "force-"))
	if c == nil {
		return nil
	}
	at := len(words) - 1 // the argument that is being typed
	if c.scope != noResource {
		if at == 0 {
			return x.resourceWords(c)
		}
		at--
	}
	return argumentWords(c, at)
}

// firstWords are the commands, and those of their other forms that somebody has begun.
func (x *run) firstWords(last string) []string {
	list := commandWords()
	switch {
	case strings.HasPrefix(last, "force-"):
		for i := range list {
			list[i] = "force-" + list[i]
		}
	case strings.HasPrefix(last, "view-"):
		for _, d := range macroDefs() {
			list = append(list, "view-"+d.name)
		}
		for _, name := range (&view{x: x}).primitives().names {
			list = append(list, "view-"+name)
		}
		slices.Sort(list)
		list = slices.Compact(list)
	}
	return list
}

func commandWords() []string {
	var list []string
	for _, c := range commandTable() {
		if !c.has(hidden) {
			list = append(list, c.name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (x *run) optionWords(last string) []string {
	if strings.HasPrefix(last, "--host=") {
		var list []string
		for _, h := range x.tree.Hosts() {
			list = append(list, "--host="+h)
		}
		return list
	}
	if strings.Contains(last, "=") {
		return nil
	}
	var list []string
	for _, o := range optionTable() {
		name := "--" + o.name
		if o.value != "" {
			name += "="
		}
		list = append(list, name)
	}
	return list
}

// resourceWords are the resources that a command can be about.
func (x *run) resourceWords(c *command) []string {
	var list []string
	host := x.sys.Place().Host
	if x.opt.host != "" {
		host = x.opt.host
	}
	for _, res := range x.tree.Resources() {
		member := x.tree.IsMember(res, host)
		if c.scope == newResource && !member || c.scope != newResource && (member || !c.has(wantMember)) {
			list = append(list, res)
		}
	}
	if c.scope != newResource {
		list = append(list, all)
	}
	return list
}

// argumentWords are the words that an argument of a command can be.
func argumentWords(c *command, at int) []string {
	switch {
	case at == 0 && c.name == "wait-resource":
		var list []string
		for _, d := range waitDefs() {
			for _, w := range d.words {
				list = append(list, w, w+"-off", w+"-on", "is-"+w, "is-"+w+"-off", "is-"+w+"-on")
			}
		}
		return list
	case at == 0 && c.name == "log":
		return []string{"dump", "check"}
	case at == 0 && c.name == "completion":
		return []string{"bash", "zsh", "fish"}
	case at == 0 && c.name == "man":
		var list []string
		for _, p := range manPages() {
			list = append(list, p.name)
		}
		return list
	case at == 0 && c.name == "help":
		return commandWords()
	}
	return nil
}
