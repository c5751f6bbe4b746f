package server

import (
	"errors"
	"slices"

	"mars/infra/env"
	"mars/infra/wire"
)

// conn is one connection with a peer.
type conn struct {
	s       *Server
	c       env.Conn
	peer    string
	purpose wire.Purpose
	first   []byte // the request that strategy has read

	begun, closed bool
	shut          bool // we have closed it
	choked        bool // too much is queued; Drained ends it
	pumping       bool
	complained    bool
	slow          env.Timer // armed while Throttle says so; nil until then

	live   []*request // unanswered
	ready  []*request // of those, the ones that may be worked on, in order
	memory int64      // bytes of buffers of requests being worked on
	out    []byte     // a small answer being encoded

	// Decoded into again and again, so that names are not copied.
	fetch  wire.FetchLog
	blocks wire.ReadBlocks
	digest wire.Digest
	info   wire.SyncInfo
}

// begin is the first thing that happens on the server's executor; a frame or
// the end of the connection may come before the post of Serve does.
func (cn *conn) begin() {
	if cn.begun || cn.closed {
		return
	}
	cn.begun = true
	if !cn.s.On() {
		cn.c.Close()
		return
	}
	cn.s.conns = append(cn.s.conns, cn)
	cn.take(cn.first)
	cn.first = nil
}

// close drops all requests and closes; Closed follows.
func (cn *conn) close() {
	cn.shut = true
	for _, r := range slices.Clone(cn.live) {
		r.drop()
	}
	cn.c.Close()
}

// Opened came before Serve.
func (cn *conn) Opened(env.Conn) {}

// Frame takes a request.
func (cn *conn) Frame(_ env.Conn, f []byte) {
	cn.begin()
	cn.take(f)
}

// Drained lets answers be made again.
func (cn *conn) Drained(env.Conn) {
	cn.choked = false
	cn.pump()
}

// Closed ends everything of the connection.
func (cn *conn) Closed(env.Conn, error) {
	cn.closed = true
	for _, r := range slices.Clone(cn.live) {
		r.drop()
	}
	if cn.slow != nil {
		cn.slow.Stop()
	}
	s := cn.s
	if i := slices.Index(s.conns, cn); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
	s.settle()
}

func (cn *conn) take(f []byte) {
	s := cn.s
	t := wire.TypeOf(f)
	if cn.closed || cn.shut || !s.On() || !t.Known() || t == wire.TypeInfo || t == wire.TypeHeartbeat {
		return
	}
	if t == wire.TypeError {
		e := new(wire.Error)
		_ = e.Decode(f) // for the message only
		cn.complain("peer refuses", e)
		cn.close()
		return
	}
	r, resource, err := cn.decode(t, f)
	if err != nil {
		cn.complain("peer sends what is no request", err)
		cn.c.Send((&wire.Error{Code: wire.CodeVersion, Text: "not a request here"}).Append(nil))
		cn.close()
		return
	}
	cn.live = append(cn.live, r)
	if err := cn.admit(t, resource); err != nil {
		r.fail(err)
		return
	}
	cn.ready = append(cn.ready, r)
	cn.pump()
}

// admit decides whether a request may be worked on at all.
func (cn *conn) admit(t wire.Type, resource string) error {
	s := cn.s
	if err := wire.May(cn.peer, t, resource, s.p.Member); err != nil {
		cn.complain("peer may not ask", err)
		return err
	}
	if resource != s.p.Resource {
		return &wire.Error{Code: wire.CodeNotMember, Text: "this connection is for another resource"}
	}
	if len(cn.live) > maxRequests {
		return &wire.Error{Code: wire.CodeBusy, Text: "too many requests"}
	}
	if s.p.Allowed != nil {
		return s.p.Allowed(cn.peer, t)
	}
	return nil
}

var errNoRequest = errors.New("not a request")

// decode makes a request of a frame. Its texts are valid for good.
func (cn *conn) decode(t wire.Type, f []byte) (r *request, resource string, err error) {
	r = &request{cn: cn, verb: t}
	if !cn.purpose.Allows(t) {
		return nil, "", &wire.DecodeError{Type: t, Err: errNoRequest}
	}
	switch t {
	case wire.TypeFetchLog:
		q := &cn.fetch
		err = q.Decode(f)
		r.id, resource, r.pos, r.n = q.ID, q.Resource, q.Offset, int64(q.MaxLen)
		r.number, r.origin, r.waitMs = int(q.Number), q.Origin, q.WaitMs
	case wire.TypeReadBlocks:
		q := &cn.blocks
		err = q.Decode(f)
		r.id, resource, r.pos, r.n = q.ID, q.Resource, q.Offset, int64(q.Len)
	case wire.TypeDigest:
		q := &cn.digest
		err = q.Decode(f)
		r.id, resource, r.pos, r.n, r.gran = q.ID, q.Resource, q.Offset, q.Len, int64(q.Granularity)
	case wire.TypeSyncInfo:
		q := &cn.info
		err = q.Decode(f)
		r.id, resource = q.ID, q.Resource
	default:
		err = &wire.DecodeError{Type: t, Err: errNoRequest}
	}
	return r, resource, err
}

// complain logs, once a connection.
func (cn *conn) complain(what string, err error) {
	if !cn.complained {
		cn.complained = true
		cn.s.env.Log().Warn(what, "resource", cn.s.p.Resource, "peer", cn.peer, "err", err)
	}
}

// pump starts what is ready as far as the limits allow.
func (cn *conn) pump() {
	if cn.pumping {
		return // a request that ended at once; the loop below goes on
	}
	cn.pumping = true
	for len(cn.ready) > 0 {
		cn.choked = cn.choked || cn.c.Queued() > maxQueued
		r := cn.ready[0]
		cost := r.cost()
		if cn.choked || cn.slow != nil && cn.slow.Armed() || cn.memory > 0 && cn.memory+cost > maxMemory {
			break
		}
		if cn.throttled(r.size()) {
			break
		}
		cn.ready = slices.Delete(cn.ready, 0, 1)
		r.start()
	}
	cn.pumping = false
}

// throttled tells whether n bytes must not be read for the peer now; then pump
// is called again.
func (cn *conn) throttled(n int64) bool {
	s := cn.s
	if s.p.Throttle == nil || n == 0 {
		return false
	}
	d := s.p.Throttle(n)
	if d == 0 {
		return false
	}
	if cn.slow == nil {
		cn.slow = s.env.NewTimer(cn.pump)
	}
	cn.slow.Reset(d)
	return true
}
