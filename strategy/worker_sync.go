package strategy

import (
	"time"

	"mars/bricks/client"
	"mars/bricks/copy"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/symtree"
	"mars/infra/tunable"
	"mars/infra/wire"
)

// syncer runs the initial sync: the disk is made equal to the primary's while
// that goes on changing. At the end it asks how far the primary's log had come
// by then: only when replay has passed that position is the disk a version of
// the resource, because what was read came from different moments.
type syncer struct {
	w      *worker
	peer   Peer
	src    *client.Client
	brick  *copy.Sync
	begun  bool
	copied bool // everything is copied and durable
	asking bool
	done   bool
	at     int64 // durable progress
	endPos symtree.ReplayLink
	err    error
}

// step is called while the mode is Syncing.
func (s *syncer) step() {
	if s.src != nil && (s.peer.Host != s.w.want.SyncPeer.Host || s.peer.Addr != s.w.want.SyncPeer.Addr) {
		s.w.stepEnd()
		return
	}
	if err := s.make(); err != nil {
		s.fail(err)
		return
	}
	if !s.begun {
		s.start()
		return
	}
	if s.copied && !s.done && !s.asking {
		s.ask()
	}
}

func (s *syncer) make() (err error) {
	w := s.w
	if s.src == nil {
		s.peer = w.want.SyncPeer
		s.begun, s.copied, s.asking, s.done, s.at, s.err = false, false, false, false, 0, nil
		if s.src, err = client.NewData(&w.graph, w.env, "sync/data@"+s.peer.Host, w.clientParams(s.peer), w.res); err != nil {
			return err
		}
		s.src.OnLED(w.kick)
		if err := s.src.Press(true); err != nil {
			return err
		}
	}
	if s.brick == nil {
		s.brick, err = copy.NewSync(&w.graph, w.env, "sync/copy", copy.SyncParams{
			OnProgress: func(pos int64) {
				s.at = pos
				w.kick()
			},
			Params: copy.Params{
				Abort:     s.src.Abort,
				Throttle:  w.throttleTraffic,
				Jobs:      w.tunables.CopyJobs,
				ReadPrio:  block.Prio(w.tunables.Int(tunable.CopyReadPrio)),
				WritePrio: block.Prio(w.tunables.Int(tunable.CopyWritePrio)),
				OnStopped: w.kick,
				OnError: func(_ copy.Side, err error) {
					s.err = err
					w.kick()
				},
				OnDone: func(err error) {
					s.copied, s.err = err == nil, err
					w.kick()
				},
			},
		})
		if err != nil {
			return err
		}
		s.brick.OnLED(w.kick)
	}
	return nil
}

func (s *syncer) start() {
	w := s.w
	for i, b := range []*brick.Brick{s.src.Brick, w.disk.Brick} {
		if s.brick.Input(i).Peer() == nil {
			if err := brick.Connect(s.brick.Input(i), b.Output(0)); err != nil {
				s.fail(err)
				return
			}
		}
	}
	err := s.brick.Press(true)
	if err == nil && s.brick.On() {
		s.begun = true
		err = s.brick.Start(w.want.Start, w.want.Size, w.tunables.DoFastFullsync())
	}
	if err != nil {
		s.fail(err)
	}
}

// ask learns where the primary's log ends now.
func (s *syncer) ask() {
	s.asking = true
	src := s.src
	src.SyncInfo(func(st wire.SyncState, err error) {
		if src != s.src {
			return // an answer to an earlier life
		}
		s.asking = false
		switch {
		case err != nil || !st.Ready || st.LogNumber == 0:
			s.err = err
			s.asking = true // again after a pause
			s.w.env.NewTimer(func() {
				s.asking = false
				s.w.kick()
			}).Reset(time.Second)
		default:
			s.done = true
			s.endPos = symtree.ReplayLink{Number: int(st.LogNumber), Origin: st.LogOrigin, Pos: st.LogPos}
		}
		s.w.kick()
	})
}

func (s *syncer) fail(err error) {
	s.err = err
	s.w.env.Log().Warn("can not sync", "resource", s.w.res, "peer", s.peer.Host, "err", err)
	s.w.retry.Reset(2 * time.Second)
}

// end stops and removes everything; true when nothing is left.
func (s *syncer) end() bool {
	w := s.w
	if s.brick != nil {
		if err := s.brick.Press(false); err != nil || !s.brick.Off() || !w.remove(s.brick.Brick) {
			return false
		}
		s.brick = nil
	}
	if s.src != nil {
		if err := s.src.Press(false); err != nil || !s.src.Off() || !w.remove(s.src.Brick) {
			return false
		}
		s.src = nil
	}
	s.done = false
	return true
}

// fill reports.
func (s *syncer) fill(st *State) {
	if s.w.mode != Syncing {
		return
	}
	st.SyncAt, st.SyncDone, st.SyncEnd = s.at, s.done, s.endPos
	if s.err != nil {
		st.SyncErr = s.err.Error()
	}
	if s.brick != nil {
		st.SyncEqual, st.SyncCopied = s.brick.Stats().Equal/wire.Fine, s.brick.Stats().Written/wire.Fine
	}
}
