// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"

	"mars/infra/env"
	"mars/infra/symtree"
)

// What a command reads of the tree. Commands about one resource read that one
// only. Those about all of them say which links they go by, since a tree of
// hundreds of resources has tens of thousands. TestReads holds that less is
// never read than makes a difference.

// What only shows something needs no stamps, which cost as much again.

// reader tells how much of an entry of a resource's directory is read, by the
// parts of its path: the resource's directory, and what is below it, empty for
// the directory itself.
type reader func(x *run, resDir, below string) env.Want

// filter is what the command reads, nil for everything. It is used from several
// goroutines.
func (x *run) filter() symtree.Wanted {
	read := x.cmd.reads
	x.named = symtree.CheckResource(x.word) == nil
	x.ownView = len(x.args) == 0 && slices.Contains(ownViews(), x.cmd.name)
	everything := read == nil || x.readAll || x.cmd.has(readsOthers) && x.ownMacros()
	if x.word != "" && x.word != all && x.cmd.scope != newResource && x.cmd.scope != noResource && !x.cmd.has(readsOthers) {
		own := symtree.ResourceDir(x.word)
		return func(resDir, _ string) env.Want { return just(resDir == own) }
	}
	if everything {
		return nil
	}
	return func(resDir, below string) env.Want { return read(x, resDir, below) }
}

// just is all or nothing.
func just(wanted bool) env.Want {
	if wanted {
		return env.WantAll
	}
	return env.WantNothing
}

// value is without the stamp, or nothing.
func value(wanted bool) env.Want { return min(just(wanted), env.WantValue) }

// ownMacros tells whether view may come across a macro of somebody's own, which
// may ask for anything.
func (x *run) ownMacros() bool {
	own, err := x.sys.Templates()
	return err != nil || len(own) > 0 || x.opt.macro != ""
}

// readsView: what is built in asks for its own resource, and for the members of
// the others. Of all resources at once it asks for the age of replay links.
func readsView(x *run, resDir, below string) env.Want {
	switch {
	case !x.named && x.ownView:
		return max(value(aboutOwn(x, below) || !strings.HasPrefix(below, "todo-") && aboutPeers(below, symtree.ActualIsPrimary, actualSplit)), just(strings.HasPrefix(below, "replay-")))
	case !x.named:
		return max(env.WantValue, just(strings.HasPrefix(below, "replay-")))
	}
	return max(value(below == "" || strings.HasPrefix(below, "data-")), just(resDir == symtree.ResourceDir(x.word)))
}

// ownViews are the default macro, and what it is made of: they are about the own
// replica, and who is primary.
func ownViews() []string {
	list := []string{viewDefault}
	for _, name := range []string{"diskstate", "replstate", "flags", "role", "todo-role", "primarynode", "commstate", "syncinfo", "replinfo", "device-info", "resource-errors"} {
		list = append(list, viewDefault+"-"+name)
	}
	return list
}

// readsStatus is for the status of all. In JSON it is all that is about members,
// but no stamps.
func readsStatus(x *run, _, below string) env.Want {
	if x.opt.json {
		return value(!strings.HasPrefix(below, "connect-"))
	}
	return value(!strings.HasPrefix(below, "todo-") && aboutPeers(below, symtree.ActualIsPrimary, symtree.ActualIsAttached, symtree.ActualOpenCount, actualSplit) || aboutOwn(x, below))
}

// readsExplain is for why nothing is happening.
func readsExplain(x *run, _, below string) env.Want {
	return value(aboutPeers(below, symtree.ActualIsPrimary, actualSplit, actualWhy, actualDisk) || aboutOwn(x, below))
}

// aboutOwn tells whether it is about the acting host or this one.
func aboutOwn(x *run, below string) bool {
	return ofHost(below, x.host) || ofHost(below, x.sys.Place().Host)
}

// aboutPeers tells whether something about other members is told by it: their
// history, their switches, and those of their facts.
func aboutPeers(below string, facts ...string) bool {
	name, key, inside := strings.Cut(below, "/")
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "actual":
		return !inside || slices.Contains(facts, key)
	case "connect", "device", "actsize", "verifystatus", "local", "defaults", "userspace":
		return false
	}
	return true
}

// readsErrors is for what is wrong anywhere.
func readsErrors(x *run, _, below string) env.Want {
	name, key, inside := strings.Cut(below, "/")
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "replay", "version", "skip", "syncpos", "syncfrom":
		return env.WantValue
	case "actual":
		return value(!inside || slices.Contains([]string{symtree.ActualIsPrimary, actualSplit, actualDisk, actualLog, symtree.ActualHasEmergency}, key))
	}
	return value(basic(x, below))
}

// readsBasic is for what is not in links at all.
func readsBasic(x *run, _, below string) env.Want { return value(basic(x, below)) }

// readsBranches is for what follows all branches of the history: what it deletes
// must be older than the order.
func readsBranches(x *run, _, below string) env.Want {
	return max(just(strings.HasPrefix(below, "version-") || strings.HasPrefix(below, "log-")), value(basic(x, below) || strings.HasPrefix(below, "replay-") || primaryFact(below)))
}

// readsMembers is for which resources and members there are.
func readsMembers(_ *run, _, below string) env.Want {
	return value(below == "" || strings.HasPrefix(below, "data-"))
}

// readsNone is for commands that are about the cluster alone.
func readsNone(*run, string, string) env.Want { return env.WantNothing }

// readsNamed is for commands whose arguments are paths.
func readsNamed(x *run, resDir, _ string) env.Want {
	for _, arg := range x.args {
		if rel, err := x.relative(arg); err == nil && (rel == resDir || strings.HasPrefix(rel, resDir+"/")) {
			return env.WantAll
		}
	}
	return env.WantNothing
}

// ofHost tells whether the last host in the name is the one.
func ofHost(below, host string) bool {
	dir, _, _ := strings.Cut(below, "/")
	return strings.HasSuffix(dir, "-"+host)
}

// basic is what the common preconditions go by.
func basic(x *run, below string) bool {
	return below == "" || below == "size" || below == "primary" || strings.HasPrefix(below, "data-") || below == "actsize-"+x.host
}

// fact tells whether it is one of those facts about the host, or their directory.
func fact(below, host string, keys ...string) bool {
	key, ok := strings.CutPrefix(below, "actual-"+host)
	return ok && (key == "" || slices.Contains(keys, strings.TrimPrefix(key, "/")))
}

// readsOwn is what is the acting host's own, and what is everybody's. Of its
// logs and version links nothing depends.
func readsOwn(x *run, _, below string) env.Want {
	switch {
	case strings.HasPrefix(below, "version-") || strings.HasPrefix(below, "log-"):
		return env.WantNothing
	case x.cmd.has(inspects):
		return value(basic(x, below) || ofHost(below, x.host))
	}
	return just(basic(x, below) || ofHost(below, x.host))
}

// readsSwitch is for switches of the acting host.
func readsSwitch(x *run, _, below string) env.Want {
	device := strings.HasPrefix(below, "actual-"+x.host+"/"+symtree.ActualDevice("")) || below == "device-"+x.host
	torn := below == "replay-"+x.host || below == "syncstatus-"+x.host // see warnWindow
	return max(just(strings.HasPrefix(below, "todo-") && ofHost(below, x.host)), value(basic(x, below) || device || torn ||
		fact(below, x.host, symtree.ActualIsAttached, symtree.ActualIsPrimary, symtree.ActualIsReplaying, symtree.ActualIsSyncing, symtree.ActualOpenCount, actualWhy)))
}

// readsSwitches is for one switch of all members.
func readsSwitches(key string) reader {
	return func(x *run, _, below string) env.Want {
		_, name, inside := strings.Cut(below, "/")
		return max(just(strings.HasPrefix(below, "todo-") && (!inside || name == key)), value(basic(x, below)))
	}
}

// readsLogs is for what is about logs: all that tells of them.
func readsLogs(x *run, _, below string) env.Want {
	return max(just(strings.HasPrefix(below, "version-") || strings.HasPrefix(below, "log-")),
		value(basic(x, below) || strings.HasPrefix(below, "replay-") || fact(below, x.host, symtree.ActualIsPrimary, actualWhy)))
}

// readsRoles is for who is primary.
func readsRoles(x *run, _, below string) env.Want {
	return value(basic(x, below) || primaryFact(below))
}

// primaryFact tells whether it says of any host that it is primary.
func primaryFact(below string) bool {
	_, key, inside := strings.Cut(below, "/")
	return strings.HasPrefix(below, "actual-") && (!inside || key == symtree.ActualIsPrimary)
}

// readsStates is for the state of the own replica: what is its own, whose
// version it is measured by, and all versions.
func readsStates(x *run, _, below string) env.Want {
	if name, _, _ := strings.Cut(below, "-"); name == "connect" || name == "device" {
		return env.WantNothing
	}
	if strings.HasPrefix(below, "actual-") {
		return value(primaryFact(below) || fact(below, x.host, symtree.ActualIsAttached, actualSplit))
	}
	return max(readsRoles(x, "", below), value(strings.HasPrefix(below, "version-") || !strings.HasPrefix(below, "log-") && ofHost(below, x.host)))
}
