package strategy

import (
	"fmt"

	"mars/infra/history"
	"mars/infra/mutant"
	"mars/infra/status"
)

// The levels of emergency (manual 2.4.1, kernel actions). Each one includes
// those before it.
const (
	levelNone      = 0
	levelFetch     = 1 // secondaries stop fetching logfiles
	levelSecondary = 2 // secondaries remove logfiles that they do not use any more
	levelPrimary   = 3 // primaries remove logfiles that they do not need themselves
	levelJammed    = 4 // primaries stop logging: emergency mode
)

// floorSpace is the space that level 4 defends whatever the tunables say: the
// way into the emergency mode is itself a change of the tree.
const floorSpace int64 = 16 << 20

// room is what the levels of emergency are decided on, in bytes.
type room struct {
	Total     int64    // size of the file system below /mars
	Available int64    // free, and what is only prepared for logs
	Limits    [5]int64 // required_free_space_N_gb; index 0 is not used
	// Reset is mars_reset_emergency and logger_resume: levels may fall again.
	Reset bool
}

// limit is what must be available for a level not to be reached. The limits
// nest: level 4 has its own limit alone, each level before it adds one.
func (r *room) limit(level int) int64 {
	sum := int64(0)
	for n := 1; n <= levelJammed+1-level; n++ {
		sum += r.Limits[n]
	}
	return max(sum, floorSpace)
}

// margin is how much more than a limit must be available before its level is
// left, so that a little to and fro does not switch things on and off.
func margin(limit int64) int64 { return limit / 16 }

// emergencyLevel decides which level of emergency a host is in, given the one
// it was in. It rises at once. It falls only if that is allowed, and when
// there is a little more space than the limit.
func emergencyLevel(r *room, was int) int {
	reached, kept := levelNone, levelNone
	for level := levelFetch; level <= levelJammed; level++ {
		limit := r.limit(level)
		if r.Available < limit {
			reached = level
		}
		if r.Available < limit+margin(limit) {
			kept = level
		}
	}
	if reached >= was || !r.Reset {
		return max(reached, was)
	}
	return min(was, max(reached, kept))
}

// restSpace is what is left above the limits, in bytes, 0 if nothing is.
func (r *room) restSpace() int64 { return max(0, r.Available-r.limit(levelFetch)) }

// resourceRoom is what the level of one resource depends on besides the host's.
type resourceRoom struct {
	Percent int64 // emergency-limit: of the total size that must be available, 0: none
	// Bypassing: the resource is in emergency mode already.
	Bypassing bool
	// LogLost: its log can not be written any more, whatever the levels say.
	LogLost bool
}

// resourceLevel decides which level counts for a resource. Its own limit, and a
// log that can not be written, are an emergency of that resource alone. Once
// in emergency mode, a resource stays there until all is well: each time it
// leaves costs every secondary a new sync.
func resourceLevel(r *room, host int, x resourceRoom) int {
	own := r.Total / 100 * x.Percent
	switch {
	case x.LogLost, r.Available < own:
		return levelJammed
	case x.Bypassing && (host > levelNone || !r.Reset || r.Available < own+margin(own)):
		return levelJammed
	}
	return host
}

// deletable decides whether this host may delete its copy of a log to gain
// space, though others may need it: only what it has applied, durably, itself.
func deletable(f *Facts, s *State, l history.Log) bool {
	need := levelSecondary
	if s.Mode == Primary || f.designated() {
		need = levelPrimary
	}
	limit := f.Replay.Number
	if mutant.Is(mutant.EarlyLogDelete) {
		limit = max(limit, s.Log.Number)
	}
	return f.Member && s.Scanned && f.Level >= need && f.Replay.Number > 0 && l.Number < limit && !s.uses(l)
}

// uses tells whether a log is being read, written, or fetched here.
func (s *State) uses(l history.Log) bool {
	return s.Mode != Idle && s.Log == l || s.Fetching && s.FetchLog == l
}

// behindHole tells whether the place of this host in the history is at the
// beginning of a log without a predecessor: nobody can follow over the gap in
// front of it, so that the disk may be changed without a log.
func (f *Facts) behindHole() bool {
	return f.Replay.Number > 1 && f.Replay.Pos == 0 && f.Prev == "" && f.Replay.Origin == f.Me
}

// holeBehind is the log to go on with when logging has to be given up in log l
// (manual 2.4.2): its number leaves a gap, and no log of this host's has it or
// a higher one.
func holeBehind(s *State, l history.Log, me string) history.Log {
	top := l.Number
	for _, x := range s.Logs {
		if x.Origin == me {
			top = max(top, x.Number)
		}
	}
	return history.Log{Number: top + 2, Origin: me}
}

// decideBypass lets a primary do without a log as long as it is in emergency
// mode; false if it is not.
func decideBypass(f *Facts, s *State, v *Verdict) bool {
	if f.Level < levelJammed && !s.Bypass {
		return false
	}
	if f.Level < levelJammed && f.behindHole() {
		// Logging goes on in the log behind the hole.
		v.Plan.Log = logOf(f)
		return true
	}
	v.Plan.Bypass, v.Plan.Log = true, s.Log
	v.Why = "emergency mode: writes go to the disk without a log, since /mars has no space for it (or can not be written); free space there"
	return true
}

// stopped says why a level keeps a secondary from fetching.
func (f *Facts) fetchStopped() bool { return f.Level >= levelFetch && !f.designated() }

// lagging tells what a secondary that has nothing more to apply will wait for
// in vain, or for space; empty if it just follows.
func lagging(f *Facts, s *State, hole *history.Hole, fetch *FetchPlan) string {
	var gone Gone
	if fetch != nil {
		gone, _ = s.gone(fetch.Log, fetch.Peer.Host)
	}
	switch {
	case f.Primary == f.Me:
		return ""
	case hole != nil:
		return fmt.Sprintf(status.Outdated+"%s was in emergency mode, and the logs have a hole in front of %v: invalidate this host", hole.Host, hole.Log)
	case gone.Unread:
		// No reason to invalidate: it may be read again soon.
		return fmt.Sprintf("%s could not read %v, and nobody else that can be reached has it; it is asked again: look after /mars there", gone.Host, gone.Log)
	case gone.Host != "":
		return fmt.Sprintf(status.Outdated+"no member that can be reached has %v any more: invalidate this host, or connect a member that still has it", fetch.Log)
	case s.FetchGone && s.FetchLog == logOf(f) && !has(s, s.FetchLog):
		return fmt.Sprintf("%v can not be fetched: %s; if no member has it any more: marsadm invalidate %s", s.FetchLog, s.FetchErr, f.Resource)
	case f.Todo.Connect && f.fetchStopped():
		return fmt.Sprintf("emergency level %d: no logfiles are fetched, since /mars of this host has too little space", f.Level)
	}
	return ""
}
