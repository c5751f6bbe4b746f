package strategy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// flood is a cluster of which some hosts are down: who subscribes to whom.
type flood struct {
	hosts []string
	up    []bool
	edges [][]int // both ways: a subscription is answered
}

// newFlood lets every host that is up pick its subscriptions, walking on from
// those that are down, until nobody picks anything new.
func newFlood(n int, down func(i int) bool) *flood {
	f := &flood{edges: make([][]int, n)}
	for i := range n {
		f.hosts = append(f.hosts, fmt.Sprintf("host%05d", i))
		f.up = append(f.up, !down(i))
	}
	for i := range n {
		if f.up[i] {
			f.pick(i)
		}
	}
	return f
}

func (f *flood) pick(i int) {
	failed := map[string]int64{}
	index := func(h string) int {
		k, _ := slices.BinarySearch(f.hosts, h)
		return k
	}
	for clock := int64(1); ; clock++ {
		list := overlay(f.hosts, f.hosts[i], func(h string) standing {
			at, bad := failed[h]
			return standing{connected: !bad && f.up[index(h)] && at < 0, failed: bad, at: at}
		})
		again := false
		for _, h := range list {
			if _, known := failed[h]; !f.up[index(h)] && !known {
				failed[h], again = clock, true
			}
		}
		if again {
			continue
		}
		for _, h := range list {
			if k := index(h); f.up[k] {
				f.link(i, k)
				f.link(k, i)
			}
		}
		return
	}
}

func (f *flood) link(a, b int) {
	if !slices.Contains(f.edges[a], b) {
		f.edges[a] = append(f.edges[a], b)
	}
}

// spread floods a change from a host: how many hosts got it, in how many steps,
// and how often it was sent.
func (f *flood) spread(from int) (got, steps, sent int) {
	seen := make([]int, len(f.hosts))
	seen[from] = 1
	front := []int{from}
	got = 1
	for len(front) > 0 {
		var next []int
		for _, i := range front {
			for _, k := range f.edges[i] {
				sent++
				if seen[k] == 0 {
					seen[k] = seen[i] + 1
					got++
					next = append(next, k)
				}
			}
		}
		if len(next) > 0 {
			steps++
		}
		front = next
	}
	return got, steps, sent
}

// TestOverlay: a change reaches every host that is up, in few steps, and is
// sent not much more often than there are hosts, whoever is down.
func TestOverlay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{2, 3, 17, 100, 1000} {
		for name, down := range map[string]func(int) bool{
			"all up": func(int) bool { return false }, "a tenth down": func(int) bool { return r.IntN(10) == 0 },
			"nine of ten down": func(int) bool { return r.IntN(10) > 0 },
			"one half down":    func(i int) bool { return i < n/2 }, "every second down": func(i int) bool { return i%2 == 0 },
			"all near host 1 down": func(i int) bool { return i != 1 && i < n/2+n/4 },
		} {
			if n > 100 && name != "all up" && name != "a tenth down" {
				continue // takes long: each step of a walk is one attempt to connect
			}
			r = rand.New(rand.NewPCG(1, uint64(n)))
			f := newFlood(n, down)
			alive, from, edges := 0, -1, 0
			for i, up := range f.up {
				if up {
					alive++
					from = i
					edges += len(f.edges[i])
				}
			}
			if from < 0 {
				continue
			}
			got, steps, sent := f.spread(from)
			if got != alive {
				t.Errorf("%d hosts, %s: a change reaches %d of %d", n, name, got, alive)
			}
			if steps > 14 || sent > alive*30 {
				t.Errorf("%d hosts, %s: %d steps, sent %d times", n, name, steps, sent)
			}
			t.Logf("%d hosts, %s: %d up, %.1f subscriptions each, %d steps, sent %.1f times a host", n, name, alive, float64(edges)/float64(alive), steps, float64(sent)/float64(alive))
		}
	}
}

// TestOverlayStays: a connection that stands is kept though a nearer host is
// back, and who is not a member picks too.
func TestOverlayStays(t *testing.T) {
	hosts := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	look := func(h string) standing { return standing{connected: h == "d", failed: h == "b", at: 7} }
	if got := overlay(hosts, "a", look); !slices.Equal(got, []string{"b", "d", "e"}) {
		t.Errorf("a picks %v", got)
	}
	if got := overlay(hosts, "bb", func(string) standing { return standing{} }); !slices.Equal(got, []string{"c", "d", "f", "b"}) {
		t.Errorf("bb picks %v", got)
	}
	if got := overlay([]string{"a"}, "a", look); len(got) != 0 {
		t.Errorf("a alone picks %v", got)
	}
}
