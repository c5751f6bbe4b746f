package strategy

import (
	"cmp"

	"mars/infra/history"
	"mars/infra/mutant"
	"mars/infra/symtree"
)

// publish writes the links that tell a position: the replay link and the
// version links. What they say is durable on the disk and in the log already.
// One position comes after the other: a version link is built on its
// predecessor as it is in the tree, so that must be there. Only a newer position
// in the same log makes one superfluous, since the last one of a log is what the
// next log is on top of.
func (r *resource) publish(p position) {
	if n := len(r.positions); n > 0 && (n > 1 || !r.saying) && r.positions[n-1].superseded(&p) {
		r.positions[n-1] = p
		return
	}
	r.positions = append(r.positions, p)
	if len(r.positions) == 1 {
		r.publishNext()
	}
}

// superseded tells whether a newer position says all that this one does.
func (p *position) superseded(by *position) bool {
	return !p.bypass && !by.bypass && p.Number == by.Number && p.Origin == by.Origin && p.replay == by.replay
}

// publishNext commits the first of the waiting positions.
func (r *resource) publishNext() {
	p := r.positions[0]
	log := history.Log{Number: p.Number, Origin: p.Origin}
	if p.bypass && p.Final && !mutant.Is(mutant.NoHole) {
		r.publishHole(log, p)
		return
	}
	list := r.positionChanges(log, p)
	if len(list) == 0 {
		r.published(p)
		return
	}
	r.saying = true
	r.n.commit(list, func(err error) {
		r.saying = false
		if err != nil {
			r.failed() // the position stays the first, for another attempt
		} else {
			r.linksLost = false
			r.published(p)
		}
		r.kick()
	})
}

// published goes on after the first of the waiting positions.
func (r *resource) published(p position) {
	r.acknowledge(p)
	if r.positions = r.positions[1:]; len(r.positions) > 0 {
		r.publishNext()
	}
}

// publishHole publishes the last position in front of an emergency mode: before
// the worker may change the disk without a log, nobody must be able to follow.
func (r *resource) publishHole(log history.Log, p position) {
	if r.stepping {
		r.failed() // a step that was decided on before
		return
	}
	step := Step{Kind: MakeHole, From: log, Pos: p.LogPos, Prev: versionOf(r.n.tree, r.name, r.n.me, log.Number-1), To: holeBehind(&r.state, log, r.n.me)}
	r.makeHole(step, func() { r.published(p) })
}

func (r *resource) acknowledge(p position) {
	serial := p.Serial
	r.wenv.Post(func() {
		if l := r.w.logger; l != nil {
			l.PositionDurable(serial)
		}
	})
}

// positionChanges are the changes of links for a position.
func (r *resource) positionChanges(log history.Log, p position) []symtree.Change {
	n := r.n
	values := map[string]string{
		symtree.ReplayPath(r.name, n.me): symtree.ReplayLink{Number: p.Number, Origin: p.Origin, Pos: p.Min, Len: max(p.Max-p.Min, 0)}.String(),
	}
	length := p.LogPos
	if p.replay {
		length = p.Min
		if p.Origin == n.me {
			// What was published of our own log is never taken back: after the
			// next start its loss would look like a torn tail.
			if v, err := symtree.ParseVersion(versionOf(n.tree, r.name, n.me, p.Number)); err == nil && v.Origin == n.me {
				length = max(length, v.Pos)
			}
		}
	}
	prev := versionOf(n.tree, r.name, n.me, p.Number-1)
	value := history.Value(log, length, prev)
	values[symtree.VersionPath(r.name, p.Number, n.me)] = value
	if p.Cur.Number == p.Number+1 {
		values[symtree.VersionPath(r.name, p.Cur.Number, n.me)] = history.Value(p.Cur, p.CurEnd, value)
	}
	return n.changesFor(values)
}

// publishActual writes what is going on here into the links actual-$me/*, by
// which marsadm and other hosts see it.
func (r *resource) publishActual(f *Facts, v *Verdict) {
	if r.busyAct {
		return
	}
	r.news = false
	if !f.Member && !r.n.tree.Exists(symtree.ActualDir(r.name, r.n.me)) {
		return
	}
	s := &r.state
	none := func(text string) string {
		if text == "" {
			return symtree.None
		}
		return text
	}
	split := symtree.None
	if v.Split != nil {
		split = "log " + symtree.FormatInt(int64(v.Split.Number)) + " at " + symtree.FormatInt(v.Split.Pos) + ": " + v.Split.Why
	}
	act := func(key string) string { return symtree.ActualPath(r.name, r.n.me, key) }
	values := map[string]string{
		act(symtree.ActualIsAttached):   symtree.FormatBool(s.Attached),
		act(symtree.ActualIsPrimary):    symtree.FormatBool(s.Mode == Primary || s.Held > 0),
		act(symtree.ActualIsReplaying):  symtree.FormatBool(s.Mode == Replaying),
		act(symtree.ActualIsSyncing):    symtree.FormatBool(s.Mode == Syncing),
		act(symtree.ActualIsCopying):    symtree.FormatBool(s.Fetching),
		act(symtree.ActualOpenCount):    symtree.FormatInt(int64(max(s.OpenCount, s.Held))),
		act(symtree.ActualSyncRate):     symtree.FormatInt(s.SyncRate >> 10),
		act(symtree.ActualFileRate):     symtree.FormatInt(s.FetchRate >> 10),
		act(symtree.ActualReplayRate):   symtree.FormatInt(s.ReplayRate >> 10),
		act("device-" + f.DeviceName):   symtree.FormatBool(s.DeviceOn && s.Mode == Primary),
		act("split-brain"):              split,
		act("why"):                      none(v.Why),
		act("disk-error"):               none(cmp.Or(s.DiskErr, s.DiskSick)),
		act("log-error"):                none(s.logErr()),
		act(symtree.ActualHasEmergency): symtree.FormatBool(v.Plan.Bypass || s.Bypass),
		act(symtree.ActualIsEmergency):  symtree.FormatBool(s.Bypass && f.behindHole()),
	}
	if !s.DeviceOn && s.Held == 0 && r.n.env.Devices().Left(f.DeviceName) {
		// It waits with its users for this daemon: what the last one said of
		// it is still true.
		delete(values, act(symtree.ActualIsPrimary))
		delete(values, act(symtree.ActualOpenCount))
	}
	if s.Attached {
		values[symtree.ActSizePath(r.name, r.n.me)] = symtree.FormatInt(s.DiskSize)
	}
	if s.Mode == Syncing && s.SyncAt > f.SyncStatus {
		values[symtree.SyncStatusPath(r.name, r.n.me)] = symtree.FormatInt(min(s.SyncAt, f.Size-1))
	}
	gone := r.publishDetails(values)
	list := append(r.n.changesFor(values), gone...)
	if len(list) == 0 {
		return
	}
	r.busyAct = true
	r.n.commit(list, func(error) { r.busyAct = false })
}

// logErr says what is wrong with the logs of a resource here, empty if nothing is.
func (s *State) logErr() string {
	for _, l := range s.Logs {
		if l.Damage != "" {
			return l.Log.String() + " is damaged at " + symtree.FormatInt(l.End) + ": " + l.Damage
		}
	}
	if s.LogFailed && !s.Bypass {
		return s.Log.String() + " can not be written any more"
	}
	return ""
}
