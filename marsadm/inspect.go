// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/status"
	"mars/infra/symtree"
)

func inspectCommands() []command {
	const look = wantTree | inspects
	list := []command{
		{name: "status", usage: "[RES]", group: grpInspect, brief: "what a resource is doing, and why not", scope: anyResource, needs: look | speaksJSON, reads: readsStatus, run: showStatus},
		viewCommand(),
		{name: "show", usage: "[RES]", group: grpInspect, brief: "the links of this host", scope: anyResource, needs: look, reads: readsOwn, run: showLinks},
		{name: "cat", usage: "PATH...", group: grpInspect, brief: "a message file, with readable times", min: 1, max: -1, needs: wantDir | inspects | anyone | hereOnly, reads: readsNone, run: catFiles},
		{name: "show-info", usage: "RES", group: grpInspect, brief: "the messages about a resource", scope: oneOrAll, needs: look | wantExisting, reads: readsBasic, phases: one(showInfo)},
		{name: "show-errors", usage: "RES", group: grpInspect, brief: "errors of a resource", scope: oneOrAll, needs: look | wantExisting, reads: readsErrors, phases: one(showErrors)},
	}
	for _, c := range []struct {
		name, brief string
		fn          func(*job) error
		reads       reader
	}{
		{"role", "who is primary", showRole, readsRoles}, {"state", "the same", showRole, readsRoles},
		{"show-state", "the state of the replica in one line", showState, readsStates},
		{"dstate", "the state of the local disk in one word", func(j *job) error { j.say("%s", stateOf(j.tree, j.res, j.host).diskWord()); return nil }, readsStates},
		{"cstate", "the state of the replication in one word", showCState, readsStates},
	} {
		list = append(list, command{name: c.name, usage: "RES", group: grpInspect, brief: c.brief, scope: oneOrAll, needs: look | wantExisting | wantMember, reads: c.reads, phases: one(c.fn)})
	}
	// Their names in earlier releases (manual 3.3.6).
	for _, c := range []struct {
		name, brief string
		needs       need
		fn          func(*job) error
	}{{"mars-state", "deprecated: see show-state", look | wantExisting | wantMember, showState}, {"mars-info", "deprecated: see show-info", look | wantExisting, showInfo}} {
		list = append(list, command{name: c.name, usage: "RES", group: grpInspect, brief: c.brief, scope: oneOrAll, needs: c.needs | hidden, phases: one(c.fn)})
	}
	return list
}

// showRole: who is primary, actually and designated.
func showRole(j *job) error {
	actual, me := "", false
	for _, host := range j.tree.ActualHosts(j.res) {
		if j.actual(host, symtree.ActualIsPrimary) {
			if host == j.host {
				me = true
			}
			if actual == "" {
				actual = host
			}
		}
	}
	designated := j.tree.Primary(j.res)
	text := "I am actually secondary"
	if me {
		text, actual = "I am actually primary", j.host
	}
	switch {
	case actual == designated && actual != j.host:
		text += fmt.Sprintf(" and %s is primary", symtree.FormatPrimary(actual))
	case actual == designated:
	case designated == j.host:
		text += " and I should be primary"
	default:
		text += fmt.Sprintf(" and %s should be primary", symtree.FormatPrimary(designated))
	}
	j.say("%s", text)
	return nil
}

func showState(j *job) error {
	m := stateOf(j.tree, j.res, j.host)
	switch {
	case m.primary:
		j.say("is_primary")
	case m.designated:
		j.say("becoming_primary")
	case m.synced < m.size:
		j.say("secondary inconsistent (%d bytes of %d)", m.synced, m.size)
	case !m.passed:
		j.say("secondary inconsistent (replay has not yet passed the end of the sync)")
	case m.uptodate():
		j.say("secondary uptodate")
	case m.end.Number == 0:
		j.say("secondary outdated (%s)", m.replay)
	default:
		j.say("secondary outdated (%s instead of %s,%d,0)", m.replay, m.end.LogName(), m.end.Pos)
	}
	return nil
}

func showCState(j *job) error {
	m := stateOf(j.tree, j.res, j.host)
	word := "Replaying"
	switch {
	case m.split != nil || m.said != "":
		word = "SplitBrain"
	case m.primary:
		word = "Replicating"
	case m.designated:
		word = "NotYetPrimary"
	case m.synced < m.size && !j.todo(symtree.TodoSync):
		word = "PausedSync"
	case m.synced < m.size:
		word = "Syncing"
	case !j.todo(symtree.TodoConnect):
		word = "PausedFetch"
	case !j.todo(symtree.TodoAllowReplay):
		word = "PausedReplay"
	case j.tree.Primary(j.res) == "":
		word = "NoPrimaryDesignated"
	}
	j.say("%s", word)
	return nil
}

// showLinks lists the links of this host, NAME=VALUE.
func showLinks(x *run) error {
	list, err := x.shown()
	if err != nil {
		return err
	}
	show := func(path string) {
		if v, ok := x.tree.Value(path); ok {
			x.say("%s=%s", path, oneLine(v))
		}
	}
	for _, path := range []string{symtree.IPPath(x.host), symtree.AlivePath(x.host), symtree.EmergencyPath(x.host), symtree.RestSpacePath(x.host)} {
		show(path)
	}
	for _, res := range list {
		for _, path := range []string{
			symtree.DevicePath(res, x.host), symtree.PrimaryPath(res), symtree.SizePath(res), symtree.ActSizePath(res, x.host),
			symtree.SyncStatusPath(res, x.host), symtree.ReplayPath(res, x.host),
		} {
			show(path)
		}
		for _, dir := range []string{symtree.ActualDir(res, x.host), symtree.TodoDir(res, x.host)} {
			for _, i := range x.tree.List(dir) {
				show(i.Path)
			}
		}
	}
	return nil
}

// maxMessages bounds what is read of a message file, bytes.
const maxMessages = 64 << 20

// catFiles prints files of the tree's directory with readable times. What
// does not exist is empty.
func catFiles(x *run) error {
	for _, arg := range x.args {
		rel, err := x.relative(arg)
		if err != nil {
			return err
		}
		if err := x.cat(rel); err != nil {
			return err
		}
	}
	return nil
}

// relative turns the path of a user, below /mars whatever the directory really
// is, into one relative to it.
func (x *run) relative(arg string) (string, error) {
	rel, err := symtree.FromUser(arg)
	if err == nil {
		return rel, nil
	}
	if rest, ok := strings.CutPrefix(arg, strings.TrimSuffix(x.sys.Place().MarsDir, "/")+"/"); ok {
		if rel, err := symtree.FromUser("/mars/" + rest); err == nil {
			return rel, nil
		}
	}
	return "", usage("%v", err)
}

func (x *run) cat(rel string) error {
	fs, err := x.sys.FS()
	if err != nil {
		return err
	}
	data, err := fs.ReadFile(rel, maxMessages)
	if errors.Is(err, env.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read '%s': %w", symtree.ToUser(rel), err)
	}
	_, err = io.WriteString(x.sys.Stdout(), visible(readableTimes(string(data))))
	return err
}

// readableTimes replaces stamps, sec.nnnnnnnnn, by date and time in the local
// time zone.
func readableTimes(text string) string {
	return regexp.MustCompile(`[0-9]{9,11}\.[0-9]{9}`).ReplaceAllStringFunc(text, func(s string) string {
		sec, ns, _ := strings.Cut(s, ".")
		n, err := strconv.ParseInt(sec, 10, 64)
		if err != nil {
			return s
		}
		return time.Unix(n, 0).Format(time.DateTime) + "." + ns
	})
}

func logStatus(j *job) string { return symtree.ResourceDir(j.res) + "/logstatus-" + j.host + ".status" }

func showInfo(j *job) error { return j.cat(logStatus(j)) }

// showErrors fails if there are problems, so that scripts can test for it.
func showErrors(j *job) error {
	bad := 0
	if !j.foreign() && !j.sys.Loaded() {
		j.say("no marsd is running on this host: nothing is replicated here")
		bad++
	}
	for _, text := range splitTexts(j.tree, j.res) {
		j.say("%s", text)
		bad++
	}
	for _, host := range j.tree.Members(j.res) {
		for _, key := range []string{actualDisk, actualLog} {
			if text, _ := j.tree.Value(symtree.ActualPath(j.res, host, key)); reason(text) != "" {
				j.say("%s, says host '%s': %s", key, host, text)
				bad++
			}
		}
		if j.actual(host, symtree.ActualHasEmergency) {
			j.say("host '%s' is in emergency mode: its writes are not logged; free space in its /mars", host)
			bad++
		}
	}
	if fs, err := j.sys.FS(); err == nil {
		data, _ := fs.ReadFile(logStatus(j), maxMessages) // not there: no messages
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if low := strings.ToLower(line); (strings.HasPrefix(low, "err") || strings.HasPrefix(low, "warn")) && !status.Settled(j.tree, j.res, line) {
				j.say("%s", readableTimes(line))
				bad++
			}
		}
	}
	if bad > 0 {
		return die("resource %s has some (old) problems.", j.res)
	}
	j.say("no errors/warnings are reported.")
	return nil
}
