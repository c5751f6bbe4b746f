// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"io"
	"strings"
	"testing"

	"mars/infra/env"
	"mars/infra/env/osenv"

	"github.com/google/go-cmp/cmp"
)

// TestLoadOnly: what is wanted is read whole, or without stamps, what is not
// appears empty, and what is outside of resources is always read. The real directory gives the
// same tree as one that tells no values along with the names.
func TestLoadOnly(t *testing.T) {
	dir := t.TempDir()
	real, err := osenv.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer real.(io.Closer).Close()
	mem := newMemFS()
	var b Batch
	for _, path := range []string{"uuid", "ips/ip-h", "userspace/a/b", "resource-r/size", "resource-r/primary", "resource-r/todo-h/sync", "resource-r/actual-i/open-count", "resource-q/size", "resource-q/todo-h/sync"} {
		b.Set(path, "1")
	}
	b.Create(LogPath("r", 1, "h"))
	stores := []*Store{NewStore(real, AdmTemp), NewStore(mem, AdmTemp)}
	for i, s := range stores {
		if err := s.CommitBatch(&b, 77); err != nil {
			t.Fatal(err)
		}
		loadOnly(t, s, env.WantAll, true)
		loadOnly(t, s, env.WantValue, i > 0)
		all, _, err := s.Load()
		if err != nil || !strings.Contains(all.String(), "resource-q/todo-h/sync") {
			t.Errorf("Load afterwards: %v, %v", all, err)
		}
	}
}

// loadOnly wants of one resource all but a little.
func loadOnly(t *testing.T, s *Store, how env.Want, stamps bool) {
	t.Helper()
	tree, _, err := s.LoadOnly(func(at Spot) env.Want {
		if at.ResDir != "resource-r" || at.IsOf("actual-", "i") || at.Name == "primary" {
			return env.WantNothing
		}
		return how
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `ips/
ips/ip-h -> 1 @77
resource-q/
resource-r/
resource-r/log-000000001-h 0 bytes
resource-r/size -> 1 @77
resource-r/todo-h/
resource-r/todo-h/sync -> 1 @77
userspace/
userspace/a/
userspace/a/b -> 1 @77
uuid -> 1 @77
`
	if !stamps {
		want = strings.NewReplacer("size -> 1 @77", "size -> 1 @0", "sync -> 1 @77", "sync -> 1 @0").Replace(want)
	}
	if diff := cmp.Diff(want, tree.String()); diff != "" {
		t.Errorf("%d: %s", how, diff)
	}
}
