package strategy

import (
	"errors"
	"time"

	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/symtree"
	"mars/infra/tunable"
)

// How often the free space of /mars is looked at: while something is written
// to it, and else.
const (
	spaceBusy = time.Second
	spaceIdle = 5 * time.Second
)

// How long a resource whose log could not be written stays in emergency mode at
// least: the first time, and at most, when that happens again and again. Each
// attempt leaves a hole.
const (
	firstHold = 5 * time.Second
	lastHold  = 5 * time.Minute
)

// logPatience is how long requests wait for a log in place of one that failed:
// well below what applications and kernels bear, and long enough for what passes
// by itself, since emergency mode costs all replicas.
const logPatience = 15 * time.Second

// spaceWatch follows the free space of /mars and decides on the levels of
// emergency (manual 2.4). One look is: ask the workers how much they have
// prepared, then the file system, then decide; if the level says that logs are
// to be deleted, one goes, and it looks again.
type spaceWatch struct {
	n     *Node
	timer env.Timer
	busy  bool // a look is under way
	again bool // another one is wanted
	known bool // there was one
	room  room
	level int
	// lean: prepared space is given back, for the limits are near.
	lean bool
	rest int64 // published, in KiB
}

func (w *spaceWatch) init(n *Node) {
	w.n = n
	w.timer = n.env.NewTimer(w.look)
}

// look starts a look, or sees to it that one follows the present one.
func (w *spaceWatch) look() {
	if !w.n.started {
		return
	}
	if w.busy {
		w.again = true
		return
	}
	w.busy, w.again = true, false
	prepared, open := int64(0), 1
	answer := func(p int64) {
		if prepared, open = prepared+p, open-1; open == 0 {
			w.measure(prepared)
		}
	}
	for _, r := range w.n.resources {
		open++
		r.wenv.Post(func() {
			p := r.w.prepared()
			w.n.env.Post(func() { answer(p) })
		})
	}
	answer(0)
}

// measure asks the file system. What is prepared was asked for before: what is
// given back meanwhile counts twice rather than not at all.
func (w *spaceWatch) measure(prepared int64) {
	var s env.Space
	var err error
	w.n.env.Offload(func() { s, err = w.n.env.FS().Statfs() }, func() {
		w.busy = false
		if !w.n.started {
			return
		}
		if err != nil {
			w.n.log.Error("cannot tell the free space of /mars", "err", err)
			w.known = true // it is no reason not to serve
			w.n.kick()
			w.next()
			return
		}
		w.decide(s, prepared)
	})
}

// decide takes what was measured.
func (w *spaceWatch) decide(s env.Space, prepared int64) {
	n, t := w.n, w.n.cfg.Tunables
	r := room{Total: s.Total, Available: s.Free + prepared, Reset: t.ResetEmergency() && t.LoggerResume()}
	for level := 1; level <= levelJammed; level++ {
		r.Limits[level] = t.RequiredFreeBytes(level)
	}
	was, lean := w.level, w.lean
	first := !w.known
	w.room, w.known = r, true
	w.level = emergencyLevel(&r, was)
	limit := r.limit(levelFetch)
	w.lean = s.Free < limit+margin(limit)
	t.Publish(tunable.MarsEmergencyMode, int64(w.level))
	switch {
	case w.level > was:
		n.log.Error("emergency: /mars has too little space", "level", w.level, "was", was, "available", r.Available, "limit", r.limit(w.level))
	case w.level < was:
		n.log.Warn("emergency: there is more space in /mars again", "level", w.level, "was", was, "available", r.Available)
	}
	w.publish(first || w.level != was)
	if first || w.lean != lean {
		n.kick()
	}
	for _, r := range n.resources {
		if r.level() != r.decided {
			r.kick()
		}
	}
	w.gain()
}

// publish tells the cluster. The rest is told when it has changed by a part
// that matters.
func (w *spaceWatch) publish(changed bool) {
	rest := w.room.restSpace() >> 10
	if d := rest - w.rest; changed || max(d, -d) >= w.room.Total>>10/64 {
		w.rest = rest
	}
	w.n.commit(w.n.changesFor(map[string]string{
		symtree.EmergencyPath(w.n.me): symtree.FormatInt(int64(w.level)),
		symtree.RestSpacePath(w.n.me): symtree.FormatInt(w.rest),
	}), nil)
}

// gain deletes the first log that may go at the present level, and looks again.
func (w *spaceWatch) gain() {
	n := w.n
	for _, r := range n.resources {
		if r.stepping || r.saying || r.level() < levelSecondary {
			continue
		}
		f := r.facts()
		for _, l := range n.tree.Logs(r.name) {
			id := history.Log{Number: l.Number, Origin: l.Origin}
			if !deletable(&f, &r.state, id) {
				continue
			}
			n.log.Error("emergency: a logfile is deleted, whoever may still need it", "resource", r.name, "log", id, "bytes", l.Size, "level", f.Level)
			w.busy = true
			n.commit([]symtree.Change{symtree.Remove(symtree.LogPath(r.name, l.Number, l.Origin))}, func(err error) {
				w.busy = false
				if err != nil {
					w.next()
					return
				}
				w.look()
			})
			return
		}
	}
	w.next()
}

// next arms the timer.
func (w *spaceWatch) next() {
	if w.again {
		w.look()
		return
	}
	every := spaceIdle
	for _, r := range w.n.resources {
		if w.level > levelNone || r.state.consumes() {
			every = spaceBusy
		}
	}
	if !w.n.stopping {
		w.timer.Reset(every)
	}
}

// consumes tells whether logs may be growing here.
func (s *State) consumes() bool { return s.Mode == Primary && s.OpenCount > 0 || s.Fetching }

// level decides which level counts for the resource now.
func (r *resource) level() int {
	w := &r.n.space
	x := resourceRoom{Bypassing: r.state.Bypass}
	x.Percent, _ = r.n.tree.Int(symtree.TodoPath(r.name, r.n.me, symtree.TodoEmergencyLimit))
	x.Percent = min(max(x.Percent, 0), 100)
	now := r.n.env.Mono()
	lost := r.logLost(now)
	switch {
	case lost && !r.lost:
		if now > r.holdUntil+2*lastHold {
			r.holdFor = 0
		}
		r.holdFor = min(max(2*r.holdFor, firstHold), lastHold)
		r.holdUntil = now + r.holdFor
		r.hold.Reset(r.holdFor)
	case lost && now >= r.holdUntil:
		r.holdUntil = now + time.Second // it is not in emergency mode yet
		r.hold.Reset(time.Second)
	case !lost && r.state.wantsLog():
		r.hold.Reset(r.failedAt + logPatience - now)
	}
	r.lost = lost
	x.LogLost = now < r.holdUntil
	return resourceLevel(&w.room, w.level, x)
}

// logLost tells that logs can not be written any more: there is no space, or no
// other log can be made, or none was there for too long, or neither this one, of
// which nothing was written, nor the one before could be written. One error
// alone is followed by another log: emergency mode costs all replicas.
func (r *resource) logLost(now time.Duration) bool {
	s := &r.state
	if !s.wantsLog() {
		return false
	}
	if r.failing != s.Log {
		r.failedBefore, r.failing, r.failedAt = r.failing, s.Log, now
	}
	again := r.failedBefore == history.Log{Number: s.Log.Number - 1, Origin: s.Log.Origin}
	return s.NoSpace || r.linksLost || s.LogEnd == 0 && again || now >= r.failedAt+logPatience
}

// wantsLog tells that requests wait for a log in place of one that failed.
func (s *State) wantsLog() bool { return s.Mode == Primary && !s.Bypass && s.LogFailed }

// prepared is how much space the worker's log holds ready, in bytes. Called on
// the worker's executor.
func (w *worker) prepared() int64 {
	if w.logger == nil {
		return 0
	}
	return w.logger.Prepared()
}

// noSpace tells whether an error is about space.
func noSpace(err error) bool { return errors.Is(err, env.ErrNoSpace) }
