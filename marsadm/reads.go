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

// reader tells how much of an entry of a resource's directory is read; see
// symtree.Spot.
type reader func(x *run, at symtree.Spot) env.Want

// filter is what the command reads, nil for everything. It is used from several
// goroutines.
func (x *run) filter() symtree.Wanted {
	read := x.cmd.reads
	x.named = symtree.CheckResource(x.word) == nil
	x.ownView = len(x.args) == 0 && slices.Contains(ownViews(), x.cmd.name)
	everything := read == nil || x.readAll || x.cmd.has(readsOthers) && x.ownMacros()
	if x.word != "" && x.word != all && x.cmd.scope != newResource && x.cmd.scope != noResource && !x.cmd.has(readsOthers) {
		own := symtree.ResourceDir(x.word)
		return func(at symtree.Spot) env.Want { return just(at.ResDir == own) }
	}
	if everything {
		return nil
	}
	return func(at symtree.Spot) env.Want { return read(x, at) }
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
func readsView(x *run, at symtree.Spot) env.Want {
	switch {
	case !x.named && x.ownView:
		return max(value(aboutOwn(x, at) || !at.Is("todo-") && aboutPeers(at, symtree.ActualIsPrimary, actualSplit)), just(at.Is("replay-")))
	case !x.named:
		return max(env.WantValue, just(at.Is("replay-")))
	}
	return max(value(at.Name == "" || at.Is("data-")), just(at.ResDir == symtree.ResourceDir(x.word)))
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
func readsStatus(x *run, at symtree.Spot) env.Want {
	if x.opt.json {
		return value(!at.Is("connect-"))
	}
	return value(!at.Is("todo-") && aboutPeers(at, symtree.ActualIsPrimary, symtree.ActualIsAttached, symtree.ActualOpenCount, actualSplit) || aboutOwn(x, at))
}

// readsExplain is for why nothing is happening.
func readsExplain(x *run, at symtree.Spot) env.Want {
	return value(aboutPeers(at, symtree.ActualIsPrimary, actualSplit, actualWhy, actualDisk) || aboutOwn(x, at))
}

// aboutOwn tells whether it is about the acting host or this one.
func aboutOwn(x *run, at symtree.Spot) bool {
	return at.Of(x.host) || at.Of(x.sys.Place().Host)
}

// aboutPeers tells whether something about other members is told by it: their
// history, their switches, and those of their facts.
func aboutPeers(at symtree.Spot, facts ...string) bool {
	kind, _, _ := strings.Cut(at.Name, "-")
	switch kind {
	case "actual":
		return at.Key == "" || slices.Contains(facts, at.Key)
	case "connect", "device", "actsize", "verifystatus", "local", "defaults", "userspace":
		return false
	}
	return true
}

// readsErrors is for what is wrong anywhere.
func readsErrors(x *run, at symtree.Spot) env.Want {
	kind, _, _ := strings.Cut(at.Name, "-")
	switch kind {
	case "replay", "version", "skip", "syncpos", "syncfrom":
		return env.WantValue
	case "actual":
		return value(at.Key == "" || slices.Contains([]string{symtree.ActualIsPrimary, actualSplit, actualDisk, actualLog, symtree.ActualHasEmergency}, at.Key))
	}
	return value(basic(x, at))
}

// readsBasic is for what is not in links at all.
func readsBasic(x *run, at symtree.Spot) env.Want { return value(basic(x, at)) }

// readsBranches is for what follows all branches of the history: what it deletes
// must be older than the order.
func readsBranches(x *run, at symtree.Spot) env.Want {
	return max(just(at.Is("version-") || at.Is("log-")), value(basic(x, at) || at.Is("replay-") || primaryFact(at)))
}

// readsMembers is for which resources and members there are.
func readsMembers(_ *run, at symtree.Spot) env.Want {
	return value(at.Name == "" || at.Is("data-"))
}

// readsNone is for commands that are about the cluster alone.
func readsNone(*run, symtree.Spot) env.Want { return env.WantNothing }

// readsNamed is for commands whose arguments are paths.
func readsNamed(x *run, at symtree.Spot) env.Want {
	for _, arg := range x.args {
		if rel, err := x.relative(arg); err == nil && (rel == at.ResDir || strings.HasPrefix(rel, at.ResDir+"/")) {
			return env.WantAll
		}
	}
	return env.WantNothing
}

// basic is what the common preconditions go by.
func basic(x *run, at symtree.Spot) bool {
	switch {
	case at.Name == "" || at.Is("data-"):
		return true
	case at.Key != "":
		return false
	}
	return at.Name == "size" || at.Name == "primary" || at.IsOf("actsize-", x.host)
}

// fact tells whether it is one of those facts about the host, or their directory.
func fact(at symtree.Spot, host string, keys ...string) bool {
	return at.IsOf("actual-", host) && (at.Key == "" || slices.Contains(keys, at.Key))
}

// readsOwn is what is the acting host's own, and what is everybody's. Of its
// logs and version links nothing depends.
func readsOwn(x *run, at symtree.Spot) env.Want {
	switch {
	case at.Is("version-") || at.Is("log-"):
		return env.WantNothing
	case x.cmd.has(inspects):
		return value(basic(x, at) || at.Of(x.host))
	}
	return just(basic(x, at) || at.Of(x.host))
}

// readsSwitch is for switches of the acting host.
func readsSwitch(x *run, at symtree.Spot) env.Want {
	device := at.IsOf("actual-", x.host) && strings.HasPrefix(at.Key, symtree.ActualDevice("")) || at.IsOf("device-", x.host)
	torn := at.IsOf("replay-", x.host) || at.IsOf("syncstatus-", x.host) // see warnWindow
	return max(just(at.IsOf("todo-", x.host)), value(basic(x, at) || device || torn ||
		fact(at, x.host, symtree.ActualIsAttached, symtree.ActualIsPrimary, symtree.ActualIsReplaying, symtree.ActualIsSyncing, symtree.ActualOpenCount, actualWhy)))
}

// readsSwitches is for one switch of all members.
func readsSwitches(key string) reader {
	return func(x *run, at symtree.Spot) env.Want {
		return max(just(at.Is("todo-") && (at.Key == "" || at.Key == key)), value(basic(x, at)))
	}
}

// readsLogs is for what is about logs: all that tells of them.
func readsLogs(x *run, at symtree.Spot) env.Want {
	return max(just(at.Is("version-") || at.Is("log-")),
		value(basic(x, at) || at.Is("replay-") || fact(at, x.host, symtree.ActualIsPrimary, actualWhy)))
}

// readsRoles is for who is primary.
func readsRoles(x *run, at symtree.Spot) env.Want {
	return value(basic(x, at) || primaryFact(at))
}

// primaryFact tells whether it says of any host that it is primary.
func primaryFact(at symtree.Spot) bool {
	return at.Is("actual-") && (at.Key == "" || at.Key == symtree.ActualIsPrimary)
}

// readsStates is for the state of the own replica: what is its own, whose
// version it is measured by, and all versions.
func readsStates(x *run, at symtree.Spot) env.Want {
	switch {
	case at.Is("connect-") || at.Is("device-"):
		return env.WantNothing
	case at.Is("actual-"):
		return value(primaryFact(at) || fact(at, x.host, symtree.ActualIsAttached, actualSplit))
	}
	return max(readsRoles(x, at), value(at.Is("version-") || !at.Is("log-") && at.Of(x.host)))
}
