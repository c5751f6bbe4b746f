package client

import (
	"fmt"
	"slices"
	"time"

	"mars/infra/block"
	"mars/infra/wire"
)

// request is one question to the peer: an mref or a SyncInfo.
type request struct {
	id    uint64
	m     *block.Mref
	info  func(wire.SyncState, error)
	since time.Duration // when it came
	wait  time.Duration // how long the peer may hold it
	sent  bool          // on the present connection
}

func (c *Client) start(r *request) {
	c.lastID++
	r.id, r.since = c.lastID, c.env.Mono()
	c.reqs = append(c.reqs, r)
	c.send()
	c.watch()
}

// send brings the first requests on their way, as many as may be.
func (c *Client) send() {
	if !c.Connected() {
		return
	}
	for _, r := range c.reqs[:min(len(c.reqs), maxFlight)] {
		if !r.sent {
			r.sent = true
			c.out = c.encode(c.out[:0], r)
			c.session.conn.Send(c.out)
		}
	}
}

func (c *Client) encode(dst []byte, r *request) []byte {
	m := r.m
	switch {
	case m == nil:
		return (&wire.SyncInfo{ID: r.id, Resource: c.resource}).Append(dst)
	case c.number != 0:
		q := wire.FetchLog{ID: r.id, Resource: c.resource, Number: c.number, Origin: c.origin,
			Offset: m.Pos, MaxLen: uint32(m.Len), WaitMs: uint32(r.wait / time.Millisecond)}
		return q.Append(dst)
	case m.Op == block.Digest:
		q := wire.Digest{ID: r.id, Resource: c.resource, Offset: m.Pos, Len: m.Len, Granularity: uint32(m.Gran)}
		return q.Append(dst)
	}
	q := wire.ReadBlocks{ID: r.id, Resource: c.resource, Offset: m.Pos, Len: uint32(m.Len)}
	return q.Append(dst)
}

// find returns an unanswered request and its index, or nil.
func (c *Client) find(id uint64) (int, *request) {
	i, ok := slices.BinarySearchFunc(c.reqs, id, func(r *request, id uint64) int {
		switch {
		case r.id < id:
			return -1
		case r.id > id:
			return 1
		}
		return 0
	})
	if !ok || !c.reqs[i].sent {
		return 0, nil
	}
	return i, c.reqs[i]
}

// finish removes the request at index i and completes it.
func (c *Client) finish(i int, err error) {
	r := c.reqs[i]
	c.reqs = slices.Delete(c.reqs, i, i+1)
	c.send()
	if len(c.reqs) == 0 {
		c.expiry.Stop()
	}
	r.complete(wire.SyncState{}, err)
}

func (r *request) complete(st wire.SyncState, err error) {
	if r.m == nil {
		r.info(st, err)
		return
	}
	r.m.Complete(err)
}

// failAll completes everything. Completions may start new requests: those stay.
func (c *Client) failAll(err error) {
	list := c.reqs
	c.reqs = nil
	for _, r := range list {
		r.complete(wire.SyncState{}, err)
	}
}

// deadline is when a request has waited for too long.
func (c *Client) deadline(r *request) time.Duration {
	return max(r.since, c.progress) + r.wait + c.p.Timeout
}

// watch arms the timer for the next deadline. Deadlines only move on, so a
// timer that is armed is early at worst.
func (c *Client) watch() {
	if len(c.reqs) == 0 || c.p.Timeout <= 0 {
		return
	}
	first := c.deadline(c.reqs[0])
	for _, r := range c.reqs[1:] {
		first = min(first, c.deadline(r))
	}
	if !c.expiry.Armed() || first < c.expiryAt {
		c.expiryAt = first
		c.expiry.Reset(first - c.env.Mono())
	}
}

// expire fails what nobody has answered.
func (c *Client) expire() {
	now := c.env.Mono()
	var late []*request
	if c.p.Timeout > 0 {
		c.reqs = slices.DeleteFunc(c.reqs, func(r *request) bool {
			if c.deadline(r) > now {
				return false
			}
			late = append(late, r)
			return true
		})
	}
	c.send()
	c.watch()
	for _, r := range late {
		err := fmt.Errorf("%s: %w within %v", c.what(), ErrTimeout, c.p.Timeout)
		if c.err != nil {
			err = fmt.Errorf("%s: %w within %v: %w", c.what(), ErrTimeout, c.p.Timeout, c.err)
		}
		r.complete(wire.SyncState{}, err)
	}
}
