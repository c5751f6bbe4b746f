// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"

	"mars/infra/symtree"
)

// What a command reads of the tree. Commands about one resource read that one
// only. Those about all of them say which links they go by, since a tree of
// hundreds of resources has tens of thousands. TestReads holds that less is
// never read than makes a difference.

// reader tells whether an entry of a resource's directory is read, by the parts
// of its path: the resource's directory, and what is below it, empty for the
// directory itself.
type reader func(x *run, resDir, below string) bool

// filter is what the command reads, as a function of the path. It is made
// before it is used from several goroutines.
func (x *run) filter() func(path string) bool {
	read := x.cmd.reads
	if read == nil || x.readAll || x.cmd.has(readsOthers) && x.ownMacros() {
		read = func(*run, string, string) bool { return true }
	}
	if x.word != "" && x.word != all && x.cmd.scope != newResource && x.cmd.scope != noResource && !x.cmd.has(readsOthers) {
		own := symtree.ResourceDir(x.word)
		return func(path string) bool { return path == own || strings.HasPrefix(path, own+"/") }
	}
	return func(path string) bool {
		resDir, below, _ := strings.Cut(path, "/")
		return read(x, resDir, below)
	}
}

// ownMacros tells whether view may come across a macro of somebody's own, which
// may ask for anything.
func (x *run) ownMacros() bool {
	own, err := x.sys.Templates()
	return err != nil || len(own) > 0 || x.opt.macro != ""
}

// readsView: what is built in asks for its own resource, and for the members of
// the others.
func readsView(x *run, resDir, below string) bool {
	return below == "" || strings.HasPrefix(below, "data-") || symtree.CheckResource(x.word) != nil || resDir == symtree.ResourceDir(x.word)
}

// readsNone is for commands that are about the cluster alone.
func readsNone(*run, string, string) bool { return false }

// readsNamed is for commands whose arguments are paths.
func readsNamed(x *run, resDir, _ string) bool {
	for _, arg := range x.args {
		if rel, err := x.relative(arg); err == nil && (rel == resDir || strings.HasPrefix(rel, resDir+"/")) {
			return true
		}
	}
	return false
}

// ofHost tells whether the last host in the name is the one.
func ofHost(below, host string) bool {
	dir, _, _ := strings.Cut(below, "/")
	return strings.HasSuffix(dir, "-"+host)
}

// readsOwn is for switches: what is the acting host's own, and what is
// everybody's. Of its logs and version links nothing depends.
func readsOwn(x *run, _, below string) bool {
	switch {
	case below == "" || below == "size" || below == "primary" || strings.HasPrefix(below, "data-"):
		return true
	case strings.HasPrefix(below, "version-") || strings.HasPrefix(below, "log-"):
		return false
	}
	return ofHost(below, x.host)
}

// readsLogs is for what is about logs: besides, all that tells of them.
func readsLogs(x *run, resDir, below string) bool {
	for _, prefix := range []string{"version-", "log-", "replay-"} {
		if strings.HasPrefix(below, prefix) {
			return true
		}
	}
	return readsOwn(x, resDir, below)
}

// readsRoles is for who is primary.
func readsRoles(_ *run, _, below string) bool {
	switch {
	case below == "" || below == "size" || below == "primary" || strings.HasPrefix(below, "data-") || strings.HasPrefix(below, "actsize-"):
		return true
	case !strings.HasPrefix(below, "actual-"):
		return false
	}
	_, key, inside := strings.Cut(below, "/")
	return !inside || key == symtree.ActualIsPrimary
}

// readsStates is for the state of the own replica: what is its own, whose
// version it is measured by, and all versions.
func readsStates(x *run, resDir, below string) bool {
	return strings.HasPrefix(below, "version-") || readsRoles(x, resDir, below) || readsOwn(x, resDir, below)
}
