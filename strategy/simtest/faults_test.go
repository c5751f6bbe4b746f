package simtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// faults names the events by which a fault is known to have
// happened, and the simulation in which it does.
var faults = []struct {
	id, test string
	events   []string
}{
	{"F1 F24", "TestSimReplicate", []string{"a: crash", "a: kill", "image"}},
	{"F2 F24", "TestSimReplicate", []string{"b: crash", "b: kill"}},
	{"F3", "TestSimReplicate", []string{"crash of all"}},
	{"F4", "TestSimReplicate", []string{"crash while recovering"}},
	{"F5", "TestSimReplicate", []string{"crash at an operation of the tree"}},
	{"F14 F15", "TestSimReplicate", []string{"failing log write", "failing disk", "error of a disk or log"}},
	{"F16", "TestSimReplicate", []string{"slow", "stalled disk"}},
	{"F18", "TestSimReplicate", []string{"clock", "leaping clock"}},
	{"F20", "TestSimReplicate", []string{"cut", "reset", "flapping"}},
	{"F26", "TestSimReplicate", []string{"commands at once"}},
	{"", "TestSimReplicate", []string{"prefix", "a: log-rotate", "watched disk writes", "watched log writes", "watched moves", "watched sync writes", "watched windows", "watched steps", "watched owned"}},
	{"F28", "TestSimSplit", []string{"winner a", "winner b", "log-rotate", "log-delete-all", "m waited", "old primary stopped", "strict"}},
	{"F2 F24", "TestSimSplit", []string{"m: crash", "m: kill"}},
	{"", "TestSimHandover", []string{"handover", "handover after secondary", "refused while open", "prefix"}},
	{"F18", "TestSimConverge", []string{"clock", "leap", "stamped anew"}},
	{"F20", "TestSimConverge", []string{"cut", "isolate", "heal", "reset"}},
	{"F24", "TestSimConverge", []string{"kill", "crash"}},
	{"F29", "TestSimConverge", []string{"save", "restore"}},
	{"F37", "TestSimConverge", []string{"odd names"}},
	{"F12", "TestSimEmergency", []string{"full at once", "jammed at once", "slowly", "left", "power cut in emergency mode", "power cut afterwards", "bypassed"}},
	{"F27", "TestSimEmergencySync", []string{"in the middle"}},
	{"F14", "TestSimFlushFails", []string{"for long", "power cut", "healed"}},
	{"", "TestSimConverge", []string{"write", "delete", "stayed deleted", "made again"}},
}

// check fails the test if one of its faults never happened, where there were
// enough seeds to expect it.
func (s total) check(t *testing.T, seeds int) {
	var wanted []string
	for _, f := range faults {
		if f.test == t.Name() && seeds >= 20 {
			wanted = append(wanted, f.events...)
		}
	}
	s.report(t, wanted...)
}

// TestFaults: a fault that never happened is noticed. It runs the check of a
// simulation that did nothing.
func TestFaults(t *testing.T) {
	if missing := (total{"cut": 1}).missing([]string{"cut", "kill"}); !slices.Equal(missing, []string{"kill"}) {
		t.Errorf("missing %v", missing)
	}
	for _, f := range faults {
		if len(f.events) == 0 {
			t.Errorf("%s of %s has no event", f.id, f.test)
		}
	}
}

// both ends the power of all hosts within milliseconds.
func (n *nemesis) both() {
	all := append([]*Host{n.p}, n.rest...)
	models := simenv.Models()
	for _, h := range all {
		h.Crash(models[n.intn(len(models))])
		n.lost[h] = h == n.p
		n.c.RunFor(n.while(5 * time.Millisecond))
	}
	n.log("crash of all")
	n.c.RunFor(n.while(time.Second))
	n.restart(n.rest[0])
	for _, h := range all {
		if !h.Up() {
			n.restart(h)
		}
	}
}

// crashAtOp ends the power of a host in the middle of a change of its tree, and
// again while it recovers.
func (n *nemesis) crashAtOp() {
	h := n.any()
	models := simenv.Models()
	times := 1 + n.intn(3)
	for i := range times {
		h.CrashAtFSOp(1+n.intn(40), models[n.intn(len(models))])
		if err := n.c.World.Run(func() bool { return !h.Up() }, 10*time.Second); err != nil {
			h.CrashAtFSOp(0, models[0])
			h.Node.Crash(models[n.intn(len(models))])
		}
		h.ended()
		n.lost[h] = n.lost[h] || h == n.p
		n.log("crash at an operation of the tree")
		if i+1 < times {
			n.log("crash while recovering")
			h.Restart()
		}
	}
	n.restart(h)
}

// stall lets a disk answer nothing for a while.
func (n *nemesis) stall() {
	h := n.any()
	n.log("stalled disk", h.Node.Host())
	h.Data().Stall(true)
	n.c.World.In(n.while(5*time.Second), func() { h.Data().Stall(false) })
}

// flap cuts and heals a connection again and again.
func (n *nemesis) flap() {
	h := n.secondary()
	n.log("flapping", h.Node.Host())
	for range 3 + n.intn(5) {
		n.c.World.Cut(n.p.Node, h.Node, n.intn(2) == 0)
		n.c.RunFor(n.while(400 * time.Millisecond))
		n.c.World.HealAll()
		n.c.RunFor(n.while(400 * time.Millisecond))
	}
}

// leap sets a clock far beyond what is believed, for a while.
func (n *nemesis) leap() {
	h := n.any()
	d := []time.Duration{10, -10, -40}[n.intn(3)] * 365 * 24 * time.Hour
	n.log("leaping clock", h.Node.Host(), d)
	h.JumpClock(d)
	n.c.RunFor(n.while(3 * time.Second))
	h.JumpClock(-d)
}

// logError lets a write to the log that the primary writes fail, once.
func (n *nemesis) logError() {
	me := n.p.Node.Host()
	at := n.p.Replay(me)
	for number := at.Number; number < at.Number+3; number++ {
		name := symtree.LogPath(Res, max(number, 1), me)
		if _, err := n.p.FS().Lstat(name); err == nil {
			n.log("failing log write", name)
			n.p.File(name).Fail(n.once(env.Write, 1+n.intn(3)))
		}
	}
}

// diskError lets some access to the disk of a secondary fail, once.
func (n *nemesis) diskError() {
	h := n.secondary()
	kind := []env.Kind{env.Write, env.Read, env.Sync}[n.intn(3)]
	n.log("failing disk", h.Node.Host(), kind)
	h.Data().Fail(n.once(kind, 1+n.intn(4)))
}

// once is a fault that happens once, unless all is calm before.
func (n *nemesis) once(kind env.Kind, nth int) func(*env.IO) error {
	fault, run := simenv.FailNth(kind, nth, simenv.ErrIO), n.runs
	return func(io *env.IO) error {
		if run != n.runs {
			return nil
		}
		err := fault(io)
		if err != nil {
			n.did["error of a disk or log"]++
		}
		return err
	}
}

// cron lets commands of several hosts run at once, as cron jobs do.
func (n *nemesis) cron() {
	var list []*command
	for _, h := range append([]*Host{n.p}, n.rest...) {
		if h.Up() {
			list = append(list, h.start("log-rotate", Res), h.start("log-delete-all", Res))
		}
	}
	n.log("commands at once")
	n.c.Wait("the commands", func() bool { return !slices.ContainsFunc(list, func(m *command) bool { return !m.Done() }) })
}

// total adds up what was done in all seeds, for the check that everything was.
type total map[string]int

func (s total) add(did map[string]int) {
	for k, v := range did { // order does not matter: sums
		s[k] += v
	}
}

func (s total) report(t *testing.T, wanted ...string) {
	var list []string
	for k, v := range s {
		list = append(list, fmt.Sprintf("%s %d", k, v))
	}
	slices.Sort(list)
	t.Log(strings.Join(list, ", "))
	for _, k := range s.missing(wanted) {
		t.Errorf("it never happened: %s", k)
	}
}

// missing are those of the wanted events that never happened.
func (s total) missing(wanted []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(k string) bool { return s[k] > 0 })
}
