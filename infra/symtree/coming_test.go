// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"testing"
)

// What waits counts once for each path, with the directories it needs, and not
// any more when it is there or given up.
func TestComing(t *testing.T) {
	tree := New()
	tree.Set("userspace", Entry{Kind: Dir})
	tree.Set("userspace/old", Entry{Kind: Link, Value: "ab", Stamp: 1})
	var c Coming
	first := []Change{Set("userspace/old", "abcde", 5), Set("userspace/d/x", "12", 5)}
	again := []Change{Set("userspace/d/x", "1234", 6), Set("userspace/d/y", "1", 6)}
	check := func(when string, entries int, bytes int) {
		t.Helper()
		if c.Len() != entries || c.Bytes() != int64(bytes) {
			t.Errorf("%s: %d entries, %d bytes, want %d and %d", when, c.Len(), c.Bytes(), entries, bytes)
		}
	}
	const d, x, y = len("userspace/d"), len("userspace/d/x"), len("userspace/d/y")
	check("nothing", 0, 0)
	c.Add(tree, first)
	check("first", 2, 3+d+x+2)
	c.Add(tree, again)
	check("both", 3, 3+d+x+4+y+1)
	c.Done(first)
	check("first done", 3, d+x+4+y+1)
	c.Done(again)
	check("both done", 0, 0)
	c.Done(again)
	check("done twice", 0, 0)
}

// A tree does not grow beyond its bound by what waits for the disk, and what
// others send too, again, or in greater length, has the room it has already.
func TestComingCounts(t *testing.T) {
	most := MaxEntries / 8 * 7
	took, refused, coming := flood(true)
	if took != 2*(most-1) || coming != most || refused != 2*(200_000-most+1) {
		t.Errorf("%d taken, %d coming, %d refused of 200000, sent twice; the bound is %d", took, coming, refused, most)
	}
	if took, _, coming := flood(false); took != 400_000 || coming <= 200_000 {
		t.Errorf("control: %d taken, %d coming though nothing that comes was counted", took, coming)
	}
}

// flood sends 200,000 links, each of them twice, before any is written.
func flood(expect bool) (took, refused, comes int) {
	tree := New()
	var coming Coming
	for frame := range 100 {
		var items []Item
		for i := range 2000 {
			items = append(items, Item{fmt.Sprintf("userspace/k%d", frame*2000+i), Entry{Kind: Link, Value: "v", Stamp: 5}})
		}
		for range 2 { // two hosts send it
			ctx := NewContext(tree, nil, "a", 100, 0)
			if expect {
				ctx.Expect(&coming)
			}
			changes, no := ctx.Merge(tree, items)
			coming.Add(tree, changes)
			took, refused = took+len(changes), refused+len(no)
		}
	}
	return took, refused, coming.Len()
}
