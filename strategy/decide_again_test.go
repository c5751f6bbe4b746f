package strategy

import (
	"strings"
	"testing"

	"mars/infra/history"
	"mars/infra/symtree"
)

// TestDecideAgain: a host that has lost a log of its own (by invalidate, or with
// an old /mars) which another member still has, makes no second one of the same
// name at the same place: nobody could tell the two apart.
func TestDecideAgain(t *testing.T) {
	f, s := secondary()
	f.Primary = "B"
	f.Replay.Pos = 500
	f.Own = claim("B", lg(1, "A"), 500)
	f.Claims = append(claim("A", lg(1, "A"), 500), claim("C", lg(1, "A"), 500, lg(2, "B"), 9)...)
	s.Logs = []LocalLog{{Log: lg(1, "A"), End: 500}}
	s.FetchLevel, s.FetchLog = true, lg(1, "A")
	v := Decide(f, s)
	if v.Step.Kind != SwitchLog || v.Step.To != lg(2, "B") {
		t.Fatalf("at the end of log 1: step %+v, want a switch to the log that C has", v.Step)
	}
	f.Replay = symtree.ReplayLink{Number: 2, Origin: "B"}
	f.Prev = history.Value(lg(1, "A"), 500, "")
	f.Own = claim("B", lg(1, "A"), 500, lg(2, "B"), 0)
	for _, level := range []bool{false, true} {
		s.FetchLog, s.FetchLevel = lg(2, "B"), level
		if v = Decide(f, s); v.Step.Kind != NoStep || v.Plan.Mode == Primary || !strings.Contains(v.Why, "is not there") {
			t.Errorf("in log 2: %+v, want that it waits", v)
		}
	}
}
