package strategy

import (
	"errors"
	"slices"
	"time"

	"mars/bricks/aio"
	"mars/bricks/client"
	"mars/bricks/copy"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/history"
	"mars/infra/wire"
)

// fetcher copies one logfile from a peer, and follows it while it grows: a
// client brick, a copy brick, and an aio brick for the local file. It is
// independent of what is done with the disk.
type fetcher struct {
	w         *worker
	active    bool
	plan      FetchPlan
	src       *client.Client
	dst       *aio.AIO
	follow    *copy.Follow
	ending    bool // there is no way back: what was switched off stays off
	begun     bool // the follow was started
	done      bool // it came to its end
	err       error
	wait      time.Duration // no new attempt at the same log before
	gone      []Gone        // what peers were asked for and do not have
	goneUntil time.Duration // then they are asked anew
}

func (f *fetcher) step() {
	want := f.w.want.Fetch
	switch {
	case f.active && (f.ending || want == nil || want.Log != f.plan.Log || want.Peer.Host != f.plan.Peer.Host || want.Peer.Addr != f.plan.Peer.Addr || want.Hurry != f.plan.Hurry || f.done || f.w.fault.holds(f.plan.Log)):
		f.end()
	case f.active:
		if want.Limit != f.plan.Limit && f.begun {
			f.follow.SetLimit(want.Limit)
		}
		f.plan.Limit = want.Limit
		f.begin()
	case want != nil && f.w.scanned && !f.w.fault.holds(want.Log) && (f.w.env.Mono() >= f.wait || want.Log != f.plan.Log):
		f.active, f.plan, f.done, f.begun, f.err = true, *want, false, false, nil
		f.begin()
	}
}

// begin makes what is missing and starts the copy when all is on.
func (f *fetcher) begin() {
	if err := f.make(); err != nil {
		f.fail(err)
		return
	}
	if f.begun || !f.dst.On() {
		return
	}
	for i, b := range []*brick.Brick{f.src.Brick, f.dst.Brick} {
		if f.follow.Input(i).Peer() == nil {
			if err := brick.Connect(f.follow.Input(i), b.Output(0)); err != nil {
				f.fail(err)
				return
			}
		}
	}
	err := f.follow.Press(true)
	if err == nil && f.follow.On() {
		have := int64(0)
		if l := f.w.find(f.plan.Log); l != nil {
			have = l.End
		}
		f.begun = true
		err = f.follow.Start(have, f.plan.Limit)
	}
	if err != nil {
		f.fail(err)
	}
}

// make makes the bricks that are not there yet.
func (f *fetcher) make() (err error) {
	w := f.w
	if f.src == nil {
		p := w.clientParams(f.plan.Peer)
		if f.plan.Hurry {
			p.LongPoll = time.Second
		}
		p.OnFinal = func(end int64) {
			if f.follow != nil && f.begun {
				f.follow.SetLimit(end)
			}
		}
		f.src, err = client.NewLog(&w.graph, w.env, "fetch/"+f.plan.Log.String()+"@"+f.plan.Peer.Host, p, w.res, f.plan.Log.Number, f.plan.Log.Origin)
		if err != nil {
			return err
		}
		f.src.OnLED(w.kick)
		if err := f.src.Press(true); err != nil {
			return err
		}
	}
	if f.dst == nil {
		f.dst, err = aio.NewFile(&w.graph, w.env, "fetch/"+f.plan.Log.String(), w.logPath(f.plan.Log), env.OpenMode{Create: true, Write: true, Buffered: true})
		if err != nil {
			return err
		}
		f.dst.OnLED(w.kick)
		f.dst.OnError(f.fail)
		if err := f.dst.Press(true); err != nil {
			return err
		}
	}
	if f.follow == nil {
		log, abort := f.plan.Log, f.src.Abort
		f.follow, err = copy.NewFollow(&w.graph, w.env, "fetch/copy", copy.FollowParams{
			OnGrow:  func(end int64) { w.grow(log, end) },
			OnLevel: w.kick,
			Params: copy.Params{
				Abort:     abort,
				Throttle:  w.throttleTraffic,
				OnError:   func(_ copy.Side, err error) { f.note(err) },
				OnStopped: w.kick,
				OnDone: func(err error) {
					f.done = true
					f.pause(500 * time.Millisecond)
					if err != nil {
						f.fail(err)
					}
					w.kick()
				},
			},
		})
		if err != nil {
			return err
		}
		f.follow.OnLED(w.kick)
	}
	return nil
}

func (f *fetcher) note(err error) {
	f.err = err
	// Who does not have it, or can not read it, is asked last for a while.
	g := Gone{f.plan.Log, f.plan.Peer.Host, errors.Is(err, &wire.Error{Code: wire.CodeIO})}
	if g.Unread || errors.Is(err, &wire.Error{Code: wire.CodeNoSuchLog}) {
		f.addGone(g)
	}
	f.w.kick()
}

func (f *fetcher) addGone(g Gone) {
	if slices.Contains(f.gone, g) {
		return
	}
	f.gone = append(slices.DeleteFunc(f.gone, func(x Gone) bool { return x.Log != g.Log || x.Host == g.Host }), g)
	f.goneUntil = f.w.env.Mono() + time.Minute
}

// fail ends this attempt; the next one comes after a pause. A local file that
// is another log of the same name, and of which nothing was applied, is stale
// and made empty.
func (f *fetcher) fail(err error) {
	f.err, f.done = err, true
	f.pause(2 * time.Second)
	f.w.env.Log().Warn("can not fetch a logfile", "resource", f.w.res, "log", f.plan.Log, "peer", f.plan.Peer.Host, "err", err)
	if errors.Is(err, copy.ErrForeign) && f.plan.Log.Number > f.w.want.From {
		f.w.discard(f.plan.Log)
	}
	f.w.kick()
}

// pause keeps the same log from being asked for again at once.
func (f *fetcher) pause(d time.Duration) {
	f.wait = f.w.env.Mono() + d
	f.w.retry.Reset(d)
}

// end closes everything, in order, whatever is wanted meanwhile.
func (f *fetcher) end() {
	w := f.w
	f.ending = true
	if f.follow != nil {
		if err := f.follow.Press(false); err != nil || !f.follow.Off() || !w.remove(f.follow.Brick) {
			return
		}
		f.follow = nil
	}
	if f.src != nil {
		_ = f.src.Press(false)
	}
	if f.dst != nil {
		_ = f.dst.Press(false)
	}
	if f.src != nil && f.src.Off() && w.remove(f.src.Brick) {
		f.src = nil
	}
	if f.dst != nil && f.dst.Off() && w.remove(f.dst.Brick) {
		f.dst = nil
	}
	if f.src == nil && f.dst == nil {
		f.active, f.ending = false, false
		w.kick()
	}
}

// fill reports.
func (f *fetcher) fill(s *State) {
	if f.w.env.Mono() >= f.goneUntil {
		f.gone = nil
	}
	s.Fetching, s.FetchLog, s.Gone = f.active, history.Log{}, slices.Clone(f.gone)
	if f.active {
		s.FetchLog = f.plan.Log
		if f.follow != nil {
			s.FetchLevel = f.follow.Known() > 0 && f.follow.Have() >= f.follow.Known()
		}
	}
	if f.err != nil {
		s.FetchErr = f.err.Error()
		s.FetchGone = errors.Is(f.err, &wire.Error{Code: wire.CodeNoSuchLog})
	}
}

// discard makes a local copy of a log empty.
func (w *worker) discard(l history.Log) {
	var err error
	name := w.logPath(l)
	w.env.Offload(func() {
		if err = w.env.FS().Truncate(name, 0); err == nil {
			err = w.env.FS().SyncFile(name)
		}
	}, func() {
		if err != nil {
			w.env.Log().Error("can not make a stale logfile empty", "resource", w.res, "log", l, "err", err)
			return
		}
		if x := w.find(l); x != nil {
			x.End, x.Damage = 0, ""
		}
		w.kick()
	})
}
