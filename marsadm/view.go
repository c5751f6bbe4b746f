// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// viewDefault shows the default macro.
const viewDefault = "view"

// viewCommand is "view": the default macro. view-NAME is any other one; they
// are not in the table, since there are hundreds.
func viewCommand() command {
	return command{name: viewDefault, usage: "[RES|all [ARG]...]", group: grpInspect, brief: "what a macro says, view-MACRO any other one (help macros)", scope: anyResource, max: -1, needs: wantDir | inspects | anyone | readsOthers, reads: readsView, run: showView}
}

// viewNamed is the command view-NAME, or prettyprint-NAME; nil if name is none.
func viewNamed(name string) *command {
	for _, prefix := range []string{"view-", "prettyprint-"} {
		if m, ok := strings.CutPrefix(name, prefix); ok {
			c := viewCommand()
			c.name = name
			c.run = func(x *run) error { return x.view(m) }
			return &c
		}
	}
	return nil
}

func showView(x *run) error { return x.view("default") }

// view is a macro being shown.
type view struct {
	x     *run
	m     *macro.Machine
	texts map[string]*macro.Text // macros taken apart, by plain name
	known map[string]*viewFacts
	prims map[string]macro.Func
	own   map[string]string // macros of the administrator
}

// view shows one macro.
func (x *run) view(name string) error {
	if !goodMacroName(name) {
		return usage("'%s' can not be the name of a macro", name)
	}
	if x.tree.UUID() == "" {
		x.warn("no valid cluster UUID /mars/uuid found")
	}
	if !x.sys.Loaded() && !x.foreign() {
		x.warn("no marsd is running on this host")
	}
	v := &view{x: x, texts: map[string]*macro.Text{}, known: map[string]*viewFacts{}}
	v.prims = v.primitives().list
	var err error
	if v.own, err = x.sys.Templates(); err != nil {
		return err
	}
	v.m = macro.New(v.lookup)
	if x.opt.macro != "" {
		t, err := macro.Parse(x.opt.macro)
		if err != nil {
			return usage("%v", err)
		}
		v.texts[plainMacro(name)] = t
	}
	v.variables()
	switch x.word {
	case "":
		return v.show(name, "")
	case all:
		return v.showAll(name)
	}
	for res := range strings.SplitSeq(x.word, ",") {
		if err := symtree.CheckResource(res); err != nil {
			return usage("%v", err)
		}
		if !x.tree.Exists(symtree.ResourceDir(res)) {
			return dieHint("'marsadm show all' lists what is known here", "resource '%s' does not exist", res)
		}
		if err := v.show(name, res); err != nil {
			return err
		}
	}
	return nil
}

// showAll shows the macro for every resource of the host, with what belongs
// before and behind.
func (v *view) showAll(name string) error {
	header := name + "-header"
	if t, err := v.text(plainMacro(header)); err == nil && t == nil {
		header = "default-header"
	}
	if err := v.optional(header); err != nil {
		return err
	}
	for _, res := range v.myResources() {
		size, _ := v.x.tree.Size(res)
		v.x.say("--------- resource %s %s [%d/%d]", res, bytesText(size), len(v.x.tree.Members(res)), len(v.x.tree.Hosts()))
		if err := v.show(name, res); err != nil {
			return err
		}
	}
	for _, part := range []string{"-global", "-footer"} {
		if err := v.optional(name + part); err != nil {
			return err
		}
	}
	for _, host := range v.x.tree.Hosts() {
		if age := v.x.age(host); host != v.x.sys.Place().Host && (age < 0 || age >= window) {
			v.x.warn("no metadata is arriving from peer '%s', age = %s", host, macro.HumanSeconds(fmt.Sprint(age)))
		}
	}
	return nil
}

func (v *view) optional(name string) error {
	t, err := v.text(plainMacro(name))
	if err != nil || t == nil {
		return err
	}
	return v.show(name, "")
}

// show puts out what the macro gives for one resource.
func (v *view) show(name, res string) error {
	v.m.Set("res", res)
	v.m.Set("resdir", "")
	if res != "" {
		v.m.Set("resdir", symtree.ToUser(symtree.ResourceDir(res)))
	}
	if v.lookup(plainMacro(name)) == nil {
		return dieHint("'marsadm help macros' lists them", "cannot find macro '%s'", name)
	}
	call, err := macro.Parse("%" + name + "{}")
	if err != nil {
		return usage("%v", err)
	}
	text, err := v.m.RunText(call)
	if err != nil && !errors.Is(err, errTimeout) {
		return die("macro '%s': %v", name, err)
	}
	if err != nil {
		return err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err = v.x.sys.Stdout().Write([]byte(text))
	return err
}

// variables are those that every macro finds.
func (v *view) variables() {
	x := v.x
	ip, _ := x.tree.Value(symtree.IPPath(x.host))
	timeout := (x.deadline - x.sys.Mono()).Seconds()
	if x.forever {
		timeout = -1
	}
	for _, pair := range [][2]string{
		{"cmd", x.cmd.name}, {"mars", "/mars"}, {"host", x.host}, {"real_host", x.sys.Place().Host}, {"ip", visible(ip)},
		{"timeout", fmt.Sprintf("%.0f", timeout)}, {"threshold", fmt.Sprint(viewThreshold)}, {"window", fmt.Sprint(window)}, {"stuck-seconds", "3600"},
		{"keep-backup-hours", "168"}, {"keep-backup-seconds", "604800"},
		{"force", boolText(x.opt.force)}, {"dry-run", boolText(x.opt.dryRun)}, {"verbose", boolText(x.opt.verbose)}, {"callstack", ""},
	} {
		v.m.Set(pair[0], pair[1])
	}
	for i, arg := range x.args {
		v.m.Set(fmt.Sprint(i+1), arg)
	}
}

// viewThreshold is how far behind still counts as "almost reached", bytes.
const viewThreshold = 10 << 20

// lookup finds a macro or a primitive by its plain name. A text, from a file or
// built in, goes before a primitive.
func (v *view) lookup(name string) macro.Func {
	if t, err := v.text(name); t != nil || err != nil {
		return func(a *macro.Args) (string, error) {
			if err != nil {
				return "", err
			}
			args, err := a.All()
			if err != nil {
				return "", err
			}
			return v.m.Call(name, t, args)
		}
	}
	return v.prims[strings.TrimPrefix(name, "primitive")]
}

// text finds a macro that is a text; nil if there is none.
func (v *view) text(name string) (*macro.Text, error) {
	if t, ok := v.texts[name]; ok {
		return t, nil
	}
	source, own := v.own[name]
	if own {
		source = stripComments(source)
	} else {
		source = macroText(name)
	}
	var t *macro.Text
	if own || source != "" {
		var err error
		if t, err = macro.Parse(source); err != nil {
			return nil, fmt.Errorf("macro '%s': %w", name, err)
		}
	}
	v.texts[name] = t
	return t, nil
}

// stripComments takes out what a file may have for people: // and # to the end
// of the line, /* */, and a backslash with the line's end.
func stripComments(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, "\\\n"):
			i += 2
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(rest[:2])
			i += 2
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest, "*/")
			if end < 0 {
				return b.String()
			}
			i += end + 2
		case strings.HasPrefix(rest, "//") || rest[0] == '#':
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				return b.String()
			}
			i += end
		default:
			b.WriteByte(rest[0])
			i++
		}
	}
	return b.String()
}

// goodMacroName: it becomes part of a file's name.
func goodMacroName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != "" && len(name) <= symtree.MaxKey
}

func plainMacro(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "-", ""), "_", "")
}

// facts about a member, read once.
func (v *view) facts(res, host string) *viewFacts {
	key := res + "/" + host
	if f := v.known[key]; f != nil {
		return f
	}
	f := v.x.viewFactsOf(res, host)
	v.known[key] = f
	return f
}

func (v *view) myResources() []string {
	return slices.DeleteFunc(v.x.tree.Resources(), func(res string) bool { return !v.x.tree.IsMember(res, v.x.host) })
}
