// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCommands walks through chapter 3 of the manual, command by command, as an
// administrator types them: in the right order and in the wrong one, twice,
// without marsd, and while a peer is dead. Of each it checks the exit status, what
// it says, the links and what the daemons then really do.
func TestCommands(t *testing.T) {
	if !ready(t) {
		return
	}
	// Not beside others: the daemons that they start look into all loop devices, and who
	// looks has a device open for a moment, which commands are refused for here.
	c := newCluster(t, 3)
	v := &tour{t: t, c: c, a: c.nodes[0], b: c.nodes[1], n: c.nodes[2], ran: map[string]bool{}}
	for _, section := range []struct {
		name string
		fn   func()
	}{
		{"3.1 create-cluster", v.createCluster}, {"3.1 join-cluster", v.joinCluster},
		{"3.2.1 create-resource", v.createResource}, {"3.2.1 join-resource", v.joinResource},
		{"3.2.2 switches", v.switches}, {"3.2.2 their effect", v.switchEffects}, {"3.2.2 attach, detach", v.attachDetach}, {"3.2.2 up, down", v.upDown},
		{"3.2.2 primary, secondary", v.roles}, {"3.2.2 primary --force", v.deadPrimary}, {"3.2.2 resize", v.resize},
		{"3.2.3 logfiles", v.logfiles}, {"3.2.4 invalidate", v.invalidate}, {"3.2.4 fake-sync, set-replay", v.fakeSync},
		{"3.3.1 inspection", v.inspection}, {"3.3.2 conditions", v.conditions}, {"3.3.2 waiting", v.waiting},
		{"3.3.3 low-level helpers", v.lowLevel}, {"3.3.4 - 3.3.6 from DRBD", v.fromDRBD}, {"options", v.options},
		{"later commands", v.laterCommands}, {"without marsd", v.withoutDaemon},
		{"3.2.1 leave-resource", v.leaveResource}, {"3.1 leave-cluster", v.leaveCluster},
	} {
		start := time.Now()
		section.fn()
		t.Logf("%-28s %.1f s", section.name, time.Since(start).Seconds())
	}
	for _, word := range untried(v.does(v.a, "help"), v.ran) {
		t.Errorf("command %s was not run: it needs a step in the section that it belongs to", word)
	}
}

// hiddenWords are commands that help does not list.
var hiddenWords = []string{"set-replay", "mars-state", "mars-info", "enrol", "complete"}

// untried lists the commands that were not run, by the text of help: there a
// command stands behind two blanks below a heading, and in front of what it is
// for.
func untried(help string, ran map[string]bool) (missing []string) {
	words := slices.Clone(hiddenWords)
	below := false
	for line := range strings.Lines(help) {
		if !strings.HasPrefix(line, " ") {
			below = strings.HasSuffix(line, ":\n")
			continue
		}
		if f := strings.Fields(line); below && len(f) > 1 {
			words = append(words, f[0])
		}
	}
	for _, word := range words {
		if !ran[word] {
			missing = append(missing, word)
		}
	}
	return missing
}

// The control of the check: a command without a step is found, options and
// headings are no commands.
func TestUntried(t *testing.T) {
	const help = "marsadm [OPTION]... COMMAND\n\nOptions stand anywhere.\n  --force, -f   skip\n\ncluster:\n  create-cluster   make\n  join-cluster     become\n\nDRBD:\n  adjust           ignored: why\n"
	ran := map[string]bool{"create-cluster": true, "adjust": true}
	for _, word := range hiddenWords {
		ran[word] = true
	}
	if got := untried(help, ran); !slices.Equal(got, []string{"join-cluster"}) {
		t.Errorf("found %q, expected join-cluster alone", got)
	}
	delete(ran, "enrol")
	ran["join-cluster"] = true
	if got := untried(help, ran); !slices.Equal(got, []string{"enrol"}) {
		t.Errorf("found %q, expected enrol alone", got)
	}
	if got := commandOf("--verbose force-pause-sync mydata"); got != "pause-sync" {
		t.Errorf("the command of the line is '%s', expected pause-sync", got)
	}
}

// other is the second resource, and otherName its device.
const other, otherName = "other", "odev"

// tour is what the sections share: C is no member of the resources.
type tour struct {
	t       *testing.T
	c       *cluster
	a, b, n *node
	w       *writer
	second  map[string]string // disks of the resource other, by host
	ran     map[string]bool   // commands that were run and judged
}

// commandOf is the command of a line.
func commandOf(line string) string {
	for word := range strings.FieldsSeq(line) {
		if !strings.HasPrefix(word, "-") {
			return strings.TrimPrefix(word, "force-")
		}
	}
	return ""
}

// run runs a line whose outcome the caller judges.
func (v *tour) run(n *node, line string) result {
	v.ran[commandOf(line)] = true
	return n.adm(strings.Fields(line)...)
}

// does runs a command that must succeed and say all of the texts.
func (v *tour) does(n *node, line string, texts ...string) string {
	v.t.Helper()
	r := v.run(n, line)
	if r.code != 0 {
		v.t.Fatalf("%s# marsadm %s: exit status %d\n%s%s", n.name, line, r.code, r.out, r.err)
	}
	v.says(n, line, r, texts)
	return r.out
}

func (v *tour) says(n *node, line string, r result, texts []string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			v.t.Errorf("%s# marsadm %s does not say %q:\n%s%s", n.name, line, text, r.out, r.err)
		}
	}
}

// prints runs a command whose output must be just that.
func (v *tour) prints(n *node, line, want string) {
	v.t.Helper()
	if r := v.run(n, line); r.code != 0 || r.out != want {
		v.t.Errorf("%s# marsadm %s: exit status %d\n%s%sexpected:\n%s", n.name, line, r.code, r.out, r.err, want)
	}
}

// fails runs a command that fails after a while, and may have changed something.
func (v *tour) fails(n *node, line string, texts ...string) result {
	v.t.Helper()
	r := v.run(n, line)
	if r.code != 1 || !strings.Contains(r.err, "DYING: ") {
		v.t.Errorf("%s# marsadm %s: exit status %d, expected a failure\n%s%s", n.name, line, r.code, r.out, r.err)
	}
	v.says(n, line, r, texts)
	return r
}

// refusal is a line that is refused at once, and what is said.
type refusal struct {
	line, why string
	hint      string // what to do instead; every refusal has some
}

// usageHint is what a line is answered with that is not understood.
const usageHint = "'marsadm help' lists"

// refuses runs lines that must be refused, say why and what to do, and leave the
// node's tree as it is. Its daemon stands still meanwhile.
func (v *tour) refuses(n *node, list ...refusal) {
	v.t.Helper()
	defer n.freeze()()
	before := n.snapshot()
	for _, x := range list {
		v.ran[commandOf(x.line)] = true
		r := before.refuses(n, x.why, strings.Fields(x.line)...)
		want := 1
		if x.hint == usageHint {
			want = 2
		}
		_, hint, _ := strings.Cut(r.err, "   HINT: ")
		if r.code != want || x.hint == "" || !strings.Contains(hint, x.hint) {
			v.t.Errorf("%s# marsadm %s: exit status %d, expected %d and a hint with %q:\n%s", n.name, x.line, r.code, want, x.hint, r.err)
		}
	}
}

// during runs a command that must not be over before what happens meanwhile, and
// succeed behind it.
func (v *tour) during(n *node, line string, meanwhile func()) {
	v.t.Helper()
	if r := v.run(n, line+" --timeout=0"); r.code == 0 {
		v.t.Errorf("%s# marsadm %s succeeds before there is a reason:\n%s", n.name, line, r.out)
	}
	done := make(chan result, 1)
	go func() { done <- n.adm(strings.Fields(line)...) }()
	meanwhile()
	if r := <-done; r.code != 0 {
		v.t.Errorf("%s# marsadm %s: exit status %d\n%s%s", n.name, line, r.code, r.out, r.err)
	}
}

// todo is a switch of a host in a node's tree.
func (n *node) todo(host, key string) string {
	return n.link("resource-" + res + "/todo-" + host + "/" + key)
}

// isTodo checks switches of a host, KEY VALUE pairs.
func (v *tour) isTodo(n *node, host string, pairs ...string) {
	v.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := n.todo(host, pairs[i]); got != pairs[i+1] {
			v.t.Errorf("at %s the switch '%s' of %s is '%s', expected '%s'", n.name, pairs[i], host, got, pairs[i+1])
		}
	}
}

// write makes stamped writes on A and waits until B has them.
func (v *tour) write(count int) {
	v.t.Helper()
	v.w.write(count)
	v.b.awaitVersion(v.w.acked.Load())
}
