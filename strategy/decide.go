package strategy

import (
	"fmt"
	"slices"

	"mars/infra/history"
	"mars/infra/mutant"
	"mars/infra/status"
)

// Decide is the heart of strategy: what a resource's worker shall do next, and
// which step its place in the history takes.
func Decide(f *Facts, s *State) Verdict {
	v := Verdict{Plan: Plan{Member: f.Member, From: f.Replay.Number, Published: published(f), DiskPath: f.DiskPath, Size: f.Size, DeviceName: f.DeviceName, Leave: f.Stopping, Serve: f.Member}}
	if !f.Member {
		v.Why = "this host is not a member"
		return v
	}
	if f.Size <= 0 || f.Replay.Number == 0 || !s.Scanned {
		v.Why = "the resource's links are not complete yet"
		return v
	}
	way := history.Walk(f.point(), allClaims(f, s), f.past())
	v.Split = way.Split
	v.Plan.Attach = f.Todo.Attach && !f.Stopping || s.Mode == Primary && s.OpenCount > 0
	v.Plan.Fetch = decideFetch(f, s, &way)
	if !v.Plan.Attach {
		v.Why = "the disk is detached"
		if f.Stopping {
			v.Why = "the daemon is stopping"
		}
		return v
	}
	if !s.Attached {
		v.Why = "the disk is not attached yet"
		if s.AttachErr != "" {
			v.Why = "the disk can not be attached: " + s.AttachErr
		}
		return v
	}
	switch {
	case s.Mode == Primary:
		decidePrimary(f, s, &v)
	case s.DiskSize > 0 && s.DiskSize < f.Size:
		// Whatever is on it, this is no disk of the resource.
		v.Why = fmt.Sprintf("the disk %s has %d bytes, but the resource %d: it is not the disk that has joined", f.DiskPath, s.DiskSize, f.Size)
	case f.SyncStatus < f.Size:
		decideSync(f, s, way.Hole != nil, &v)
	default:
		decideReplay(f, s, &way, &v)
	}
	return v
}

// allClaims are the claims of all members, this host included. What this host
// has written itself counts as far as the file goes: a former primary must see
// that its own log goes on behind the place where another one forked off.
func allClaims(f *Facts, s *State) []history.Claim {
	cur := logOf(f)
	mine := history.Claim{Host: f.Me, Log: cur, Len: f.Replay.Pos, Prev: history.Head(f.Prev)}
	if l, ok := s.Local(cur); ok && cur.Origin == f.Me {
		mine.Len = max(mine.Len, l.End)
	}
	list := append(f.relevant(), mine)
	for _, c := range f.Own {
		if c.Log != cur || c.Prev == mine.Prev {
			list = append(list, c)
		}
	}
	return list
}

// point is where this host stands, past what it has applied before.
func (f *Facts) point() history.Point {
	return history.Point{Log: logOf(f), Pos: f.Replay.Pos, Prev: f.Prev}
}

func (f *Facts) past() []history.Claim { return history.Since(f.Own, f.Skip, f.Replay.Number) }

// relevant are the claims of the others that count. A disk that is a copy of
// the designated primary's, not yet consistent, belongs to that history alone:
// what others say of another branch must not keep it from becoming whole. And
// later what they said of branches before that counts no more.
func (f *Facts) relevant() []history.Claim {
	lead := f.Primary
	if lead == f.Me {
		lead = f.SyncFrom
	}
	if f.Consistent() || f.Primary == "" || f.Primary == f.Me {
		end := history.Point{Log: history.Log{Number: f.SyncPos.Number, Origin: f.SyncPos.Origin}, Pos: f.SyncPos.Pos}
		return slices.Clone(history.AfterSync(f.point(), f.Claims, f.past(), lead, end))
	}
	var list []history.Claim
	for _, c := range f.Claims {
		if c.Host == f.Primary {
			list = append(list, c)
		}
	}
	return list
}

func logOf(f *Facts) history.Log {
	return history.Log{Number: f.Replay.Number, Origin: f.Replay.Origin}
}

// published lists up to where this host has ever called a log durable. A log
// that is not sound up to there is damaged, not torn.
func published(f *Facts) []LocalLog {
	end := f.Replay.Pos
	if f.Replay.Origin == f.Me {
		// Of a copy, Pos+Len is just what had been fetched, within a record.
		end += max(f.Replay.Len, 0)
	}
	list := []LocalLog{{Log: logOf(f), End: end}}
	for _, c := range f.Own {
		list = append(list, LocalLog{Log: c.Log, End: c.Len})
	}
	return list
}

// designated tells whether this host shall be primary.
func (f *Facts) designated() bool { return f.Primary == f.Me && f.Todo.Attach && !f.Stopping }

// decidePrimary keeps an actual primary going, rotates its log, or lets it end
// when it is no longer designated and nobody uses the device.
func decidePrimary(f *Facts, s *State, v *Verdict) {
	if !f.designated() && s.OpenCount == 0 {
		v.Plan.Mode = Idle
		return
	}
	v.Plan.Mode = Primary
	v.Plan.Device = true
	v.Plan.Log = s.Log
	v.Plan.Release = !f.designated()
	switch {
	case !f.designated():
		v.Why = fmt.Sprintf("the device is open (%d times); it remains until it is closed", s.OpenCount)
	case s.DeviceErr != "":
		v.Why = "the device can not be made: " + s.DeviceErr
	case s.SizeWaits > 0:
		v.Why = fmt.Sprintf("the device is open (%d times); it has its new size of %d bytes when it was closed once", s.OpenCount, s.SizeWaits)
	}
	if s.DiskErr != "" && v.Why == "" {
		v.Why = "the disk could not be flushed, and is written once more from the log: " + s.DiskErr
	}
	if s.DiskSick != "" && v.Why == "" {
		v.Why = "writes to the disk fail, and are repeated: " + s.DiskSick
	}
	if decideBypass(f, s, v) {
		return
	}
	next := history.Log{Number: s.Log.Number + 1, Origin: f.Me}
	switch l, ok := s.Local(next); {
	case ok && l.End == 0:
		v.Plan.Log = next
	case !ok && (s.LogFailed || f.RotateAt > 0 && s.LogEnd >= f.RotateAt):
		v.Step = Step{Kind: CreateLog, To: next}
	}
}

// canSync tells whether a sync may be started anew.
func (f *Facts) canSync() bool {
	src, ok := f.peer(f.Primary)
	return f.Todo.Sync && f.Primary != f.Me && ok && src.Connected
}

// decideSync runs the initial sync, from the designated primary alone. A hole in
// the logs between its begin and now means that it may have read what was
// changed later without a log: it starts over.
func decideSync(f *Facts, s *State, hole bool, v *Verdict) {
	src, ok := f.peer(f.Primary)
	switch {
	case f.Primary == f.Me:
		v.Why = "this disk is inconsistent (the sync was not finished): it can not become primary"
	case f.Primary == "":
		v.Why = "the sync needs a designated primary"
	case !f.Todo.Sync:
		v.Why = "the sync is paused"
	case !ok || !src.Connected:
		v.Why = "the sync waits for a connection to " + f.Primary
	case !mutant.Is(mutant.LateInconsistent) && f.SyncFrom != f.Primary || f.SyncStatus == 0 && (!f.anchored() || f.pastFault(s)) || f.SyncStatus > 0 && hole && !mutant.Is(mutant.SyncOverHole):
		if s.Mode == Idle {
			v.Step = Step{Kind: SyncFrom}
		}
	default:
		v.Plan.Mode, v.Plan.SyncPeer, v.Plan.Start = Syncing, src, f.SyncStatus
	}
}

// anchored tells whether replay will begin, once a sync that has not begun yet is
// finished, at a place in the primary's history that the primary still has. When
// it heard of this member late it may have deleted what was before.
func (f *Facts) anchored() bool {
	at, own := f.Source.At, f.Replay
	switch {
	case at.Number == 0 || own.Number > at.Number:
		return true // nothing better is known
	case own.Number < at.Number || own.Origin != at.Origin:
		return false
	}
	return f.Source.Prev == "" || history.Head(f.Prev) == history.Head(f.Source.Prev)
}

// stopped tells whether a replay could not go on where this host stands.
func (f *Facts) stopped(s *State) bool {
	return s.ReplayErr != "" && s.ErrLog == logOf(f) && s.ErrAt == f.Replay.Pos
}

// pastFault tells whether a sync that begins can pass by what a replay can not:
// the one that is synced from has applied what is behind it, so nobody needs the
// damaged log.
func (f *Facts) pastFault(s *State) bool {
	at, own := f.Source.At, f.Replay
	return s.ReplayErr != "" && s.ErrLog == logOf(f) && at.Number == own.Number && at.Origin == own.Origin &&
		own.Pos <= s.ErrAt && s.ErrAt < at.Pos
}

func (f *Facts) peer(host string) (Peer, bool) {
	for _, p := range f.Peers {
		if p.Host == host {
			return p, true
		}
	}
	return Peer{}, false
}

// decideReplay applies what is there, moves to the next log, or makes a
// designated primary one.
func decideReplay(f *Facts, s *State, way *history.Way, v *Verdict) {
	cur, pos := logOf(f), f.Replay.Pos
	seg := way.Segments[0]
	limit, have := s.sound(cur)
	if mutant.Is(mutant.RestApplied) && limit-pos < 4180 {
		limit = pos
	}
	if seg.End != history.Open && cur.Origin != f.Me {
		// Our own log is applied to its end, whoever forked off before: that
		// is our version of the history (manual 1.4.3.2).
		limit = min(limit, seg.End)
	}
	v.Plan.Log, v.Plan.Start = cur, pos
	wanted := f.Todo.Replay || f.designated()
	stopped := f.stopped(s)
	switch {
	case stopped && s.ErrHeld:
		v.Why = status.ReplayStopped + s.ReplayErr
		return
	case !have && pos > 0 && !(seg.End == pos && len(way.Segments) > 1):
		v.Why = fmt.Sprintf("%v is missing here", cur)
	case limit > pos && wanted:
		v.Plan.Mode, v.Plan.End = Replaying, limit
		if s.DiskSick != "" {
			v.Why = "writes to the disk fail, and are repeated: " + s.DiskSick
		}
		return
	case min(limit, pos+f.Replay.Len) > pos:
		// Paused, but a crash left the disk in the middle of a window: it
		// becomes a prefix of the history first.
		v.Plan.Mode, v.Plan.End = Replaying, min(limit, pos+f.Replay.Len)
		return
	case limit > pos:
		v.Why = "replay is paused"
		return
	}
	if !wanted {
		if v.Why == "" {
			v.Why = "replay is paused"
		}
		return
	}
	if l, _ := s.Local(cur); l.Damage != "" && limit <= pos {
		v.Why = fmt.Sprintf("%v is damaged at %d: %s", cur, l.End, l.Damage)
		return
	}
	if limit == pos {
		decideNext(f, s, way, v)
	}
	if stopped && v.Why == "" && v.Plan.Mode == Idle {
		v.Why = status.ReplayStopped + s.ReplayErr // its copy is being fetched again
	}
}

// decideNext is asked at the end of what is there of the current log.
func decideNext(f *Facts, s *State, way *history.Way, v *Verdict) {
	cur, pos, seg := logOf(f), f.Replay.Pos, way.Segments[0]
	step := Step{From: cur, Pos: pos, Prev: f.Prev}
	own := history.Log{Number: cur.Number + 1, Origin: f.Me}
	switch {
	case cur.Origin == f.Me && has(s, own):
		// Our own log goes on, perhaps in a file whose version link did not
		// make it to the disk before a crash.
		step.Kind, step.To = SwitchLog, own
	case seg.End == pos && len(way.Segments) > 1:
		step.Kind, step.To = SwitchLog, way.Segments[1].Log
	case f.designated():
		becomePrimary(f, s, way, v, step)
		return
	case way.Split != nil:
		v.Why = "split brain: " + way.Split.Why
		v.Plan.Mode = Idle
		return
	default:
		if way.Hole != nil && !f.passedSync() && f.canSync() {
			// The end of the sync is behind the hole: it will never be reached.
			if v.Step.Kind = NoStep; s.Mode == Idle {
				v.Step.Kind = SyncFrom
			}
			return
		}
		// Caught up. A running replay stays for what comes.
		v.Why = lagging(f, s, way.Hole, v.Plan.Fetch)
		if s.Mode == Replaying && s.Log == cur {
			v.Plan.Mode, v.Plan.End = Replaying, pos
		}
		return
	}
	if s.Mode == Idle {
		v.Step = step
	}
}

func has(s *State, l history.Log) bool { _, ok := s.Local(l); return ok }

// becomePrimary starts logging: into the current log if it is ours and empty,
// else into a new one. A primary never appends to a log that it found.
func becomePrimary(f *Facts, s *State, way *history.Way, v *Verdict, step Step) {
	if f.Unheard != "" {
		v.Why = fmt.Sprintf("marsd was just started: it waits some seconds to hear from %s whether this host is still primary", f.Unheard)
		return
	}
	if missing, host := f.missing(way); missing > 0 && f.Todo.Connect && v.Plan.Fetch != nil && !(s.FetchLevel && s.FetchLog == step.From) {
		v.Why = fmt.Sprintf("%d bytes of %v are still to be fetched from %s before this host becomes primary", missing, step.From, host)
		return
	}
	if !f.passedSync() {
		v.Why = "replay has not passed the end of the sync yet: this disk is inconsistent and can not become primary"
		return
	}
	jammed := f.Level >= levelJammed
	if l, ok := s.Local(step.From); step.From.Origin == f.Me && (l.End == 0 && step.Pos == 0 || mutant.Is(mutant.AppendToTorn)) && (!jammed || f.behindHole()) {
		if v.Why = fmt.Sprintf("%v is not there", step.From); ok {
			v.Why = ""
			v.Plan.Mode, v.Plan.Device, v.Plan.Log = Primary, true, step.From
			v.Plan.Bypass = jammed
		}
		return
	}
	if jammed {
		// It begins in emergency mode, where nobody can follow.
		if step.Kind, step.To = MakeHole, holeBehind(s, step.From, f.Me); s.Mode == Idle {
			v.Step = step
		}
		return
	}
	step.Kind, step.To = NewLog, history.Log{Number: step.From.Number + 1, Origin: f.Me}
	if l, ok := s.Local(step.To); ok && l.End > 0 {
		v.Why = fmt.Sprintf("%v exists and is not empty, but does not follow %v at %d: remove it with log-delete or invalidate this host", step.To, step.From, step.Pos)
		return
	}
	if s.Mode == Idle {
		v.Step = step
	}
}

// missing tells how many bytes of the current log others have and we lack.
func (f *Facts) missing(way *history.Way) (int64, string) {
	most, who := int64(0), ""
	cur := logOf(f)
	for _, c := range f.Claims {
		if c.Log == cur && c.Prev == history.Head(f.Prev) && c.Len-f.Replay.Pos > most {
			most, who = c.Len-f.Replay.Pos, c.Host
		}
	}
	if end := way.Segments[0].End; end != history.Open && most > end-f.Replay.Pos {
		most = end - f.Replay.Pos
	}
	return most, who
}

// passedSync tells whether replay has passed the position at which the last
// sync ended: before that the disk is inconsistent.
func (f *Facts) passedSync() bool {
	p := f.SyncPos
	return mutant.Is(mutant.EarlyConsistent) || p.Number == 0 || f.Replay.Number > p.Number || f.Replay.Number == p.Number && f.Replay.Pos >= p.Pos
}

// Consistent tells whether the disk holds a past version of the resource.
func (f *Facts) Consistent() bool { return f.SyncStatus >= f.Size && f.passedSync() }

// decideFetch picks the first log on the way that is not complete here, and a
// peer that may have more of it.
func decideFetch(f *Facts, s *State, way *history.Way) *FetchPlan {
	if !f.Todo.Connect || f.Stopping || s.Mode == Primary || f.fetchStopped() {
		return nil
	}
	for _, seg := range way.Segments {
		local, _ := s.Local(seg.Log)
		if seg.Log.Origin == f.Me || seg.End != history.Open && local.End >= seg.End {
			continue
		}
		if p, ok := fetchPeer(f, s, seg.Log, local.End); ok {
			return &FetchPlan{Log: seg.Log, Peer: p, Limit: seg.End, Hurry: f.designated()}
		}
		return nil
	}
	return nil
}

// preference is the place of a host among those preferred; the others come
// last, in their order.
func (f *Facts) preference(host string) int {
	if i := slices.Index(f.Preferred, host); i >= 0 {
		return i
	}
	return len(f.Preferred)
}

// fetchPeer prefers the log's origin, then the designated primary: they alone
// have what is just being written. Of the other members, if they have got
// further, those come first that the link connect-HOST names. Only who is
// connected counts.
// Who was asked and has deleted it is the last choice: it may be there again.
func fetchPeer(f *Facts, s *State, l history.Log, have int64) (Peer, bool) {
	var last *Peer
	try := func(host string) (Peer, bool) {
		p, ok := f.peer(host)
		if !ok || !p.Connected || !p.Member {
			return p, false
		}
		if _, gone := s.gone(l, host); gone {
			if last == nil {
				last = &p
			}
			return p, false
		}
		return p, true
	}
	for _, host := range []string{l.Origin, f.Primary} {
		if p, ok := try(host); ok {
			return p, true
		}
	}
	var further []string
	for _, c := range f.Claims {
		if c.Log == l && c.Len > have {
			further = append(further, c.Host)
		}
	}
	slices.SortStableFunc(further, func(a, b string) int { return f.preference(a) - f.preference(b) })
	for _, host := range further {
		if p, ok := try(host); ok {
			return p, true
		}
	}
	if last != nil {
		return *last, true
	}
	return Peer{}, false
}
