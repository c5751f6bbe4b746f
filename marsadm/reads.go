// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"

	"mars/infra/symtree"
)

// wants tells whether a directory of a resource is of interest to the command.
// A command on one resource reads that one only; one with the need ownFacts
// reads of each resource only what the acting host has below directories. So
// also a tree of hundreds of resources costs next to nothing.
func (x *run) wants(dir string) bool {
	resDir, sub, inside := strings.Cut(dir, "/")
	switch {
	case x.cmd.reads != nil:
		return x.cmd.reads(x, dir)
	case x.word != "" && x.word != all && x.cmd.scope != newResource && resDir != symtree.ResourceDir(x.word):
		return false
	case inside && x.cmd.has(ownFacts):
		return strings.HasSuffix(sub, "-"+x.host)
	}
	return true
}

// readsNamed is for commands whose arguments are paths.
func readsNamed(x *run, dir string) bool {
	resDir, _, _ := strings.Cut(dir, "/")
	for _, arg := range x.args {
		if rel, err := x.relative(arg); err == nil && (rel == resDir || strings.HasPrefix(rel, resDir+"/")) {
			return true
		}
	}
	return false
}

// readsNone is for commands that are about the cluster alone.
func readsNone(*run, string) bool { return false }
