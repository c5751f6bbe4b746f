package history

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAfterSync: a member that was made a copy of the primary's disk behind a fork
// has chosen that branch. Everything else keeps it where it is.
func TestAfterSync(t *testing.T) {
	here := Point{log3A, 5, value(log1A, 900, log2A, 500)}
	own := func() *teller { return tell("M").has(log1A, 900).has(log2A, 500).has(log3A, 5) }
	lead := func() *teller { return tell("A").has(log1A, 900).has(log2A, 500).has(log3A, 40) }
	early := tell("B").has(log1A, 700).has(log2B, 30)                // left log 1
	late := tell("B").has(log1A, 900).has(log2A, 400).has(log3B, 30) // left log 2 at 400
	ahead := tell("B").has(log1A, 900).has(log2A, 500).has(log3A, 20).has(Log{4, "B"}, 9)
	for _, c := range []struct {
		name  string
		lead  string
		end   Point
		tell  []*teller
		kept  bool // B's claims
		split bool // as Walk sees what is left
	}{
		{"no sync", "A", Point{}, []*teller{lead(), early}, true, true},
		{"nobody leads", "", Point{Log: log3A}, []*teller{lead(), early}, true, true},
		{"fork far before the sync", "A", Point{Log: log3A}, []*teller{lead(), early}, false, false},
		{"fork in the log before", "A", Point{Log: log3A}, []*teller{lead(), late}, false, false},
		{"in the same log, before", "A", Point{Log: log2A, Pos: 401}, []*teller{lead(), late}, false, false},
		{"in the same log, at the end", "A", Point{Log: log2A, Pos: 400}, []*teller{lead(), late}, true, true},
		{"behind the sync", "A", Point{Log: log3A, Pos: 5}, []*teller{lead(), ahead}, true, true},
		{"a member that just follows", "A", Point{Log: log3A}, []*teller{lead(), tell("B").has(log1A, 900).has(log2A, 300)}, true, false},
		{"the lead is on the other branch", "B", Point{Log: log3A}, []*teller{lead(), early}, true, true},
		{"a third one forked off", "A", Point{Log: log3A}, []*teller{lead(), early, tell("C").has(log1A, 900).has(log2A, 500).has(log3A, 5).has(Log{4, "C"}, 1)}, false, true},
	} {
		claims := all(c.tell...)
		left := AfterSync(here, claims, own().list, c.lead, c.end)
		if kept := slices.ContainsFunc(left, func(x Claim) bool { return x.Host == "B" }); kept != c.kept {
			t.Errorf("%s: the claims of B are kept: %v", c.name, kept)
		}
		if way := Walk(here, left, own().list); (way.Split != nil) != c.split {
			t.Errorf("%s: split %+v", c.name, way.Split)
		}
		if n := len(claims) - len(left); n > 0 && c.kept {
			t.Errorf("%s: %d claims are lost", c.name, n)
		}
	}
}

// TestFewerClaims: without the claims of some members nothing splits that did not
// split with them. AfterSync and the status rest on it.
func TestFewerClaims(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	// before is the value of the log before the last.
	member := func(host string) (x *teller, before string) {
		x = tell(host).has(log1A, int64(r.IntN(3)))
		n := 1
		for range r.IntN(3) {
			n, before = n+1, x.prev
			if r.IntN(8) == 0 { // a hole
				n, before, x.prev = n+1, "", ""
			}
			x.has(Log{n, string(rune('A' + r.IntN(2)))}, int64(r.IntN(3)))
		}
		return x, before
	}
	claims := func(host string) []Claim { x, _ := member(host); return x.list }
	splits, none := 0, 0
	for range 30_000 {
		me, before := member("M")
		last := me.list[len(me.list)-1]
		here := Point{Log: last.Log, Pos: last.Len, Prev: before}
		a, b, c := claims("A"), claims("B"), claims("C")
		if Walk(here, slices.Concat(a, b, c), me.list).Split != nil {
			splits++
			continue
		}
		none++
		for _, few := range [][]Claim{a, b, c, slices.Concat(a, b), slices.Concat(a, c), slices.Concat(b, c)} {
			if way := Walk(here, few, me.list); way.Split != nil {
				t.Fatalf("from %v with %+v: %+v, but not with all of %+v", here, few, way.Split, slices.Concat(a, b, c))
			}
		}
	}
	if splits < 1000 || none < 1000 {
		t.Errorf("%d splits, %d without: it tests nothing", splits, none)
	}
}
