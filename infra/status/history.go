// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"slices"
	"strings"

	"mars/infra/history"
	"mars/infra/symtree"
)

// reader reads a resource. What is asked for each member again is read once.
type reader struct {
	t         *symtree.Tree
	res       string
	reference string
	claims    []history.Claim             // of all members, by number, then by host
	end       symtree.VersionHead         // of the reference; Number 0: not known
	lengths   map[int]symtree.VersionHead // of the reference's logs

	others, own []history.Claim // memory for walkFrom
	last        walked
}

func newReader(t *symtree.Tree, res string) *reader {
	r := &reader{t: t, res: res, reference: Reference(t, res), lengths: map[int]symtree.VersionHead{}}
	r.claims = history.Claims(t, res)
	for _, c := range r.claims {
		if c.Host == r.reference {
			digest, _, _ := strings.Cut(c.Head, ",")
			r.end = symtree.VersionHead{Digest: digest, Number: c.Log.Number, Origin: c.Log.Origin, Pos: c.Len}
			r.lengths[c.Log.Number] = r.end
		}
	}
	return r
}

// walkFrom follows the history from where a member stands: as it does itself, or
// with regard to all branches, such as its last sync has left behind, too.
func (r *reader) walkFrom(host string, all bool) (way history.Way, ok bool) {
	at, ok := r.t.Replay(r.res, host)
	if !ok {
		return way, false
	}
	prev, _ := r.t.Value(symtree.VersionPath(r.res, at.Number-1, host))
	skip := r.t.SkipCheck(r.res, host)
	r.others, r.own = history.ApartIn(r.others, r.own, r.claims, host)
	here := history.Point{Log: history.Log{Number: at.Number, Origin: at.Origin}, Pos: at.Pos, Prev: prev}
	if r.last.same(here, skip, r.own) {
		return r.last.way, true
	}
	own := history.Since(r.own, skip, at.Number)
	way = history.Walk(here, r.others, own)
	if way.Split == nil && way.Hole == nil && !jumps(r.own) {
		r.last = walked{here, skip, slices.Clone(r.own), way}
	}
	if way.Split != nil && !all {
		way = history.Walk(here, history.AfterSync(here, r.others, own, r.lead(host), r.syncEnd(host)), own)
	}
	return way, true
}

// walked is a walk that found nothing to tell of any host. Another member that
// stands at the same place and claims the same goes the same way: what the others
// say, and what it says itself, differs in their names alone. In a healthy
// cluster that is most of them.
type walked struct {
	here history.Point
	skip int
	own  []history.Claim
	way  history.Way
}

// jumps tells whether a member went on behind a hole: that it says so of its own
// logs is more than that another one says it.
func jumps(own []history.Claim) bool {
	return len(own) > 0 && slices.ContainsFunc(own[1:], func(c history.Claim) bool { return c.Prev == "" })
}

func (w *walked) same(here history.Point, skip int, own []history.Claim) bool {
	return w.own != nil && w.here == here && w.skip == skip && slices.EqualFunc(w.own, own, func(a, b history.Claim) bool {
		return a.Log == b.Log && a.Len == b.Len && a.Head == b.Head && a.Prev == b.Prev
	})
}

// lead is whom a member follows: the designated primary, and where it is that
// itself, the one it was synced from.
func (r *reader) lead(host string) string {
	if p := r.t.Primary(r.res); p != host {
		return p
	}
	from, _ := r.t.Value(symtree.SyncFromPath(r.res, host))
	return from
}

// syncEnd is where the last sync of a member has ended; the zero Point if there
// was none.
func (r *reader) syncEnd(host string) (end history.Point) {
	if v, ok := r.t.Value(symtree.SyncPosPath(r.res, host)); ok {
		if p, err := symtree.ParseReplay(v); err == nil {
			end = history.Point{Log: history.Log{Number: p.Number, Origin: p.Origin}, Pos: p.Pos}
		}
	}
	return end
}

// WalkFrom follows the history from where a member stands, with regard to all
// branches; ok is false if its replay link is missing or damaged.
func WalkFrom(t *symtree.Tree, res, host string) (way history.Way, ok bool) {
	return newReader(t, res).walkFrom(host, true)
}

// Reference is the member that the others are measured by: the designated
// primary, else an actual one, else the one that has got furthest; empty if
// there is no version link at all.
func Reference(t *symtree.Tree, res string) string {
	if p := t.Primary(res); p != "" && t.IsMember(res, p) {
		return p
	}
	best, at := "", symtree.VersionHead{}
	for _, host := range t.Members(res) {
		if n, _ := t.Int(symtree.ActualPath(res, host, symtree.ActualIsPrimary)); n != 0 {
			return host
		}
		if h, ok := LastVersion(t, res, host); ok && (best == "" || h.Compare(at) > 0) {
			best, at = host, h
		}
	}
	return best
}

// LastVersion is the head of a member's version link with the highest number.
func LastVersion(t *symtree.Tree, res, host string) (last symtree.VersionHead, ok bool) {
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

// measure finds how far the member is behind the reference, in bytes of logs.
func (m *Member) measure(r *reader) {
	end := r.end
	if end.Number == 0 || !m.found {
		return
	}
	m.end = end
	if m.Host == r.reference || m.link.Number > end.Number {
		m.Lag = 0
		return
	}
	lag := -m.link.Pos
	for n := m.link.Number; n <= end.Number; n++ {
		v, ok := r.lengths[n]
		if !ok || n == m.link.Number && v.Origin != m.link.Origin {
			return
		}
		lag += v.Pos
	}
	m.Lag = Amount(max(lag, 0))
}

// fetched is how much of the logs that a member has not applied is on this
// host.
func fetched(t *symtree.Tree, res string, m *Member) Amount {
	if !m.found || !m.Lag.Known() {
		return Unknown
	}
	sum := -m.link.Pos
	for _, l := range t.Logs(res) {
		if l.Number >= m.link.Number && l.Number <= m.end.Number {
			sum += l.Size
		}
	}
	return min(Amount(max(sum, 0)), m.Lag)
}
