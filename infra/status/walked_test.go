// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mars/infra/history"
	"mars/infra/symtree"

	"github.com/google/go-cmp/cmp"
)

// randomHistories is a resource of four members whose links say anything that
// looks like history, most often the same.
func randomHistories(r *rand.Rand) *symtree.Tree {
	t := symtree.New()
	hosts := []string{"A", "B", "C", "D"}
	lengths, origins := []int64{500, 500, 500, 300}, []string{"A", "A", "A", "B"}
	type version struct {
		n     int
		value string
	}
	tell := func() (list []version, end string) {
		prev := ""
		for n := 1 + r.IntN(2); n <= 4; n++ {
			if r.IntN(8) == 0 { // a hole
				n, prev = n+1, ""
			}
			prev = symtree.VersionValue(n, origins[r.IntN(4)], lengths[r.IntN(4)], prev)
			list = append(list, version{n, prev})
		}
		at, _ := symtree.ParseVersion(list[r.IntN(len(list))].value)
		return list, symtree.ReplayLink{Number: at.Number, Origin: at.Origin, Pos: at.Pos - int64(r.IntN(2))*100}.String()
	}
	list, end := tell()
	set(t, "resource-r/size", "4096", "resource-r/primary", hosts[r.IntN(4)])
	for _, h := range hosts {
		switch r.IntN(6) {
		case 0:
			list, end = tell()
		case 1:
			_, end = tell()
		}
		for _, v := range list {
			set(t, symtree.VersionPath("r", v.n, h), v.value)
		}
		set(t, symtree.DataPath("r", h), "/dev/x", symtree.ReplayPath("r", h), end, symtree.SyncStatusPath("r", h), "4096")
		if r.IntN(4) == 0 {
			set(t, symtree.SkipCheckPath("r", h), "2", symtree.SyncPosPath("r", h), end, symtree.SyncFromPath("r", h), "A")
		}
	}
	return t
}

// TestWalked: that one member's way tells another one's saves time, and makes no
// difference.
func TestWalked(t *testing.T) {
	used, split := 0, 0
	for seed := range uint64(4000) {
		tree := randomHistories(rand.New(rand.NewPCG(seed, 1)))
		all := newReader(tree, "r")
		for _, h := range []string{"A", "B", "C", "D"} {
			want, ok := newReader(tree, "r").walkFrom(h, false)
			before := all.last.way
			got, ok2 := all.walkFrom(h, false)
			if d := cmp.Diff(want, got); d != "" || ok != ok2 {
				t.Fatalf("seed %d, %s (-want +got):\n%s", seed, h, d)
			}
			if got.Split != nil {
				split++
			} else if slices.EqualFunc(before.Segments, got.Segments, func(a, b history.Segment) bool { return a == b }) {
				used++
			}
		}
	}
	if used < 500 || split < 500 {
		t.Errorf("%d ways were used again, %d are split: nothing is tested", used, split)
	}
}
