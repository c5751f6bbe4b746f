package strategy

import (
	"strings"
	"testing"

	"mars/infra/history"
	"mars/infra/symtree"
)

func lg(n int, origin string) history.Log { return history.Log{Number: n, Origin: origin} }

// claim makes the claims of a host for a chain of logs and lengths.
func claim(host string, chain ...any) (list []history.Claim) {
	prev := ""
	for i := 0; i < len(chain); i += 2 {
		l, n := chain[i].(history.Log), int64(chain[i+1].(int))
		v := history.Value(l, n, prev)
		list = append(list, history.Claim{Host: host, Log: l, Len: n, Head: history.Head(v), Prev: history.Head(prev)})
		prev = v
	}
	return list
}

// secondary is host B, which follows A and has applied 100 bytes of log 1.
func secondary() (*Facts, *State) {
	f := &Facts{
		Me: "B", Resource: "r", Member: true, Size: 1 << 20, Primary: "A", DiskPath: "/dev/x", DeviceName: "r",
		Todo: Todo{true, true, true, true}, SyncStatus: 1 << 20,
		Replay: symtree.ReplayLink{Number: 1, Origin: "A", Pos: 100},
		Claims: claim("A", lg(1, "A"), 500),
		Own:    claim("B", lg(1, "A"), 100),
		Peers:  []Peer{{Host: "A", Addr: "1.1.1.1", Connected: true, Member: true}},
	}
	s := &State{Scanned: true, Attached: true, Logs: []LocalLog{{Log: lg(1, "A"), End: 300}}}
	return f, s
}

// stoppedAt says that a replay of log 1 could not go on there.
func stoppedAt(s *State, pos int64) *State {
	s.ReplayErr, s.ErrLog, s.ErrAt = "bad checksum", lg(1, "A"), pos
	return s
}

var decideCases = []struct {
	name  string
	spoil func(f *Facts, s *State)
	mode  Mode
	log   history.Log
	end   int64 // Replaying
	step  StepKind
	to    history.Log
	fetch int   // number of the log that is fetched, 0: none
	limit int64 // of the fetch
	why   string
	split bool
}{
	{name: "replays what is here, fetches the rest", mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "not a member", spoil: func(f *Facts, s *State) { f.Member = false }, why: "not a member"},
	{name: "not scanned", spoil: func(f *Facts, s *State) { s.Scanned = false }, why: "not complete"},
	{name: "detached", spoil: func(f *Facts, s *State) { f.Todo.Attach = false }, fetch: 1, limit: history.Open, why: "detached"},
	{name: "disk in use", spoil: func(f *Facts, s *State) { s.Attached, s.AttachErr = false, "in use" }, fetch: 1, limit: history.Open, why: "in use"},
	{name: "paused", spoil: func(f *Facts, s *State) { f.Todo.Replay = false }, fetch: 1, limit: history.Open, log: lg(1, "A"), why: "paused"},
	{name: "paused, but dirty after a crash", spoil: func(f *Facts, s *State) { f.Todo.Replay, f.Replay.Len = false, 50 },
		mode: Replaying, log: lg(1, "A"), end: 150, fetch: 1, limit: history.Open},
	{name: "disconnected", spoil: func(f *Facts, s *State) { f.Todo.Connect = false }, mode: Replaying, log: lg(1, "A"), end: 300},
	{name: "peer gone", spoil: func(f *Facts, s *State) { f.Peers[0].Connected = false }, mode: Replaying, log: lg(1, "A"), end: 300},
	{name: "follows to the next log", spoil: func(f *Facts, s *State) {
		f.Claims = claim("A", lg(1, "A"), 100, lg(2, "A"), 50)
		s.Logs[0].End = 100
	}, log: lg(1, "A"), step: SwitchLog, to: lg(2, "A"), fetch: 2, limit: history.Open},
	{name: "does not step while the replay still runs", spoil: func(f *Facts, s *State) {
		f.Claims = claim("A", lg(1, "A"), 100, lg(2, "A"), 50)
		s.Logs[0].End, s.Mode, s.Log = 100, Replaying, lg(1, "A")
	}, log: lg(1, "A"), fetch: 2, limit: history.Open},
	{name: "where replay stopped nothing is tried for a while", spoil: func(f *Facts, s *State) { stoppedAt(s, 100).ErrHeld = true },
		log: lg(1, "A"), fetch: 1, limit: history.Open, why: "replay stopped: bad checksum"},
	{name: "then it is tried again", spoil: func(f *Facts, s *State) { stoppedAt(s, 100) }, mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "what was cut is fetched again", spoil: func(f *Facts, s *State) { stoppedAt(s, 100).Logs[0].End = 100 },
		log: lg(1, "A"), fetch: 1, limit: history.Open, why: "replay stopped: bad checksum"},
	{name: "it stopped elsewhere", spoil: func(f *Facts, s *State) { stoppedAt(s, 50).ErrHeld = true }, mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "a sync passes by a damaged log", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 0, "A", symtree.ReplayLink{Number: 1, Origin: "A", Pos: 400}
		f.Replay.Pos = 0
		stoppedAt(s, 100)
	}, step: SyncFrom, fetch: 1, limit: history.Open},
	{name: "but not by what its source has not applied either", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 0, "A", symtree.ReplayLink{Number: 1, Origin: "A", Pos: 100}
		stoppedAt(s, 100)
	}, mode: Syncing, fetch: 1, limit: history.Open},
	{name: "needs a sync", spoil: func(f *Facts, s *State) { f.SyncStatus, f.SyncFrom = 4096, "A" }, mode: Syncing, fetch: 1, limit: history.Open},
	{name: "sync from another primary starts over", spoil: func(f *Facts, s *State) { f.SyncStatus, f.SyncFrom = 4096, "C" }, step: SyncFrom, fetch: 1, limit: history.Open},
	{name: "the primary heard of this member late and has deleted logs: begin where it stands", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 0, "A", symtree.ReplayLink{Number: 2, Origin: "A", Pos: 7}
	}, step: SyncFrom, fetch: 1, limit: history.Open},
	{name: "a sync that has begun keeps its place: what was copied is older", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 4096, "A", symtree.ReplayLink{Number: 2, Origin: "A", Pos: 7}
	}, mode: Syncing, fetch: 1, limit: history.Open},
	{name: "the same log number on another branch is no anchor", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 0, "A", symtree.ReplayLink{Number: 1, Origin: "C"}
	}, step: SyncFrom, fetch: 1, limit: history.Open},
	{name: "anchored: the sync begins", spoil: func(f *Facts, s *State) {
		f.SyncStatus, f.SyncFrom, f.Source.At = 0, "A", symtree.ReplayLink{Number: 1, Origin: "A", Pos: 400}
	}, mode: Syncing, fetch: 1, limit: history.Open},
	{name: "a log that nobody has any more is named", spoil: func(f *Facts, s *State) {
		f.Replay.Pos, s.Logs, s.FetchLog, s.FetchErr, s.FetchGone = 0, nil, lg(1, "A"), "no such log", true
	}, log: lg(1, "A"), why: "invalidate r", fetch: 1, limit: history.Open},
	{name: "sync paused", spoil: func(f *Facts, s *State) { f.SyncStatus, f.Todo.Sync = 0, false }, why: "paused", fetch: 1, limit: history.Open},
	{name: "inconsistent never primary", spoil: func(f *Facts, s *State) { f.SyncStatus, f.Primary = 0, "B" }, why: "inconsistent", fetch: 1, limit: history.Open},
	{name: "sync end not passed, never primary", spoil: func(f *Facts, s *State) {
		f.Primary, f.SyncPos = "B", symtree.ReplayLink{Number: 1, Origin: "A", Pos: 400}
		s.Logs[0].End, f.Claims = 100, nil
	}, log: lg(1, "A"), why: "inconsistent", fetch: 1, limit: history.Open},
	{name: "designated, still has to fetch", spoil: func(f *Facts, s *State) { f.Primary, s.Logs[0].End = "B", 100 }, log: lg(1, "A"), why: "still to be fetched", fetch: 1, limit: history.Open},
	{name: "designated, all here", spoil: func(f *Facts, s *State) { f.Primary, s.Logs[0].End, f.Claims = "B", 100, claim("A", lg(1, "A"), 100) },
		log: lg(1, "A"), step: NewLog, to: lg(2, "B"), fetch: 1, limit: history.Open},
	{name: "designated, all here, but others may know better", spoil: func(f *Facts, s *State) {
		f.Primary, s.Logs[0].End, f.Claims, f.Unheard = "B", 100, claim("A", lg(1, "A"), 100), "A"
	}, log: lg(1, "A"), why: "to hear from A", fetch: 1, limit: history.Open},
	{name: "what is there is applied before they are heard", spoil: func(f *Facts, s *State) { f.Primary, f.Unheard = "B", "A" },
		mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "forced while disconnected", spoil: func(f *Facts, s *State) { f.Primary, s.Logs[0].End, f.Todo.Connect = "B", 100, false },
		log: lg(1, "A"), step: NewLog, to: lg(2, "B")},
	{name: "forced primary first applies what it has", spoil: func(f *Facts, s *State) { f.Primary, f.Todo.Connect, f.Todo.Replay = "B", false, false },
		mode: Replaying, log: lg(1, "A"), end: 300},
	{name: "split ahead: stops at the fork", spoil: func(f *Facts, s *State) {
		f.Claims = append(claim("A", lg(1, "A"), 500), claim("C", lg(1, "A"), 200, lg(2, "C"), 9)...)
	}, mode: Replaying, log: lg(1, "A"), end: 200, fetch: 0, split: true},
	{name: "split: at the fork", spoil: func(f *Facts, s *State) {
		f.Claims = append(claim("A", lg(1, "A"), 500), claim("C", lg(1, "A"), 100, lg(2, "C"), 9)...)
	}, log: lg(1, "A"), why: "split brain", split: true},
	{name: "former primary sees the fork behind its replay position", spoil: func(f *Facts, s *State) {
		f.Me, f.Primary, f.Replay = "B", "A", symtree.ReplayLink{Number: 1, Origin: "B", Pos: 100}
		f.Own, f.Claims = claim("B", lg(1, "B"), 100), claim("A", lg(1, "B"), 200, lg(2, "A"), 9)
		s.Logs = []LocalLog{{Log: lg(1, "B"), End: 300}}
	}, mode: Replaying, log: lg(1, "B"), end: 300, split: true},
	{name: "former primary, own log applied, stays with its version", spoil: func(f *Facts, s *State) {
		f.Me, f.Primary, f.Replay = "B", "A", symtree.ReplayLink{Number: 1, Origin: "B", Pos: 300}
		f.Own, f.Claims = claim("B", lg(1, "B"), 300), claim("A", lg(1, "B"), 200, lg(2, "A"), 9)
		s.Logs = []LocalLog{{Log: lg(1, "B"), End: 300}}
	}, log: lg(1, "B"), why: "split brain", split: true},
	{name: "crash in a rotation: the next log of our own follows", spoil: func(f *Facts, s *State) {
		f.Primary, f.Replay, f.Claims, f.Own = "B", symtree.ReplayLink{Number: 1, Origin: "B", Pos: 300}, nil, claim("B", lg(1, "B"), 300)
		s.Logs = []LocalLog{{Log: lg(1, "B"), End: 300}, {Log: lg(2, "B"), End: 50}}
	}, log: lg(1, "B"), step: SwitchLog, to: lg(2, "B")},
	{name: "invalidated: follows the primary until it is consistent, whatever others say", spoil: func(f *Facts, s *State) {
		f.SyncPos = symtree.ReplayLink{Number: 1, Origin: "A", Pos: 250}
		f.Claims = append(f.Claims, claim("C", lg(1, "A"), 60, lg(2, "C"), 9)...)
	}, mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "invalidated and consistent: follows the primary, though another branch is still there", spoil: func(f *Facts, s *State) {
		f.SyncPos = symtree.ReplayLink{Number: 1, Origin: "A", Pos: 80}
		f.Claims = append(f.Claims, claim("C", lg(1, "A"), 60, lg(2, "C"), 9)...)
	}, mode: Replaying, log: lg(1, "A"), end: 300, fetch: 1, limit: history.Open},
	{name: "it was synced before the fork: it has not chosen", spoil: func(f *Facts, s *State) {
		f.SyncPos = symtree.ReplayLink{Number: 1, Origin: "A", Pos: 60}
		f.Claims = append(f.Claims, claim("C", lg(1, "A"), 60, lg(2, "C"), 9)...)
	}, log: lg(1, "A"), why: "split brain", split: true},
	{name: "damaged own log: never skipped", spoil: func(f *Facts, s *State) {
		f.Primary, f.Replay, f.Claims, f.Own = "B", symtree.ReplayLink{Number: 1, Origin: "B", Pos: 300}, nil, claim("B", lg(1, "B"), 500)
		s.Logs = []LocalLog{{Log: lg(1, "B"), End: 300, Damage: "bad checksum"}}
	}, log: lg(1, "B"), why: "damaged"},
	{name: "empty own log is appended to", spoil: func(f *Facts, s *State) {
		f.Primary, f.Replay, f.Claims, f.Own = "B", symtree.ReplayLink{Number: 1, Origin: "B"}, nil, nil
		s.Logs = []LocalLog{{Log: lg(1, "B")}}
	}, mode: Primary, log: lg(1, "B")},
	{name: "own log that is not empty is never appended to", spoil: func(f *Facts, s *State) {
		f.Primary, f.Replay, f.Claims, f.Own = "B", symtree.ReplayLink{Number: 1, Origin: "B", Pos: 512}, nil, nil
		s.Logs = []LocalLog{{Log: lg(1, "B"), End: 512}}
	}, log: lg(1, "B"), step: NewLog, to: lg(2, "B")},
	{name: "primary goes on", spoil: func(f *Facts, s *State) { f.Primary, s.Mode, s.Log = "B", Primary, lg(3, "B") }, mode: Primary, log: lg(3, "B")},
	{name: "primary rotates into an empty log of its own", spoil: func(f *Facts, s *State) {
		f.Primary, s.Mode, s.Log = "B", Primary, lg(3, "B")
		s.Logs = append(s.Logs, LocalLog{Log: lg(4, "B")})
	}, mode: Primary, log: lg(4, "B")},
	{name: "primary never rotates into a foreign log", spoil: func(f *Facts, s *State) {
		f.Primary, s.Mode, s.Log = "B", Primary, lg(3, "B")
		s.Logs = append(s.Logs, LocalLog{Log: lg(4, "A")})
	}, mode: Primary, log: lg(3, "B")},
	{name: "failed log: a new one", spoil: func(f *Facts, s *State) { f.Primary, s.Mode, s.Log, s.LogFailed = "B", Primary, lg(3, "B"), true },
		mode: Primary, log: lg(3, "B"), step: CreateLog, to: lg(4, "B")},
	{name: "former primary ends when the device is closed", spoil: func(f *Facts, s *State) { s.Mode, s.Log = Primary, lg(3, "B") }},
	{name: "former primary remains while the device is open", spoil: func(f *Facts, s *State) { s.Mode, s.Log, s.OpenCount = Primary, lg(3, "B"), 1 },
		mode: Primary, log: lg(3, "B"), why: "open"},
	{name: "a primary without a device tells why", spoil: func(f *Facts, s *State) {
		f.Primary, s.Mode, s.Log, s.DeviceErr = "B", Primary, lg(3, "B"), "too many"
	}, mode: Primary, log: lg(3, "B"), why: "can not be made: too many"},
	{name: "a device that is open keeps its size", spoil: func(f *Facts, s *State) {
		f.Primary, s.Mode, s.Log, s.OpenCount, s.SizeWaits = "B", Primary, lg(3, "B"), 1, 4096
	}, mode: Primary, log: lg(3, "B"), why: "new size of 4096 bytes when it was closed"},
	{name: "a daemon that stops remains primary while the device is open", spoil: func(f *Facts, s *State) {
		f.Primary, f.Stopping, s.Mode, s.Log, s.OpenCount = "B", true, Primary, lg(3, "B"), 1
	}, mode: Primary, log: lg(3, "B"), why: "open"},
	{name: "a daemon that stops lets go when the device was left to the next one", spoil: func(f *Facts, s *State) {
		f.Primary, f.Stopping, s.Mode, s.Log, s.Held = "B", true, Primary, lg(3, "B"), 1
	}, why: "stopping"},
}

// What a daemon that stops, and one that lost its role, tell of the device.
func TestDecideDevice(t *testing.T) {
	for _, c := range []struct {
		primary        string
		stopping       bool
		leave, release bool
	}{{"B", false, false, false}, {"A", false, false, true}, {"B", true, true, true}} {
		f, s := secondary()
		f.Primary, f.Stopping = c.primary, c.stopping
		s.Mode, s.Log, s.OpenCount = Primary, lg(3, "B"), 1
		p := Decide(f, s).Plan
		if !p.Device || p.Leave != c.leave || p.Release != c.release {
			t.Errorf("primary %s, stopping %v: device %v, leave %v, release %v", c.primary, c.stopping, p.Device, p.Leave, p.Release)
		}
	}
}

func TestDecide(t *testing.T) {
	for _, c := range decideCases {
		t.Run(c.name, func(t *testing.T) {
			f, s := secondary()
			if c.spoil != nil {
				c.spoil(f, s)
			}
			v := Decide(f, s)
			p := v.Plan
			if p.Mode != c.mode || c.log != (history.Log{}) && p.Log != c.log || p.Mode == Replaying && p.End != c.end {
				t.Errorf("plan %v %v up to %d, want %v %v up to %d", p.Mode, p.Log, p.End, c.mode, c.log, c.end)
			}
			if v.Step.Kind != c.step || v.Step.To != c.to {
				t.Errorf("step %v to %v, want %v to %v", v.Step.Kind, v.Step.To, c.step, c.to)
			}
			n, limit := 0, int64(0)
			if p.Fetch != nil {
				n, limit = p.Fetch.Log.Number, p.Fetch.Limit
			}
			if n != c.fetch || limit != c.limit {
				t.Errorf("fetch of log %d up to %d, want %d up to %d", n, limit, c.fetch, c.limit)
			}
			if c.why == "" && p.Mode == Idle && v.Step.Kind == NoStep && c.split == false && v.Why != "" {
				t.Errorf("nothing happens: %s", v.Why)
			}
			if !strings.Contains(v.Why, c.why) {
				t.Errorf("reason %q does not say %q", v.Why, c.why)
			}
			if (v.Split != nil) != c.split {
				t.Errorf("split %v, want %v", v.Split, c.split)
			}
		})
	}
}

// TestStepsOnlyAtRest: a step moves the place in the history, which must not
// happen while the worker moves it too.
func TestStepsOnlyAtRest(t *testing.T) {
	for _, mode := range []Mode{Replaying, Syncing} {
		f, s := secondary()
		f.Claims = claim("A", lg(1, "A"), 100, lg(2, "A"), 50)
		s.Logs[0].End, s.Mode, s.Log = 100, mode, lg(1, "A")
		if v := Decide(f, s); v.Step.Kind != NoStep {
			t.Errorf("step %v although the worker is %v", v.Step.Kind, mode)
		}
	}
}

// A disk that is smaller than the resource is not the one that has joined: it is
// neither written to nor made a primary's.
func TestDecideWrongDisk(t *testing.T) {
	for name, spoil := range map[string]func(f *Facts, s *State){
		"replay":  func(*Facts, *State) {},
		"sync":    func(f *Facts, _ *State) { f.SyncStatus = 0 },
		"primary": func(f *Facts, _ *State) { f.Primary = "B" },
	} {
		f, s := secondary()
		s.DiskSize = f.Size - 4096
		spoil(f, s)
		if v := Decide(f, s); v.Plan.Mode != Idle || v.Step.Kind != NoStep || !strings.Contains(v.Why, "is not the disk that has joined") {
			t.Errorf("%s: mode %v, step %v, why %s", name, v.Plan.Mode, v.Step.Kind, v.Why)
		}
		s.DiskSize = f.Size
		if v := Decide(f, s); strings.Contains(v.Why, "is not the disk") {
			t.Errorf("%s, with a disk that is large enough: %s", name, v.Why)
		}
	}
}
