package client

import (
	"errors"
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/wire"
)

// Type is the brick type.
var Type = brick.Type{Name: "client", Outputs: 1}

// Errors that callers may decide on, besides *wire.Error and env.ErrClosed.
var (
	// ErrTimeout completes a request when nothing was answered for too long.
	ErrTimeout = errors.New("no answer from the peer")
	// ErrAborted completes requests that Abort has given up.
	ErrAborted = errors.New("aborted")
	// ErrOp refuses what can not be asked of a peer.
	ErrOp = errors.New("operation not supported on a peer")
	// ErrProtocol is why a connection ended on which the peer sent nonsense.
	ErrProtocol = errors.New("protocol violation by the peer")
)

// maxFlight is how many requests are under way at once.
const maxFlight = 64

// Params of a client. Endpoints and Hello are needed, everything else may be
// left out.
type Params struct {
	// Endpoints are where the peer can be reached; they are tried in turn.
	// Port is set by the client.
	Endpoints []env.Endpoint
	// Hello makes the greeting of this host for a new connection. Purpose is
	// set by the client.
	Hello func() wire.Hello
	// Observe is told the peer's greeting once it was accepted, for its
	// Lamport stamp.
	Observe func(h *wire.Hello)
	// OnState is told when the connection comes (true, nil) and when it goes
	// or can not be made (false, why).
	OnState func(connected bool, err error)
	// OnFinal is told, of a log, that the peer has declared it closed at end.
	OnFinal func(end int64)
	// Timeout is network_io_timeout; 0: never.
	Timeout time.Duration
	// LongPoll is how long the peer may hold a read that waits for more
	// (default 30 s, at most 10 minutes).
	LongPoll time.Duration
}

// Client is one brick. It lives on one executor.
type Client struct {
	*brick.Brick

	env      env.Env
	p        Params
	purpose  wire.Purpose
	resource string
	number   uint32 // of the log; 0: this is for data
	origin   string

	session *session // the present connection, or the attempt at one
	place   int      // next of the endpoints
	backoff time.Duration
	redial  env.Timer
	err     error // why there is no connection

	reqs     []*request // unanswered, in order of their IDs
	lastID   uint64
	progress time.Duration // when the last answer came
	expiry   env.Timer
	expiryAt time.Duration // when that is due
	out      []byte        // a request being encoded

	size     int64
	final    bool
	received int64
}

// NewLog makes a brick for the transaction logfile number, written by origin,
// of a resource. path is its identity within g.
func NewLog(g *brick.Graph, e env.Env, path string, p Params, resource string, number int, origin string) (*Client, error) {
	if number < 1 || number > wire.MaxNumber || origin == "" || len(origin) > wire.MaxName {
		return nil, fmt.Errorf("client %s: log %d of %q: %w", path, number, origin, block.ErrRange)
	}
	return add(g, path, &Client{env: e, p: p, purpose: wire.ForLog, resource: resource, number: uint32(number), origin: origin})
}

// NewData makes a brick for the disk of a resource.
func NewData(g *brick.Graph, e env.Env, path string, p Params, resource string) (*Client, error) {
	return add(g, path, &Client{env: e, p: p, purpose: wire.ForSync, resource: resource})
}

func add(g *brick.Graph, path string, c *Client) (*Client, error) {
	if c.resource == "" || len(c.resource) > wire.MaxName || len(c.p.Endpoints) == 0 || c.p.Hello == nil {
		return nil, fmt.Errorf("client %s: resource %q, %d endpoints: %w", path, c.resource, len(c.p.Endpoints), block.ErrRange)
	}
	if c.p.LongPoll <= 0 {
		c.p.LongPoll = 30 * time.Second
	}
	c.p.LongPoll = min(c.p.LongPoll, wire.MaxWaitMs*time.Millisecond)
	b, err := g.Add(&Type, c.what(), path, c)
	if err != nil {
		return nil, err
	}
	c.Brick = b
	c.redial = c.env.NewTimer(c.dial)
	c.expiry = c.env.NewTimer(c.expire)
	b.Output(0).Ops = (*ops)(c)
	return c, nil
}

// what names the remote object for people.
func (c *Client) what() string {
	host := c.p.Endpoints[0].Host
	if c.number != 0 {
		return fmt.Sprintf("log-%09d-%s of %s @%s", c.number, c.origin, c.resource, host)
	}
	return fmt.Sprintf("data of %s @%s", c.resource, host)
}

// Connected tells whether there is a connection and the peer was accepted.
func (c *Client) Connected() bool {
	return c.session != nil && c.session.accepted && !c.session.dropped
}

// Err is why there is no connection; nil while there is one or none was tried.
func (c *Client) Err() error { return c.err }

// Outstanding is the number of requests that are not completed.
func (c *Client) Outstanding() int { return len(c.reqs) }

// Final tells, of a log, whether the peer has declared it closed; Info().Size
// is then its length for good.
func (c *Client) Final() bool { return c.final }

// Received is the number of bytes of data (not digests) received so far.
func (c *Client) Received() int64 { return c.received }

// SetTimeout changes Params.Timeout, also for requests under way.
func (c *Client) SetTimeout(d time.Duration) {
	c.p.Timeout = d
	c.expiry.Stop()
	c.watch()
}

// Switch implements brick.Worker.
func (c *Client) Switch(on bool) {
	switch {
	case on && c.On(), !on && c.Off():
	case on:
		c.SetOff(false)
		if c.session != nil {
			return // its Closed goes on
		}
		c.backoff, c.err = 0, nil
		c.SetOn(true)
		c.dial()
	default:
		c.SetOn(false)
		c.redial.Stop()
		c.failAll(fmt.Errorf("%s: %w", c.what(), env.ErrClosed))
		c.expiry.Stop()
		if c.session != nil {
			c.session.drop(nil)
			return
		}
		c.SetOff(true)
	}
}

// Abort completes everything outstanding with ErrAborted. The connection is
// made anew if the peer was asked anything: it would go on working for nobody.
func (c *Client) Abort() {
	asked := false
	for _, r := range c.reqs {
		asked = asked || r.sent
	}
	if asked && c.session != nil {
		c.session.drop(ErrAborted)
	}
	c.failAll(fmt.Errorf("%s: %w", c.what(), ErrAborted))
}

// SyncInfo asks for the state of the resource as the source of a sync. Only
// for data, and while the brick is on; done is called once, never from inside.
func (c *Client) SyncInfo(done func(wire.SyncState, error)) {
	if !c.On() || c.number != 0 {
		err := fmt.Errorf("sync info, %s: %w", c.what(), env.ErrClosed)
		if c.number != 0 {
			err = fmt.Errorf("sync info, %s: %w", c.what(), ErrOp)
		}
		c.env.Post(func() { done(wire.SyncState{}, err) })
		return
	}
	c.start(&request{info: done})
}
