// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"testing"

	"mars/infra/symtree"
)

// TestSplitAfterSync: B was made a copy of A's disk when C had forked off already.
// It says nothing of C, C does, and nobody may take over (WalkFrom) before C is
// resolved, too.
func TestSplitAfterSync(t *testing.T) {
	for _, c := range []struct {
		synced string // where B's sync ended
		chosen bool
	}{{"log-000000001-A,400,0", true}, {"log-000000001-A,300,0", false}, {"", false}} {
		tree := pairTree()
		set(tree, "ips/ip-C", "192.0.2.3", "alive-C", "1")
		in(tree, "data-C", "/dev/disk", "replay-C", "log-000000002-C,9,0", "version-000000001-C", longer(300),
			"version-000000002-C", symtree.VersionValue(2, "C", 9, longer(300)), "syncfrom-B", "A")
		if c.synced != "" {
			in(tree, symtree.Base(symtree.SyncPosPath("r", "B")), c.synced)
		}
		r := running(tree, "B").Resource("r")
		for _, m := range r.Members {
			if want := m.Host == "C" || m.Host == "A" || !c.chosen; (len(m.Splits) > 0) != want {
				t.Errorf("synced to %q: %s tells of splits %+v", c.synced, m.Host, m.Splits)
			}
		}
		if !r.SplitBrain {
			t.Errorf("synced to %q: the resource has no split brain", c.synced)
		}
		if way, ok := WalkFrom(tree, "r", "B"); !ok || way.Split == nil {
			t.Errorf("synced to %q: B could take over: %+v", c.synced, way)
		}
		in(tree, "primary", "B") // by force: it still belongs to A's branch
		if m := running(tree, "B").Resource("r").Member("B"); (len(m.Splits) == 0) != c.chosen {
			t.Errorf("synced to %q, forced: %+v", c.synced, m.Splits)
		}
	}
}
