// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestTreeModel compares a tree with a plain map.
func TestTreeModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, model := New(), map[string]string{}
		paths := []string{"a", "b", "resource-x/a", "resource-x-y/a", "resource-x/d/e", "resource-x/d", "resource-x/d/f", "resource-x"}
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			below := false
			for p := range model {
				below = below || strings.HasPrefix(p, path+"/")
			}
			if rapid.Bool().Draw(t, "delete") {
				if got := tree.Delete(path); got && below || !got && model[path] != "" {
					t.Fatalf("Delete(%s) = %v", path, got)
				}
				if !below {
					delete(model, path)
				}
				continue
			}
			value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
			blocked := below
			for p := Parent(path); p != "."; p = Parent(p) {
				blocked = blocked || model[p] != ""
			}
			e, had := tree.Get(path)
			blocked = blocked || had && e.Kind == Dir && len(tree.List(path)) > 0
			if got := tree.SetLink(path, value, 1); got == blocked {
				t.Fatalf("Set(%s) = %v in\n%v", path, got, tree)
			}
			if !blocked {
				model[path] = value
			}
		}
		got, count := map[string]string{}, 0
		last := ""
		tree.Walk(func(path string, e Entry) bool {
			count++
			if e.Kind == Link {
				got[path] = e.Value
			}
			if order := strings.ReplaceAll(path, "/", "\x01"); order <= last {
				t.Fatalf("%s comes after %s", path, last)
			} else {
				last = order
			}
			if p := Parent(path); p != "." && tree.dirs[p] == nil {
				t.Fatalf("%s has no directory", path)
			}
			return true
		})
		if !maps.Equal(got, model) || count != tree.Len() || len(tree.Items()) != count {
			t.Fatalf("got %v, want %v (%d of %d entries)", got, model, count, tree.Len())
		}
		clone := tree.Clone()
		tree.SetLink("zz", "z", 1)
		if clone.Exists("zz") || len(clone.Diff(tree)) != 1 {
			t.Fatal("a clone shares something")
		}
	})
}

// TestDiff: applying a Diff to the old tree gives the new one.
func TestDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, now := drawTree(t, "old"), drawTree(t, "new")
		changes := now.Diff(old)
		markers := map[string]int64{}
		got := old.Clone()
		for _, c := range changes {
			if e, ok := got.Get(c.Path); ok && c.Op == OpSet && e.Kind == Link {
				got.Delete(c.Path) // a Diff may also go back in time
			}
			if skipped := Apply(got, markers, []Change{c}); len(skipped) > 0 {
				t.Fatalf("not applied: %v", skipped)
			}
		}
		if got.String() != now.String() || len(now.Diff(got)) != 0 {
			t.Fatalf("got\n%v\nwant\n%v", got, now)
		}
		dir := rapid.SampledFrom([]string{".", "resource-r", "userspace", "nowhere"}).Draw(t, "dir")
		part := old.Clone()
		part.Replace(dir, now)
		part.Walk(func(path string, e Entry) bool {
			from := old
			if dir == "." || path == dir || strings.HasPrefix(path, dir+"/") {
				from = now
			}
			if f, ok := from.Get(path); !ok || f != e {
				t.Fatalf("after Replace(%s), %s is %v", dir, path, e)
			}
			return true
		})
		if dir == "." && part.String() != now.String() {
			t.Fatal("Replace of all does not replace all")
		}
	})
}

func drawTree(t *rapid.T, label string) *Tree {
	tree := New()
	for _, path := range []string{"userspace/a", "userspace/b", "resource-r/size", "resource-r/todo-h/sync", "resource-s/primary", "alive-a"} {
		if rapid.Bool().Draw(t, label+" has "+path) {
			tree.SetLink(path, rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "value"), rapid.Int64Range(1, 4).Draw(t, "stamp"))
		}
	}
	return tree
}

func sample() *Tree {
	t := New()
	t.SetLink("uuid", "u-1", 1)
	for _, h := range []string{"b", "a", "c-1"} {
		t.SetLink(IPPath(h), "10.0.0.1", 2)
		t.SetLink(DataPath("r", h), "/dev/x", 3)
		t.SetLink(TodoPath("r", h, TodoSync), "1", 4)
		t.SetLink(ActualPath("r", h, ActualIsPrimary), "0", 5)
	}
	t.Set(DataPath("r", "sparse"), Entry{Kind: File, Size: 1 << 20})
	t.SetLink(ReplayPath("r", "a"), "log-000000002-a,7,1", 6)
	t.SetLink(ReplayPath("r", "b"), "damaged", 6)
	t.SetLink(SizePath("r"), "4096", 7)
	t.SetLink(PrimaryPath("r"), "a", 8)
	t.SetLink(PrimaryPath("r-s"), None, 9)
	t.SetLink(VersionPath("r", 10, "a"), "v10", 10)
	t.SetLink(VersionPath("r", 9, "b"), "v9b", 11)
	t.SetLink(VersionPath("r", 9, "a"), "v9a", 11)
	t.Set(LogPath("r", 10, "a"), Entry{Kind: File, Size: 5, Stamp: 99})
	t.Set(LogPath("r", 2, "z"), Entry{Kind: File, Size: 6})
	return t
}

func TestQueries(t *testing.T) {
	tree := sample()
	replay, ok := tree.Replay("r", "a")
	_, damaged := tree.Replay("r", "b")
	size, sizeOK := tree.Size("r")
	_, noSize := tree.Size("r-s")
	for what, c := range map[string][2]any{
		"uuid":       {tree.UUID(), "u-1"},
		"hosts":      {tree.Hosts(), []string{"a", "b", "c-1"}},
		"resources":  {tree.Resources(), []string{"r", "r-s"}},
		"members":    {tree.Members("r"), []string{"a", "b", "c-1", "sparse"}},
		"no members": {tree.Members("x"), []string(nil)},
		"replays":    {tree.Replays("r"), []string{"a", "b"}},
		"todo":       {tree.TodoHosts("r"), []string{"a", "b", "c-1"}},
		"actual":     {tree.ActualHosts("r"), []string{"a", "b", "c-1"}},
		"primary":    {tree.Primary("r"), "a"},
		"nobody":     {tree.Primary("r-s"), ""},
		"replay":     {replay, ReplayLink{2, "a", 7, 1}},
		"replay ok":  {[]bool{ok, damaged}, []bool{true, false}},
		"size":       {size, int64(4096)},
		"size ok":    {[]bool{sizeOK, noSize}, []bool{true, false}},
		"bool":       {[]bool{tree.Bool(TodoPath("r", "a", TodoSync)), tree.Bool("nothing")}, []bool{true, false}},
		"member":     {[]bool{tree.IsMember("r", "a"), tree.IsMember("r", "x")}, []bool{true, false}},
		"newest":     {tree.Newest(), int64(11)},
		"versions": {tree.Versions("r"), []Version{
			{9, "a", "v9a", 11}, {9, "b", "v9b", 11}, {10, "a", "v10", 10}}},
		"logs": {tree.Logs("r"), []Log{{2, "z", 6, 0}, {10, "a", 5, 99}}},
	} {
		if diff := cmp.Diff(c[1], c[0]); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if s, ok := tree.Stamp("uuid"); s != 1 || !ok {
		t.Errorf("Stamp = %d, %v", s, ok)
	}
	if _, ok := tree.Stamp(LogPath("r", 10, "a")); ok {
		t.Error("a file has a stamp")
	}
	for _, l := range tree.Links() {
		if n, err := Parse(l.Path); err != nil || !n.Kind.Replicated() || l.Kind != Link {
			t.Errorf("%s is among the links", l.Path)
		}
	}
}

// TestOrderOfLinks: what is sent has the orders of each creator by number.
func TestOrderOfLinks(t *testing.T) {
	tree := New()
	for _, p := range []string{DeletePath(10, "a"), DeletePath(9, "b"), DeletePath(100, "a"), DeletePath(2, "")} {
		tree.SetLink(p, "/mars/userspace/x", 1)
	}
	var got []string
	for _, l := range tree.Links() {
		got = append(got, Base(l.Path))
	}
	want := []string{"delete-000000002", "delete-000000009-b", "delete-000000010-a", "delete-000000100-a"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestApply(t *testing.T) {
	tree, markers := New(), map[string]int64{}
	for i, c := range []struct {
		Change
		ok bool
	}{
		{Set("userspace/a", "1", 5), true},
		{Set("userspace/a", "0", 5), false},
		{Set("userspace/a", "2", 5), true},
		{Set("userspace/a", "9", 4), false},
		{Change{Op: OpRemove, Path: "userspace/a", Stamp: 4}, false},
		{Remove("userspace"), false},
		{Change{Op: OpRemove, Path: "userspace/a", Stamp: 5}, true},
		{Remove("userspace/a"), true},
		{Remove("userspace"), true},
		{Mkdir("userspace"), true},
		{Mkdir("userspace"), true},
		{Create("resource-r/log-000000001-a"), true},
		{Create("resource-r/log-000000001-a"), false},
		{Mkdir("resource-r/log-000000001-a"), false},
		{Set("resource-r/log-000000001-a/x", "1", 1), false},
		{Change{Op: OpMark, Path: "uuid", Stamp: 3}, true},
		{Change{}, false},
	} {
		if got := len(Apply(tree, markers, []Change{c.Change})) == 0; got != c.ok {
			t.Errorf("%d: %v: %v, want %v", i, c.Change, got, c.ok)
		}
		if c.String() == "" {
			t.Error("a change without words")
		}
	}
	if markers["uuid"] != 3 {
		t.Error("no marker")
	}
	ReplaceMarkers(markers, "resource-r", map[string]int64{"resource-r/size": 1})
	if fmt.Sprint(markers) != "map[resource-r/size:1 uuid:3]" {
		t.Errorf("markers %v", markers)
	}
	ReplaceMarkers(markers, ".", nil)
	if len(markers) != 0 {
		t.Errorf("markers %v", markers)
	}
}

func BenchmarkLinks(b *testing.B) {
	tree := New()
	for r := range 100 {
		for h := range 4 {
			res, host := fmt.Sprint("r", r), fmt.Sprint("h", h)
			for k := range 30 {
				tree.SetLink(ActualPath(res, host, fmt.Sprint("k", k)), "1", int64(k))
			}
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(tree.Clone().Links()); n != 12000 {
			b.Fatal(n)
		}
	}
}
