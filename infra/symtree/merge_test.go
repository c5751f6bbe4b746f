// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The clock and the limit of TestDecide.
const decideNow, decideWindow = 1000, 100

func link(value string, stamp int64) Entry { return Entry{Kind: Link, Value: value, Stamp: stamp} }

// decideCases are judged against the tree of TestDecide.
var decideCases = []struct {
	what, path string
	e          Entry
	want       Verdict
}{
	{"new", ActSizePath("r", "b"), link("1", 1), Take},
	{"newer", SizePath("r"), link("4", 51), Take},
	{"older", SizePath("r"), link("9", 49), Keep},
	{"same", SizePath("r"), link("5", 50), Keep},
	{"tie, larger", SizePath("r"), link("6", 50), Take},
	{"tie, larger as text", SizePath("r"), link("10", 50), Keep},
	{"tie, smaller", SizePath("r"), link("4", 50), Keep},
	{"far ahead here", PrimaryPath("r"), link("c", 60), Take},
	{"at the edge", SizePath("r"), link("4", decideNow+decideWindow), Take},
	{"beyond", SizePath("r"), link("4", decideNow+decideWindow+1), RefuseFuture},
	{"way beyond", SizePath("r"), link("4", 1<<63-1), RefuseFuture},
	{"long ago", SizePath("x"), link("4", -1<<63), Take},
	{"not in the grammar", "resource-r/sizes", link("4", 60), RefuseGrammar},
	{"temporary", "resource-r/.tmp-size", link("4", 60), RefuseGrammar},
	{"marker", "resource-r/.deleted-size", link("4", 60), RefuseGrammar},
	{"leads out", "../etc/passwd", link("4", 60), RefuseGrammar},
	{"directory", "userspace/d2", Entry{Kind: Dir, Stamp: 60}, RefuseGrammar},
	{"link for a directory", TodoDir("r", "b"), link("1", 60), RefuseGrammar},
	{"log", LogPath("r", 1, "b"), Entry{Kind: File, Stamp: 60}, RefuseGrammar},
	{"link for a log", LogPath("r", 1, "b"), link("x", 60), RefuseGrammar},
	{"empty", SizePath("r"), link("", 60), RefuseValue},
	{"NUL", SizePath("r"), link("1\x00", 60), RefuseValue},
	{"long", SizePath("r"), link(strings.Repeat("1", 4096), 60), RefuseValue},
	{"local", LocalPath("r", "b", "x"), link("1", 60), RefuseLocal},
	{"own, newer", AlivePath("me"), link("0", 60), RefuseOwn},
	{"own, older", AlivePath("me"), link("0", 40), Keep},
	{"own, same", AlivePath("me"), link("1", 50), Keep},
	{"own, forgotten", TimePath("me"), link("0", 40), RefuseOwn},
	{"own orders", TodoPath("r", "me", TodoSync), link("0", 40), Take},
	{"marked, older", UserspacePath("marked"), link("0", 59), RefuseDeleted},
	{"marked, same", UserspacePath("marked"), link("0", 60), RefuseDeleted},
	{"marked, newer", UserspacePath("marked"), link("0", 61), Take},
	{"ordered, older", UserspacePath("ordered"), link("0", 60), RefuseDeleted},
	{"ordered, newer", UserspacePath("ordered"), link("0", 61), Take},
	{"in a marked directory, older", ActualPath("r", "b", "x"), link("0", 60), RefuseDeleted},
	{"in a marked directory, newer", ActualPath("r", "b", "x"), link("0", 61), Take},
	{"in an ordered directory", TodoPath("r", "b", "x"), link("0", 60), RefuseDeleted},
	{"below a marked name of userspace", UserspacePath("m/x"), link("0", 1), Take},
	{"order", DeletePath(8, "b"), link("/mars/userspace/x", 60), Take},
	{"finished order", DeletePath(7, "b"), link("/mars/userspace/x", 60), RefuseFinished},
	{"number used again", DeletePath(7, "b"), link("/mars/userspace/x", 61), Take},
	{"order of another creator", DeletePath(7, "c"), link("/mars/userspace/x", 60), Take},
	{"old form, not everywhere", DeletePath(5, ""), link("/mars/userspace/x", 60), Take},
	{"old form, finished", DeletePath(4, ""), link("/mars/userspace/x", 60), RefuseFinished},
	{"order outside", DeletePath(8, "b"), link("/etc/passwd", 60), RefuseValue},
	{"order outside by dots", DeletePath(8, "b"), link("/mars/../etc/passwd", 60), RefuseValue},
	{"order not in the grammar", DeletePath(8, "b"), link("/mars/lost+found", 60), RefuseValue},
	{"order against the uuid", DeletePath(8, "b"), link("/mars/uuid", 60), RefuseValue},
	{"order against an order", DeletePath(8, "b"), link("/mars/todo-global/delete-000000009-b", 60), RefuseValue},
	{"another cluster", UUIDPath(), link("v", 60), RefuseCluster},
	{"the same cluster", UUIDPath(), link("u", 60), Take},
	{"link for a directory here", UserspacePath("d"), link("u", 60), RefuseKind},
}

func TestDecide(t *testing.T) {
	const now, window = decideNow, decideWindow
	tree := New()
	for _, h := range []string{"me", "b"} {
		tree.SetLink(IPPath(h), "x", 1)
	}
	tree.SetLink("uuid", "u", 5)
	tree.SetLink("alive-me", "1", 50)
	tree.SetLink(SizePath("r"), "5", 50)
	tree.SetLink(PrimaryPath("r"), "b", now+window+1) // from a time when the clock was wrong
	tree.SetLink(AckedPath("me"), "b:7:60", 50)
	tree.SetLink(DeletedPath("me"), "000000007", 50)
	tree.SetLink(DeletedPath("b"), "000000004", 50)
	tree.SetLink(DeletePath(9, "b"), "/mars/userspace/ordered", 60)
	tree.SetLink(DeletePath(10, "b"), "/mars/resource-r/todo-b/", 60)
	tree.SetLink(UserspacePath("d/x"), "1", 1)
	markers := map[string]int64{"userspace/marked": 60, "resource-r/actual-b": 60, "userspace/m": 60}
	ctx := NewContext(tree, markers, "me", now, window)
	for _, c := range decideCases {
		old, exists := tree.Get(c.path)
		if got := ctx.Decide(c.path, old, exists, c.e); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
	for v := Keep; v <= RefuseKind; v++ {
		if v.String() == "" || v.Refused() != strings.HasPrefix(v.String(), "refuse") {
			t.Errorf("verdict %d is %q", v, v)
		}
	}
	if off := NewContext(tree, nil, "me", now, 0); off.Decide(SizePath("x"), Entry{}, false, link("1", 1<<62)) != Take {
		t.Error("without a limit a stamp is refused")
	}
}

func observe(tree *Tree, links []Item) *Tree {
	tree = tree.Clone()
	changes, _ := NewContext(tree, nil, "", 1000, 100).Merge(tree, links)
	if skipped := Apply(tree, nil, changes); len(skipped) > 0 {
		panic(skipped[0])
	}
	return tree
}

// TestMergeIsAJoin: commutative, associative, idempotent, and the order within
// what arrives does not matter.
func TestMergeIsAJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawTree(t, "a"), drawTree(t, "b"), drawTree(t, "c")
		ab := observe(a, b.Links())
		same := func(what string, x, y *Tree) {
			if x.String() != y.String() {
				t.Fatalf("%s:\n%v\nbut\n%v", what, x, y)
			}
		}
		same("commutative", ab, observe(b, a.Links()))
		same("associative", observe(ab, c.Links()), observe(a, observe(b, c.Links()).Links()))
		same("idempotent", observe(ab, b.Links()), ab)
		same("idempotent", observe(a, a.Links()), a)
		mixed := append(b.Links(), c.Links()...)
		rapidShuffle(t, mixed)
		same("order", observe(a, mixed), observe(ab, c.Links()))
		for _, i := range a.Links() {
			if e, _ := ab.Get(i.Path); i.Newer(e) {
				t.Fatalf("%s went back from %v to %v", i.Path, i.Entry, e)
			}
		}
	})
}

func rapidShuffle[T any](t *rapid.T, list []T) {
	for i := len(list) - 1; i > 0; i-- {
		j := rapid.IntRange(0, i).Draw(t, "swap")
		list[i], list[j] = list[j], list[i]
	}
}

// TestGossipConverges: three hosts that write their own and common links and
// exchange trees at random are equal after two rounds of exchange.
func TestGossipConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := []string{"a", "b", "c"}
		trees := []*Tree{New(), New(), New()}
		exchange := func(from, to int) {
			changes, refused := NewContext(trees[to], nil, hosts[to], 1000, 0).Merge(trees[to], trees[from].Links())
			if len(refused) > 0 {
				t.Fatalf("%s refuses %v", hosts[to], refused)
			}
			Apply(trees[to], nil, changes)
		}
		own := map[string]string{}
		for now := range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, 2).Draw(t, "host")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				own[AlivePath(hosts[i])] = FormatInt(int64(now))
				trees[i].SetLink(AlivePath(hosts[i]), FormatInt(int64(now)), int64(now))
			case 1:
				// Stamps of different hosts may be equal.
				Apply(trees[i], nil, []Change{Set(SizePath("r"), rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "size"), int64(now/2))})
			case 2:
				exchange(i, (i+rapid.IntRange(1, 2).Draw(t, "to"))%3)
			}
		}
		for range 2 {
			for i := range 3 {
				exchange(i, (i+1)%3)
			}
		}
		for i := range 3 {
			if trees[i].String() != trees[0].String() {
				t.Fatalf("%s has\n%v\nbut a has\n%v", hosts[i], trees[i], trees[0])
			}
		}
		for path, value := range own {
			if got, _ := trees[0].Value(path); got != value {
				t.Fatalf("%s is %q, its owner wrote %q", path, got, value)
			}
		}
	})
}

// TestForgedOwnLink: nothing that others send changes a host's own links.
func TestForgedOwnLink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mine, theirs := sample(), sample()
		for _, i := range mine.Links() {
			if rapid.Bool().Draw(t, "forge") {
				theirs.SetLink(i.Path, "forged", rapid.Int64Range(0, 100).Draw(t, "stamp"))
			}
		}
		theirs.SetLink(AlivePath("a"), "forged", 100)
		before := mine.Clone()
		changes, _ := NewContext(mine, nil, "a", 1000, 0).Merge(mine, theirs.Links())
		Apply(mine, nil, changes)
		for _, i := range mine.Items() {
			n, _ := Parse(i.Path)
			if old, ok := before.Get(i.Path); n.Owner() == "a" && (!ok || old != i.Entry) {
				t.Fatalf("%s was changed to %v", i.Path, i.Entry)
			}
		}
	})
}

// TestFull: a tree takes from others what there is room for, keeps the rest of
// it for what this host can not do without, and always lets links be renewed.
func TestFull(t *testing.T) {
	tree := New()
	for i := range MaxEntries / 8 * 7 {
		tree.SetLink(fmt.Sprintf("userspace/d%d/k%d", i/1000, i), "v", 1)
	}
	tree.SetLink(DataPath("mine", "a"), "/dev/x", 1)
	take := func(path, value string) Verdict {
		old, had := tree.Get(path)
		return NewContext(tree, nil, "a", 100, 0).Decide(path, old, had, Entry{Kind: Link, Value: value, Stamp: 50})
	}
	big := strings.Repeat("x", MaxValue)
	for _, c := range []struct {
		path, value string
		want        Verdict
	}{
		{"userspace/new", "v", RefuseFull}, {"resource-other/size", "1", RefuseFull}, {"userspace/d0/k0", "w", Take}, {"userspace/d0/k1", big, Take},
		{IPPath("new"), "1.2.3.4", Take}, {SizePath("mine"), "1", Take}, {DeletePath(1, "b"), "/mars/userspace/d0/k0", Take},
	} {
		if got := take(c.path, c.value); got != c.want {
			t.Errorf("%s: %v, want %v", c.path, got, c.want)
		}
	}
	for i := 0; tree.Bytes() < MaxBytes; i++ {
		tree.SetLink(fmt.Sprintf("userspace/d%d/k%d", i/1000, i), big, 2)
	}
	if got := take("userspace/d86/k86999", big); got != RefuseFull {
		t.Errorf("a longer value: %v", got)
	}
	if got := take("userspace/d86/k86999", "w"); got != Take {
		t.Errorf("a value of the same length: %v", got)
	}
	var links []Item
	for i := range 300_000 {
		links = append(links, Item{fmt.Sprintf("userspace/f%d/k%d", i/1000, i), Entry{Kind: Link, Value: "v", Stamp: 50}})
	}
	changes, refused := NewContext(New(), nil, "a", 100, 0).Merge(New(), links)
	if len(changes) != MaxEntries/8*7 || len(refused) != len(links)-len(changes) {
		t.Errorf("%d taken, %d refused at once", len(changes), len(refused))
	}
}
