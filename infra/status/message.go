// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"strings"

	"mars/infra/symtree"
	"mars/infra/wire"
)

// RefusedRequest is what a marsd says about a host that asks for something of a
// resource and is no member, with the fields peer, resource and err.
const RefusedRequest = "refused a request"

// Outdated is how a member's marsd begins to say that it waits for logs that nobody
// has: only to invalidate it helps.
const Outdated = "outdated: "

// ReplayStopped is how it begins to say that a log can not be applied.
const ReplayStopped = "replay stopped: "

// Settled tells whether a line of a message file about a resource is over: a
// host was refused that is a member now. It had joined, and asked before its
// links arrived, as it is at any join.
func Settled(t *symtree.Tree, res, line string) bool {
	_, text, _ := strings.Cut(line, ": ")
	fields, ok := strings.CutPrefix(text, RefusedRequest+" ")
	if !ok {
		return false
	}
	_, peer, _ := strings.Cut(" "+fields, " peer=")
	peer, _, _ = strings.Cut(peer, " ")
	_, why, _ := strings.Cut(fields, " err=")
	// Without an error this host was no member yet.
	return (why == wire.CodeNotMember.String() || why == "<nil>") && symtree.CheckHost(peer) == nil && t.IsMember(res, peer)
}
