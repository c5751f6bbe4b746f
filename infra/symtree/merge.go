// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"math"
	"strings"

	"mars/infra/mutant"
)

// Verdict is what is done with an entry that came from another host.
type Verdict uint8

// The verdicts. Those from RefuseGrammar on mean that there is something wrong
// with the entry or its sender, or that it is out of date.
const (
	Keep           Verdict = iota // what is here wins, or is the same
	Take                          // put it into the tree
	RefuseGrammar                 // no name of the tree, or no link
	RefuseValue                   // no value of a link, or an order that must not be
	RefuseLocal                   // such entries never leave their host
	RefuseFuture                  // stamped implausibly far ahead: quarantine
	RefuseOwn                     // only this host writes it; see Context.Decide
	RefuseDeleted                 // deleted after it was written
	RefuseFinished                // a deletion order that is done here
	RefuseCluster                 // another cluster's uuid
	RefuseKind                    // a directory stands here
	RefuseFull                    // there is no room for it; see MaxEntries
)

// String is the verdict in a word.
func (v Verdict) String() string {
	names := [...]string{"keep", "take", "refuse: grammar", "refuse: value", "refuse: local", "refuse: future",
		"refuse: own", "refuse: deleted", "refuse: finished", "refuse: cluster", "refuse: kind", "refuse: full"}
	if int(v) < len(names) {
		return names[v]
	}
	return "?"
}

// Refused reports whether the verdict is neither Keep nor Take.
func (v Verdict) Refused() bool { return v > Take }

// Context is what a merge must know besides the two entries.
type Context struct {
	// Me is the host that merges; empty for an observer who owns nothing.
	Me string
	// Now is the later one of the system clock and the Lamport clock, ns.
	Now int64
	// MaxFuture is how far ahead of Now a stamp may be, ns; 0: no limit.
	MaxFuture int64
	// Bounds are how large the tree may become; NewContext sets the usual ones.
	Bounds Bounds

	tree    *Tree
	blocks  map[string]int64 // path: what is not newer was deleted
	acks    Acks             // of this host
	deleted int              // orders without creator that all members have seen; -1: not looked up
	entries int              // in the tree, coming, and what was taken since
	bytes   int64
	coming  *Coming // nil: nothing
}

// The usual bounds of a tree.
const (
	MaxEntries = 100_000
	MaxBytes   = 64 << 20
)

// Bounds are how large a tree may become by what other hosts send. The last
// eighth is for what this host can not do without: members, signs of life, the
// protocol of deletions, and the resources that it is a member of. So a host
// that has gone mad fills neither memory nor the way of the others.
type Bounds struct {
	Entries int
	Bytes   int64 // of names and values
}

// UsualBounds are MaxEntries and MaxBytes.
func UsualBounds() Bounds { return Bounds{MaxEntries, MaxBytes} }

// NewContext prepares merging into t. markers are the deletion markers by path
// (see Store.Load). It must be made anew when deletion orders, acknowledgements
// or markers have changed.
func NewContext(t *Tree, markers map[string]int64, me string, now, maxFuture int64) *Context {
	c := &Context{Me: me, Now: now, MaxFuture: maxFuture, Bounds: UsualBounds(), tree: t, blocks: blocks(t, markers), deleted: -1, entries: t.Len(), bytes: t.Bytes()}
	for path, stamp := range c.blocks { // order does not matter: each by itself
		if future(stamp, now, maxFuture) {
			delete(c.blocks, path)
		}
	}
	c.acks = t.acks(me)
	return c
}

// Implausible lists the links of t that are stamped too far ahead, in the order
// of Walk; see Context.MaxFuture.
func Implausible(t *Tree, now, maxFuture int64) (list []Item) {
	t.Walk(func(path string, e Entry) bool {
		if e.Kind == Link && future(e.Stamp, now, maxFuture) {
			list = append(list, Item{path, e})
		}
		return true
	})
	return list
}

// future reports whether a stamp is implausibly far ahead.
func future(stamp, now, maxFuture int64) bool {
	return maxFuture > 0 && stamp > now && uint64(stamp)-uint64(now) > uint64(maxFuture)
}

// Decide judges an entry e that another host has under path, against what
// stands there in the tree (old, if exists).
//
// The newer stamp wins; of equal stamps the larger value. So the outcome does
// not depend on the order in which entries arrive. What has a stamp too far
// ahead is refused, and gives way if it stands here already.
//
// RefuseOwn is returned for an entry of this host's own that is newer than what
// stands here, or that does not stand here: somebody else made it, or a life of
// this host that it has no memory of. See Repair.
func (c *Context) Decide(path string, old Entry, exists bool, e Entry) Verdict {
	name, err := Parse(path)
	switch {
	case err != nil || e.Kind != Link || !name.Kind.Allows(Link):
		return RefuseGrammar
	case !name.Kind.Replicated():
		return RefuseLocal
	case CheckValue(e.Value) != nil:
		return RefuseValue
	case future(e.Stamp, c.Now, c.MaxFuture) && !mutant.Is(mutant.FutureAdopted):
		return RefuseFuture
	}
	switch {
	case exists && old.Kind == Link && !e.Newer(old) && !future(old.Stamp, c.Now, c.MaxFuture):
		return Keep
	case c.blocked(name, path, e.Stamp):
		return RefuseDeleted
	case c.Me != "" && name.Owner() == c.Me && !mutant.Is(mutant.OwnOverwritten):
		return RefuseOwn
	case exists && old.Kind != Link:
		return RefuseKind
	}
	switch name.Kind {
	case KindDelete:
		if _, err := orderTarget(e.Value); err != nil {
			return RefuseValue
		}
		if !exists && c.finished(name, e.Stamp) {
			return RefuseFinished
		}
	case KindUUID:
		if exists && old.Value != e.Value {
			return RefuseCluster
		}
	}
	if !c.room(name, path, old, exists, e) {
		return RefuseFull
	}
	return Take
}

// room reports whether there is place for an entry. What makes the tree no
// larger has it always.
func (c *Context) room(n Name, path string, old Entry, exists bool, e Entry) bool {
	more := int64(len(e.Value) - len(old.Value))
	if exists && more <= 0 {
		return true
	}
	entries, bytes := c.Bounds.Entries, c.Bounds.Bytes
	if !c.vital(n) {
		entries, bytes = entries/8*7, bytes/8*7
	}
	if !exists && !c.coming.has(path) {
		more += int64(len(path))
	}
	return (exists || c.coming.has(path) || c.entries < entries) && c.bytes+more <= bytes
}

// vital reports whether this host can not do without a link.
func (c *Context) vital(n Name) bool {
	switch n.Kind {
	case KindIP, KindUUID, KindAlive, KindTime, KindTree, KindEmergency, KindDelete, KindDeleted, KindAcked:
		return true
	}
	return n.Resource != "" && c.Me != "" && c.tree.IsMember(n.Resource, c.Me)
}

// blocked reports whether path, or the directory that it is part of, was
// deleted at or after stamp.
func (c *Context) blocked(n Name, path string, stamp int64) bool {
	if s, ok := c.blocks[path]; ok && stamp <= s {
		return true
	}
	if n.Key == "" || strings.HasSuffix(n.Kind.Pattern(), "$*") {
		return false
	}
	s, ok := c.blocks[Parent(path)]
	return ok && stamp <= s
}

// finished reports whether an order that is not in the tree has been here.
func (c *Context) finished(n Name, stamp int64) bool {
	if n.Host == "" {
		if c.deleted < 0 {
			c.deleted = math.MaxInt
			for _, host := range membersAnd(c.tree, c.Me) {
				c.deleted = min(c.deleted, c.tree.deleted(host))
			}
		}
		return n.Number <= c.deleted
	}
	return c.acks.Has(n.Host, n.Number, stamp)
}

// Refusal is an entry that was not taken, with the reason.
type Refusal struct {
	Item
	Verdict Verdict
}

// Merge decides about links that another host has sent, in their order, and
// returns what is to be changed here, with the stamps unchanged. t is not
// changed: see Store.Commit and Apply. Orders of one creator must be in the
// order of their numbers, as Tree.Links gives them.
func (c *Context) Merge(t *Tree, links []Item) (changes []Change, refused []Refusal) {
	taken := map[string]Entry{}
	for _, l := range links {
		old, exists := taken[l.Path]
		if !exists {
			old, exists = t.Get(l.Path)
		}
		if exists && old == l.Entry && !future(old.Stamp, c.Now, c.MaxFuture) {
			continue // as nearly always when a whole tree comes
		}
		switch v := c.Decide(l.Path, old, exists, l.Entry); v {
		case Keep:
		case Take:
			taken[l.Path] = l.Entry
			c.bytes += int64(len(l.Value) - len(old.Value))
			if !exists && !c.coming.has(l.Path) {
				c.entries++
				c.bytes += int64(len(l.Path))
			}
			ch := Set(l.Path, l.Value, l.Stamp)
			if exists && future(old.Stamp, c.Now, c.MaxFuture) {
				ch.Instead = old.Stamp
			}
			changes = append(changes, ch)
		default:
			refused = append(refused, Refusal{l, v})
		}
	}
	return changes, refused
}
