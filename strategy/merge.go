package strategy

import (
	"slices"
	"strings"
	"time"

	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// maxWaiting is how many bytes of one peer's links may be on their way to the
// disk. What comes beyond is dropped, and the whole tree asked for once more
// when the others are written.
const maxWaiting = 16 << 20

// merge takes in links that a peer sent, by the rules of symtree.
func (n *Node) merge(p *peer, links []wire.Link) {
	from := p.host
	if p.waiting > maxWaiting {
		p.behind = true
		return
	}
	now := int64(n.cfg.Clock.Now(n.reading()))
	ctx := symtree.NewContext(n.tree, n.markers, n.me, now, int64(n.cfg.Tunables.MaxLamportFuture()))
	ctx.Bounds = n.cfg.Bounds
	ctx.Expect(&n.coming)
	items := make([]symtree.Item, 0, len(links))
	for _, l := range links {
		if l.Kind == wire.KindLink {
			items = append(items, symtree.Item{Path: l.Path, Entry: symtree.Entry{Kind: symtree.Link, Value: l.Value, Stamp: int64(l.Stamp)}})
		}
	}
	take, refused := ctx.Merge(n.tree, items)
	for i := range take { // the texts are parts of frames
		take[i].Path, take[i].Value = strings.Clone(take[i].Path), strings.Clone(take[i].Value)
	}
	keep := refused[:0]
	for _, r := range refused {
		if r.Verdict == symtree.RefuseDeleted || r.Verdict == symtree.RefuseOwn {
			r.Path, r.Value = strings.Clone(r.Path), strings.Clone(r.Value)
			keep = append(keep, r)
		}
		switch r.Verdict {
		case symtree.RefuseCluster:
			n.complain(from, "a peer belongs to another cluster", "uuid", r.Value)
			return
		case symtree.RefuseFuture:
			n.complain(from, "a link is stamped too far in the future and is ignored", "path", r.Path, "stamp", lamport.Stamp(r.Stamp))
		case symtree.RefuseFull:
			n.complain(from, "the symlink tree is full: a new link is refused", "path", clip(r.Path), "entries", n.tree.Len(), "limit", ctx.Bounds.Entries, "bytes", n.tree.Bytes(), "limit", ctx.Bounds.Bytes)
		case symtree.RefuseGrammar, symtree.RefuseValue:
			n.complain(from, "a link has no name or value of the symlink tree and is ignored", "path", clip(r.Path), "value", clip(r.Value))
		}
		n.cfg.Clock.Observe(lamport.Stamp(r.Stamp), n.reading())
	}
	for _, c := range take {
		n.cfg.Clock.Observe(lamport.Stamp(c.Stamp), n.reading())
	}
	p.took(take, keep)
}

// took commits what a peer has sent. What is refused is repaired when that is in
// the tree: it tells which numbers of orders are used up.
func (p *peer) took(take []symtree.Change, refused []symtree.Refusal) {
	n := p.g.n
	bytes := 0
	for _, c := range take {
		bytes += len(c.Path) + len(c.Value) + 64
	}
	p.waiting += bytes
	n.coming.Add(n.tree, take)
	n.commitFrom(p.host, take, func(err error) {
		n.coming.Done(take)
		if n.refuse(refused); err != nil {
			n.keep(take)
		}
		if p.waiting -= bytes; p.waiting > 0 {
			return
		}
		if p.synced && !p.heard {
			p.heard = true
			n.kick()
		}
		if p.behind && p.conn != nil && p.greeted {
			p.behind = false
			p.subscribe(p.conn)
		}
	})
}

// maxRefused is how many links wait to be mended. Further ones come again with
// the next connection.
const maxRefused = 2048

// refuse notes what of a peer's links must be mended, and does so.
func (n *Node) refuse(list []symtree.Refusal) {
	for _, r := range list {
		if old, ok := n.refused[r.Path]; ok && !r.Newer(old.Entry) || !ok && len(n.refused) >= maxRefused {
			continue
		}
		n.refused[r.Path], n.refusedMore = r, true
	}
	n.repair()
}

// repair mends what was refused, one batch after the other, so that no deletion is
// ordered twice.
func (n *Node) repair() {
	if n.repairing || len(n.refused) == 0 || n.stopping {
		return
	}
	var list []symtree.Refusal
	for _, r := range n.refused { // order does not matter: sorted below
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b symtree.Refusal) int { return strings.Compare(a.Path, b.Path) })
	changes := symtree.Repair(n.tree, n.markers, n.me, n.stamp(), list)
	if len(changes) == 0 {
		clear(n.refused)
		return
	}
	n.repairing, n.refusedMore = true, false
	n.commit(changes, func(err error) {
		if n.repairing = false; err == nil && n.refusedMore {
			n.repair()
			return
		}
		// marsadm may have been faster with the number of an order: the tree
		// is to be read first.
		n.tryAgain()
	})
}

// keep remembers what a peer sent and what could not be written now, the newest
// value of each link: it is sent once only.
func (n *Node) keep(changes []symtree.Change) {
	for _, c := range changes {
		if old, ok := n.untaken[c.Path]; ok && old.Stamp >= c.Stamp {
			continue
		} else if ok {
			n.coming.Done([]symtree.Change{old})
		}
		n.untaken[c.Path] = c
		n.coming.Add(n.tree, []symtree.Change{c})
	}
	n.tryAgain()
}

// tryAgain tries again in a second what could not be written.
func (n *Node) tryAgain() {
	if !n.takeAgain.Armed() && !n.stopping {
		n.takeAgain.Reset(time.Second)
	}
}

// takeUntaken tries again what could not be written.
func (n *Node) takeUntaken() {
	n.repair()
	var list []symtree.Change
	for _, c := range n.untaken { // order does not matter: sorted below
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b symtree.Change) int { return strings.Compare(a.Path, b.Path) })
	clear(n.untaken)
	n.commitFrom("", list, func(err error) {
		n.coming.Done(list)
		if err != nil {
			n.keep(list)
		}
	})
}

// clip shortens what a peer sent for the log.
func clip(s string) string { return s[:min(len(s), 100)] }

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
