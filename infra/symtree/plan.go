// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"slices"
	"strings"

	"mars/infra/mutant"
)

// How long a deletion marker stays after its order is finished, ns. It guards
// against copies that still travel, and against hosts that come back with an
// old /mars. Version links and logs get new markers all the time, and an old
// one that returns is deleted by the next log-delete.
const (
	MarkerLife         int64 = 30 * 24 * 3600 * 1e9
	NumberedMarkerLife int64 = 3600 * 1e9
)

// PlanContext is what planning deletions must know besides the tree.
type PlanContext struct {
	// Me is this host.
	Me string
	// Now is a fresh Lamport stamp, for the acknowledgements and for the age
	// of markers.
	Now int64
	// MaxFuture is how far ahead of Now a stamp may be, ns; 0: no limit. What
	// is stamped further ahead does not count as newer than an order.
	MaxFuture int64
	// Busy reports whether an entry must stay for now: a log in use. It goes
	// when it is free, even if the order is gone by then. nil: nothing is.
	Busy func(path string) bool
}

// Deletions is a plan. Its parts are committed one after the other, each
// durable before the next begins: an acknowledgement must not survive a crash
// that the deletion did not.
type Deletions struct {
	Work  []Change // markers made and removed, entries removed
	Acks  []Change // this host's acknowledgements
	Drops []Change // orders that all members have acknowledged
	Held  []string // what had to stay because it is in use
}

// Empty reports whether there is nothing to do.
func (d Deletions) Empty() bool { return len(d.Work)+len(d.Acks)+len(d.Drops) == 0 }

// maxOrders is how many orders one plan is about; the others wait for the next
// one. They are seen in the order of their numbers, so that no acknowledgement
// says too much.
const maxOrders = 1000

// dueMarkers reports whether there is anything to do for markers alone: most of
// the time there is not, and no plan need be made.
func dueMarkers(t *Tree, markers map[string]int64, ctx PlanContext) bool {
	for path, stamp := range markers { // order does not matter: any of them
		name, err := Parse(path)
		e, ok := t.Get(path)
		if err != nil || ok && e.Kind != Dir || future(stamp, ctx.Now, ctx.MaxFuture) || old(name, stamp, ctx.Now) {
			return true
		}
	}
	return false
}

// old reports whether a marker has done its duty.
func old(name Name, stamp, now int64) bool {
	life := MarkerLife
	if name.Kind == KindLog || name.Kind == KindVersion {
		life = NumberedMarkerLife
	}
	return now > stamp && uint64(now)-uint64(stamp) > uint64(life)
}

// planner collects a plan.
type planner struct {
	PlanContext
	tree    *Tree            // as it is
	after   *Tree            // as it will be
	markers map[string]int64 // as they will be
	pending map[string]int64 // targets of orders
	plan    Deletions
}

// PlanDeletions decides what the deletion orders in t ask of this host, given
// its markers. It is called whenever orders, acknowledgements or members have
// changed, and now and then for the age of markers.
func PlanDeletions(t *Tree, markers map[string]int64, ctx PlanContext) Deletions {
	// What is stamped too far ahead is quarantined: who made it stamps it anew.
	orders := slices.DeleteFunc(t.Orders(), func(o Order) bool { return future(o.Stamp, ctx.Now, ctx.MaxFuture) })
	orders = orders[:min(len(orders), maxOrders)]
	if len(orders) == 0 && !dueMarkers(t, markers, ctx) {
		return Deletions{}
	}
	p := &planner{PlanContext: ctx, tree: t, after: t.Clone(), markers: blocks(New(), markers), pending: map[string]int64{}}
	for _, o := range orders {
		p.pending[o.Target] = max(p.pending[o.Target], o.Stamp)
	}
	for _, o := range orders {
		if o.Target != "" {
			p.execute(o)
		}
	}
	p.tidy()
	p.acknowledge(orders)
	p.drop(orders)
	return p.plan
}

func (p *planner) do(c Change) {
	Apply(p.after, p.markers, []Change{c})
	p.plan.Work = append(p.plan.Work, c)
}

// execute carries out one order. It goes by what is in the tree and not by
// whether it was acknowledged, so that it can be repeated after a crash.
func (p *planner) execute(o Order) {
	name, _ := Parse(o.Target)
	leaf := leafDir(name.Kind)
	e, exists := p.after.Get(o.Target)
	isDir := name.Kind.IsDir() || exists && e.Kind == Dir
	if !isDir && exists && p.newer(e, o.Stamp) {
		return
	}
	if leaf || !isDir {
		p.mark(o)
	}
	if leaf {
		for _, c := range p.after.List(o.Target) {
			if c.Kind != Dir && !p.newer(c.Entry, o.Stamp) {
				p.remove(c, o.Stamp)
			}
		}
	}
	switch {
	case !exists:
	case !isDir:
		p.remove(Item{o.Target, e}, o.Stamp)
	case !p.tree.acked(p.Me, o):
		p.removeDir(o)
	}
}

// newer reports whether an entry was made after a deletion with that stamp.
func (p *planner) newer(e Entry, stamp int64) bool {
	return e.Stamp > stamp && !future(e.Stamp, p.Now, p.MaxFuture)
}

// mark makes a marker, unless there is one, or one of the directory does for
// both, or there is no place for it.
func (p *planner) mark(o Order) {
	if s, ok := p.markers[o.Target]; ok && s >= o.Stamp {
		return
	}
	dir := Parent(o.Target)
	if dir != "." {
		name, _ := Parse(dir)
		if s, ok := p.pending[dir]; ok && leafDir(name.Kind) && s >= o.Stamp {
			return
		}
		if !p.after.Exists(dir) {
			return
		}
	}
	p.do(Change{Op: OpMark, Path: o.Target, Stamp: o.Stamp})
}

// remove takes away a link or file that is not newer than stamp.
func (p *planner) remove(i Item, stamp int64) {
	if p.Busy != nil && p.Busy(i.Path) {
		if !slices.Contains(p.plan.Held, i.Path) {
			p.plan.Held = append(p.plan.Held, i.Path)
		}
		return
	}
	// A stamp far ahead is above the order's and goes all the same.
	p.do(Change{Op: OpRemove, Path: i.Path, Stamp: max(stamp, i.Stamp)})
}

// removeDir takes away an empty directory, with the older markers in it. One
// that has something in it stays: there is no way to tell whether it is the
// old one.
func (p *planner) removeDir(o Order) {
	if len(p.after.List(o.Target)) > 0 {
		return
	}
	var inside []string
	for _, path := range p.marked() {
		if Parent(path) == o.Target {
			if p.markers[path] > o.Stamp {
				return
			}
			inside = append(inside, path)
		}
	}
	for _, path := range inside {
		p.do(Change{Op: OpUnmark, Path: path})
	}
	p.do(Change{Op: OpRemove, Path: o.Target, Stamp: Any})
}

// marked lists the paths with markers, sorted.
func (p *planner) marked() []string {
	list := make([]string, 0, len(p.markers))
	for path := range p.markers { // order does not matter: sorted below
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// tidy looks after the markers whose orders are gone: what was in use then is
// removed now, and in the end the marker too.
func (p *planner) tidy() {
	for _, path := range p.marked() {
		stamp := p.markers[path]
		name, err := Parse(path)
		if _, ok := p.pending[path]; ok && err == nil {
			continue
		}
		if e, ok := p.after.Get(path); ok && e.Kind != Dir && !p.newer(e, stamp) && !future(stamp, p.Now, p.MaxFuture) {
			p.remove(Item{path, e}, stamp)
			if p.after.Exists(path) {
				continue
			}
		}
		if err != nil || future(stamp, p.Now, p.MaxFuture) || old(name, stamp, p.Now) {
			p.do(Change{Op: OpUnmark, Path: path})
		}
	}
}

// acknowledge tells the others which orders were here. What is in use does
// not hold it up: one busy host must not block the whole cluster.
func (p *planner) acknowledge(orders []Order) {
	acks := slices.Clone(p.tree.acks(p.Me))
	last := 0
	for _, o := range orders {
		last = max(last, o.Number)
		if o.Creator != "" {
			acks = acks.raise(o.Creator, o.Number, o.Stamp)
		}
	}
	text := acks.String()
	if len(text) > MaxValue {
		hosts := p.tree.Hosts()
		acks = slices.DeleteFunc(acks, func(a Ack) bool {
			return !slices.Contains(hosts, a.Creator) && !slices.ContainsFunc(orders, func(o Order) bool { return o.Creator == a.Creator })
		})
		text = acks.String()
	}
	if old, _ := p.tree.Value(AckedPath(p.Me)); text != "" && text != old && len(text) <= MaxValue {
		p.plan.Acks = append(p.plan.Acks, Set(AckedPath(p.Me), text, p.Now))
	}
	if last > p.tree.deleted(p.Me) {
		p.plan.Acks = append(p.plan.Acks, Set(DeletedPath(p.Me), FormatDeleted(last), p.Now))
	}
}

// FormatDeleted is the value of deleted-HOST: the number in nine digits.
func FormatDeleted(number int) string {
	return strings.TrimPrefix(DeletePath(number, ""), "todo-global/delete-")
}

// drop removes the orders that every member has seen. Hosts that have left do
// not count.
func (p *planner) drop(orders []Order) {
	if len(orders) == 0 {
		return
	}
	members := membersAnd(p.tree, p.Me)
	if mutant.Is(mutant.HastyDrop) {
		members = []string{p.Me}
	}
	type seen struct {
		acks    Acks
		deleted int
	}
	var hosts []seen
	for _, h := range members {
		hosts = append(hosts, seen{p.tree.acks(h), p.tree.deleted(h)})
	}
	for _, o := range orders {
		if !slices.ContainsFunc(hosts, func(s seen) bool {
			return o.Creator != "" && !s.acks.Has(o.Creator, o.Number, o.Stamp) || o.Creator == "" && o.Number > s.deleted
		}) {
			p.plan.Drops = append(p.plan.Drops, Change{Op: OpRemove, Path: o.Path, Stamp: o.Stamp})
		}
	}
}

// leafDir reports whether a directory holds nothing but the entries of one
// subject: to delete it is to delete all of them that are older.
func leafDir(k Kind) bool {
	switch k {
	case KindTodoDir, KindActualDir, KindLocalDir, KindResDefaultsDir, KindResHostDefaultsDir, KindHostDefaultsDir, KindGlobalActualDir:
		return true
	}
	return false
}
