package history

import (
	"strings"

	"mars/infra/symtree"
)

// Claims reads the version links of a resource's members as claims, by log
// number, then by host. Links of hosts that left, and such as are damaged, say
// nothing.
func Claims(t *symtree.Tree, res string) []Claim {
	versions := t.Versions(res)
	list := make([]Claim, 0, len(versions))
	for _, v := range versions {
		link, err := symtree.ParseVersion(v.Value)
		if err != nil || link.Number != v.Number || !t.IsMember(res, v.Host) {
			continue
		}
		head, prev, _ := strings.Cut(v.Value, ":") // there is one way to write them
		list = append(list, Claim{Host: v.Host, Log: Log{link.Number, link.Origin}, Len: link.Pos, Head: head, Prev: prev, Stamp: v.Stamp})
	}
	return list
}

// Apart are the claims of all members but one, and those of that one.
func Apart(claims []Claim, host string) (others, own []Claim) {
	return ApartIn(make([]Claim, 0, len(claims)), nil, claims, host)
}

// ApartIn is Apart in memory that is used again.
func ApartIn(others, own, claims []Claim, host string) (o, w []Claim) {
	others, own = others[:0], own[:0]
	for _, c := range claims {
		if c.Host == host {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	return others, own
}

// Since drops those of a member's own claims that a skip has made void: after
// "set-replay --force" to the log skip (the link skip-check), what the member had
// applied before is not the past of what it applies now, and no fork. It counts
// from when the member stands there or behind, at being the number of its log.
func Since(own []Claim, skip, at int) []Claim {
	if skip == 0 || at < skip {
		return own
	}
	var list []Claim
	for _, c := range own {
		if c.Log.Number >= skip {
			list = append(list, c)
		}
	}
	return list
}
