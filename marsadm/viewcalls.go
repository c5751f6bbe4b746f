// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// calls are the functions by which one macro uses another, and those that do
// something.
func (p *primTable) calls() {
	call := func(a *macro.Args) (string, error) {
		s, err := a.All()
		if err != nil {
			return "", err
		}
		if !goodMacroName(s[0]) {
			return "", fmt.Errorf("'%s' can not be the name of a macro", s[0])
		}
		var b strings.Builder
		b.WriteString("%" + s[0])
		for _, arg := range append(s[1:], "")[:max(len(s)-1, 1)] {
			b.WriteString("{" + quoteMacro(arg) + "}")
		}
		t, err := macro.Parse(b.String())
		if err != nil {
			return "", err
		}
		return p.v.m.Call(s[0], t, s[1:])
	}
	p.add("call", call)
	p.add("include", call)
	p.add("foreach-glob", func(a *macro.Args) (string, error) {
		pattern, err := a.Get(0)
		if err != nil {
			return "", err
		}
		name, err := a.Get(1)
		if err != nil {
			return "", err
		}
		list, err := p.v.glob(pattern)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for _, item := range list {
			p.v.m.Set(name, visible(item)) // userspace may have any characters in names
			text, err := a.Get(2)
			b.WriteString(text)
			if err != nil {
				return b.String(), err
			}
		}
		return b.String(), nil
	})
	p.add("warn", func(a *macro.Args) (string, error) {
		s, err := a.All()
		if err == nil {
			p.v.x.warn("%s", strings.TrimSpace(strings.Join(s, "")))
		}
		return "", err
	})
	p.add("dump-vars", func(*macro.Args) (string, error) {
		for _, name := range p.v.m.Variables() {
			p.v.x.errorf("%s=%q\n", name, p.v.m.Get(name))
		}
		return "", nil
	})
	p.effects()
}

// effects are the functions that take time or look elsewhere than into the tree.
func (p *primTable) effects() {
	p.add("sleep", func(a *macro.Args) (string, error) {
		s, err := a.Get(0)
		if err != nil {
			return "", err
		}
		d, err := time.ParseDuration(s + "s")
		if err != nil || d < 0 || d > time.Hour {
			return "", fmt.Errorf("expected a number of seconds, found '%s'", s)
		}
		return "", p.v.pause(d)
	})
	p.add("timeout", func(a *macro.Args) (string, error) {
		s, err := a.Get(0)
		if err != nil {
			return "", err
		}
		d, err := time.ParseDuration(s + "s")
		if err != nil {
			return "", fmt.Errorf("expected a number of seconds, found '%s'", s)
		}
		p.v.x.deadline, p.v.x.forever = p.v.x.sys.Mono()+d, d < 0
		return "", nil
	})
	p.add("errno-text", func(a *macro.Args) (string, error) {
		s, err := a.Get(0)
		if err != nil {
			return "", err
		}
		n := 0
		if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
			return "", nil
		}
		return p.v.x.sys.ErrnoText(max(n, -n)), nil
	})
}

// quoteMacro makes a text that evaluates to s.
func quoteMacro(s string) string {
	return strings.NewReplacer(`\`, `\\`, "{", `\{`, "}", `\}`, "%", `\%`).Replace(s)
}

// pause lets time pass, and reads the tree anew.
func (v *view) pause(d time.Duration) error {
	if v.x.opt.dryRun {
		return nil
	}
	if err := v.x.sys.Sleep(d); err != nil {
		return err
	}
	v.known = map[string]*viewFacts{}
	return v.x.reload()
}

// waits are wait-is-attach-on and the like: 1 when it was reached, 0 when time
// ran out before.
func (p *primTable) waits() {
	x := p.v.x
	wait := func(cond func() bool) string {
		for !cond() {
			if x.never || x.opt.dryRun || !x.forever && x.sys.Mono() >= x.deadline {
				return "0"
			}
			if p.v.pause(pollInterval) != nil {
				return "0"
			}
		}
		return "1"
	}
	for _, word := range []string{"attach", "sync", "fetch", "replay", "primary", "secondary"} {
		for _, on := range []bool{true, false} {
			end := "-off"
			if on {
				end = "-on"
			}
			p.host("wait-is-"+word+end, func(res, host string, _ *viewFacts) string {
				return wait(func() bool { return p.v.facts(res, host).is(word) == on })
			})
			p.host("wait-todo-"+word+end, func(res, host string, _ *viewFacts) string {
				return wait(func() bool {
					switch word {
					case "primary":
						return (x.tree.Primary(res) == host) == on
					case "secondary":
						return (x.tree.Primary(res) != host) == on
					}
					return (x.todoValue(res, host, word) == "1") == on
				})
			})
		}
	}
	p.word("wait-resource", func(res, word string) string {
		j := &job{run: x, res: res, was: map[string]bool{}}
		d, want, is, err := parseCondition(word)
		if err != nil {
			return "0"
		}
		return wait(func() bool { return j.reached(d, is) == want })
	})
	p.add("wait-cluster", func(a *macro.Args) (string, error) {
		arg, err := a.Get(0)
		if err != nil {
			return "", err
		}
		hosts := strings.FieldsFunc(arg, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		if len(hosts) == 0 {
			hosts = x.tree.Hosts()
		}
		x.sys.Trigger(3)
		since := x.tree.Newest()
		return wait(func() bool {
			for _, host := range hosts {
				if s, _ := x.tree.Stamp(symtree.TimePath(host)); host != x.sys.Place().Host && s <= since {
					return false
				}
			}
			return true
		}), nil
	})
}

// isMessage tells whether the key of a fact is that of a message of a class: err-,
// wrn-, inf-, or empty for all. Our marsd has names of its own for them.
func isMessage(key, class string) bool {
	switch key {
	case actualDisk, actualLog, actualSplit:
		return class == "" || class == "err-"
	case actualWhy:
		return class == "" || class == "wrn-"
	}
	return strings.HasPrefix(key, "msg-"+class)
}

// messages are what daemons have left in links msg-*: fatal errors, errors,
// warnings, and information.
func (p *primTable) messages() {
	x := p.v.x
	get := func(res, class string, global bool) []string {
		var list []string
		host := p.v.m.Get("host")
		dirs := []string{symtree.Parent(symtree.GlobalActualPath(host, "x"))}
		if !global && symtree.CheckResource(res) == nil {
			dirs = append(dirs, symtree.ActualDir(res, host))
		}
		for _, dir := range dirs {
			for _, i := range x.tree.List(dir) {
				if i.Kind == symtree.Link && isMessage(symtree.Base(i.Path), class) && reason(i.Value) != "" && i.Value != "OK" {
					list = append(list, i.Value)
				}
			}
		}
		return list
	}
	for _, which := range []string{"all", "the"} {
		for _, pretty := range []string{"", "pretty-"} {
			for _, global := range []string{"", "global-"} {
				for _, class := range []string{"", "err-", "wrn-", "inf-"} {
					read := func() []string { return get(p.v.m.Get("res"), class, global != "") }
					name := which + "-" + pretty + global + class
					p.add(name+"msg", func(*macro.Args) (string, error) {
						text := strings.Join(read(), "\n")
						if pretty != "" {
							text = readableTimes(text)
						}
						return text, nil
					})
					p.add(name+"count", func(*macro.Args) (string, error) { return fmt.Sprint(len(read())), nil })
				}
			}
		}
	}
	p.word("get-msg", func(res, word string) string {
		v, _ := x.tree.Value(symtree.ActualPath(res, p.v.m.Get("host"), "msg-"+word))
		return v
	})
	p.statusFile()
	p.host("resource-errors", func(res, host string, f *viewFacts) string {
		out := ""
		for _, line := range get(res, "err-", false) {
			if line != f.said {
				out += "     " + readableTimes(line) + "\n"
			}
		}
		switch {
		case f.said != "":
			out += "     SPLIT BRAIN: " + f.said + "\n"
		case f.split != nil:
			out += fmt.Sprintf("     SPLIT BRAIN: since log %d at %d: %s\n", f.split.Number, f.split.Pos, f.split.Why)
		}
		return out
	})
}

// statusFile are the messages in the file of the resource.
func (p *primTable) statusFile() {
	x := p.v.x
	status := func(res string) []string {
		fs, err := x.sys.FS()
		if err != nil || symtree.CheckResource(res) != nil {
			return nil
		}
		data, _ := fs.ReadFile(logStatus(&job{run: x, res: res}), maxMessages) // not there: no messages
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	p.word("get-log-status", func(res, _ string) string { return readableTimes(strings.Join(status(res), "\n")) })
	for _, class := range []string{"fat", "err", "wrn"} {
		read := func(res string) []string {
			var list []string
			for _, line := range status(res) {
				if low := strings.ToLower(line); strings.HasPrefix(low, class) || class == "wrn" && strings.HasPrefix(low, "warn") {
					list = append(list, line)
				}
			}
			return list
		}
		p.word("get-resource-"+class, func(res, _ string) string { return strings.Join(read(res), "\n") })
		p.word("get-resource-"+class+"-count", func(res, _ string) string { return fmt.Sprint(len(read(res))) })
	}
}
