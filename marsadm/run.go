// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"mars/infra/env"
	"mars/infra/symtree"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// run is one command under way.
type run struct {
	sys Sys
	out *gathered // the same; nil in a run without a command line

	opt  options
	cmd  *command
	args []string // behind the command, and behind the resource if it takes one
	host string   // the host acted for
	word string   // resource argument as given

	store   *symtree.Store
	tree    *symtree.Tree
	markers map[string]int64
	// pretended are the changes that --dry-run has only told of.
	pretended []symtree.Change

	readAt   time.Duration // when the tree was read, by Sys.Mono
	deadline time.Duration // the same
	forever  bool
	never    bool
	failed   int
	named    bool // the resource argument names one
	ownView  bool // the macro is one of ownViews
	readAll  bool // the whole tree, whatever the command says that it reads
	toldDead bool // it was said that no marsd runs here
	cleaned  bool // cron has cleaned up
	paused   bool // and has waited
	focus    *job // the resource that a phase is at, nil: none
}

// dying is why a command is refused or fails, with what to do about it.
type dying struct {
	text string
	hint string
	role bool // only because the host has the other role: "all" goes on
}

func (d *dying) Error() string { return d.text }

func die(format string, a ...any) error { return &dying{text: fmt.Sprintf(format, a...)} }

// dieHint is die with advice.
func dieHint(hint, format string, a ...any) error {
	return &dying{text: fmt.Sprintf(format, a...), hint: hint}
}

// Run runs one command line, without the program's name, and returns the exit
// status. It blocks until the command is done.
func Run(sys Sys, args []string) int { return (&run{sys: sys}).main(args) }

func (x *run) main(args []string) int {
	x.out = gather(x.sys)
	x.sys = x.out
	defer x.out.flush() // whatever happens
	code := x.command(args)
	if err := x.out.finish(); err != nil && code == exitOK {
		return x.fail(err)
	}
	return code
}

// command runs the command line.
func (x *run) command(args []string) int {
	sys := x.sys
	words, opt, err := parseLine(args, sys.Place())
	if err != nil {
		return x.fail(err)
	}
	x.opt = opt
	switch {
	case opt.help:
		words = []string{"help"}
	case opt.version:
		words = []string{"version"}
	case len(words) == 0:
		x.fail(usage("command argument is missing"))
		showHelp(sys.Stderr())
		return exitUsage
	}
	name, forced := strings.CutPrefix(words[0], "force-")
	x.opt.force = x.opt.force || forced
	x.cmd = findCommand(name)
	if x.cmd == nil {
		return x.fail(usage("unknown command '%s'", name))
	}
	if err := x.prepare(words[1:]); err != nil {
		return x.fail(err)
	}
	if x.cmd.run != nil {
		err = x.cmd.run(x)
	} else {
		err = x.runPhases()
	}
	if err != nil {
		return x.fail(err)
	}
	if x.failed > 0 {
		return exitFailed
	}
	return exitOK
}

// fail reports an error and returns the exit status for it.
func (x *run) fail(err error) int {
	var u *usageError
	var d *dying
	x.errorf("DYING: %v\n", err)
	switch {
	case errors.As(err, &u):
		x.errorf("   HINT: 'marsadm help' lists the commands and options.\n")
		return exitUsage
	case errors.As(err, &d) && d.hint != "":
		x.errorf("   HINT: %s\n", d.hint)
	case errors.Is(err, env.ErrNoSpace):
		x.errorf("   HINT: %[1]s is full, or has no inodes left (df %[1]s; df -i %[1]s): remove what is not of mars, or enlarge it; then marsadm log-delete-all all, and see marsadm status.\n", x.sys.Place().MarsDir)
	}
	return exitFailed
}

// Output goes to the terminal or a pipe; when that is gone there is nobody
// left to tell.
//
// What stands in links was written by anybody: nothing of it may steer the
// terminal.
func (x *run) say(format string, a ...any) {
	io.WriteString(x.people(), visible(fmt.Sprintf(format+"\n", a...)))
}

// people is where words for people go.
func (x *run) people() io.Writer {
	if x.out == nil {
		return x.sys.Stdout()
	}
	return x.out.out
}
func (x *run) errorf(format string, a ...any) {
	io.WriteString(x.sys.Stderr(), visible(fmt.Sprintf(format, a...)))
}
func (x *run) warn(format string, a ...any) {
	x.errorf("WARNING: "+format+"\n", a...)
}

// terminal writes what steers the terminal, and is not from the tree.
func (x *run) terminal(text string) { _, _ = io.WriteString(x.sys.Stderr(), text) }

// visible replaces control characters, but for tabs and ends of lines, and what
// is no UTF-8.
func visible(text string) string {
	plain := func(r rune) bool { return r == '\n' || r == '\t' || r != utf8.RuneError && !hides(r) }
	i := 0
	for i < len(text) && (text[i] >= ' ' && text[i] < 0x7f || text[i] == '\n' || text[i] == '\t') {
		i++
	}
	if strings.IndexFunc(text[i:], func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		_, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case plain(r):
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, "\\x%02x", text[i])
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// hides tells whether a character does something instead of being seen.
func hides(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// oneLine is for a value in a list of lines, which it must not add to.
func oneLine(value string) string { return strings.ReplaceAll(value, "\n", `\n`) }

// prepare checks what all commands have in common, in a fixed order, and
// reads the tree.
func (x *run) prepare(words []string) error {
	c, p := x.cmd, x.sys.Place()
	if err := x.arguments(words); err != nil {
		return err
	}
	if err := p.Check(); err != nil {
		return usage("%v", err)
	}
	if x.sys.UID() != 0 && !c.has(anyone) {
		return die("only root may use this tool")
	}
	if err := x.actAs(); err != nil {
		return err
	}
	x.startClock()
	if c.has(wantDir) || c.has(wantTree) {
		if err := x.open(); err != nil {
			return err
		}
	}
	if c.has(wantTree) {
		if err := x.checkTree(); err != nil {
			return err
		}
	}
	if x.opt.force && !c.has(inspects) {
		x.warn("Using FORCE option -- hopefully you know what you are doing!")
	}
	if c.has(inspects) && c.has(wantMember) && c.group == grpInspect && !x.foreign() && !x.sys.Loaded() {
		x.warn("no marsd is running on this host: what follows may be old")
	}
	if c.has(wantLoaded) && !x.sys.Loaded() && (!x.opt.force || c.has(reallyLoaded)) {
		return dieHint("start it: marsd run (or by your init system)", "cannot execute %s: no marsd is running on this host (no lock on %s)", c.name, p.Lock())
	}
	return nil
}

func (x *run) arguments(words []string) error {
	c := x.cmd
	if c.scope != noResource {
		if len(words) == 0 && c.scope != anyResource {
			return usage("resource argument is missing: marsadm %s %s", c.name, c.usage)
		}
		if len(words) > 0 {
			x.word, words = words[0], words[1:]
		}
	}
	if c.scope == anyResource && c.phases != nil && x.word == "" {
		x.word = all
	}
	if len(words) < c.min {
		return usage("argument is missing: marsadm %s %s", c.name, c.usage)
	}
	if c.max >= 0 && len(words) > c.max {
		return usage("surplus argument '%s': marsadm %s %s", words[c.max], c.name, c.usage)
	}
	if x.opt.json && !c.has(speaksJSON) {
		return usage("command '%s' has no JSON output", c.name)
	}
	x.args = words
	return nil
}

// actAs finds out which host is acted for. That it is a member is checked with
// the tree.
func (x *run) actAs() error {
	own := x.sys.Place().Host
	if err := symtree.CheckHost(own); err != nil {
		return dieHint("set the variable MARS_HOST", "the name of this host can not be used: %v", err)
	}
	x.host = own
	if x.opt.host == "" || x.opt.host == own {
		return nil
	}
	if x.cmd.has(hereOnly) {
		return usage("%s can not be combined with --host", x.cmd.name)
	}
	x.host = x.opt.host
	if !x.cmd.has(inspects) {
		x.say("ATTENTION: acting as if I were host '%s'", x.host)
		x.warn("some commands require local knowledge not available here.")
		x.warn("thus something may fail or go wrong - use this at your risk!")
	}
	return nil
}

// foreign tells whether the command acts for another host than this one.
func (x *run) foreign() bool { return x.host != x.sys.Place().Host }

// open opens the directory and reads the tree.
func (x *run) open() error {
	fs, err := x.sys.FS()
	if errors.Is(err, env.ErrNotExist) {
		return dieHint("create and mount it", "The %s directory does not exist.", x.sys.Place().MarsDir)
	}
	if err != nil {
		return fmt.Errorf("cannot open the symlink tree: %w", err)
	}
	if x.needsMount() && !x.sys.Mounted() {
		return dieHint("mount its file system first", "%s is not mounted", x.sys.Place().MarsDir)
	}
	x.store = symtree.NewStore(fs, symtree.AdmTempOf(x.sys.PID()))
	return x.reload()
}

// needsMount: the directory of the manual must be a file system of its own; a
// directory that somebody chose may be any.
func (x *run) needsMount() bool { return x.sys.Place().MarsDir == "/mars" }

// reload reads the tree anew, as far as the command needs it.
func (x *run) reload() (err error) {
	x.readAt = x.sys.Mono()
	x.tree, x.markers, err = x.store.LoadOnly(x.filter())
	if err == nil {
		symtree.Apply(x.tree, x.markers, x.pretended)
	}
	return err
}

// treeVersion is the format of the tree that this program writes.
const treeVersion = "0.1"

func (x *run) checkTree() error {
	if x.tree.UUID() == "" {
		return dieHint("You need {create,join}-cluster first.", "No valid cluster UUID /mars/uuid found.")
	}
	if v, ok := x.tree.Value(symtree.TreePath(x.sys.Place().Host)); ok && v != treeVersion && slices.Max([]string{v, treeVersion}) == v {
		return dieHint("update marsadm", "marsd uses version %s of the symlink tree, this marsadm knows %s", v, treeVersion)
	}
	if x.cmd.has(inspects) && !x.foreign() {
		return nil
	}
	if !x.tree.Exists(symtree.IPPath(x.host)) {
		hint := "run 'marsadm join-cluster' on it first"
		if in := x.memberships(); x.foreign() && len(in) > 0 {
			// It was lost, and has left the cluster before its resources.
			if x.cmd.has(ofTheLost) && x.opt.force {
				return nil
			}
			hint = fmt.Sprintf("it has left the cluster, but not the resources %s: marsadm leave-resource RES --host=%s --force", strings.Join(in, " "), x.host)
		}
		return dieHint(hint, "host '%s' is not a member of this cluster: /mars/%s does not exist", x.host, symtree.IPPath(x.host))
	}
	return nil
}

// memberships are the resources that the acting host is a member of.
func (x *run) memberships() (in []string) {
	for _, res := range x.tree.Resources() {
		if x.tree.IsMember(res, x.host) {
			in = append(in, res)
		}
	}
	return in
}

// validIP checks an address to be recorded under ips/.
func validIP(text string) error {
	if net.ParseIP(text) == nil {
		return dieHint("give it with --ip=ADDRESS", "'%s' is no IP address", text)
	}
	return nil
}
