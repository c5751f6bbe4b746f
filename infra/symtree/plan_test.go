// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func words(changes []Change) []string {
	out := []string{}
	for _, c := range changes {
		out = append(out, c.String())
	}
	return out
}

func TestNewOrder(t *testing.T) {
	tree := New()
	tree.SetLink(DeletedPath("a"), "000000003", 1)
	tree.SetLink(AckedPath("b"), "a:5:1,b:6:1", 1)
	tree.SetLink(DeletePath(4, "b"), "/mars/userspace/gone", 10)
	tree.SetLink(DeletePath(5, "b"), "/mars/userspace/again", 10)
	tree.SetLink(UserspacePath("again"), "1", 11)
	tree.SetLink(UserspacePath("x"), "1", 11)
	got, err := NewOrder(tree, "a", []string{"userspace/x", "userspace/gone", "userspace/again", "userspace/x", "resource-r/todo-h", "resource-r/log-000000001-h"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"set todo-global/delete-000000007-a -> /mars/userspace/x @0",
		"set todo-global/delete-000000008-a -> /mars/userspace/again @0",
		"set todo-global/delete-000000009-a -> /mars/resource-r/todo-h/ @0",
		"set todo-global/delete-000000010-a -> /mars/resource-r/log-000000001-h @0",
	}
	if diff := cmp.Diff(want, words(got)); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"uuid", "ips", "todo-global", "todo-global/delete-000000004-b", "userspace", "defaults", "pki"} {
		if _, err := NewOrder(tree, "a", []string{bad}); !errors.Is(err, ErrUndeletable) {
			t.Errorf("order against %s: %v", bad, err)
		}
	}
	if _, err := NewOrder(tree, "a", []string{"userspace/x", "../x"}); !errors.Is(err, ErrGrammar) {
		t.Errorf("order outside: %v", err)
	}
	tree.SetLink(DeletedPath("a"), "999999999", 1)
	if got, err := NewOrder(tree, "a", []string{"userspace/x"}); err == nil {
		t.Errorf("numbers beyond nine digits: %v", got)
	}
}

// TestFirstOrder: in a fresh cluster the first number is 2, as the original's.
func TestFirstOrder(t *testing.T) {
	tree := New()
	tree.SetLink(DeletedPath("a"), "1", 1)
	got, err := NewOrder(tree, "a", []string{"userspace/x"})
	if err != nil || got[0].Path != "todo-global/delete-000000002-a" {
		t.Errorf("%v, %v", got, err)
	}
}

// scene is a tree of one host in which b has ordered things at 100.
func scene() *Tree {
	tree := New()
	for _, h := range []string{"a", "b"} {
		tree.SetLink(IPPath(h), "x", 1)
		tree.SetLink(DeletedPath(h), "1", 1)
	}
	tree.Set(ResourceDir("r"), Entry{Kind: Dir})
	return tree
}

func order(tree *Tree, number int, target string, stamp int64) {
	tree.SetLink(DeletePath(number, "b"), "/mars/"+target, stamp)
}

func TestPlan(t *testing.T) {
	tree := scene()
	tree.SetLink(SizePath("r"), "1", 50)
	tree.SetLink(UserspacePath("new"), "1", 101)
	tree.SetLink(UserspacePath("future"), "1", 1e6)
	tree.SetLink(TodoPath("r", "x", "sync"), "1", 50)
	tree.SetLink(TodoPath("r", "x", "attach"), "1", 50)
	tree.SetLink(TodoPath("r", "y", "attach"), "1", 101)
	tree.SetLink(TodoPath("r", "y", "sync"), "1", 50)
	tree.Set(LogPath("r", 1, "b"), Entry{Kind: File, Stamp: 90})
	tree.Set(LogPath("r", 2, "b"), Entry{Kind: File, Stamp: 90})
	order(tree, 2, "resource-r/size", 100)
	order(tree, 3, "userspace/new", 100)
	order(tree, 4, "resource-r/todo-x/sync", 100)
	order(tree, 5, "resource-r/todo-x/", 100)
	order(tree, 6, "resource-r/todo-y", 100)
	order(tree, 7, "resource-nowhere/size", 100)
	order(tree, 8, "resource-r/log-000000001-b", 100)
	order(tree, 9, "resource-r/log-000000002-b", 100)
	order(tree, 10, "../etc", 100)
	order(tree, 11, "userspace/future", 100)
	ctx := PlanContext{Me: "a", Now: 200, MaxFuture: 1000, Busy: func(p string) bool { return p == LogPath("r", 2, "b") }}
	d := PlanDeletions(tree, map[string]int64{}, ctx)
	want := []string{
		"mark resource-r/size as deleted @100", "remove resource-r/size",
		"remove resource-r/todo-x/sync",
		"mark resource-r/todo-x as deleted @100", "remove resource-r/todo-x/attach", "remove resource-r/todo-x",
		"mark resource-r/todo-y as deleted @100", "remove resource-r/todo-y/sync",
		"mark resource-r/log-000000001-b as deleted @100", "remove resource-r/log-000000001-b",
		"mark resource-r/log-000000002-b as deleted @100",
		"mark userspace/future as deleted @100", "remove userspace/future",
	}
	if diff := cmp.Diff(want, words(d.Work)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"set todo-global/acked-a -> b:11:100 @200", "set todo-global/deleted-a -> 000000011 @200"}, words(d.Acks)); diff != "" {
		t.Error(diff)
	}
	if len(d.Drops) != 0 || !slices.Equal(d.Held, []string{LogPath("r", 2, "b")}) || d.Empty() {
		t.Errorf("drops %v, held %v", d.Drops, d.Held)
	}
}

func run(t *testing.T, tree *Tree, markers map[string]int64, ctx PlanContext) Deletions {
	t.Helper()
	d := PlanDeletions(tree, markers, ctx)
	for _, part := range [][]Change{d.Work, d.Acks, d.Drops} {
		if skipped := Apply(tree, markers, part); len(skipped) > 0 {
			t.Fatalf("can not be done: %v", skipped)
		}
	}
	return d
}

// TestPlanLife: an order goes when all members have seen it; its marker stays.
func TestPlanLife(t *testing.T) {
	tree, markers := scene(), map[string]int64{}
	tree.SetLink(DeletedPath("left"), "1", 1) // no member any more: does not block
	tree.SetLink(UserspacePath("x"), "1", 50)
	order(tree, 2, "userspace/x", 100)
	ctx := PlanContext{Me: "a", Now: 200}
	run(t, tree, markers, ctx)
	if tree.Exists(UserspacePath("x")) || !tree.Exists(DeletePath(2, "b")) {
		t.Fatalf("after the first round:\n%v", tree)
	}
	if d := run(t, tree, markers, ctx); !d.Empty() {
		t.Fatalf("a second round does %v", d)
	}
	tree.SetLink(AckedPath("b"), "b:2:100", 210)
	if d := run(t, tree, markers, ctx); len(d.Drops) != 1 || tree.Exists(DeletePath(2, "b")) {
		t.Fatalf("the order stays: %v", d)
	}
	ctx.Now = 100 + MarkerLife
	if d := run(t, tree, markers, ctx); !d.Empty() || markers["userspace/x"] != 100 {
		t.Fatalf("the marker does not stay: %v", d)
	}
	ctx.Now++
	if run(t, tree, markers, ctx); len(markers) != 0 {
		t.Fatal("the marker stays for ever")
	}
}

// TestBusyLog: a log that was in use goes when it is free, though the order
// has gone before.
func TestBusyLog(t *testing.T) {
	tree, markers := scene(), map[string]int64{}
	log := LogPath("r", 1, "b")
	tree.Set(log, Entry{Kind: File, Stamp: 90})
	tree.SetLink(AckedPath("b"), "b:2:100", 110)
	order(tree, 2, log, 100)
	busy := true
	ctx := PlanContext{Me: "a", Now: 200, Busy: func(string) bool { return busy }}
	run(t, tree, markers, ctx)
	run(t, tree, markers, ctx)
	if !tree.Exists(log) || len(tree.Orders()) != 0 {
		t.Fatalf("after the orders:\n%v", tree)
	}
	ctx.Now += 2 * NumberedMarkerLife
	run(t, tree, markers, ctx)
	if markers[log] != 100 {
		t.Fatal("forgotten")
	}
	busy = false
	run(t, tree, markers, ctx)
	if tree.Exists(log) || len(markers) != 0 {
		t.Fatalf("it stays:\n%v\n%v", tree, markers)
	}
}

// TestOldFormOrder: the original's orders without a creator are carried out.
func TestOldFormOrder(t *testing.T) {
	tree, markers := scene(), map[string]int64{}
	tree.SetLink(UserspacePath("x"), "1", 50)
	tree.SetLink(DeletePath(2, ""), "/mars/userspace/x", 100)
	run(t, tree, markers, PlanContext{Me: "a", Now: 200})
	if v, _ := tree.Value(DeletedPath("a")); v != "000000002" || tree.Exists(UserspacePath("x")) || tree.Exists(AckedPath("a")) {
		t.Fatalf("after the first round:\n%v", tree)
	}
	tree.SetLink(DeletedPath("b"), "000000002", 210)
	run(t, tree, markers, PlanContext{Me: "a", Now: 200})
	if len(tree.Orders()) != 0 {
		t.Fatalf("the order stays:\n%v", tree)
	}
}

// TestDirectoryWithMarkers: markers inside do not keep a directory; it comes
// back with something newer, and stays then.
func TestDirectoryWithMarkers(t *testing.T) {
	tree, markers := scene(), map[string]int64{}
	tree.SetLink(TodoPath("r", "x", "sync"), "1", 50)
	order(tree, 2, "resource-r/todo-x/sync", 100)
	ctx := PlanContext{Me: "a", Now: 200}
	run(t, tree, markers, ctx)
	if markers[TodoPath("r", "x", "sync")] != 100 {
		t.Fatal("no marker")
	}
	order(tree, 3, "resource-r/todo-x/", 110)
	run(t, tree, markers, ctx)
	if tree.Exists(TodoDir("r", "x")) || len(markers) != 1 || markers[TodoDir("r", "x")] != 110 {
		t.Fatalf("%v\n%v", tree, markers)
	}
	tree.Set(TodoDir("r", "x"), Entry{Kind: Dir})
	if d := run(t, tree, markers, ctx); !d.Empty() {
		t.Fatalf("a directory made anew is touched: %v", d)
	}
	tree.SetLink(TodoPath("r", "x", "sync"), "1", 120)
	if d := run(t, tree, markers, ctx); !d.Empty() {
		t.Fatalf("what is new is touched: %v", d)
	}
}

func TestRepair(t *testing.T) {
	tree := scene()
	tree.SetLink(AlivePath("a"), "1", 50)
	order(tree, 3, "userspace/pending", 100)
	markers := map[string]int64{"userspace/old": 80, "userspace/pending": 100}
	link := func(path string, stamp int64, v Verdict) Refusal {
		return Refusal{Item{path, Entry{Kind: Link, Value: "x", Stamp: stamp}}, v}
	}
	got := Repair(tree, markers, "a", 200, []Refusal{
		link("userspace/old", 70, RefuseDeleted), link("userspace/old", 71, RefuseDeleted),
		link("userspace/pending", 90, RefuseDeleted),
		link(AlivePath("a"), 300, RefuseOwn), link(ReplayPath("r", "a"), 60, RefuseOwn),
		link("userspace/future", 1e9, RefuseFuture), link(DeletePath(1, "b"), 1, RefuseFinished),
	})
	want := []string{
		"set todo-global/delete-000000004-a -> /mars/userspace/old @80",
		"set alive-a -> 1 @301",
		"set todo-global/delete-000000005-a -> /mars/resource-r/replay-a @60",
	}
	if diff := cmp.Diff(want, words(got)); diff != "" {
		t.Error(diff)
	}
}

// TestAcksFit: the list of acknowledgements never exceeds what a link holds.
func TestAcksFit(t *testing.T) {
	tree := scene()
	var acks Acks
	for i := range 60 {
		acks = acks.raise(fmt.Sprintf("%060d", i), MaxNumber, 1)
	}
	tree.SetLink(AckedPath("a"), acks.String(), 1)
	order(tree, 2, "userspace/x", 100)
	d := PlanDeletions(tree, nil, PlanContext{Me: "a", Now: 200})
	if len(acks.String()) <= MaxValue || len(d.Acks) == 0 || !strings.Contains(d.Acks[0].Value, "b:2:100") || CheckValue(d.Acks[0].Value) != nil {
		t.Errorf("got %v", d.Acks)
	}
}

// Orders that were made at once, from trees that did not have each other, get
// numbers of their own; whatever is no new order stays.
func TestRenumber(t *testing.T) {
	tree := New()
	tree.Set("userspace", Entry{Kind: Dir})
	tree.SetLink(DeletePath(4, "a"), "/mars/userspace/w", 5)
	tree.SetLink(DeletedPath("b"), FormatDeleted(6), 5)
	order := func(n int, creator, target string) Change {
		return Set(DeletePath(n, creator), "/mars/userspace/"+target, 9)
	}
	restamped := order(2, "a", "old")
	restamped.Instead = 1 << 60
	first := []Change{Set("userspace/k", "v", 9), order(7, "a", "x"), order(8, "a", "y")}
	second := []Change{order(4, "a", "w"), order(7, "a", "z"), order(7, "b", "z"), restamped, Set("userspace/l", "v", 9)}
	one, last := Renumber(tree, "a", first, 0)
	two, last := Renumber(tree, "a", second, last)
	if !slices.Equal(one, first) {
		t.Errorf("the first are %v", one)
	}
	want := slices.Clone(second)
	want[1].Path = DeletePath(9, "a")
	if !slices.Equal(two, want) || last != 9 || second[1].Path != DeletePath(7, "a") {
		t.Errorf("the second are %v, last %d, of %v", two, last, second)
	}
	if late, last := Renumber(tree, "a", []Change{order(5, "a", "x")}, 0); last != 7 || late[0].Path != DeletePath(7, "a") {
		t.Errorf("a number that others have passed: %v", late)
	}
}

// What was mended already is not mended again.
func TestRepairTwice(t *testing.T) {
	tree := New()
	own := DevicePath("r", "a")
	tree.SetLink(own, "mine", 5)
	markers := map[string]int64{"userspace/k": 7}
	refused := []Refusal{
		{Item{own, Entry{Kind: Link, Value: "theirs", Stamp: 8}}, RefuseOwn},
		{Item{"userspace/k", Entry{Kind: Link, Value: "v", Stamp: 3}}, RefuseDeleted},
	}
	list := Repair(tree, markers, "a", 20, refused)
	if len(list) != 2 {
		t.Fatalf("%v", list)
	}
	Apply(tree, markers, list)
	if again := Repair(tree, markers, "a", 30, refused); len(again) != 0 {
		t.Errorf("again %v", again)
	}
}
