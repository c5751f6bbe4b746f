package strategy

import (
	"slices"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/lamport"
	"mars/infra/status"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// resource is strategy's side of one resource: its worker, what the worker
// said last, and what is being committed for it.
type resource struct {
	n      *Node
	name   string
	w      *worker
	wenv   env.Env
	state  State
	sent   Plan
	plan   bool // sent is valid
	forced bool

	due       bool // to be decided anew in the next round
	stepping  bool // a step is being committed
	syncEnded lamport.Stamp
	positions []position // to be published, in order
	saying    bool       // the first of them is being committed
	busyAct   bool       // actual-* links are being committed
	news      bool       // the worker's state has changed since that was published
	clearing  bool       // what a predecessor left of the device is being removed
	why       string
	seen      map[history.Log]bool // logfiles in the tree at the last round

	decided int // the level of emergency of the last decision
	// The last two logs that could not be written, and since when the last one.
	failing, failedBefore history.Log
	failedAt              time.Duration

	lost      bool      // the log could not be written, when that was looked at last
	hold      env.Timer // until holdUntil it counts as lost: see level
	holdFor   time.Duration
	holdUntil time.Duration
	again     env.Timer // after a failed commit
	waitUntil time.Duration
	linksLost bool // the last commit failed
}

// find returns the resource of that name, or nil.
func (n *Node) find(name string) *resource {
	i, ok := slices.BinarySearchFunc(n.resources, name, func(r *resource, s string) int { return strings.Compare(r.name, s) })
	if !ok {
		return nil
	}
	return n.resources[i]
}

func (n *Node) resource(name string) *resource {
	if r := n.find(name); r != nil {
		return r
	}
	r := &resource{n: n, name: name, wenv: n.executor(name)}
	r.hold = n.env.NewTimer(r.kick)
	r.again = n.env.NewTimer(r.tryAgain)
	post := n.env.Post
	r.w = newWorker(workerConfig{
		env: r.wenv, me: n.me, res: name, cluster: n.tree.UUID(), clock: n.cfg.Clock, tunables: n.cfg.Tunables,
		limits:  &n.limits,
		tune:    n.cfg.Tune,
		report:  func(s State) { post(func() { r.reported(s) }) },
		publish: func(p position) { post(func() { r.publish(p) }) },
		noSpace: func() { post(n.space.look) },
	})
	n.resources = append(n.resources, r)
	slices.SortFunc(n.resources, func(a, b *resource) int { return strings.Compare(a.name, b.name) })
	n.Retune() // each has a smaller share now
	return r
}

// kick asks for a round of this resource.
func (r *resource) kick() {
	r.due = true
	r.n.again()
}

// reconcile is one round: peers, deletions, every resource that is due.
func (n *Node) reconcile() {
	if !n.started {
		return
	}
	n.gossip.reconcile()
	n.deletions()
	for _, name := range n.tree.Resources() {
		if n.tree.IsMember(name, n.me) {
			n.resource(name)
		}
	}
	if n.cleared {
		all := n.all
		n.all = false
		for _, r := range n.resources {
			if due := all || r.due; due {
				r.due = false
				r.reconcile()
			}
		}
	}
	n.checkStopped()
}

// reconcile decides for one resource, unless something that the decision rests
// on is still on its way to the disk.
func (r *resource) reconcile() {
	if r.stepping || r.saying || !r.n.space.known {
		return
	}
	n := r.n
	if r.forced {
		r.state.OpenCount = 0
	}
	f := r.facts()
	r.decided = f.Level
	r.syncLogs()
	v := Decide(&f, &r.state)
	v.Plan.Ends = r.state.Ends
	v.Plan.Members, v.Plan.Lean = n.tree.Members(r.name), n.space.lean
	if !r.plan || !v.Plan.equal(&r.sent) || r.forced {
		r.sent, r.plan = v.Plan, true
		p, force := v.Plan, r.forced
		r.wenv.Post(func() { r.w.setPlan(p, force) })
	}
	if r.why != v.Why {
		r.why = v.Why
		n.log.Info("resource", "resource", r.name, "state", v.Plan.Mode, "why", v.Why)
	}
	r.clearLeft(&f, &v)
	r.publishActual(&f, &v)
	r.finishSync(&f)
	r.step(&f, v.Step)
}

// facts gathers all that is known about the resource.
func (r *resource) facts() Facts {
	n := r.n
	f := gather(n.tree, n.me, r.name, n.gossip.connected)
	f.Stopping = n.stopping
	f.RotateAt = n.cfg.Tunables.LogrotAutoBytes()
	f.Level = r.level()
	f.Unheard = r.unheard(&f)
	return f
}

// syncLogs tells the worker of logs that marsadm created or that were deleted.
// A log counts as deleted only when it was seen before: those that the worker
// makes itself appear in the tree a little later.
func (r *resource) syncLogs() {
	if !r.state.Scanned {
		return
	}
	now := map[history.Log]bool{}
	for _, l := range r.n.tree.Logs(r.name) {
		id := history.Log{Number: l.Number, Origin: l.Origin}
		now[id] = true
		if _, known := r.state.Local(id); !known && l.Size == 0 && l.Origin == r.n.me {
			r.wenv.Post(func() { r.w.addLog(id) })
		}
	}
	for _, known := range r.state.Logs {
		if id := known.Log; r.seen[id] && !now[id] && !r.uses(id.Number, id.Origin) {
			r.wenv.Post(func() { r.w.dropLog(id) })
		}
	}
	r.seen = now
}

// clearLeft removes the device that a predecessor left, when this host is not to
// be primary any more: its users must not wait for ever.
func (r *resource) clearLeft(f *Facts, v *Verdict) {
	devs := r.n.env.Devices()
	if r.clearing || f.Stopping || f.Primary == f.Me && f.Member || v.Plan.Device || r.state.DeviceOn || !devs.Left(f.DeviceName) {
		return
	}
	r.clearing = true
	r.n.log.Warn("the device of an earlier daemon is removed: this host is not primary any more", "resource", r.name, "device", f.DeviceName)
	devs.Cleanup(f.DeviceName, false, func(err error) {
		if err != nil {
			r.n.log.Error("can not remove what an earlier daemon left of a device", "device", f.DeviceName, "err", err)
			r.n.env.NewTimer(func() { r.clearing = false; r.kick() }).Reset(time.Second)
			return
		}
		r.clearing = false
		r.kick()
	})
}

// uses tells whether a logfile is in use here, or will be.
func (r *resource) uses(number int, origin string) bool {
	return r.state.uses(history.Log{Number: number, Origin: origin})
}

func (r *resource) reported(s State) {
	if s.NoSpace && !r.state.NoSpace || s.consumes() && !r.state.consumes() {
		r.n.space.look()
	}
	if s.Mode == Idle {
		r.forget() // who starts again starts from what is published
	}
	r.state, r.news = s, true
	r.kick()
}

// force takes the device away even if it is open: the daemon ends.
func (r *resource) force() {
	r.forced = true
	r.state.OpenCount = 0
	r.kick()
}

// atRest tells whether the worker holds nothing any more.
func (r *resource) atRest() bool {
	return !r.stepping && !r.saying && !r.news && r.state.Mode == Idle && !r.state.Attached && !r.state.DeviceOn && !r.state.Fetching
}

// step commits a step of the resource's place in the history.
func (r *resource) step(f *Facts, s Step) {
	n := r.n
	if n.env.Mono() < r.waitUntil || s.Kind == SyncFrom && r.busyAct {
		return // what is on its way may tell the progress of the sync that ends here
	}
	var list []symtree.Change
	t := n.stamp()
	switch s.Kind {
	case NoStep:
		return
	case MakeHole:
		r.makeHole(s, nil)
		return
	case CreateLog:
		list = r.create(s.To)
	case SyncFrom:
		// The disk counts as inconsistent from the beginning, durably, before
		// anything else is said of it.
		list = append(list, symtree.Set(symtree.SyncStatusPath(r.name, n.me), "0", t))
		if f.SyncStatus == 0 {
			list = r.anchor(f, t)
		}
	case NewLog, SwitchLog:
		if s.Kind == NewLog {
			list = r.create(s.To)
		}
		old := history.Value(s.From, s.Pos, s.Prev)
		list = append(list,
			symtree.Set(symtree.VersionPath(r.name, s.From.Number, n.me), old, t),
			symtree.Set(symtree.VersionPath(r.name, s.To.Number, n.me), history.Value(s.To, 0, old), t),
			symtree.Set(symtree.ReplayPath(r.name, n.me), symtree.ReplayLink{Number: s.To.Number, Origin: s.To.Origin}.String(), t))
	}
	n.log.Info("step", "resource", r.name, "kind", s.Kind, "from", s.From, "pos", s.Pos, "to", s.To)
	r.stepping = true
	n.commit(list, func(err error) {
		r.stepping = false
		if err != nil {
			r.failed()
			return
		}
		r.linksLost = false
		if s.Kind == NewLog || s.Kind == CreateLog {
			to := s.To
			r.wenv.Post(func() { r.w.addLog(to) })
		}
		r.kick()
	})
}

// create makes a logfile that is not there yet: the worker may just not have
// heard of one that was made.
func (r *resource) create(l history.Log) []symtree.Change {
	path := symtree.LogPath(r.name, l.Number, l.Origin)
	if r.n.tree.Exists(path) {
		return nil
	}
	return []symtree.Change{symtree.Create(path)}
}

// anchor makes this member stand where the one stands that it syncs from: in
// front of all that the sync may miss, and in its history alone.
func (r *resource) anchor(f *Facts, t int64) []symtree.Change {
	n, res := r.n, r.name
	list := []symtree.Change{symtree.Set(symtree.SyncFromPath(res, n.me), f.Primary, t)}
	at := f.Source.At
	if at.Number == 0 {
		return list
	}
	// Links of an earlier place would look like a hole or a fork beside these.
	first, gone := at.Number-1, []string(nil)
	for _, c := range f.Own {
		first = min(first, c.Log.Number)
		if versionOf(n.tree, res, f.Primary, c.Log.Number) == "" && c.Log.Number != at.Number && c.Log.Number != at.Number-1 {
			gone = append(gone, symtree.VersionPath(res, c.Log.Number, n.me))
		}
	}
	for _, v := range n.tree.Versions(res) {
		if v.Host == f.Primary && v.Number >= first && v.Number <= at.Number {
			list = append(list, symtree.Set(symtree.VersionPath(res, v.Number, n.me), v.Value, t))
		}
	}
	orders, err := symtree.NewOrder(n.tree, n.me, gone)
	if err != nil {
		n.log.Error("links of an earlier place in the history stay", "resource", res, "err", err)
	}
	for _, o := range orders {
		list = append(list, symtree.Set(o.Path, o.Value, t))
	}
	at.Len = 0
	return append(list, symtree.Set(symtree.ReplayPath(res, n.me), at.String(), t))
}

// makeHole commits the step of a primary that gives up logging (manual 2.4.2):
// its place is then in front of an empty log that follows nothing. The log is
// there before anything names it. done, if not nil, is called on success.
func (r *resource) makeHole(s Step, done func()) {
	n := r.n
	n.log.Error("emergency mode: logging ends, the logs get a hole; members behind it must be invalidated later",
		"resource", r.name, "last", s.From, "pos", s.Pos, "next", s.To)
	end := func(err error) {
		r.stepping = false
		switch {
		case err != nil:
			r.failed()
		case done != nil:
			done()
		}
		r.kick()
	}
	r.stepping = true
	n.commit(r.create(s.To), func(err error) {
		if err != nil {
			end(err)
			return
		}
		to, t := s.To, n.stamp()
		r.wenv.Post(func() { r.w.addLog(to) })
		n.commit([]symtree.Change{
			symtree.Set(symtree.VersionPath(r.name, s.From.Number, n.me), history.Value(s.From, s.Pos, s.Prev), t),
			symtree.Set(symtree.VersionPath(r.name, to.Number, n.me), history.Value(to, 0, ""), t),
			symtree.Set(symtree.ReplayPath(r.name, n.me), symtree.ReplayLink{Number: to.Number, Origin: to.Origin}.String(), t),
		}, end)
	})
}

// failed delays what depends on a commit that failed.
func (r *resource) failed() {
	r.linksLost = true
	r.waitUntil = r.n.env.Mono() + time.Second
	r.again.Reset(time.Second)
	r.n.space.look()
}

// tryAgain publishes what could not be published, and decides anew.
func (r *resource) tryAgain() {
	if len(r.positions) > 0 && !r.saying && !r.stepping {
		r.publishNext()
	}
	r.kick()
}

// forget drops positions that could not be published.
func (r *resource) forget() {
	if !r.saying && !r.stepping {
		r.positions = nil
	}
}

// finishSync writes that the sync is finished: first the position that replay
// has to pass, durably, then the status.
func (r *resource) finishSync(f *Facts) {
	s := &r.state
	if s.Mode != Syncing || !s.SyncDone || f.SyncStatus >= f.Size || r.stepping {
		return
	}
	n := r.n
	r.stepping = true
	n.commit([]symtree.Change{symtree.Set(symtree.SyncPosPath(r.name, n.me), s.SyncEnd.String(), n.stamp())}, func(err error) {
		if err != nil {
			r.stepping = false
			r.kick()
			return
		}
		n.commit([]symtree.Change{symtree.Set(symtree.SyncStatusPath(r.name, n.me), symtree.FormatInt(f.Size), n.stamp())}, func(err error) {
			if r.stepping = false; err == nil {
				r.syncEnded = lamport.Stamp(n.stamp())
			}
			r.kick()
		})
	})
}

// handOver gives a connection to the worker of the resource it asks for.
func (n *Node) handOver(c env.Conn, h *wire.Hello, first []byte) {
	res := requested(first)
	r := n.find(res)
	if err := wire.May(c.Peer().Host, wire.TypeOf(first), res, n.tree.IsMember); err != nil || r == nil {
		about := ""
		if r != nil {
			about = res // others are names that it may invent
		}
		n.complainOn(c.Peer().Host, about, status.RefusedRequest, "resource", res, "err", err)
		c.Send((&wire.Error{Code: wire.CodeNotMember}).Append(nil))
		c.Close()
		return
	}
	frame := slices.Clone(first)
	hello := *h
	hold := &parked{}
	c.Move(r.wenv, hold)
	r.wenv.Post(func() { r.w.serve(c, &hello, frame) })
}

// parked is the handler of a connection on its way to a worker.
type parked struct{}

func (*parked) Opened(env.Conn)        {}
func (*parked) Frame(env.Conn, []byte) {}
func (*parked) Drained(env.Conn)       {}
func (*parked) Closed(env.Conn, error) {}

// requested is the resource that a first request names.
func requested(f []byte) string {
	switch wire.TypeOf(f) {
	case wire.TypeFetchLog:
		var m wire.FetchLog
		if m.Decode(f) == nil {
			return m.Resource
		}
	case wire.TypeReadBlocks:
		var m wire.ReadBlocks
		if m.Decode(f) == nil {
			return m.Resource
		}
	case wire.TypeDigest:
		var m wire.Digest
		if m.Decode(f) == nil {
			return m.Resource
		}
	case wire.TypeSyncInfo:
		var m wire.SyncInfo
		if m.Decode(f) == nil {
			return m.Resource
		}
	}
	return ""
}
