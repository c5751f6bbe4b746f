package strategy

import (
	"fmt"
	"testing"
	"time"

	"mars/infra/symtree"
)

// TestSimOrdersAtOnce: orders to delete that are made at once, as by two resources
// whose places move in one turn, are all carried out.
func TestSimOrdersAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	w.RunFor(time.Second)
	const links = 5
	path := func(i int) string { return symtree.UserspacePath(fmt.Sprint("k", i)) }
	for i := range links {
		a.set(path(i), "v")
	}
	there := func(h *simHost, want bool) func() bool {
		return func() bool {
			for i := range links {
				if _, ok := h.tree().Value(path(i)); ok != want {
					return false
				}
			}
			return true
		}
	}
	wait(t, w, "the links on b", there(b, true))
	a.st.env.Post(func() {
		for i := range links {
			orders, err := symtree.NewOrder(a.st.tree, "a", []string{path(i)})
			if err != nil || len(orders) != 1 {
				t.Errorf("orders %v, %v", orders, err)
				return
			}
			orders[0].Stamp = a.st.stamp()
			a.st.commit(orders, nil)
		}
	})
	wait(t, w, "all links to be deleted on a", there(a, false))
	wait(t, w, "all links to be deleted on b", there(b, false))
}
