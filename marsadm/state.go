// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"cmp"
	"fmt"

	"mars/infra/history"
	"mars/infra/status"
	"mars/infra/symtree"
)

// Keys below actual-HOST of a resource that only people read.
const (
	actualSplit = status.ActualSplit
	actualWhy   = status.ActualWhy
	actualDisk  = status.ActualDisk
	actualLog   = status.ActualLog
)

// reason is a text that marsd publishes; what stands for none is empty.
func reason(value string) string { return status.Reason(value) }

// memberState is what commands ask about a member of a resource: a flat view of
// status.Member.
type memberState struct {
	full *status.Member

	host       string
	designated bool
	primary    bool // actually
	attached   bool
	wanted     bool // attached, by its switch
	syncing    bool
	replaying  bool
	copying    bool

	size   int64
	synced int64 // bytes
	replay symtree.ReplayLink
	known  bool // replay is valid
	passed bool // replay has passed the end of the sync

	source string              // whose version the others are measured by
	end    symtree.VersionHead // the end of it
	lag    int64               // bytes of logs up to there; -1: not known
	split  *status.Split       // that its links show
	said   string              // what its marsd says about a split brain
	opened int64
	code   int64 // replay-code, negative: replay stopped
}

// stateOf reads the state of a member.
func stateOf(t *symtree.Tree, res, host string) *memberState {
	m := status.MemberOf(t, res, host)
	s := &memberState{
		full: m, host: host, designated: m.Designated, primary: m.Primary, attached: m.Disk.Attached, wanted: m.Switches.Attach,
		syncing: m.Sync.Active, replaying: m.Replay.Active, copying: m.Fetch.Active,
		size: m.Sync.Total, synced: m.Sync.Done, passed: m.Sync.Passed,
		source: status.Reference(t, res), end: m.ReferenceEnd(), lag: int64(m.Lag), opened: m.Device.Opened, code: m.Replay.Code,
	}
	s.replay, s.known = m.ReplayLink()
	for i := range m.Splits {
		if m.Splits[i].Said {
			s.said = m.Splits[i].Why
		} else {
			s.split = &m.Splits[i]
		}
	}
	return s
}

// consistent: the disk holds a past version of the resource.
func (m *memberState) consistent() bool { return m.full.Consistent() }

// uptodate: consistent, and nothing is known that is not applied.
func (m *memberState) uptodate() bool { return m.full.UpToDate() }

// diskWord is the state of the disk in one word.
func (m *memberState) diskWord() string { return m.full.Disk.State }

// walkFrom follows the history from where a member stands; ok is false if its
// replay link is missing or damaged.
func walkFrom(t *symtree.Tree, res, host string) (way history.Way, ok bool) {
	return status.WalkFrom(t, res, host)
}

// leader is the member that the others are measured by.
func leader(t *symtree.Tree, res string) string { return status.Reference(t, res) }

// lastVersion is the head of a member's version link with the highest number.
func lastVersion(t *symtree.Tree, res, host string) (symtree.VersionHead, bool) {
	return status.LastVersion(t, res, host)
}

// caughtUp tells what is still missing until the member has fetched and
// applied all that the other one has logged: then their version links for its
// last log are equal, and replay stands at its end.
func caughtUp(t *symtree.Tree, res, host, other string) (missing string) {
	end, ok := lastVersion(t, res, other)
	if !ok {
		return fmt.Sprintf("no version link of host '%s' has arrived", other)
	}
	theirs, _ := t.Value(symtree.VersionPath(res, end.Number, other))
	mine, _ := t.Value(symtree.VersionPath(res, end.Number, host))
	r, ok := t.Replay(res, host)
	if ok && mine == "" && r.LogName() == end.LogName() && r.Pos == 0 {
		// Nothing was applied of it yet, so nothing was published.
		prev, _ := t.Value(symtree.VersionPath(res, r.Number-1, host))
		mine = symtree.VersionValue(r.Number, r.Origin, 0, prev)
	}
	if ok && sameVersion(theirs, mine) && cmp.Or(cmp.Compare(r.Number, end.Number), cmp.Compare(r.Pos, end.Pos)) == 0 {
		return ""
	}
	m := stateOf(t, res, host)
	switch {
	case !ok:
		return fmt.Sprintf("the replay link of host '%s' is missing", host)
	case m.lag > 0:
		return fmt.Sprintf("logfile update not yet completed: %d bytes of logs of '%s' are not yet applied (at %s, %s goes up to %d)", m.lag, other, r, end.LogName(), end.Pos)
	}
	if ok && cmp.Or(cmp.Compare(r.Number, end.Number), cmp.Compare(r.Pos, end.Pos)) > 0 {
		return fmt.Sprintf("host '%s' has not yet told where its logs end: '%s' is at %s, which is further than %s,%d", other, host, r, end.LogName(), end.Pos)
	}
	return fmt.Sprintf("logfile update not yet completed: '%s' is at %s, '%s' at %s,%d", host, r, other, end.LogName(), end.Pos)
}

// sameVersion compares two version links. The digest of the first log of all,
// which create-resource writes as zeros, equals the one that its fields give.
func sameVersion(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := symtree.ParseVersion(a)
	y, errY := symtree.ParseVersion(b)
	if errX != nil || errY != nil || x.Prev != nil || y.Prev != nil || !x.Genuine("") || !y.Genuine("") {
		return false
	}
	x.Digest = y.Digest
	return x.VersionHead == y.VersionHead
}
