package history

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	log1A = Log{1, "A"}
	log2A = Log{2, "A"}
	log2B = Log{2, "B"}
	log3A = Log{3, "A"}
	log3B = Log{3, "B"}
)

// teller builds the claims of one host as marsd writes them.
type teller struct {
	host string
	list []Claim
	prev string
}

func tell(host string) *teller { return &teller{host: host} }

// has claims n bytes of a log on top of what was claimed before.
func (t *teller) has(l Log, n int64) *teller {
	v := Value(l, n, t.prev)
	t.list = append(t.list, Claim{Host: t.host, Log: l, Len: n, Head: Head(v), Prev: Head(t.prev)})
	t.prev = v
	return t
}

func all(ts ...*teller) (list []Claim) {
	for _, t := range ts {
		list = append(list, t.list...)
	}
	return list
}

func value(ls ...any) string {
	v := ""
	for i := 0; i < len(ls); i += 2 {
		v = Value(ls[i].(Log), int64(ls[i+1].(int)), v)
	}
	return v
}

func TestWalk(t *testing.T) {
	primary := tell("A").has(log1A, 900).has(log2A, 500).has(log3A, 40)
	for _, c := range []struct {
		name   string
		at     Point
		own    []Claim
		claims []Claim
		want   []Segment // Prev ignored
		split  *Split    // Why ignored
	}{
		{"alone", Point{log1A, 10, ""}, nil, nil, []Segment{{Log: log1A, End: Open}}, nil},
		{"primary still writes", Point{log1A, 10, ""}, nil, all(tell("A").has(log1A, 900)), []Segment{{Log: log1A, End: Open}}, nil},
		{"three logs", Point{log1A, 10, ""}, nil, all(primary), []Segment{{Log: log1A, End: 900}, {Log: log2A, End: 500}, {Log: log3A, End: Open}}, nil},
		{"from the middle", Point{log2A, 0, value(log1A, 900)}, tell("C").has(log1A, 900).list, all(primary), []Segment{{Log: log2A, End: 500}, {Log: log3A, End: Open}}, nil},
		{"handover", Point{log1A, 900, ""}, nil, all(tell("A").has(log1A, 900), tell("B").has(log1A, 900).has(log2B, 7)), []Segment{{Log: log1A, End: 900}, {Log: log2B, End: Open}}, nil},
		{"laggard is no fork", Point{log1A, 10, ""}, nil, all(primary, tell("D").has(log1A, 5)), []Segment{{Log: log1A, End: 900}, {Log: log2A, End: 500}, {Log: log3A, End: Open}}, nil},
		{"two successors", Point{log1A, 10, ""}, nil, all(tell("A").has(log1A, 900).has(log2A, 1), tell("B").has(log1A, 900).has(log2B, 1)),
			[]Segment{{Log: log1A, End: 900}}, &Split{Number: 1, Pos: 900}},
		{"two successors at different lengths", Point{log1A, 10, ""}, nil, all(tell("A").has(log1A, 900).has(log2A, 1), tell("B").has(log1A, 700).has(log2B, 1)),
			[]Segment{{Log: log1A, End: 700}}, &Split{Number: 1, Pos: 700}},
		{"log goes on behind a fork", Point{log1A, 10, ""}, nil, all(tell("A").has(log1A, 900), tell("B").has(log1A, 700).has(log2B, 1)),
			[]Segment{{Log: log1A, End: 700}}, &Split{Number: 1, Pos: 700}},
		{"applied behind a fork", Point{log1A, 800, ""}, nil, all(tell("A").has(log1A, 900), tell("B").has(log1A, 700).has(log2B, 1)),
			[]Segment{{Log: log1A, End: 800}}, &Split{Number: 1, Pos: 700}},
		{"former primary, ahead of the forced one", Point{log1A, 900, ""}, tell("A").has(log1A, 900).list, all(tell("B").has(log1A, 700).has(log2B, 1)),
			[]Segment{{Log: log1A, End: 900}}, &Split{Number: 1, Pos: 700}},
		{"fork behind", Point{log2A, 5, value(log1A, 900)}, tell("C").has(log1A, 900).has(log2A, 5).list, all(primary, tell("B").has(log1A, 900).has(log2B, 1)),
			[]Segment{{Log: log2A, End: 5}}, &Split{Number: 1, Pos: 900}},
		{"fork far behind", Point{log3A, 5, value(log1A, 900, log2A, 500)}, tell("C").has(log1A, 900).has(log2A, 500).has(log3A, 5).list,
			all(primary, tell("B").has(log1A, 700).has(log2B, 30).has(log3B, 2)),
			[]Segment{{Log: log3A, End: 5}}, &Split{Number: 1, Pos: 700}},
		{"the log passed goes on elsewhere", Point{log2B, 5, value(log1A, 700)}, tell("C").has(log1A, 700).has(log2B, 5).list,
			all(tell("A").has(log1A, 900), tell("B").has(log1A, 700).has(log2B, 30)),
			[]Segment{{Log: log2B, End: 5}}, &Split{Number: 1, Pos: 700}},
		{"foreign chain does not fit", Point{log1A, 10, ""}, nil, []Claim{{Host: "X", Log: log2A, Len: 3, Prev: "00000000000000000000000000000000,log-000000001-A,900"}},
			[]Segment{{Log: log1A, End: Open}}, nil},
		{"fresh member with a copied claim", Point{log2A, 0, value(log1A, 900)}, nil, all(primary), []Segment{{Log: log2A, End: 500}, {Log: log3A, End: Open}}, nil},
	} {
		way := Walk(c.at, c.claims, c.own)
		if d := cmp.Diff(c.want, way.Segments, cmpopts.IgnoreFields(Segment{}, "Prev")); d != "" {
			t.Errorf("%s: segments (-want +got):\n%s", c.name, d)
		}
		if d := cmp.Diff(c.split, way.Split, cmpopts.IgnoreFields(Split{}, "Why")); d != "" {
			t.Errorf("%s: split (-want +got):\n%s", c.name, d)
		}
		if way.Split != nil && !strings.Contains(way.Split.Why, "log-") {
			t.Errorf("%s: the reason names no log: %q", c.name, way.Split.Why)
		}
	}
}

// TestWalkHole: nobody follows over a gap in the numbers; who stands in front of
// it is told, and a log that fills the gap is a fork.
func TestWalkHole(t *testing.T) {
	hole := tell("A").has(log1A, 900)
	hole.prev = ""
	hole.has(log3A, 40)
	for _, c := range []struct {
		name   string
		at     Point
		own    []Claim
		claims []Claim
		end    int64
		hole   bool
		split  int // number, 0: none
	}{
		{"in front of it", Point{log1A, 10, ""}, nil, hole.list, Open, true, 0},
		{"behind it", Point{log3A, 10, ""}, nil, hole.list, Open, false, 0},
		{"a member that joined behind it", Point{log1A, 10, ""}, nil, append(all(hole), tell("C").has(log3A, 40).list...), Open, true, 0},
		{"somebody was forced in front of it", Point{log1A, 10, ""}, nil, append(all(hole), tell("B").has(log1A, 900).has(log2B, 5).list...), 900, false, 1},
		{"the one who made the hole hears of that", Point{log3A, 40, ""}, hole.list, tell("B").has(log1A, 900).has(log2B, 5).list, 40, false, 1},
		{"a log before that", Point{log1A, 10, ""}, nil, append(all(tell("A").has(log1A, 900).has(log2A, 5)), Claim{Host: "A", Log: Log{4, "A"}}), 900, false, 0},
	} {
		way := Walk(c.at, c.claims, c.own)
		split := 0
		if way.Split != nil {
			split = way.Split.Number
		}
		if way.Segments[0].End != c.end || split != c.split || c.hole != (way.Hole != nil && way.Hole.Log == log3A) {
			t.Errorf("%s: %+v, hole %+v, split %+v", c.name, way.Segments, way.Hole, way.Split)
		}
	}
}

// TestWalkChains: each segment carries the value its version link is built on.
func TestWalkChains(t *testing.T) {
	way := Walk(Point{log1A, 0, ""}, all(tell("A").has(log1A, 900).has(log2A, 500).has(log3A, 1)), nil)
	want := []string{"", value(log1A, 900), value(log1A, 900, log2A, 500)}
	for i, s := range way.Segments {
		if s.Prev != want[i] {
			t.Errorf("segment %d builds on %q, want %q", i, s.Prev, want[i])
		}
	}
}

// TestWalkModel makes all histories of two hosts up to a depth, from a common
// first log, and checks that Walk says "split" if and only if both went on.
func TestWalkModel(t *testing.T) {
	const depth = 4
	cases := 0
	extend := func(x *teller, n int) *teller {
		y := &teller{x.host, append([]Claim(nil), x.list...), x.prev}
		return y.has(Log{n, x.host}, int64(10*n))
	}
	var walk func(a, b *teller, na, nb int)
	walk = func(a, b *teller, na, nb int) {
		cases++
		way := Walk(Point{log1A, 0, ""}, all(a, b), nil)
		if forked := na > 1 && nb > 1; (way.Split != nil) != forked {
			t.Errorf("claims %v\n%v\nforked %v, but split is %v", a.list, b.list, forked, way.Split)
		}
		if na < depth {
			walk(extend(a, na+1), b, na+1, nb)
		}
		if nb < depth {
			walk(a, extend(b, nb+1), na, nb+1)
		}
	}
	walk(tell("A").has(log1A, 5), tell("B").has(log1A, 5), 1, 1)
	if cases < 20 {
		t.Fatalf("only %d histories were looked at", cases)
	}
}

func TestWalkIsBounded(t *testing.T) {
	x := tell("A")
	for i := 1; i < 3*maxSegments; i++ {
		x.has(Log{i, "A"}, 1)
	}
	if n := len(Walk(Point{log1A, 0, ""}, x.list, nil).Segments); n != maxSegments {
		t.Errorf("%d segments, want %d", n, maxSegments)
	}
}
