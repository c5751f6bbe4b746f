package strategy

import (
	"slices"

	"mars/bricks/server"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/wire"
)

// stepServe keeps the server brick, by which other members fetch logs and read
// the disk, in step with what is wanted.
func (w *worker) stepServe() {
	switch {
	case w.want.Serve && w.srv == nil:
		s, err := server.New(&w.graph, w.env, "server", server.Params{
			Resource: w.res, Logs: w, Hold: w.hold, Ready: w.syncState, Throttle: w.throttleServer,
			Member: func(res, host string) bool { return res == w.res && slices.Contains(w.want.Members, host) },
		})
		if err != nil {
			w.env.Log().Error("make a server", "resource", w.res, "err", err)
			return
		}
		s.OnLED(w.kick)
		w.srv = s
		_ = s.Press(true)
	case w.srv != nil && (!w.want.Serve || !w.srv.Button()):
		// Once it is being switched off there is no way back, but a new one.
		w.unfeed()
		_ = w.srv.Press(false)
		if w.srv.Off() && w.remove(w.srv.Brick) {
			w.srv = nil
			w.kick()
		}
		return
	}
	if w.mode == Primary && !w.bypassing && !w.want.Bypass && w.logger != nil && w.logger.On() && w.srv != nil && w.srv.Input(0).Peer() == nil && w.want.Mode == Primary {
		if err := brick.Connect(w.srv.Input(0), w.logger.Output(0)); err != nil {
			w.env.Log().Error("connect the server", "resource", w.res, "err", err)
		}
	}
}

// unfeed takes the logger away from the server: no peer reads the disk from
// here on.
func (w *worker) unfeed() bool {
	if w.srv != nil {
		brick.Disconnect(w.srv.Input(0))
	}
	return true
}

// hold delays an answer until everything that the disk shows now is durable in
// the log, so that no peer ever knows what this host could still lose.
func (w *worker) hold(fn func()) {
	if w.logger == nil || w.mode != Primary {
		fn()
		return
	}
	w.logger.WhenDurable(w.logger.Mark(), fn)
}

// syncState is the state of this host as the source of a sync.
func (w *worker) syncState() wire.SyncState {
	s := wire.SyncState{Size: w.want.Size}
	if w.mode != Primary || w.logger == nil || !w.logger.On() {
		s.Text = "this host is not (yet) primary of the resource"
		return s
	}
	if w.bypassing {
		s.Text = "this host is in emergency mode"
		return s
	}
	s.LogNumber, s.LogOrigin = uint32(w.log.Number), w.log.Origin
	if id, ok := w.logger.Log(); ok {
		s.LogNumber = uint32(id.Number)
	}
	s.LogPos, s.Ready = w.logger.DurableEnd(), true
	return s
}

// serve takes over a connection of a peer.
func (w *worker) serve(c env.Conn, h *wire.Hello, first []byte) {
	if w.srv == nil || !w.srv.On() {
		c.Close()
		return
	}
	w.srv.Serve(c, h, first)
}
