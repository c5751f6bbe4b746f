package strategy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/history"
	"mars/infra/symtree"
)

// TestEmergencyLevel: the limits nest as in manual 2.4.1, the level rises at
// once, and falls with a margin and only if it may.
func TestEmergencyLevel(t *testing.T) {
	const g = int64(1) << 30
	different := [5]int64{0, 1 * g, 2 * g, 4 * g, 8 * g} // level 4 below 1, 3 below 3, 2 below 7, 1 below 15
	for _, c := range []struct {
		available int64
		was, want int
		held      bool
	}{
		{16 * g, 0, 0, false},
		{15 * g, 0, 0, false},
		{15*g - 1, 0, 1, false},
		{7 * g, 0, 1, false},
		{7*g - 1, 0, 2, false},
		{3*g - 1, 0, 3, false},
		{g, 0, 3, false},
		{g - 1, 0, 4, false},
		{0, 0, 4, false},
		{0, 2, 4, true},
		{15*g - 1, 4, 1, false},
		{g + g/16 - 1, 4, 4, false},
		{g + g/16, 4, 3, false},
		{15 * g, 1, 1, false},
		{15 * g, 4, 1, false},
		{16 * g, 4, 0, false},
		{16 * g, 4, 4, true},
		{15*g - 1, 0, 1, true},
	} {
		r := room{Total: 100 * g, Available: c.available, Limits: different, Reset: !c.held}
		if got := emergencyLevel(&r, c.was); got != c.want {
			t.Errorf("%.2f GiB, level was %d, held %v: level %d, want %d", float64(c.available)/float64(g), c.was, c.held, got, c.want)
		}
	}
	none := room{Total: 100 * g, Available: floorSpace - 1, Reset: true}
	if got := emergencyLevel(&none, 0); got != 4 {
		t.Errorf("no limits, less than the floor: level %d", got)
	}
	none.Available = floorSpace
	if got := emergencyLevel(&none, 0); got != 0 {
		t.Errorf("no limits, the floor is free: level %d", got)
	}
}

func TestResourceLevel(t *testing.T) {
	const g = int64(1) << 30
	for _, c := range []struct {
		name      string
		available int64
		host      int
		x         resourceRoom
		held      bool
		want      int
	}{
		{"the host's", 50 * g, 2, resourceRoom{}, false, 2},
		{"own limit", 19 * g, 0, resourceRoom{Percent: 20}, false, 4},
		{"above the own limit", 20 * g, 0, resourceRoom{Percent: 20}, false, 0},
		{"stays until all is well", 50 * g, 1, resourceRoom{Bypassing: true}, false, 4},
		{"leaves", 50 * g, 0, resourceRoom{Bypassing: true}, false, 0},
		{"may not leave", 50 * g, 0, resourceRoom{Bypassing: true}, true, 4},
		{"margin of the own limit", 21 * g, 0, resourceRoom{Percent: 20, Bypassing: true}, false, 4},
		{"the log is lost", 50 * g, 0, resourceRoom{LogLost: true}, false, 4},
	} {
		r := room{Total: 100 * g, Available: c.available, Reset: !c.held}
		if got := resourceLevel(&r, c.host, c.x); got != c.want {
			t.Errorf("%s: level %d, want %d", c.name, got, c.want)
		}
	}
}

func TestDeletable(t *testing.T) {
	for _, c := range []struct {
		name  string
		level int
		spoil func(f *Facts, s *State)
		log   history.Log
		want  bool
	}{
		{"level 1", 1, nil, lg(2, "A"), false},
		{"secondary, applied", 2, nil, lg(2, "A"), true},
		{"secondary, own old log", 2, nil, lg(1, "B"), true},
		{"secondary, present log", 2, nil, lg(3, "A"), false},
		{"secondary, log ahead", 4, nil, lg(4, "A"), false},
		{"fetched now", 2, func(f *Facts, s *State) { s.Fetching, s.FetchLog = true, lg(2, "A") }, lg(2, "A"), false},
		{"designated primary", 2, func(f *Facts, s *State) { f.Primary = "B" }, lg(2, "A"), false},
		{"designated primary, level 3", 3, func(f *Facts, s *State) { f.Primary = "B" }, lg(2, "A"), true},
		{"actual primary", 2, func(f *Facts, s *State) { s.Mode, s.Log = Primary, lg(4, "B") }, lg(2, "A"), false},
		{"actual primary, level 3", 3, func(f *Facts, s *State) { s.Mode, s.Log = Primary, lg(4, "B") }, lg(2, "A"), true},
		{"actual primary, not written back yet", 4, func(f *Facts, s *State) { s.Mode, s.Log = Primary, lg(4, "B") }, lg(3, "B"), false},
		{"no replay link", 4, func(f *Facts, s *State) { f.Replay = symtree.ReplayLink{} }, lg(1, "A"), false},
		{"not scanned", 4, func(f *Facts, s *State) { s.Scanned = false }, lg(2, "A"), false},
		{"not a member", 4, func(f *Facts, s *State) { f.Member = false }, lg(2, "A"), false},
	} {
		f, s := secondary()
		f.Replay, f.Level = symtree.ReplayLink{Number: 3, Origin: "A", Pos: 10}, c.level
		if c.spoil != nil {
			c.spoil(f, s)
		}
		if got := deletable(f, s, c.log); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// jammed is host B, primary, which can not log.
func jammed() (*Facts, *State) {
	f, s := secondary()
	f.Primary, f.Level = "B", levelJammed
	f.Replay, f.Claims, f.Own = symtree.ReplayLink{Number: 2, Origin: "B", Pos: 40}, nil, claim("B", lg(1, "A"), 100, lg(2, "B"), 50)
	f.Prev = history.Value(lg(1, "A"), 100, "")
	s.Logs = []LocalLog{{Log: lg(1, "A"), End: 100}, {Log: lg(2, "B"), End: 50}}
	s.Mode, s.Log = Primary, lg(2, "B")
	return f, s
}

// behind puts it behind the hole.
func behind(f *Facts, s *State) {
	f.Replay, f.Prev = symtree.ReplayLink{Number: 4, Origin: "B"}, ""
	s.Logs = append(s.Logs, LocalLog{Log: lg(4, "B")})
}

func TestDecideEmergency(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(f *Facts, s *State)
		mode   Mode
		log    history.Log
		bypass bool
		step   StepKind
		to     history.Log
		why    string
	}{
		{"begins", nil, Primary, lg(2, "B"), true, NoStep, history.Log{}, "emergency mode"},
		{"no rotation any more", func(f *Facts, s *State) { s.LogFailed = true }, Primary, lg(2, "B"), true, NoStep, history.Log{}, "emergency mode"},
		{"there is space before the hole is made: goes through with it", func(f *Facts, s *State) { f.Level, s.Bypass = 0, true }, Primary, lg(2, "B"), true, NoStep, history.Log{}, ""},
		{"goes on", func(f *Facts, s *State) { behind(f, s); s.Bypass = true }, Primary, lg(2, "B"), true, NoStep, history.Log{}, "emergency mode"},
		{"ends", func(f *Facts, s *State) { behind(f, s); s.Bypass, f.Level = true, 0 }, Primary, lg(4, "B"), false, NoStep, history.Log{}, ""},
		{"a start makes the hole first", func(f *Facts, s *State) { s.Mode, f.Replay.Pos = Idle, 50 }, Idle, history.Log{}, false, MakeHole, lg(4, "B"), ""},
		{"a start in front of an empty log makes the hole first", func(f *Facts, s *State) {
			s.Mode, f.Replay = Idle, symtree.ReplayLink{Number: 3, Origin: "B"}
			f.Prev = "something"
			s.Logs = append(s.Logs, LocalLog{Log: lg(3, "B")})
		}, Idle, history.Log{}, false, MakeHole, lg(5, "B"), ""},
		{"a start behind the hole", func(f *Facts, s *State) { behind(f, s); s.Mode = Idle }, Primary, lg(4, "B"), true, NoStep, history.Log{}, ""},
		{"a start behind the hole, with space", func(f *Facts, s *State) { behind(f, s); s.Mode, f.Level = Idle, 0 }, Primary, lg(4, "B"), false, NoStep, history.Log{}, ""},
		{"level 3 goes on logging", func(f *Facts, s *State) { f.Level = 3 }, Primary, lg(2, "B"), false, NoStep, history.Log{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, s := jammed()
			if c.spoil != nil {
				c.spoil(f, s)
			}
			v := Decide(f, s)
			got := fmt.Sprint(v.Plan.Mode, v.Plan.Bypass, v.Step.Kind, v.Step.To)
			want := fmt.Sprint(c.mode, c.bypass, c.step, c.to)
			if got != want || c.mode == Primary && v.Plan.Log != c.log || !strings.Contains(v.Why, c.why) {
				t.Errorf("%s, log %v, why %q; want %s, log %v, why %q", got, v.Plan.Log, v.Why, want, c.log, c.why)
			}
		})
	}
}

// TestDecideLevels: what the levels do to a secondary, and what it says.
func TestDecideLevels(t *testing.T) {
	hole := append(claim("A", lg(1, "A"), 100), claim("A", lg(3, "A"), 7)...)
	for _, c := range []struct {
		name  string
		spoil func(f *Facts, s *State)
		from  string // whom it fetches from, empty: it does not
		why   string
	}{
		{"level 1 stops the fetch", func(f *Facts, s *State) { f.Level, s.Logs[0].End = 1, 100 }, "", "level 1"},
		{"but not of who is to become primary", func(f *Facts, s *State) { f.Level, f.Primary, s.Logs[0].End = 1, "B", 100 }, "A", "still to be fetched"},
		{"a hole", func(f *Facts, s *State) { f.Claims, s.Logs[0].End = hole, 100 }, "A", "hole in front of log-000000003-A"},
		{"another holder serves", func(f *Facts, s *State) {
			f.Peers = append(f.Peers, Peer{Host: "C", Connected: true, Member: true})
			f.Claims = append(f.Claims, claim("C", lg(1, "A"), 400)...)
			s.Logs[0].End, s.Gone = 100, []Gone{{Log: lg(1, "A"), Host: "A"}}
		}, "C", ""},
		{"nobody has it any more", func(f *Facts, s *State) { s.Logs[0].End, s.Gone = 100, []Gone{{Log: lg(1, "A"), Host: "A"}} }, "A", "invalidate"},
		{"its holder can not read it now", func(f *Facts, s *State) {
			s.Logs[0].End, s.Gone = 100, []Gone{{Log: lg(1, "A"), Host: "A", Unread: true}}
		}, "A", "A could not read log-000000001-A"},
	} {
		f, s := secondary()
		c.spoil(f, s)
		v := Decide(f, s)
		from := ""
		if v.Plan.Fetch != nil {
			from = v.Plan.Fetch.Peer.Host
		}
		if from != c.from || !strings.Contains(v.Why, c.why) || c.why == "" && v.Why != "" {
			t.Errorf("%s: fetches from %q, why %q; want %q, %q", c.name, from, v.Why, c.from, c.why)
		}
	}
}

// TestDecideSyncHole: a sync over which a hole came starts over, whether it has
// read everything or not: what was changed without a log may be missing.
func TestDecideSyncHole(t *testing.T) {
	hole := append(claim("A", lg(1, "A"), 100), claim("A", lg(3, "A"), 7)...)
	for _, c := range []struct {
		name  string
		spoil func(f *Facts, s *State)
		step  StepKind
	}{
		{"in the middle", func(f *Facts, s *State) { f.SyncStatus = 4096 }, SyncFrom},
		{"its end was behind the hole", func(f *Facts, s *State) { f.SyncPos = symtree.ReplayLink{Number: 3, Origin: "A", Pos: 5} }, SyncFrom},
		{"it was over before", func(f *Facts, s *State) { f.SyncPos = symtree.ReplayLink{Number: 1, Origin: "A", Pos: 50} }, NoStep},
		{"paused", func(f *Facts, s *State) {
			f.SyncPos, f.Todo.Sync = symtree.ReplayLink{Number: 3, Origin: "A", Pos: 5}, false
		}, NoStep},
	} {
		f, s := secondary()
		f.Claims, s.Logs[0].End, f.SyncFrom = hole, 100, "A"
		c.spoil(f, s)
		if v := Decide(f, s); v.Step.Kind != c.step {
			t.Errorf("%s: step %v, mode %v, why %q; want %v", c.name, v.Step.Kind, v.Plan.Mode, v.Why, c.step)
		}
	}
}

// TestLogLost: one log that can not be written is followed by another one. Two
// in a row, of which the second is empty, want of space, and a log that can not
// be made, or is not there in time, are an emergency.
func TestLogLost(t *testing.T) {
	fails := func(number int, end int64) State {
		return State{Mode: Primary, Log: lg(number, "B"), LogFailed: true, LogEnd: end}
	}
	full, well, bypass, other := fails(1, 500), fails(1, 0), fails(3, 0), fails(3, 0)
	full.NoSpace, well.LogFailed, bypass.Bypass, other.Log = true, false, true, lg(3, "A")
	for name, c := range map[string]struct {
		seen  []State
		links bool
		after time.Duration // of the first look
		want  bool
	}{
		"nothing failed":               {seen: []State{well}},
		"one with records":             {seen: []State{fails(1, 500)}},
		"one that is new":              {seen: []State{fails(3, 0)}},
		"looked at twice":              {seen: []State{fails(3, 0), fails(3, 0)}},
		"the next one, too":            {seen: []State{fails(3, 0), fails(4, 0), fails(4, 0)}, want: true},
		"behind one with records":      {seen: []State{fails(3, 500), fails(4, 0)}, want: true},
		"the next one takes records":   {seen: []State{fails(3, 0), fails(4, 500)}},
		"another one, long afterwards": {seen: []State{fails(3, 500), fails(5, 0)}},
		"of another origin":            {seen: []State{other, fails(4, 0)}},
		"no space":                     {seen: []State{full}, want: true},
		"no other can be made":         {seen: []State{fails(1, 500)}, links: true, want: true},
		"there is no log":              {seen: []State{fails(2, 0), bypass}},
		"no other one yet":             {seen: []State{fails(1, 500), fails(1, 500)}, after: logPatience - 1},
		"no other one for too long":    {seen: []State{fails(1, 500), fails(1, 500)}, after: logPatience, want: true},
		"another one in time":          {seen: []State{fails(1, 500), fails(2, 500)}, after: logPatience},
	} {
		r := &resource{linksLost: c.links}
		got := false
		now := time.Second
		for _, r.state = range c.seen {
			got = r.logLost(now)
			now += c.after
		}
		if got != c.want {
			t.Errorf("%s: lost %v, want %v", name, got, c.want)
		}
	}
}
