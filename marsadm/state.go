// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"cmp"
	"fmt"

	"mars/infra/history"
	"mars/infra/symtree"
)

// Keys below actual-HOST of a resource that only people read.
const (
	actualSplit = "split-brain" // why and where, if there is one
	actualWhy   = "why"         // why nothing is happening
)

// reason is a text that marsd publishes; what stands for none is empty.
func reason(value string) string {
	switch value {
	case "-", "0", "none", symtree.None:
		return ""
	}
	return value
}

// memberState is what the tree says about one member of a resource.
type memberState struct {
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
	split  *history.Split
	said   string // what its marsd says about a split brain
	opened int64
	code   int64 // replay-code, negative: replay stopped
}

// consistent: the disk holds a past version of the resource.
func (m *memberState) consistent() bool { return m.known && m.synced >= m.size && m.passed }

// uptodate: consistent, and nothing is known that is not applied.
func (m *memberState) uptodate() bool {
	return m.consistent() && m.split == nil && m.said == "" && (m.primary || m.lag == 0)
}

// diskWord is the state of the disk in one word.
func (m *memberState) diskWord() string {
	switch {
	case !m.consistent():
		return "Inconsistent"
	case !m.attached && !m.wanted:
		return "Detached"
	case m.uptodate():
		return "UpToDate"
	}
	return "Outdated"
}

// claimsOf are the claims of all members but one, by their version links, and
// those of that one.
func claimsOf(t *symtree.Tree, res, host string) (others, own []history.Claim) {
	for _, v := range t.Versions(res) {
		link, err := symtree.ParseVersion(v.Value)
		if err != nil || link.Number != v.Number || !t.IsMember(res, v.Host) {
			continue
		}
		c := history.Claim{Host: v.Host, Log: history.Log{Number: link.Number, Origin: link.Origin}, Len: link.Pos, Head: link.VersionHead.String()}
		if link.Prev != nil {
			c.Prev = link.Prev.String()
		}
		if v.Host == host {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	return others, own
}

// walkFrom follows the history from where a member stands; ok is false if its
// replay link is missing or damaged.
func walkFrom(t *symtree.Tree, res, host string) (way history.Way, ok bool) {
	r, ok := t.Replay(res, host)
	if !ok {
		return way, false
	}
	prev, _ := t.Value(symtree.VersionPath(res, r.Number-1, host))
	others, own := claimsOf(t, res, host)
	at := history.Point{Log: history.Log{Number: r.Number, Origin: r.Origin}, Pos: r.Pos, Prev: prev}
	return history.Walk(at, others, own), true
}

// leader is the member that the others are measured by: the designated
// primary, else an actual one, else the one that has got furthest.
func leader(t *symtree.Tree, res string) string {
	if p := t.Primary(res); p != "" && t.IsMember(res, p) {
		return p
	}
	best, at := "", symtree.VersionHead{}
	for _, host := range t.Members(res) {
		if n, _ := t.Int(symtree.ActualPath(res, host, symtree.ActualIsPrimary)); n != 0 {
			return host
		}
		if h, ok := lastVersion(t, res, host); ok && (best == "" || h.Compare(at) > 0) {
			best, at = host, h
		}
	}
	return best
}

// lastVersion is the head of a member's version link with the highest number.
func lastVersion(t *symtree.Tree, res, host string) (last symtree.VersionHead, ok bool) {
	for _, v := range t.Versions(res) {
		if v.Host != host {
			continue
		}
		if link, err := symtree.ParseVersion(v.Value); err == nil && link.Number == v.Number {
			last, ok = link.VersionHead, true
		}
	}
	return last, ok
}

// stateOf reads the state of a member.
func stateOf(t *symtree.Tree, res, host string) *memberState {
	num := func(key string) int64 {
		n, _ := t.Int(symtree.ActualPath(res, host, key))
		return n
	}
	m := &memberState{
		host: host, designated: t.Primary(res) == host, source: leader(t, res), lag: -1,
		primary: num(symtree.ActualIsPrimary) != 0, attached: num(symtree.ActualIsAttached) != 0,
		syncing: num(symtree.ActualIsSyncing) != 0, replaying: num(symtree.ActualIsReplaying) != 0,
		copying: num(symtree.ActualIsCopying) != 0, opened: num(symtree.ActualOpenCount), code: num(symtree.ActualReplayCode),
		wanted: t.Bool(symtree.TodoPath(res, host, symtree.TodoAttach)),
	}
	m.size, _ = t.Size(res)
	m.synced, _ = t.Int(symtree.SyncStatusPath(res, host))
	m.replay, m.known = t.Replay(res, host)
	m.passed = true
	if v, ok := t.Value(symtree.SyncPosPath(res, host)); ok {
		pos, err := symtree.ParseReplay(v)
		m.passed = err == nil && m.replay.Compare(pos) >= 0
	}
	if way, ok := walkFrom(t, res, host); ok {
		m.split = way.Split
	}
	said, _ := t.Value(symtree.ActualPath(res, host, actualSplit))
	m.said = reason(said)
	m.measure(t, res)
	return m
}

// measure finds how far the member is behind the source, in bytes of logs.
func (m *memberState) measure(t *symtree.Tree, res string) {
	end, ok := lastVersion(t, res, m.source)
	if !ok || !m.known {
		return
	}
	m.end = end
	if m.host == m.source || m.replay.Number > end.Number {
		m.lag = 0
		return
	}
	lag := -m.replay.Pos
	for n := m.replay.Number; n <= end.Number; n++ {
		value, _ := t.Value(symtree.VersionPath(res, n, m.source))
		v, err := symtree.ParseVersion(value)
		if err != nil || n == m.replay.Number && v.Origin != m.replay.Origin {
			return
		}
		lag += v.Pos
	}
	m.lag = max(lag, 0)
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
