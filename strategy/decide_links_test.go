package strategy

import (
	"testing"

	"mars/infra/history"
	"mars/infra/symtree"
)

// TestDecidePreferred: connect-HOST orders those who are asked for a log when
// neither its origin nor the primary can be reached.
func TestDecidePreferred(t *testing.T) {
	for _, c := range []struct {
		name      string
		spoil     func(f *Facts, s *State)
		preferred []string
		want      string
	}{
		{name: "the origin comes first", preferred: []string{"D"}, want: "A"},
		{name: "without it any member, by name", spoil: func(f *Facts, s *State) { f.Peers[0].Connected = false }, want: "C"},
		{name: "but the preferred one first", spoil: func(f *Facts, s *State) { f.Peers[0].Connected = false }, preferred: []string{"D"}, want: "D"},
		{name: "in its order", spoil: func(f *Facts, s *State) { f.Peers[0].Connected = false }, preferred: []string{"E", "D", "C"}, want: "D"},
		{name: "if it has got further", spoil: func(f *Facts, s *State) {
			f.Peers[0].Connected = false
			f.Claims[2].Len = 300
		}, preferred: []string{"D"}, want: "C"},
		{name: "if it is connected", spoil: func(f *Facts, s *State) { f.Peers[0].Connected, f.Peers[2].Connected = false, false }, preferred: []string{"D"}, want: "C"},
		{name: "if it still has it", spoil: func(f *Facts, s *State) {
			f.Peers[0].Connected = false
			s.Gone = []Gone{{Log: lg(1, "A"), Host: "D"}}
		}, preferred: []string{"D"}, want: "C"},
	} {
		f, s := secondary()
		f.Preferred = c.preferred
		f.Claims = append(append(claim("A", lg(1, "A"), 500), claim("C", lg(1, "A"), 400)...), claim("D", lg(1, "A"), 400)...)
		f.Peers = append(f.Peers, Peer{Host: "C", Connected: true, Member: true}, Peer{Host: "D", Connected: true, Member: true})
		if c.spoil != nil {
			c.spoil(f, s)
		}
		if p := Decide(f, s).Plan.Fetch; p == nil || p.Peer.Host != c.want {
			t.Errorf("%s: fetch %+v, want it from %s", c.name, p, c.want)
		}
	}
}

// TestDecideSkip: what a host had applied before the log that set-replay has
// put it to is no fork behind it. Without the link skip-check, or before that
// log, it is one.
func TestDecideSkip(t *testing.T) {
	for _, c := range []struct {
		name  string
		skip  int
		at    int
		split bool
	}{
		{"not allowed", 0, 3, true},
		{"allowed", 3, 3, false},
		{"it has got further since", 3, 4, false},
		{"stands before the skip", 4, 3, true},
	} {
		f, s := secondary()
		a := claim("A", lg(1, "A"), 500, lg(2, "A"), 70, lg(3, "A"), 80, lg(4, "A"), 90)
		// B had its own log 2, on top of a shorter log 1.
		f.Claims, f.Own = a, claim("B", lg(1, "A"), 100, lg(2, "B"), 9)
		two := history.Value(lg(2, "A"), 70, history.Value(lg(1, "A"), 500, ""))
		f.Replay, f.Prev = symtree.ReplayLink{Number: 3, Origin: "A"}, two
		if c.at == 4 {
			f.Replay, f.Prev = symtree.ReplayLink{Number: 4, Origin: "A"}, history.Value(lg(3, "A"), 80, two)
		}
		f.Skip = c.skip
		s.Logs = nil
		v := Decide(f, s)
		if (v.Split != nil) != c.split {
			t.Errorf("%s: split %+v, want %v", c.name, v.Split, c.split)
		}
		if !c.split && (v.Plan.Fetch == nil || v.Plan.Fetch.Log.Number != c.at) {
			t.Errorf("%s: it fetches %+v, want log %d", c.name, v.Plan.Fetch, c.at)
		}
	}
}

// TestGatherLinks: both come from the tree, whatever stands there.
func TestGatherLinks(t *testing.T) {
	tree := symtree.New()
	tree.SetLink(symtree.SkipCheckPath("r", "B"), "7 -- at your own risk", 1)
	tree.SetLink(symtree.ConnectPath("r", "B"), "C,B,, D,(none),../x", 1)
	f := gather(tree, "B", "r", func(string) bool { return false })
	if f.Skip != 7 || len(f.Preferred) != 2 || f.Preferred[0] != "C" || f.Preferred[1] != "D" {
		t.Errorf("skip %d, preferred %q", f.Skip, f.Preferred)
	}
	tree.SetLink(symtree.SkipCheckPath("r", "B"), "seven", 2)
	if f := gather(tree, "B", "r", func(string) bool { return false }); f.Skip != 0 {
		t.Errorf("skip %d", f.Skip)
	}
}
