package history

import (
	"fmt"
	"slices"
	"strings"

	"mars/infra/mutant"
	"mars/infra/symtree"
)

// Open is the end of a segment that is not known yet: its log is being written.
const Open int64 = -1

// maxSegments bounds a walk; more logs ahead are looked at when they are near.
const maxSegments = 64

// Log names one transaction logfile of a resource.
type Log struct {
	Number int
	Origin string
}

// String is the log's file name.
func (l Log) String() string { return fmt.Sprintf("log-%09d-%s", l.Number, l.Origin) }

// Claim is what one member says about one log, from its version link.
type Claim struct {
	Host string // who says it
	Log  Log
	Len  int64  // how much of the log it knows to be durable
	Head string // digest,log,len
	Prev string // the head of the log before, empty for the first
	// Stamp is the Lamport stamp of the link, ns; only Forks looks at it.
	Stamp int64
}

// Point is where a member stands.
type Point struct {
	Log Log
	Pos int64 // bytes of the log applied
	// Prev is the member's own complete version value of log Number-1; empty
	// for the first log of a resource.
	Prev string
}

// Segment is a stretch of history that may be applied.
type Segment struct {
	Log Log
	End int64 // the log's final length, or Open
	// Prev is the complete version value of the log before on this way: what
	// the walker's own version link for this log is to be built on.
	Prev string
}

// Split tells where a history forks.
type Split struct {
	Number int   // the common log
	Pos    int64 // its common length
	Why    string
}

// Hole tells that the logs go on behind a gap in their numbers (manual 2.4.2):
// what was changed in between is in no log.
type Hole struct {
	Log  Log    // the first one behind the gap
	Host string // who says so
}

// Way is the result of a Walk: what may be applied, and the fork or the hole
// behind it. The first segment is the log that the walker stands in.
type Way struct {
	Segments []Segment
	Split    *Split
	Hole     *Hole
}

// Head returns the part of a version value that identifies it.
func Head(value string) string {
	head, _, _ := strings.Cut(value, ":")
	return head
}

// Value is the complete version value of a log of that length on a way.
func Value(l Log, length int64, prev string) string {
	return symtree.VersionValue(l.Number, l.Origin, length, prev)
}

// Walk follows the history from a point. claims are those of all members; own
// are the walker's, by which forks behind it are found.
func Walk(at Point, claims, own []Claim) Way {
	if s := behind(at, claims, own); s != nil {
		return Way{Segments: []Segment{{at.Log, at.Pos, at.Prev}}, Split: s}
	}
	var way Way
	log, prev, pos := at.Log, at.Prev, at.Pos
	for len(way.Segments) < maxSegments {
		next, split := step(log, prev, claims)
		switch {
		case split != nil:
			end := split.Pos
			if split.Pos < pos {
				split.Why += fmt.Sprintf("; here it was applied up to %d", pos)
				end = pos // nothing more, and nothing can be taken back
			}
			way.Segments = append(way.Segments, Segment{log, end, prev})
			way.Split = split
			return way
		case next == nil:
			way.Segments = append(way.Segments, Segment{log, Open, prev})
			way.Hole = holeBehind(log, claims)
			return way
		case next.forkAt < pos:
			way.Segments = append(way.Segments, Segment{log, pos, prev})
			way.Split = &Split{log.Number, next.forkAt, fmt.Sprintf("%v follows %v at %d, but here it was applied up to %d", next.log, log, next.forkAt, pos)}
			return way
		}
		way.Segments = append(way.Segments, Segment{log, next.forkAt, prev})
		log, prev, pos = next.log, next.prev, 0
	}
	return way
}

// successor is a log that follows at a known length.
type successor struct {
	log    Log
	forkAt int64
	who    string
	prev   string // the complete version value of the log that it follows
}

// step finds what follows log on the way given by prev: one successor, nothing
// yet, or a split.
func step(log Log, prev string, claims []Claim) (*successor, *Split) {
	next := successors(log, prev, claims)
	if len(next) == 0 {
		return nil, nil
	}
	first := next[0]
	if c := jumped(log, prev, claims); c != nil {
		return nil, &Split{log.Number, min(first.forkAt, c.Len), fmt.Sprintf("%v (says %s) follows %v, but %s went on without a log there", first.log, first.who, log, c.Host)}
	}
	for _, s := range next[1:] {
		at := min(first.forkAt, s.forkAt)
		return nil, &Split{log.Number, at, fmt.Sprintf("%v (says %s) and %v (says %s) both follow %v", first.log, first.who, s.log, s.who, log)}
	}
	for _, c := range claims {
		if c.Log == log && c.Prev == Head(prev) && c.Len > first.forkAt {
			return nil, &Split{log.Number, first.forkAt, fmt.Sprintf("%v follows %v at %d, but %s has it up to %d", first.log, log, first.forkAt, c.Host, c.Len)}
		}
	}
	return &first, nil
}

// successors lists the distinct logs that claim to follow log on this way, in
// a fixed order.
func successors(log Log, prev string, claims []Claim) []successor {
	var list []successor
	value, at := "", Open // most say the same of the log's end: its digest is made once
	var p symtree.VersionLink
	var err error
	said := ""
	for _, c := range claims {
		if mutant.Is(mutant.GapAccepted) && c.Prev == "" && c.Log.Number > log.Number+1 {
			n := lengthOf(log, claims)
			list = append(list, successor{c.Log, n, c.Host, Value(log, n, prev)})
			continue
		}
		if c.Log.Number != log.Number+1 || c.Prev == "" {
			continue
		}
		if c.Prev != said {
			p, err = symtree.ParseVersion(c.Prev)
			said = c.Prev
		}
		if err != nil || p.Number != log.Number || p.Origin != log.Origin {
			continue
		}
		if p.Pos != at {
			value, at = Value(log, p.Pos, prev), p.Pos
		}
		if Head(value) != c.Prev && !mutant.Is(mutant.UnchainedRotation) {
			continue
		}
		s := successor{c.Log, p.Pos, c.Host, value}
		if !slices.ContainsFunc(list, func(x successor) bool { return x.log == s.log && x.forkAt == s.forkAt }) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b successor) int { return strings.Compare(a.log.Origin, b.log.Origin) })
	return list
}

// holeBehind finds the next log with a gap in front of it: one that is not the
// first of all, and names no predecessor.
func holeBehind(log Log, claims []Claim) *Hole {
	var h *Hole
	for _, c := range claims {
		if c.Prev == "" && c.Log.Number > log.Number+1 && (h == nil || c.Log.Number < h.Log.Number) {
			h = &Hole{c.Log, c.Host}
		}
	}
	return h
}

// jumped finds the claim on log of a member that went on behind a hole from
// there: then whatever follows log is another branch.
func jumped(log Log, prev string, claims []Claim) *Claim {
	for i, c := range claims {
		if c.Log != log || c.Prev != Head(prev) {
			continue
		}
		var next *Claim // of the same member
		for j, x := range claims {
			if x.Host == c.Host && x.Log.Number > log.Number && (next == nil || x.Log.Number < next.Log.Number) {
				next = &claims[j]
			}
		}
		if next != nil && next.Log.Number > log.Number+1 && next.Prev == "" && next.Log.Origin == c.Host {
			return &claims[i]
		}
	}
	return nil
}

// lengthOf is the longest that anybody says of a log.
func lengthOf(log Log, claims []Claim) (n int64) {
	for _, c := range claims {
		if c.Log == log {
			n = max(n, c.Len)
		}
	}
	return n
}

// behind finds a fork at or before the log that the walker stands in: a claim
// of a member on a log that the walker knows, with another origin or another
// predecessor.
func behind(at Point, claims, own []Claim) *Split {
	mine := map[int]Claim{at.Log.Number: {Log: at.Log, Prev: Head(at.Prev)}}
	for _, c := range own {
		if c.Log.Number < at.Log.Number {
			mine[c.Log.Number] = c
		}
	}
	var worst *Split
	for _, c := range claims {
		m, ok := mine[c.Log.Number]
		if !ok {
			// Where the walker has a hole somebody else has a log.
			if m, ok = mine[c.Log.Number-1]; !ok || c.Log.Number >= at.Log.Number {
				continue
			}
			p, err := symtree.ParseVersion(c.Prev)
			if err == nil && p.Origin == m.Log.Origin && (worst == nil || m.Log.Number < worst.Number) {
				worst = &Split{m.Log.Number, min(p.Pos, m.Len), fmt.Sprintf("%s has %v, here the logs have a hole behind %v", c.Host, c.Log, m.Log)}
			}
			continue
		}
		// The first claim a member has was copied when it joined; what came
		// before it is nobody's business any more.
		if (c.Log == m.Log || mutant.Is(mutant.OriginIgnored)) && (c.Prev == m.Prev || c.Prev == "" || m.Prev == "") {
			// Here the log ended at m.Len; there it goes on.
			if c.Log.Number < at.Log.Number && c.Prev == m.Prev && c.Len > m.Len && (worst == nil || c.Log.Number < worst.Number) {
				worst = &Split{c.Log.Number, m.Len, fmt.Sprintf("%s has %v up to %d, here it ended at %d", c.Host, c.Log, c.Len, m.Len)}
			}
			continue
		}
		s := &Split{Number: c.Log.Number - 1, Why: fmt.Sprintf("%s has %v, here it is %v", c.Host, c.Log, m.Log)}
		if c.Log == m.Log {
			s.Why = fmt.Sprintf("%s has %v on top of %q, here it is on top of %q", c.Host, c.Log, c.Prev, m.Prev)
		}
		s.Pos = commonLen(c.Prev, m.Prev)
		if worst == nil || s.Number < worst.Number {
			worst = s
		}
	}
	return worst
}

// commonLen is how much two branches share of the log before their fork.
func commonLen(a, b string) int64 {
	pa, errA := symtree.ParseVersion(a)
	pb, errB := symtree.ParseVersion(b)
	if errA != nil || errB != nil || pa.Origin != pb.Origin || pa.Number != pb.Number {
		return 0
	}
	return min(pa.Pos, pb.Pos)
}
