// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"mars/infra/env"
	"mars/infra/env/osenv"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLoad(t *testing.T) {
	fs := newMemFS()
	fs.putLink("uuid", "u", 1)
	fs.putLink("resource-r/size", "5", 2)
	fs.putLink("resource-r/todo-h/sync", "1", 3)
	fs.put("resource-r/log-000000001-h", memNode{kind: env.KindFile, size: 7, mtime: 4})
	fs.put("resource-r/data-h", memNode{kind: env.KindFile, size: 8, mtime: 4})
	fs.put("resource-empty", memNode{kind: env.KindDir})
	fs.putLink("userspace/a/b", "x", 5)
	fs.putLink(".deleted-uuid", "1", 6)
	fs.putLink("resource-r/.deleted-primary", "1", 7)
	// What is not there for us:
	fs.putLink(".tmp-uuid", "u", 9)
	fs.putLink("resource-r/.tmp.12.size", "9", 9)
	fs.putLink("resource-r/unknown", "9", 9)
	fs.putLink("resource-r/.deleted-unknown", "9", 9)
	fs.putLink("resource-r/log-000000002-h", "9", 9)
	fs.put("resource-r/primary", memNode{kind: env.KindFile})
	fs.put("alive-h", memNode{kind: env.KindDir})
	fs.putLink("lost+found/x", "9", 9)
	fs.put("userspace/pipe", memNode{kind: env.KindOther})
	fs.putLink("ips", "elsewhere", 9)
	tree, markers, err := NewStore(fs, DaemonTemp).Load()
	if err != nil {
		t.Fatal(err)
	}
	want := `resource-empty/
resource-r/
resource-r/data-h 8 bytes
resource-r/log-000000001-h 7 bytes
resource-r/size -> 5 @2
resource-r/todo-h/
resource-r/todo-h/sync -> 1 @3
userspace/
userspace/a/
userspace/a/b -> x @5
uuid -> u @1
`
	if diff := cmp.Diff(want, tree.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int64{"uuid": 6, "resource-r/primary": 7}, markers); diff != "" {
		t.Error(diff)
	}
	part, markers, err := NewStore(fs, DaemonTemp).Rescan("resource-r")
	if err != nil || part.Len() != 6 || len(markers) != 1 {
		t.Errorf("rescan: %v, %v, %v", part, markers, err)
	}
	for _, dir := range []string{"resource-none", "lost+found", "alive-h", "../x", "resource-r/log-000000001-h"} {
		if part, _, err := NewStore(fs, DaemonTemp).Rescan(dir); err != nil || part.Len() != 0 {
			t.Errorf("rescan of %s: %v, %v", dir, part, err)
		}
	}
}

// TestLoadFails: whatever call fails, there is no tree; what has disappeared
// meanwhile is no failure.
func TestLoadFails(t *testing.T) {
	full := newMemFS()
	full.putLink("uuid", "u", 1)
	full.putLink("resource-r/size", "5", 2)
	full.putLink("resource-r/todo-h/sync", "1", 3)
	for n := 1; ; n++ {
		fs := full.clone()
		fs.failAt = n
		tree, _, err := NewStore(fs, DaemonTemp).Load()
		if fs.calls < n {
			if n < 10 {
				t.Fatalf("only %d calls", n)
			}
			break
		}
		if !errors.Is(err, errInjected) || tree != nil {
			t.Fatalf("call %d failed, but Load says %v, %v", n, tree, err)
		}
	}
	for n := range 20 {
		fs, seen := full.clone(), 0
		fs.hook = func(op, p string) {
			if seen++; seen == n+2 { // not the root itself
				delete(fs.nodes, "resource-r/todo-h/sync")
				delete(fs.nodes, "resource-r/todo-h")
				delete(fs.nodes, "uuid")
			}
		}
		if tree, _, err := NewStore(fs, DaemonTemp).Load(); err != nil || !tree.Exists("resource-r/size") {
			t.Fatalf("entries gone before call %d: %v, %v", n+2, tree, err)
		}
	}
	if _, _, err := NewStore(&memFS{nodes: map[string]memNode{}}, DaemonTemp).Load(); err == nil {
		t.Error("a missing root is no error")
	}
}

// TestLoadPairs: a value is never paired with another one's stamp.
func TestLoadPairs(t *testing.T) {
	for n := range 8 {
		fs, seen := newMemFS(), 0
		fs.putLink("userspace/x", "old", 1)
		fs.hook = func(op, p string) {
			if seen++; seen == n {
				fs.putLink("userspace/x", "new", 2)
			}
		}
		tree, _, err := NewStore(fs, DaemonTemp).Load()
		if err != nil {
			t.Fatal(err)
		}
		if e, _ := tree.Get("userspace/x"); e.Value == "old" != (e.Stamp == 1) {
			t.Errorf("changed before call %d: %v", n, e)
		}
	}
	fs := newMemFS()
	fs.putLink("userspace/x", "old", 1)
	fs.hook = func(op, p string) { fs.clock++; fs.putLink("userspace/x", "new", fs.clock) }
	if _, _, err := NewStore(fs, DaemonTemp).Load(); err == nil {
		t.Error("a link that never stands still is believed")
	}
}

func TestCommit(t *testing.T) {
	fs := newMemFS()
	fs.putLink("resource-r/size", "5", 50)
	fs.putLink("resource-r/primary", "a", 10)
	fs.putLink("resource-r/connect-a", "b", 10)
	fs.putLink("resource-r/todo-x/.deleted-sync", "1", 10)
	fs.put("resource-r/log-000000001-a", memNode{kind: env.KindFile, mtime: 10})
	fs.putLink("resource-r/.tmp-primary", "leftover", 10)
	skipped, err := NewStore(fs, DaemonTemp).Commit([]Change{
		Set("resource-r/primary", "gone", 20),
		Set("resource-r/size", "6", 40),
		Set("resource-r/todo-h/sync", "1", 20),
		{Op: OpMark, Path: "resource-r/connect-a", Stamp: 30},
		{Op: OpRemove, Path: "resource-r/connect-a", Stamp: 30},
		{Op: OpRemove, Path: "resource-r/log-000000001-a", Stamp: 5},
		{Op: OpMark, Path: "resource-none/size", Stamp: 30},
		Remove("resource-r/todo-x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"set resource-r/size -> 6 @40", "remove resource-r/log-000000001-a", "mark resource-none/size as deleted @30"}
	if diff := cmp.Diff(want, words(skipped)); diff != "" {
		t.Error(diff)
	}
	skipped, err = NewStore(fs, DaemonTemp).Commit([]Change{
		Set("resource-r/primary", "a-not", 20), Remove("resource-r/primary"), Remove("resource-r"), Create("resource-s/log-000000001-a"),
		Mkdir("resource-s/userspace"), Set("resource-r/primary", "b", 20), {Op: OpUnmark, Path: "resource-r/connect-a"}, {Op: OpUnmark, Path: "userspace/x"},
	})
	if err != nil || len(skipped) != 1 || skipped[0].Path != "resource-r" {
		t.Fatalf("skipped %v, %v", skipped, err)
	}
	wantDump := `. (2)
resource-r (2)
resource-r/log-000000001-a (3)
resource-r/primary -> b @20
resource-r/size -> 5 @50
resource-r/todo-h (2)
resource-r/todo-h/sync -> 1 @20
resource-s (2)
resource-s/log-000000001-a (3)
resource-s/userspace (2)
`
	if diff := cmp.Diff(wantDump, fs.dump()); diff != "" {
		t.Error(diff)
	}
}

// TestCommitSyncs: after each kind of change no directory is left that a power
// cut could take back.
func TestCommitSyncs(t *testing.T) {
	for _, c := range []Change{
		Set("resource-r/size", "6", 90), Set("resource-n/size", "6", 90), Create("resource-r/log-000000002-a"), Create("resource-n/log-000000002-a"),
		Mkdir("resource-r/userspace"), Remove("resource-r/size"), {Op: OpMark, Path: "resource-r/size", Stamp: 90}, {Op: OpUnmark, Path: "resource-r/primary"},
	} {
		fs := newMemFS()
		fs.putLink("resource-r/size", "5", 50)
		fs.putLink("resource-r/.deleted-primary", "1", 50)
		clear(fs.dirty)
		if _, err := NewStore(fs, DaemonTemp).Commit([]Change{c}); err != nil {
			t.Fatal(err)
		}
		if len(fs.dirty) > 0 {
			t.Errorf("%v leaves directories that are not synced: %v", c, fs.dirty)
		}
	}
}

// TestCommitOrder: everything is prepared, then takes effect in order, then
// each directory is synced once.
func TestCommitOrder(t *testing.T) {
	fs := newMemFS()
	if _, err := NewStore(fs, DaemonTemp).Commit([]Change{
		Set("resource-r/size", "1", 5), Set("alive-a", "1", 6), Create("resource-r/log-000000001-a"), Set("resource-r/primary", "a", 7),
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"symlink .tmp-alive-a", "mkdir resource-r", "symlink resource-r/.tmp-size", "symlink resource-r/.tmp-primary",
		"rename resource-r/size", "rename alive-a", "create resource-r/log-000000001-a", "rename resource-r/primary",
		"sync .", "sync resource-r",
	}
	if diff := cmp.Diff(want, fs.log); diff != "" {
		t.Error(diff)
	}
	if len(fs.dirty) > 0 {
		t.Errorf("not durable: %v", fs.dirty)
	}
}

func TestCommitRefuses(t *testing.T) {
	for _, c := range []Change{
		Set("resource-r/unknown", "1", 1), Set("../x", "1", 1), Set("resource-r/size", "", 1), Set("resource-r/size", "1\x00", 1),
		Set("resource-r/todo-h", "1", 1), Set("resource-r/log-000000001-a", "1", 1), Mkdir("resource-r/size"), Create("resource-r/size"),
		Remove("lost+found"), {Op: OpMark, Path: "/etc"}, {Op: 99, Path: "uuid"}, {Path: "uuid"},
	} {
		fs := newMemFS()
		if _, err := NewStore(fs, DaemonTemp).Commit([]Change{Set("uuid", "u", 1), c}); err == nil || len(fs.log) > 0 {
			t.Errorf("%v: %v, done %v", c, err, fs.log)
		}
	}
}

// TestCommitFails: at whatever call a Commit fails, each link has its old value
// or its new one, a leading part of the changes is made, no temporary name is
// left (but when removing it was what failed), and repeating it succeeds.
func TestCommitFails(t *testing.T) {
	start := newMemFS()
	start.putLink("resource-r/size", "old", 1)
	start.putLink("resource-r/primary", "old", 1)
	start.putLink("resource-r/connect-a", "old", 1)
	changes := []Change{
		Set("resource-r/size", "new", 2), Set("resource-s/todo-h/sync", "new", 2), Remove("resource-r/connect-a"),
		Create("resource-r/log-000000001-a"), Set("resource-r/primary", "new", 2), {Op: OpMark, Path: "resource-r/connect-a", Stamp: 2},
	}
	good := start.clone()
	if _, err := NewStore(good, DaemonTemp).Commit(changes); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		fs := start.clone()
		fs.failAt = n
		_, err := NewStore(fs, DaemonTemp).Commit(changes)
		if fs.calls < n {
			break
		}
		if err == nil {
			t.Fatalf("call %d failed without an error", n)
		}
		if strings.Contains(fs.dump(), ".tmp") {
			t.Fatalf("call %d: leftovers:\n%s", n, fs.dump())
		}
		size, primary := fs.nodes["resource-r/size"], fs.nodes["resource-r/primary"]
		if primary.value == "new" && size.value != "new" || size.value == "new" != (size.mtime == 2) || primary.value == "new" != (primary.mtime == 2) {
			t.Fatalf("call %d:\n%s", n, fs.dump())
		}
		if !strings.Contains(strings.Join(fs.log, ";"), "rename") && fs.dump() != start.dump() && fs.calls < n+5 {
			t.Fatalf("call %d: not undone:\n%s", n, fs.dump())
		}
		fs.failAt = 0
		again := changes
		if _, ok := fs.nodes["resource-r/log-000000001-a"]; ok {
			again = slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Op == OpCreate })
		}
		if _, err := NewStore(fs, DaemonTemp).Commit(again); err != nil || fs.dump() != good.dump() {
			t.Fatalf("call %d: repetition: %v\n%s", n, err, fs.dump())
		}
	}
}

// TestApplyIsCommit: memory and disk do the same.
func TestApplyIsCommit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := newMemFS()
		store := NewStore(fs, DaemonTemp)
		tree, markers := New(), map[string]int64{}
		paths := []string{"userspace/a", "resource-r/size", "resource-r/todo-h/sync", "resource-r/todo-h", "resource-r", "userspace"}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			c := Change{Op: Op(rapid.IntRange(1, 6).Draw(t, "op")), Path: path, Stamp: rapid.Int64Range(1, 5).Draw(t, "stamp")}
			switch n, _ := Parse(path); {
			case c.Op == OpCreate || c.Op == OpSet && n.Kind.IsDir() || c.Op == OpMkdir && !n.Kind.IsDir():
				continue
			case c.Op == OpMark && Parent(path) != "." && !tree.Exists(Parent(path)):
				continue
			case c.Op == OpSet:
				c.Value = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
			case c.Op == OpRemove && n.Kind.IsDir():
				// A directory goes with the markers in it.
				ReplaceMarkers(markers, path, map[string]int64{})
			}
			a := Apply(tree, markers, []Change{c})
			b, err := store.Commit([]Change{c})
			if err != nil || len(a) != len(b) {
				t.Fatalf("%v: skipped %v in memory, %v on disk (%v)", c, a, b, err)
			}
			if len(b) > 0 {
				clear(fs.dirty) // a temporary name need not be durable
			} else if len(fs.dirty) > 0 {
				t.Fatalf("%v: not durable: %v", c, fs.dirty)
			}
			if len(a) > 0 && c.Op == OpRemove {
				_, markers, _ = store.Load() // nothing was removed
			}
		}
		got, gotMarkers, err := store.Load()
		if err != nil || got.String() != tree.String() || fmt.Sprint(gotMarkers) != fmt.Sprint(markers) {
			t.Fatalf("on disk\n%v%v\nin memory\n%v%v (%v)", got, gotMarkers, tree, markers, err)
		}
	})
}

func TestBatch(t *testing.T) {
	fs := newMemFS()
	fs.putLink("resource-r/todo-h/sync", "0", 100)
	store := NewStore(fs, AdmTempOf(12))
	tree, markers, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Set("resource-r/size", "1")
	b.Set("resource-r/primary", "a")
	b.Mkdir("resource-r/local-h")
	b.Create("resource-r/log-000000001-h")
	b.Set("resource-r/size", "2")
	orders, err := NewOrder(tree, "h", []string{"resource-r/todo-h/sync"})
	if err != nil {
		t.Fatal(err)
	}
	b.Add(orders...)
	stamp := BatchStamp(50, tree, markers)
	if stamp != 101 || BatchStamp(200, tree, markers) != 201 || BatchStamp(50, tree, map[string]int64{"uuid": 300}) != 301 || b.Len() != 6 {
		t.Fatalf("stamp %d, %d changes", stamp, b.Len())
	}
	if err := store.CommitBatch(&b, stamp); err != nil {
		t.Fatal(err)
	}
	tree, _, _ = store.Load()
	want := `resource-r/
resource-r/local-h/
resource-r/log-000000001-h 0 bytes
resource-r/primary -> a @101
resource-r/size -> 2 @101
resource-r/todo-h/
resource-r/todo-h/sync -> 0 @100
todo-global/
todo-global/delete-000000001-h -> /mars/resource-r/todo-h/sync @101
`
	if diff := cmp.Diff(want, tree.String()); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(fs.log, "symlink resource-r/.tmp.12.primary") {
		t.Errorf("temporary names: %v", fs.log)
	}
	if i, j := slices.Index(fs.log, "rename resource-r/primary"), slices.Index(fs.log, "rename resource-r/size"); i > j {
		t.Error("a path set again did not move to the end")
	}
	before := fs.dump()
	if err := store.CommitBatch(&b, stamp+1); !errors.Is(err, env.ErrExist) || fs.dump() != before {
		t.Errorf("log made twice: %v", err)
	}
	var c Batch
	c.Set("userspace/x", "1")
	c.Set("resource-r/size", "3")
	if err := store.CommitBatch(&c, stamp); !errors.Is(err, ErrStale) || fs.dump() != before {
		t.Errorf("old stamp: %v\n%s", err, fs.dump())
	}
	c.Set("resource-r/nothing", "1")
	if err := store.CommitBatch(&c, stamp+1); !errors.Is(err, ErrGrammar) || fs.dump() != before {
		t.Errorf("bad name: %v\n%s", err, fs.dump())
	}
}

// TestBatchRace: a link that gets newer during the commit is not lost.
func TestBatchRace(t *testing.T) {
	fs := newMemFS()
	fs.putLink("userspace/x", "0", 1)
	fs.hook = func(op, p string) {
		if op == "symlink" {
			fs.putLink("userspace/x", "newer", 9)
		}
	}
	var b Batch
	b.Set("userspace/x", "1")
	if err := NewStore(fs, AdmTemp).CommitBatch(&b, 5); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
	if n := fs.nodes["userspace/x"]; n.value != "newer" || strings.Contains(fs.dump(), ".tmp") {
		t.Errorf("it is lost:\n%s", fs.dump())
	}
}

func TestClean(t *testing.T) {
	fs := newMemFS()
	fs.putLink("resource-r/.tmp-size", "x", 1000)
	fs.putLink("resource-r/todo-h/.tmp.77.sync", "x", 10)
	fs.putLink("resource-r/todo-h/.tmp.78.sync", "x", 1000)
	fs.putLink("resource-r/size", "x", 1)
	fs.putLink("resource-r/.deleted-primary", "1", 1)
	fs.putLink("lost+found/.tmp-size", "x", 1)
	fs.put(".tmp-file", memNode{kind: env.KindFile})
	if err := NewStore(fs, DaemonTemp).Clean(100); err != nil {
		t.Fatal(err)
	}
	want := `. (2)
lost+found (2)
lost+found/.tmp-size -> x @1
resource-r (2)
resource-r/.deleted-primary -> 1 @1
resource-r/size -> x @1
resource-r/todo-h (2)
resource-r/todo-h/.tmp.78.sync -> x @1000
`
	if diff := cmp.Diff(want, fs.dump()); diff != "" {
		t.Error(diff)
	}
	if len(fs.dirty) > 0 {
		t.Errorf("not durable: %v", fs.dirty)
	}
	fs.failAt = fs.calls + 2
	if err := NewStore(fs, DaemonTemp).Clean(100); !errors.Is(err, errInjected) {
		t.Errorf("an error is swallowed: %v", err)
	}
}

// TestRealDirectory runs the store on a directory of this machine.
func TestRealDirectory(t *testing.T) {
	fs, err := osenv.NewFS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store := NewStore(fs, DaemonTemp)
	const stamp = 1_700_000_000_123_456_789
	if skipped, err := store.Commit([]Change{
		Set("uuid", "u", stamp), Set("resource-r/todo-h/sync", strings.Repeat("v", MaxValue), stamp+1), Create("resource-r/log-000000001-h"),
		{Op: OpMark, Path: "resource-r/primary", Stamp: stamp + 2}, {Op: OpMark, Path: "resource-r/todo-h/x", Stamp: stamp}, Mkdir("userspace"),
	}); err != nil || len(skipped) > 0 {
		t.Fatal(skipped, err)
	}
	tree, markers, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if e, _ := tree.Get("resource-r/todo-h/sync"); e.Stamp != stamp+1 || len(e.Value) != MaxValue || tree.Len() != 6 {
		t.Errorf("got\n%v", tree)
	}
	if markers["resource-r/primary"] != stamp+2 || len(markers) != 2 {
		t.Errorf("markers %v", markers)
	}
	skipped, err := store.Commit([]Change{Set("uuid", "v", stamp-1), Remove("resource-r/todo-h/sync"), Remove("resource-r/todo-h"), Remove("resource-r")})
	if err != nil || len(skipped) != 2 {
		t.Errorf("skipped %v, %v", skipped, err)
	}
	tree, _, err = store.Load()
	if err != nil || tree.Exists("resource-r/todo-h") || !tree.Exists("resource-r/log-000000001-h") || tree.UUID() != "u" {
		t.Errorf("got\n%v%v", tree, err)
	}
	if err := store.Clean(0); err != nil {
		t.Error(err)
	}
}

// TestCommitNewest: hosts pass links on to each other, so that an older value
// may come right behind a newer one.
func TestCommitNewest(t *testing.T) {
	fs := newMemFS()
	fs.putLink("resource-r/size", "5", 50)
	skipped, err := NewStore(fs, DaemonTemp).Commit([]Change{
		Set("resource-r/primary", "new", 20), Set("resource-r/primary", "old", 10), Set("resource-r/primary", "low", 20),
	})
	if err != nil || len(skipped) != 2 {
		t.Fatalf("skipped %v, %v", skipped, err)
	}
	if v, _ := fs.Readlink("resource-r/primary"); v != "new" {
		t.Errorf("the link is %q, want the newest value", v)
	}
}

// TestCommitMarks: orders that have gathered while hosts were cut off may mark
// one path several times in one batch.
func TestCommitMarks(t *testing.T) {
	fs := newMemFS()
	fs.putLink("resource-r/size", "5", 50)
	store := NewStore(fs, DaemonTemp)
	mark := func(stamp int64) Change { return Change{Op: OpMark, Path: "resource-r/primary", Stamp: stamp} }
	if _, err := store.Commit([]Change{mark(60), mark(70)}); err != nil {
		t.Fatal(err)
	}
	if _, markers, err := store.Load(); err != nil || markers["resource-r/primary"] != 70 {
		t.Errorf("%v, %v", markers, err)
	}
}

// TestInstead: a link that is stamped too far ahead gives way on the disk and
// in memory, but only that very one.
func TestInstead(t *testing.T) {
	const far = int64(9e18)
	fs := newMemFS()
	fs.putLink("uuid", "u", 1)
	fs.putLink("userspace/x", "poison", far)
	store := NewStore(fs, DaemonTemp)
	tree, markers, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got := Implausible(tree, 100, 1000); len(got) != 1 || got[0].Path != "userspace/x" {
		t.Fatalf("implausible: %v", got)
	}
	fine := Item{"userspace/x", Entry{Kind: Link, Value: "fine", Stamp: 99}}
	changes, refused := NewContext(tree, markers, "a", 100, 1000).Merge(tree, []Item{fine})
	if len(changes) != 1 || len(refused) != 0 {
		t.Fatalf("%v, %v", changes, refused)
	}
	for range 2 {
		if skipped, err := store.Commit(changes); err != nil || len(skipped) != 0 {
			t.Fatalf("%v, %v", skipped, err)
		}
		if skipped := Apply(tree, markers, changes); len(skipped) != 0 {
			t.Fatalf("in memory: %v", skipped)
		}
	}
	again, _, err := store.Load()
	if err != nil || again.String() != tree.String() {
		t.Errorf("on the disk\n%vin memory\n%v%v", again, tree, err)
	}
	if v, _ := tree.Value("userspace/x"); v != "fine" {
		t.Errorf("the link is %q", v)
	}
	other := changes
	other[0].Instead, other[0].Stamp = 98, 97
	if skipped, err := store.Commit(other); err != nil || len(skipped) != 1 {
		t.Errorf("a newer link gave way to an older one: %v, %v", skipped, err)
	}
}

// TestPoisonedOrder: an order that is stamped too far ahead deletes nothing and
// leaves no marker.
func TestPoisonedOrder(t *testing.T) {
	tree := New()
	tree.SetLink(IPPath("a"), "x", 1)
	tree.SetLink("userspace/x", "v", 50)
	tree.SetLink(DeletePath(1, "a"), "/mars/userspace/x", 9e18)
	markers := map[string]int64{"userspace/y": 9e18}
	d := PlanDeletions(tree, markers, PlanContext{Me: "a", Now: 100, MaxFuture: 1000})
	if len(d.Acks)+len(d.Drops) != 0 || len(d.Work) != 1 || d.Work[0].Op != OpUnmark {
		t.Errorf("%+v", d)
	}
	made := Item{"userspace/y", Entry{Kind: Link, Value: "v", Stamp: 99}}
	if changes, refused := NewContext(tree, markers, "b", 100, 1000).Merge(tree, []Item{made}); len(changes) != 1 {
		t.Errorf("a poisoned marker keeps a link out: %v", refused)
	}
}

// TestRescanFlat: one directory as it is, those below empty.
func TestRescanFlat(t *testing.T) {
	fs := newMemFS()
	fs.putLink("uuid", "u", 1)
	fs.putLink("resource-r/size", "5", 50)
	fs.putLink("resource-r/todo-a/sync", "1", 50)
	for dir, want := range map[string][]string{
		".":          {"resource-r", "uuid"},
		"resource-r": {"resource-r", "resource-r/size", "resource-r/todo-a"},
		"resource-x": nil,
		"/etc":       nil,
	} {
		tree, _, err := NewStore(fs, DaemonTemp).RescanFlat(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, it := range tree.Items() {
			got = append(got, it.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", dir, diff)
		}
	}
}
