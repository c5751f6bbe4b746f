// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mars/infra/symtree"
)

func waitCommands() []command {
	return []command{
		{name: "wait-cluster", group: grpWait, brief: "until all hosts of the cluster have sent a message", needs: wantTree | wantLoaded | hereOnly, reads: readsNone, timeout: 30 * time.Second,
			run: func(x *run) error { return x.waitPeers(x.tree.Hosts()) }},
		{name: "wait-connect", usage: "RES", group: grpWait, brief: "the same for the members of a resource", scope: oneOrAll, needs: onResource | hereOnly, timeout: 30 * time.Second,
			phases: one(func(j *job) error { return j.waitPeers(j.tree.Members(j.res)) })},
		{name: "wait-resource", usage: "RES [{is-,}{attach,connect,fetch,replay,sync,primary,secondary,device}{-on,-off,}]", group: grpWait, brief: "until a condition holds here",
			scope: oneOrAll, max: 1, needs: onResource, timeout: 60 * time.Second, phases: one(waitResource)},
		{name: "wait-umount", usage: "RES", group: grpWait, brief: "until the device is closed on all members", scope: oneOrAll, needs: onResource, phases: one(waitUmount)},
	}
}

// waitPeers waits until each of the hosts has been heard of since now.
func (x *run) waitPeers(hosts []string) error {
	since := map[string]int64{}
	peers := 0
	for _, host := range hosts {
		if host != x.sys.Place().Host {
			since[host], _ = x.tree.Stamp(symtree.TimePath(host))
			peers++
		}
	}
	x.sys.Trigger(3)
	silent := func() []string {
		var list []string
		for _, host := range hosts {
			before, peer := since[host]
			if now, _ := x.tree.Stamp(symtree.TimePath(host)); peer && now <= before {
				list = append(list, host)
			}
		}
		return list
	}
	err := x.await(func() (string, error) {
		if s := silent(); len(s) > 0 {
			return fmt.Sprintf("no message from peer(s): %s", strings.Join(s, " ")), nil
		}
		return "", nil
	})
	if err == nil {
		x.say("all %d peer(s) seem to be alive", peers)
		return nil
	}
	dead := silent()
	x.warn("%d peer(s) seem to be alive, and %d peer(s) seem to be dead / not reachable: %s", peers-len(dead), len(dead), strings.Join(dead, " "))
	if x.opt.force {
		return nil
	}
	return err
}

// waitDef is one word of wait-resource. The manual's and the original's words
// for the same thing are all understood.
type waitDef struct {
	words []string
	actual,
	todo string // keys
}

func waitDefs() []waitDef {
	return []waitDef{
		{[]string{"attach", "attached"}, symtree.ActualIsAttached, symtree.TodoAttach},
		{[]string{"replay", "replaying"}, symtree.ActualIsReplaying, symtree.TodoAllowReplay},
		{[]string{"sync", "syncing"}, symtree.ActualIsSyncing, symtree.TodoSync},
		{[]string{"connect", "connected", "fetch", "fetching", "copy", "copying"}, symtree.ActualIsCopying, symtree.TodoConnect},
		{[]string{"primary"}, symtree.ActualIsPrimary, ""},
		{[]string{"device"}, "", ""},
	}
}

// waitResource waits for a condition: is-X what marsd has reached, X what
// commands have asked for (manual 3.3.2).
func waitResource(j *job) error {
	if len(j.args) == 0 {
		return j.waitPeers(j.tree.Members(j.res))
	}
	d, want, is, err := parseCondition(j.args[0])
	if err != nil {
		return err
	}
	err = j.await(func() (string, error) {
		if j.reached(d, is) != want || is && !want && d.actual == symtree.ActualIsSyncing && j.syncDue() {
			return fmt.Sprintf("resource '%s' on '%s': waiting for %s%s", j.res, j.host, j.args[0], j.because()), nil
		}
		return "", nil
	})
	if err == nil && !j.opt.dryRun {
		j.say("%s", j.hasReached(d, is, want))
	}
	return err
}

// hasReached says what a wait has found, by the link that tells it.
func (j *job) hasReached(d waitDef, is, want bool) string {
	path := symtree.PrimaryPath(j.res)
	switch {
	case is && d.actual == "" && want:
		return fmt.Sprintf("device '/dev/mars/%s' is present", j.deviceName())
	case is && d.actual == "":
		return fmt.Sprintf("device '/dev/mars/%s' is no longer present", j.deviceName())
	case is:
		path = symtree.ActualPath(j.res, j.host, d.actual)
	case d.todo != "":
		path = symtree.TodoPath(j.res, j.host, d.todo)
	}
	value, ok := j.tree.Value(path)
	if !ok {
		value = "0" // what is missing is off
	}
	return fmt.Sprintf("OK, '%s' has acceptable value '%s'", symtree.ToUser(path), value)
}

// syncDue tells whether a sync is wanted that does not run: it has not begun yet,
// or it waits for something. Who waits for its end must not go on before it.
func (j *job) syncDue() bool {
	p := j.tree.Primary(j.res)
	m := stateOf(j.tree, j.res, j.host)
	return m.synced < m.size && j.todo(symtree.TodoSync) && j.todo(symtree.TodoAttach) && p != "" && p != j.host && j.sys.Loaded()
}

// parseCondition reads [is-|has-|todo-]WORD[-on|-off|-1|-0].
func parseCondition(text string) (d waitDef, want, is bool, err error) {
	word, want := text, true
	for _, end := range []struct {
		suffix string
		want   bool
	}{{"-off", false}, {"-0", false}, {"-on", true}, {"-1", true}} {
		if rest, ok := strings.CutSuffix(word, end.suffix); ok {
			word, want = rest, end.want
			break
		}
	}
	todo := false
	for _, prefix := range []string{"is-", "has-", "todo-"} {
		if rest, ok := strings.CutPrefix(word, prefix); ok {
			word, is, todo = rest, prefix != "todo-", prefix == "todo-"
			break
		}
	}
	if word == "secondary" {
		word, want = "primary", !want
	}
	for _, d := range waitDefs() {
		if slices.Contains(d.words, word) {
			return d, want, is, nil
		}
	}
	const known = "known are attach, connect (fetch), replay, sync, primary, secondary, device; is-WORD for what is reached, WORD for what was asked for, -on or -off behind"
	switch {
	case is:
		return d, false, false, usage("actual indicator '%s' does not exist: %s", word, known)
	case todo:
		return d, false, false, usage("todo switch '%s' does not exist: %s", word, known)
	}
	return d, false, false, usage("button '%s' does not exist: %s", word, known)
}

func (j *job) reached(d waitDef, is bool) bool {
	switch {
	case is && d.actual == "":
		return j.deviceThere()
	case is:
		return j.actual(j.host, d.actual) || d.actual == symtree.ActualIsReplaying && j.allReplayed()
	case d.todo == "": // primary, device: one is asked for with the other
		return j.tree.Primary(j.res) == j.host
	}
	return j.todo(d.todo)
}

// allReplayed: a secondary that has nothing to apply is where replay leads to. Its
// marsd says that it is replaying only when there is something again.
func (j *job) allReplayed() bool {
	p := j.tree.Primary(j.res)
	return p != j.host && j.todo(symtree.TodoAllowReplay) && j.actual(j.host, symtree.ActualIsAttached) && !j.actual(j.host, symtree.ActualIsPrimary) &&
		j.sys.Loaded() && stateOf(j.tree, j.res, j.host).uptodate()
}

// waitUmount waits until nobody has the device open, as far as is known here
// (manual 1.4.2.1 needs it on the host that takes over).
func waitUmount(j *job) error {
	err := j.await(func() (string, error) {
		sum, where := int64(0), ""
		for _, host := range j.tree.ActualHosts(j.res) {
			n, _ := j.tree.Int(symtree.ActualPath(j.res, host, symtree.ActualOpenCount))
			if sum += n; n == 0 {
				continue
			}
			where += " " + host
			if why := silence(j.tree, host, j.sys.Wall()); why != "" {
				where += " (" + why + ")"
			}
		}
		if sum > 0 {
			return fmt.Sprintf("device for resource '%s' is %d times in use somewhere: on%s", j.res, sum, where), nil
		}
		return "", nil
	})
	if err == nil {
		j.say("OK, device for resource '%s' is not in use.", j.res)
	}
	return err
}
