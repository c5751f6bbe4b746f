package simtest

import (
	"bytes"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// split is a split brain: a and b have both written, m has not.
type split struct {
	c       *Cluster
	n       *nemesis // for its small deeds
	a, b, m *Host
	la, lb  *Load
	ja, jb  *Journal
	common  []byte // the last common state
	strict  bool   // the third host hears of both branches before it may go on
}

// TestSimSplit: a host is forced to be primary while the other one still is.
// Nothing is ever merged: the third host stops at the last common state and
// says so, whatever happens; when one side gives up, all are equal again.
func TestSimSplit(t *testing.T) {
	list := seeds(t, 3, 0.125)
	sum := runSeeds(t, list, func(t testing.TB, seed uint64) map[string]int {
		s := newSplit(t, seed)
		s.tear()
		s.heal()
		s.trouble()
		s.resolve()
		s.c.Close()
		return s.n.did
	})
	sum.check(t, len(list))
}

func newSplit(t testing.TB, seed uint64) *split {
	o, lo := scene(seed)
	watching(t, &o)
	o.Node.SilentOpens = false
	lo.Think, lo.Depth = max(lo.Think, 50*time.Millisecond), min(lo.Depth, 4)
	c := NewCluster(t, seed, o, "a", "b", "m")
	a, others := c.pair()
	s := &split{c: c, a: a, b: others[0], m: others[1], ja: c.Journal}
	s.la = c.NewLoad(a, lo)
	s.b.join(30)
	s.m.join(30)
	c.Wait("the syncs", func() bool { return s.b.Synced() && s.m.Synced() })
	s.n = newNemesis(c, a, s.la, s.b, s.m)
	s.n.run(c.World.Intn(5))
	s.n.calm()
	c.RunFor(s.n.while(200 * time.Millisecond))
	return s
}

// tear cuts all hosts off from each other, and forces b to be primary.
func (s *split) tear() {
	c := s.c
	for _, h := range c.Hosts {
		c.World.Isolate(h.Node)
	}
	acked := s.ja.Acked()
	c.Wait("more writes on a", func() bool { return s.ja.Acked() >= acked+3 })
	c.Watch.Forced = true
	c.Watch.Journal = func(h *Host) *Journal {
		switch {
		case h == s.a:
			return s.ja
		case h == s.b && s.jb != nil:
			return s.jb
		}
		return nil
	}
	if c.World.Intn(2) == 0 {
		c.RunFor(s.n.while(40 * time.Second)) // the connections may be known to be dead, or not
	}
	s.b.adm("primary", Res, "--force", "--timeout=60")
	c.Wait("the device on b", s.b.Serving)
	img := s.b.ReadDev()
	s.common = bytes.Clone(img.(bytesAt))
	var err error
	s.jb, err = s.ja.Fork(img)
	c.Must(err, "content of the forced primary")
	s.lb = c.NewLoad(s.b, s.la.opt)
	s.lb.SetJournal(s.jb)
	acked = s.jb.Acked()
	c.Wait("writes on b", func() bool { return s.jb.Acked() >= acked+3 })
	for range c.World.Intn(3) {
		s.rotate()
	}
}

func (s *split) rotate() {
	h := []*Host{s.a, s.b}[s.c.World.Intn(2)]
	ok, _ := h.try("log-rotate", Res)
	s.n.log("log-rotate", h.Node.Host(), ok)
	s.c.RunFor(s.n.while(100 * time.Millisecond))
}

// heal connects all again. The third host goes up to the fork and stops there.
// If it hears of one branch first it may go on in that one, until it hears of
// the other.
func (s *split) heal() {
	pause := s.c.World.Intn(2) == 0
	if pause {
		s.m.adm("pause-replay", Res)
	}
	s.c.World.HealAll()
	s.c.Wait("the third host to find the split brain", s.m.said)
	if pause {
		s.c.Wait("replay to stop", s.m.Actual(symtree.ActualIsReplaying, "0"))
		if s.strict = s.jb.Prefix(s.m.Data()) == nil; !s.strict {
			s.n.log("m is ahead of the fork")
		}
		s.m.adm("resume-replay", Res)
	}
	if s.strict {
		s.n.log("strict")
		s.c.Wait("the third host to reach the last common state", func() bool { return bytes.Equal(s.m.Content(), s.common) })
	} else {
		s.c.RunFor(2 * time.Second)
		s.c.Wait("replay to stop", func() bool { return s.m.Replay("m").Len == 0 })
		s.common = s.m.Content()
	}
	s.oneBranch()
	s.refuse()
}

// oneBranch checks that the third host has nothing of one of the branches.
func (s *split) oneBranch() {
	ea, eb := s.ja.Prefix(s.m.Data()), s.jb.Prefix(s.m.Data())
	if ea != nil && eb != nil {
		s.c.Fatalf("the third host belongs to neither branch: %v, and %v", ea, eb)
	}
}

// said tells whether the host says that there is a split brain.
func (h *Host) said() bool {
	v := h.Link(symtree.ActualPath(Res, h.Node.Host(), "split-brain"))
	return v != "" && v != symtree.None
}

// refuse: nobody can become primary without force now.
func (s *split) refuse() { s.m.refused("", "primary", Res, "--timeout=3") }

// trouble happens; the third host must not move.
func (s *split) trouble() {
	for range s.c.World.Intn(6) {
		switch s.c.World.Intn(5) {
		case 0:
			s.rotate()
		case 1:
			h := s.c.Hosts[s.c.World.Intn(3)]
			h.try("log-delete-all", Res)
			s.n.log("log-delete-all")
		case 2:
			models := simenv.Models()
			s.m.Crash(models[s.c.World.Intn(len(models))])
			s.n.log("m: crash")
			s.back()
		case 3:
			s.m.Kill()
			s.n.log("m: kill")
			s.back()
		case 4:
			s.n.log("m waited")
			s.c.RunFor(s.n.while(20 * time.Second))
		}
		if !bytes.Equal(s.m.Content(), s.common) {
			s.c.Fatalf("the third host has moved: branch a %v, branch b %v\n%s", s.ja.Prefix(s.m.Data()), s.jb.Prefix(s.m.Data()), s.c.Dump())
		}
	}
	s.c.Wait("the third host to find the split brain again", s.m.said)
}

func (s *split) back() {
	s.c.RunFor(s.n.while(3 * time.Second))
	s.m.Restart()
	s.c.Wait("the daemon", func() bool { return s.m.Ready })
	s.c.Wait("the disk", s.m.Actual(symtree.ActualIsAttached, "1"))
	s.c.RunFor(s.n.while(time.Second))
}

// resolve: one of the two gives up its data.
func (s *split) resolve() {
	winner, loser, lw, ll, j := s.a, s.b, s.la, s.lb, s.ja
	if s.c.World.Intn(2) == 0 {
		winner, loser, lw, ll, j = s.b, s.a, s.lb, s.la, s.jb
	}
	s.n.log("winner " + winner.Node.Host())
	s.c.Journal = j
	ll.End()
	s.c.Wait("all to know of the forced one", func() bool {
		for _, h := range s.c.Hosts {
			if h.Link(symtree.PrimaryPath(Res)) != s.b.Node.Host() {
				return false
			}
		}
		return true
	})
	winner.insist("primary", Res, "--force", "--timeout=60")
	s.c.Watch.Journal = func(h *Host) *Journal {
		if h == winner {
			return j
		}
		return nil
	}
	s.c.Wait("the loser to give up the device", func() bool { return loser.Dev() == nil && loser.Actual(symtree.ActualIsPrimary, "0")() })
	s.n.log("old primary stopped")
	s.c.Wait("the loser to know the winner", func() bool { return loser.Link(symtree.PrimaryPath(Res)) == winner.Node.Host() })
	if s.m.said() && s.c.World.Intn(2) == 0 {
		// It chooses, and does not wait for the loser to do so, too.
		s.n.log("m is invalidated first")
		s.m.insist("invalidate", Res, "--timeout=60")
		s.c.Wait("the sync of the third host", s.m.Synced)
		acked := j.Acked()
		s.c.Wait("more writes", func() bool { return j.Acked() > acked+3 })
		at := winner.Replay(winner.Node.Host())
		s.c.Wait("the third host to follow", func() bool { return !s.m.said() && s.m.Replay("m").Compare(at) > 0 })
		s.refuse() // it follows, but nobody takes over while there is another branch
	}
	loser.insist("invalidate", Res, "--timeout=60")
	s.c.RunFor(5 * time.Second)
	if s.m.said() {
		s.n.log("m needs invalidate")
		s.m.insist("invalidate", Res, "--timeout=60")
	}
	s.c.Watch.Journal = nil
	s.c.Wait("the loser's sync", loser.Synced)
	s.c.Wait("the third host", func() bool { return s.m.Synced() && !s.m.said() })
	s.c.quiesce(winner, lw, loser, s.m)
}
