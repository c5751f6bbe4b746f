package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"mars/infra/symtree"
)

// Fork is a place at which the histories of the members part: a split brain, as
// it is told to people.
type Fork struct {
	// Log and Pos are the end of what the branches have in common: Pos bytes
	// of Log. Log.Origin is empty where the links that told it are deleted: the
	// fork then lies somewhere before log Log.Number+1, and Pos is 0.
	Log Log
	Pos int64
	// Branches are two or more, sorted by the name of their first log.
	Branches []Branch
}

// Branch is one way on from a Fork.
type Branch struct {
	// First is the first log of which something belongs to this branch alone.
	// Its origin is the host that went its own way here.
	First Log
	// Last is the newest log of the branch, and End its length as far as it is
	// known to be durable, bytes.
	Last Log
	End  int64
	// Bytes are how many bytes of logs lie between the fork and the end: what
	// is given up with this branch. Links that are deleted do not count.
	Bytes int64
	// Since is the Lamport stamp (ns) from which on the branch went its own
	// way, Changed that of its last known progress; 0: not known.
	Since, Changed int64
	// Hosts are the members that stand in this branch, sorted. Members that
	// have not reached the fork are in none.
	Hosts []string
}

// String is one line for the administrator.
func (f Fork) String() string {
	var b strings.Builder
	if f.Log.Origin == "" {
		fmt.Fprintf(&b, "the histories part somewhere before log %d:", f.Log.Number+1)
	} else {
		fmt.Fprintf(&b, "the histories part at %v, %d:", f.Log, f.Pos)
	}
	for i, x := range f.Branches {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s went on with %d bytes up to %v, %d (%s)", x.First.Origin, x.Bytes, x.Last, x.End, strings.Join(x.Hosts, " "))
	}
	return b.String()
}

// Forks finds where the histories of the members part, the earliest fork first;
// none if every two of them are the beginning of one another. claims are those
// of all members.
//
// Forks judges what members have said, Walk what one member may do: what a
// member has applied and not said yet is known to itself alone.
func Forks(claims []Claim) []Fork {
	chains := chainsOf(claims)
	var list []Fork
	for i := range chains {
		for k := range i {
			f, ok := part(&chains[k], &chains[i])
			if ok && !slices.ContainsFunc(list, func(o Fork) bool { return o.Log == f.Log && o.Pos == f.Pos }) {
				list = append(list, f)
			}
		}
	}
	slices.SortFunc(list, func(a, b Fork) int {
		return cmp.Or(cmp.Compare(a.Log.Number, b.Log.Number), cmp.Compare(a.Log.Origin, b.Log.Origin), cmp.Compare(a.Pos, b.Pos))
	})
	out := list[:0]
	for _, f := range list {
		f.Branches = branches(f, chains)
		if len(f.Branches) > 1 { // a fork within one branch of an earlier one has members in others too
			out = append(out, f)
		}
	}
	return out
}

// chain is what one member says of its history, by log number.
type chain struct {
	host   string
	claims map[int]Claim
	last   int
}

func chainsOf(claims []Claim) []chain {
	var list []chain
	for _, c := range claims {
		i := slices.IndexFunc(list, func(x chain) bool { return x.host == c.Host })
		if i < 0 {
			i = len(list)
			list = append(list, chain{host: c.Host, claims: map[int]Claim{}})
		}
		x := &list[i]
		x.claims[c.Log.Number] = c
		x.last = max(x.last, c.Log.Number)
	}
	slices.SortFunc(list, func(a, b chain) int { return cmp.Compare(a.host, b.host) })
	return list
}

// numbers lists the logs of a chain, ascending.
func (x *chain) numbers() []int {
	list := make([]int, 0, len(x.claims))
	for n := range x.claims { // order does not matter: sorted below
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// ended is how long log n was when the chain left it; false if it has not.
func (x *chain) ended(n int) (int64, bool) {
	next, ok := x.claims[n+1]
	if !ok || next.Prev == "" {
		return 0, false
	}
	p, err := symtree.ParseVersion(next.Prev)
	return p.Pos, err == nil
}

// part finds the first place where two chains can not both be the beginning of
// one history.
func part(a, b *chain) (Fork, bool) {
	for _, n := range a.numbers() {
		ca, cb := a.claims[n], b.claims[n]
		if cb.Host == "" {
			continue
		}
		if ca.Log != cb.Log || ca.Prev != cb.Prev && ca.Prev != "" && cb.Prev != "" {
			return parted(n-1, ca.Prev, cb.Prev), true
		}
		enda, lefta := a.ended(n)
		endb, leftb := b.ended(n)
		switch {
		case lefta && leftb && enda != endb:
			return Fork{Log: ca.Log, Pos: min(enda, endb)}, true
		case lefta && !leftb && cb.Len > enda && b.last == n:
			return Fork{Log: ca.Log, Pos: enda}, true
		case leftb && !lefta && ca.Len > endb && a.last == n:
			return Fork{Log: ca.Log, Pos: endb}, true
		}
	}
	return Fork{}, false
}

// parted is the fork of two chains that have different heads for log n.
func parted(n int, a, b string) Fork {
	pa, errA := symtree.ParseVersion(a)
	pb, errB := symtree.ParseVersion(b)
	switch {
	case errA != nil || errB != nil || pa.Number != n || pb.Number != n || pa.Origin != pb.Origin:
		return Fork{Log: Log{Number: n}}
	case pa.Pos == pb.Pos && pa.Digest != pb.Digest:
		return Fork{Log: Log{Number: n}} // the same name and length on different histories
	}
	return Fork{Log: Log{n, pa.Origin}, Pos: min(pa.Pos, pb.Pos)}
}

// way tells which way a chain goes on from a fork; empty if it does not reach
// so far, or never came by. The chain's first log behind the fork comes with it.
func (x *chain) way(f *Fork) (key string, first Log) {
	n := f.Log.Number
	here, has := x.claims[n]
	next, more := x.claims[n+1]
	switch {
	case f.Log.Origin == "" && more:
		return next.Log.Origin + " " + next.Prev, next.Log
	case f.Log.Origin == "":
		return "", Log{}
	case has && here.Log != f.Log:
		return "", Log{}
	}
	end, left := x.ended(n)
	if !left && has {
		end = here.Len
	}
	switch {
	case left && !x.continues(n, f.Log):
		return "", Log{}
	case end > f.Pos:
		return ".", f.Log // goes on in the same log: no host's name
	case left && end == f.Pos:
		return next.Log.Origin, next.Log
	}
	return "", Log{}
}

// continues tells whether the chain's log n+1 follows that log.
func (x *chain) continues(n int, l Log) bool {
	p, err := symtree.ParseVersion(x.claims[n+1].Prev)
	return err == nil && p.Number == l.Number && p.Origin == l.Origin
}

// branches groups the members by the way they took.
func branches(f Fork, chains []chain) []Branch {
	var list []Branch
	var keys []string
	for i := range chains {
		x := &chains[i]
		key, first := x.way(&f)
		if key == "" {
			continue
		}
		k := slices.Index(keys, key)
		if k < 0 {
			k = len(keys)
			keys = append(keys, key)
			list = append(list, Branch{First: first})
		}
		list[k].add(&f, x)
	}
	slices.SortFunc(list, func(a, b Branch) int {
		return cmp.Or(cmp.Compare(a.First.Number, b.First.Number), cmp.Compare(a.First.Origin, b.First.Origin))
	})
	begin(&f, list, chains)
	return list
}

// add takes a member into a branch.
func (b *Branch) add(f *Fork, x *chain) {
	b.Hosts = append(b.Hosts, x.host)
	var bytes int64
	for _, n := range x.numbers() {
		c := x.claims[n]
		switch {
		case n < f.Log.Number || n == f.Log.Number && c.Len <= f.Pos:
			continue
		case n == f.Log.Number:
			bytes += c.Len - f.Pos
		default:
			bytes += c.Len
		}
		b.Changed = max(b.Changed, c.Stamp)
		if n > b.Last.Number || n == b.Last.Number && c.Len > b.End {
			b.Last, b.End = c.Log, c.Len
		}
	}
	b.Bytes = max(b.Bytes, bytes)
}

// begin finds out since when each branch goes its own way. Who left the common
// log at the fork wrote its version link then, and never again; who stayed in
// it was on its own from the moment that the first other one left.
func begin(f *Fork, list []Branch, chains []chain) {
	earliest := int64(0)
	for i := range list {
		b := &list[i]
		if b.First == f.Log {
			continue
		}
		for k := range chains {
			x := &chains[k]
			if !slices.Contains(b.Hosts, x.host) {
				continue
			}
			c, ok := x.claims[f.Log.Number]
			if !ok || c.Stamp == 0 {
				continue
			}
			if x.host == b.First.Origin {
				b.Since = c.Stamp
				break
			}
			if b.Since == 0 || c.Stamp < b.Since {
				b.Since = c.Stamp // its author is gone: nobody had it earlier
			}
		}
		if b.Since != 0 && (earliest == 0 || b.Since < earliest) {
			earliest = b.Since
		}
	}
	for i := range list {
		if list[i].First == f.Log {
			list[i].Since = earliest
		}
	}
}
