package client

import (
	"errors"
	"fmt"
	"time"

	"mars/infra/env"
	"mars/infra/wire"
)

// Limits of the pause before the next attempt to connect.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// session is one connection, from the attempt to make it until it is closed.
type session struct {
	c        *Client
	conn     env.Conn
	host     string // whom we want to reach
	own      wire.Hello
	accepted bool // the peer's Hello was good
	dropped  bool // we have closed it
	why      error
}

func (c *Client) dial() {
	if !c.On() || c.session != nil {
		return
	}
	at := c.p.Endpoints[c.place%len(c.p.Endpoints)]
	c.place++
	at.Port = env.PortLog
	if c.purpose == wire.ForSync {
		at.Port = env.PortSync
	}
	s := &session{c: c, host: at.Host}
	c.session = s
	s.conn = c.env.Net().Dial(at, s)
}

// drop closes the connection for a reason of ours.
func (s *session) drop(why error) {
	if s.dropped {
		return
	}
	s.dropped, s.why = true, why
	s.conn.Close()
}

// Opened greets the peer.
func (s *session) Opened(conn env.Conn) {
	if s.dropped {
		return
	}
	s.own = s.c.p.Hello()
	s.own.Purpose = s.c.purpose
	conn.Send(s.own.Append(nil))
}

// Drained means nothing here: requests are small and few.
func (s *session) Drained(env.Conn) {}

// Closed tries again, after a pause.
func (s *session) Closed(_ env.Conn, err error) {
	c := s.c
	if c.session != s {
		return
	}
	c.session = nil
	for _, r := range c.reqs {
		r.sent = false
	}
	if !c.Button() {
		c.SetOff(true)
		return
	}
	if !c.On() { // switched off and on again meanwhile
		c.backoff, c.err = 0, nil
		c.SetOn(true)
		c.dial()
		return
	}
	if s.why != nil {
		err = s.why
	}
	if err == nil {
		err = env.ErrClosed
	}
	c.err = fmt.Errorf("connection to %s: %w", s.host, err)
	c.retry(err)
	if c.p.OnState != nil {
		c.p.OnState(false, c.err)
	}
}

// retry arms the timer. The pauses differ a little, so that many clients of a
// peer that comes back do not come all at once.
func (c *Client) retry(why error) {
	if errors.Is(why, ErrAborted) {
		c.backoff = 0
		c.redial.Reset(0)
		return
	}
	c.backoff = min(max(2*c.backoff, firstBackoff), lastBackoff)
	c.redial.Reset(c.backoff - time.Duration(c.env.Rand()%uint64(c.backoff/4)))
}

// Frame takes what the peer sends.
func (s *session) Frame(_ env.Conn, f []byte) {
	if s.dropped {
		return
	}
	var err error
	switch t := wire.TypeOf(f); {
	case !t.Known():
		return // of a later release
	case t == wire.TypeInfo, t == wire.TypeHeartbeat:
		return
	case t == wire.TypeError:
		err = s.refused(f)
	case !s.accepted && t == wire.TypeHello:
		err = s.hello(f)
	case !s.accepted:
		err = fmt.Errorf("%w: %s before Hello", ErrProtocol, t)
	default:
		err = s.c.answer(t, f)
	}
	if err != nil {
		s.drop(err)
	}
}

// hello checks the peer's greeting; everything unanswered is sent (again).
func (s *session) hello(f []byte) error {
	c := s.c
	var h wire.Hello
	if err := h.Decode(f); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	_, err := h.Accept(&s.own, s.conn.Peer().Host)
	if err == nil && h.Host != s.host {
		err = &wire.Error{Code: wire.CodeCluster, Text: "this is " + h.Host}
	}
	if err != nil {
		var e *wire.Error
		if errors.As(err, &e) {
			s.conn.Send(e.Append(nil))
		}
		return err
	}
	s.accepted, c.err = true, nil
	if c.p.Observe != nil {
		c.p.Observe(&h)
	}
	if c.p.OnState != nil {
		c.p.OnState(true, nil)
	}
	c.send()
	return nil
}

// refused takes an Error: the end of one request, or of the connection. In
// that case everything sent fails: trying again would not help soon.
func (s *session) refused(f []byte) error {
	c := s.c
	e := new(wire.Error)
	if err := e.Decode(f); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if e.ID == 0 {
		s.drop(e)
		c.failAll(fmt.Errorf("%s: %w", c.what(), e))
		return nil
	}
	if i, r := c.find(e.ID); r != nil {
		c.progress = c.env.Mono()
		c.finish(i, fmt.Errorf("%s: %w", c.what(), e))
	}
	return nil
}
