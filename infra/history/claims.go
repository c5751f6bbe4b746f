package history

import "mars/infra/symtree"

// Claims reads the version links of a resource's members as claims, by log
// number, then by host. Links of hosts that left, and such as are damaged, say
// nothing.
func Claims(t *symtree.Tree, res string) []Claim {
	var list []Claim
	for _, v := range t.Versions(res) {
		link, err := symtree.ParseVersion(v.Value)
		if err != nil || link.Number != v.Number || !t.IsMember(res, v.Host) {
			continue
		}
		c := Claim{Host: v.Host, Log: Log{link.Number, link.Origin}, Len: link.Pos, Head: link.VersionHead.String(), Stamp: v.Stamp}
		if link.Prev != nil {
			c.Prev = link.Prev.String()
		}
		list = append(list, c)
	}
	return list
}
