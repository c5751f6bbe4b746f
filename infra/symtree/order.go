// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Order is a deletion order: todo-global/delete-N-CREATOR -> /mars/TARGET.
type Order struct {
	Path    string
	Number  int
	Creator string // empty in the original's form
	Target  string // path in the tree; empty if the order must not be carried out
	Stamp   int64
}

// ErrUndeletable is returned for a target that no order may name.
var ErrUndeletable = errors.New("can not be deleted")

// Orders lists the deletion orders by number, then by creator.
func (t *Tree) Orders() []Order {
	var list []Order
	for _, i := range t.List(TodoGlobalDir()) {
		n, err := Parse(i.Path)
		if err != nil || n.Kind != KindDelete || i.Kind != Link {
			continue
		}
		target, _ := orderTarget(i.Value)
		list = append(list, Order{i.Path, n.Number, n.Host, target, i.Stamp})
	}
	slices.SortStableFunc(list, func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Creator, b.Creator))
	})
	return list
}

// orderTarget reads the value of an order.
func orderTarget(value string) (string, error) {
	target, err := FromUser(value)
	if err != nil {
		return "", err
	}
	return target, CheckTarget(target)
}

// CheckTarget returns an error unless path may be deleted by an order: it must
// be in the grammar and none of the things that the tree can not be without.
// The error wraps ErrGrammar or ErrUndeletable.
func CheckTarget(path string) error {
	n, err := Parse(path)
	if err != nil {
		return err
	}
	switch n.Kind {
	case KindUUID, KindIPsDir, KindTodoGlobalDir, KindDelete, KindUserspaceDir, KindDefaultsDir, KindPKIDir:
		return fmt.Errorf("%s: %w", ToUser(path), ErrUndeletable)
	}
	return nil
}

// Ack tells which orders of one creator a host has seen: those that are neither
// above the number nor stamped later. The number alone would do if a creator
// never used one twice; one that comes back with an old /mars does.
type Ack struct {
	Creator string
	Number  int
	Stamp   int64
}

// Acks is the value of todo-global/acked-HOST: CREATOR:NUMBER:STAMP,... sorted
// by creator.
type Acks []Ack

// ParseAcks reads such a value. The error wraps ErrValue.
func ParseAcks(value string) (Acks, error) {
	var list Acks
	for part := range strings.SplitSeq(value, ",") {
		creator, rest, _ := strings.Cut(part, ":")
		number, stamp, _ := strings.Cut(rest, ":")
		n, err := ParseInt(number)
		at, err2 := ParseInt(stamp)
		if err != nil || err2 != nil || n < 1 || n > MaxNumber || !goodHost(creator) {
			return nil, badValue(value, "is no list of acknowledgements")
		}
		if len(list) > 0 && list[len(list)-1].Creator >= creator {
			return nil, badValue(value, "is not sorted")
		}
		list = append(list, Ack{creator, int(n), at})
	}
	return list, nil
}

// String is the value as it stands in the link; empty without entries.
func (a Acks) String() string {
	var b strings.Builder
	for i, x := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s:%d:%d", x.Creator, x.Number, x.Stamp)
	}
	return b.String()
}

// Has reports whether an order with that name and stamp is acknowledged.
func (a Acks) Has(creator string, number int, stamp int64) bool {
	i, ok := a.find(creator)
	return ok && number <= a[i].Number && stamp <= a[i].Stamp
}

func (a Acks) find(creator string) (int, bool) {
	return slices.BinarySearchFunc(a, creator, func(x Ack, c string) int { return cmp.Compare(x.Creator, c) })
}

// raise returns a with an order acknowledged; a itself may be changed.
func (a Acks) raise(creator string, number int, stamp int64) Acks {
	i, ok := a.find(creator)
	if !ok {
		return slices.Insert(a, i, Ack{creator, number, stamp})
	}
	a[i].Number, a[i].Stamp = max(a[i].Number, number), max(a[i].Stamp, stamp)
	return a
}

// acks are the acknowledgements of a host; none if damaged, which costs no
// more than that orders are kept and carried out again.
func (t *Tree) acks(host string) Acks {
	value, ok := t.Value(AckedPath(host))
	if !ok {
		return nil
	}
	acks, _ := ParseAcks(value)
	return acks
}

// deleted is the value of a host's link deleted-HOST, 0 if there is none.
func (t *Tree) deleted(host string) int {
	value, _ := t.Value(DeletedPath(host))
	n, err := ParseInt(cmp.Or(strings.TrimLeft(value, "0"), "0"))
	if err != nil || n < 0 || n > MaxNumber {
		return 0
	}
	return int(n)
}

// acked reports whether a host has seen an order, and all of its creator's
// before it.
func (t *Tree) acked(host string, o Order) bool {
	if o.Creator == "" {
		return o.Number <= t.deleted(host)
	}
	return t.acks(host).Has(o.Creator, o.Number, o.Stamp)
}

// membersAnd lists the members of the cluster and me, sorted.
func membersAnd(t *Tree, me string) []string {
	hosts := t.Hosts()
	if i, ok := slices.BinarySearch(hosts, me); !ok && me != "" {
		hosts = slices.Insert(hosts, i, me)
	}
	return hosts
}

// NewOrder makes orders of host me to delete targets, paths of the tree, in
// their order. The stamps are left to the Batch that they go into; they must
// be newer than everything in t. A target that a pending order covers already
// gets no other one. The error wraps ErrGrammar or ErrUndeletable.
func NewOrder(t *Tree, me string, targets []string) ([]Change, error) {
	pending := map[string]int64{}
	next := t.lastOrder() + 1
	for _, o := range t.Orders() {
		if o.Target != "" {
			pending[o.Target] = max(pending[o.Target], o.Stamp)
		}
	}
	var list []Change
	done := map[string]bool{}
	for _, target := range targets {
		if err := CheckTarget(target); err != nil {
			return nil, err
		}
		old, exists := t.Get(target)
		stamp, ordered := pending[target]
		if done[target] || ordered && (!exists || old.Kind != Dir && old.Stamp <= stamp) {
			continue
		}
		if next > MaxNumber {
			return nil, fmt.Errorf("delete %s: no number left for a deletion order", ToUser(target))
		}
		value := ToUser(target)
		if n, _ := Parse(target); n.Kind.IsDir() {
			value += "/" // as the original writes it
		}
		list = append(list, Set(DeletePath(next, me), value, 0))
		done[target] = true
		next++
	}
	return list, nil
}

// Renumber gives new orders of host me among changes that are committed together
// numbers of their own: they were made from trees that did not have each other.
// last is what it returned for the changes before, 0 for the first ones. Orders
// that are in t already, or get a new stamp (Instead), stay as they are.
func Renumber(t *Tree, me string, changes []Change, last int) ([]Change, int) {
	cloned := false
	for i, c := range changes {
		n, err := Parse(c.Path)
		if err != nil || n.Kind != KindDelete || n.Host != me || c.Op != OpSet || c.Instead != 0 {
			continue
		}
		if old, ok := t.Get(c.Path); ok && old.Value == c.Value {
			continue
		}
		if last == 0 {
			last = t.lastOrder()
		}
		if n.Number > last || last >= MaxNumber {
			last = max(last, n.Number)
			continue
		}
		last++
		if !cloned {
			changes, cloned = slices.Clone(changes), true
		}
		changes[i].Path = DeletePath(last, me)
	}
	return changes, last
}

// lastOrder is the highest number of an order that anybody is known to have
// made or seen.
func (t *Tree) lastOrder() int {
	last := 0
	for _, i := range t.List(TodoGlobalDir()) {
		n, err := Parse(i.Path)
		if err != nil || i.Kind != Link {
			continue
		}
		switch n.Kind {
		case KindDelete:
			last = max(last, n.Number)
		case KindDeleted:
			last = max(last, t.deleted(n.Host))
		case KindAcked:
			for _, a := range t.acks(n.Host) {
				last = max(last, a.Number)
			}
		}
	}
	return last
}

// blocks tells for each path up to which stamp it was deleted: by a marker or
// by an order that is not finished.
func blocks(t *Tree, markers map[string]int64) map[string]int64 {
	b := make(map[string]int64, len(markers))
	for path, stamp := range markers { // order does not matter: a map is copied
		b[path] = stamp
	}
	for _, o := range t.Orders() {
		if s, ok := b[o.Target]; o.Target != "" && (!ok || s < o.Stamp) {
			b[o.Target] = o.Stamp
		}
	}
	return b
}
