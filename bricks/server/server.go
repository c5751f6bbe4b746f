package server

import (
	"errors"
	"slices"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/wire"
)

// Type is the brick type.
var Type = brick.Type{Name: "server", Inputs: 1}

// ErrParams says that New was called without something it needs.
var ErrParams = errors.New("parameters missing")

// Logs tells about the transaction logfiles of the resource on this host.
// Called on the server's executor.
type Logs interface {
	// End tells how many bytes of a log are durable, and whether it is closed,
	// so that this is its end for good; ok is false for a log that is not here.
	End(number int, origin string) (durableEnd int64, final, ok bool)
	// Wait calls fn once, when the log's durable end is beyond a position, or
	// the log is closed or gone; cancel makes that not happen.
	Wait(number int, origin string, beyond int64, fn func()) (cancel func())
}

// Params of a server. Resource, Logs, Ready and Member are needed.
type Params struct {
	Resource string
	Logs     Logs
	// Hold calls fn when everything that was appended to the log up to now is
	// durable; possibly at once, and never if that will not be. nil: at once.
	Hold func(fn func())
	// Ready is the state of the resource as the source of a sync.
	Ready func() wire.SyncState
	// Member tells whether a host is a member of a resource.
	Member func(resource, host string) bool
	// Allowed may refuse a request of a member; a *wire.Error is sent as it
	// is, another error as CodeBusy. nil: all are allowed.
	Allowed func(peer string, verb wire.Type) error
	// Throttle is asked before n bytes are read for a peer: 0 permits it,
	// otherwise it is asked again after that time. nil: no limit.
	Throttle func(n int64) time.Duration
}

// Limits of one connection.
const (
	maxRequests = 128     // unanswered
	maxMemory   = 4 << 20 // bytes of answers being made
	maxQueued   = 2 << 20 // bytes of answers that the network has not taken
)

// Server is one brick. It lives on one executor.
type Server struct {
	*brick.Brick
	env   env.Env
	p     Params
	pool  block.Pool
	conns []*conn
	files fileCache
	busy  int // requests with reads or computations in flight

	answered uint64
	sent     int64
}

// New makes a server. path is its identity within g.
func New(g *brick.Graph, e env.Env, path string, p Params) (*Server, error) {
	if p.Resource == "" || p.Logs == nil || p.Ready == nil || p.Member == nil {
		return nil, ErrParams
	}
	if p.Hold == nil {
		p.Hold = func(fn func()) { fn() }
	}
	s := &Server{env: e, p: p}
	s.files.init(s)
	b, err := g.Add(&Type, p.Resource, path, s)
	if err != nil {
		return nil, err
	}
	s.Brick = b
	return s, nil
}

// Connections is the number of connections being served.
func (s *Server) Connections() int { return len(s.conns) }

// Answered is the number of answers sent, errors included; Sent the bytes of
// their data.
func (s *Server) Answered() uint64 { return s.answered }
func (s *Server) Sent() int64      { return s.sent }

// Switch implements brick.Worker.
func (s *Server) Switch(on bool) {
	if on {
		s.SetOff(false)
		s.SetOn(true)
		return
	}
	s.SetOn(false)
	for _, cn := range slices.Clone(s.conns) {
		cn.close()
	}
	s.files.closeIdle(0)
	s.settle()
}

// settle lights the off LED when nothing is left.
func (s *Server) settle() {
	if !s.Button() && len(s.conns) == 0 && s.busy == 0 && s.files.empty() {
		s.SetOff(true)
	}
}

// Serve takes over a connection from strategy, which has accepted the peer's
// greeting hello, sent its own, and read first, the first request. It is called
// on the executor where the connection lives; everything that follows happens
// on the server's.
func (s *Server) Serve(c env.Conn, hello *wire.Hello, first []byte) {
	cn := &conn{s: s, c: c, peer: hello.Host, purpose: hello.Purpose, first: slices.Clone(first)}
	c.Move(s.env, cn)
	s.env.Post(cn.begin)
}

// source tells why input 0 can not be read now, or nil.
func (s *Server) source() error {
	st := s.p.Ready()
	p := s.Input(0).Peer()
	if p == nil || !p.Brick.On() || !st.Ready {
		return &wire.Error{Code: wire.CodeNotPrimary, Text: st.Text}
	}
	return nil
}
