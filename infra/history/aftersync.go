package history

import (
	"cmp"
	"slices"
)

// AfterSync drops the claims of members whose branch a sync has left behind: a
// member that was made a copy of lead (manual 1.4.3.1, invalidate), up to the
// point end, has by that chosen lead's branch. Whoever had forked off before end
// concerns it no more; it need not wait until all others have chosen, too. Forks
// behind end count as ever, and so do all against lead itself. A zero end means
// that there was no sync, an empty lead that nobody leads: then all claims count.
//
// claims are those of the others, at and own as for Walk.
func AfterSync(at Point, claims, own []Claim, lead string, end Point) []Claim {
	if end.Log.Number == 0 || lead == "" || Walk(at, claims, own).Split == nil {
		return claims // as always, but in a split brain: fewer claims split nothing that all of them do not
	}
	by := map[string][]Claim{}
	for _, c := range claims {
		by[c.Host] = append(by[c.Host], c)
	}
	agrees := func(c Claim) bool { return c.Log == at.Log && c.Prev == Head(at.Prev) }
	if !slices.ContainsFunc(by[lead], agrees) || Walk(at, by[lead], own).Split != nil {
		return claims // this member is not on lead's branch, as far as is known
	}
	past := map[string]bool{}
	for host, theirs := range by { // order does not matter: each is judged alone
		if host == lead {
			continue
		}
		both := append(append([]Claim(nil), by[lead]...), theirs...)
		split := Walk(at, both, own).Split
		past[host] = split != nil && cmp.Or(cmp.Compare(split.Number, end.Log.Number), cmp.Compare(split.Pos, end.Pos)) < 0
	}
	list := make([]Claim, 0, len(claims))
	for _, c := range claims {
		if !past[c.Host] {
			list = append(list, c)
		}
	}
	return list
}
