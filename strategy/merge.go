package strategy

import (
	"slices"
	"strings"
	"time"

	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// merge takes in links that a peer sent, by the rules of symtree.
func (n *Node) merge(from string, links []wire.Link) {
	now := int64(n.cfg.Clock.Now(n.reading()))
	ctx := symtree.NewContext(n.tree, n.markers, n.me, now, int64(n.cfg.Tunables.MaxLamportFuture()))
	items := make([]symtree.Item, 0, len(links))
	for _, l := range links {
		if l.Kind == wire.KindLink {
			items = append(items, symtree.Item{Path: l.Path, Entry: symtree.Entry{Kind: symtree.Link, Value: l.Value, Stamp: int64(l.Stamp)}})
		}
	}
	take, refused := ctx.Merge(n.tree, items)
	for _, r := range refused {
		switch r.Verdict {
		case symtree.RefuseCluster:
			n.log.Error("a peer belongs to another cluster", "peer", from, "uuid", r.Value)
			return
		case symtree.RefuseFuture:
			n.log.Warn("a link is stamped too far in the future and is ignored", "peer", from, "path", r.Path, "stamp", lamport.Stamp(r.Stamp))
		}
		n.cfg.Clock.Observe(lamport.Stamp(r.Stamp), n.reading())
	}
	for _, c := range take {
		n.cfg.Clock.Observe(lamport.Stamp(c.Stamp), n.reading())
	}
	n.take(from, take)
	n.commit(symtree.Repair(n.tree, n.markers, n.me, n.stamp(), refused), nil)
}

// take commits what a peer sent. It is sent once only, so what can not be
// written now is kept, the newest value of each link, until it can.
func (n *Node) take(from string, changes []symtree.Change) {
	n.commitFrom(from, changes, func(err error) {
		if err == nil {
			return
		}
		for _, c := range changes {
			if old, ok := n.untaken[c.Path]; !ok || old.Stamp < c.Stamp {
				n.untaken[c.Path] = c
			}
		}
		if !n.takeAgain.Armed() && !n.stopping {
			n.takeAgain.Reset(time.Second)
		}
	})
}

// takeUntaken tries again what could not be written.
func (n *Node) takeUntaken() {
	var list []symtree.Change
	for _, c := range n.untaken { // order does not matter: sorted below
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b symtree.Change) int { return strings.Compare(a.Path, b.Path) })
	clear(n.untaken)
	n.take("", list)
}

// deletions carries out the deletion protocol of todo-global. The parts of a
// plan are committed one after the other: an acknowledgement must not survive
// a crash that the deletion did not.
func (n *Node) deletions() {
	if n.deleting {
		return
	}
	d := symtree.PlanDeletions(n.tree, n.markers, symtree.PlanContext{
		Me: n.me, Now: n.stamp(), MaxFuture: int64(n.cfg.Tunables.MaxLamportFuture()), Busy: n.busy,
	})
	if d.Empty() {
		return
	}
	n.deleting = true
	end := func(error) {
		n.deleting = false
		n.kick()
	}
	n.commit(d.Work, func(err error) {
		if err != nil {
			n.delayDeletions()
			return
		}
		n.commit(d.Acks, func(err error) {
			if err != nil {
				n.delayDeletions()
				return
			}
			n.commit(d.Drops, end)
		})
	})
}

// delayDeletions tries again with the next periodic round, not at once.
func (n *Node) delayDeletions() { n.deleting = false }

// busy tells whether a path must stay for now: a logfile that a worker uses.
func (n *Node) busy(path string) bool {
	name, err := symtree.Parse(path)
	if err != nil || name.Kind != symtree.KindLog {
		return false
	}
	r := n.find(name.Resource)
	return r != nil && r.uses(name.Number, name.Host)
}
