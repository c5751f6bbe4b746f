package strategy

import (
	"fmt"
	"slices"
	"testing"

	"mars/infra/symtree"
)

// restingNode has so many resources and is not started: nothing runs.
func restingNode(resources int) *Node {
	n := &Node{me: "a", tree: symtree.New()}
	for i := range resources {
		n.resources = append(n.resources, &resource{n: n, name: fmt.Sprintf("r%03d", i)})
	}
	return n
}

func (n *Node) dueNames() (list []string) {
	for _, r := range n.resources {
		if r.due {
			list = append(list, r.name)
		}
	}
	return list
}

// TestKickFor: a change has those resources decided anew that it has to do with.
func TestKickFor(t *testing.T) {
	set := func(path string) symtree.Change { return symtree.Set(path, "1", 1) }
	for _, c := range []struct {
		name    string
		changes []symtree.Change
		due     []string
		all     bool
	}{
		{name: "signs of life", changes: []symtree.Change{set("alive-b"), set("time-b")}},
		{name: "one resource", changes: []symtree.Change{set("resource-r002/primary"), set("resource-r002/todo-a/sync")}, due: []string{"r002"}},
		{name: "two", changes: []symtree.Change{set("resource-r001/size"), set("alive-b"), symtree.Remove("resource-r003/data-b")}, due: []string{"r001", "r003"}},
		{name: "one that is not here", changes: []symtree.Change{set("resource-x/data-a")}},
		{name: "the cluster", changes: []symtree.Change{set("ips/ip-b")}, all: true},
		{name: "an order", changes: []symtree.Change{set("todo-global/delete-000000001-a")}, all: true},
		{name: "what is not known", changes: []symtree.Change{set("resource-r001/no/such/thing")}, all: true},
	} {
		n := restingNode(5)
		n.kickFor(c.changes)
		if got := n.dueNames(); !slices.Equal(got, c.due) || n.all != c.all {
			t.Errorf("%s: due are %v, all %v; want %v, %v", c.name, got, n.all, c.due, c.all)
		}
	}
}

// TestTakeTurn: each resource has its turn within a few heartbeats, few
// resources at every one.
func TestTakeTurn(t *testing.T) {
	for _, count := range []int{0, 1, leastTurn, leastTurn + 1, 50, 1000} {
		n := restingNode(count)
		beats := 1
		if count > leastTurn {
			beats = turns
		}
		for range beats {
			before := len(n.dueNames())
			n.takeTurn()
			if more := len(n.dueNames()) - before; more > max(leastTurn, count/turns+1) {
				t.Errorf("%d resources: %d at one heartbeat", count, more)
			}
		}
		if got := len(n.dueNames()); got != count {
			t.Errorf("%d resources: only %d had their turn after %d heartbeats", count, got, beats)
		}
	}
}
