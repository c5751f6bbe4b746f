package client

import (
	"fmt"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/wire"
)

// ops is the output's side of a Client.
type ops Client

// Info tells the size known from the last answer: of a log its durable end, of
// a disk the resource's size, 0 before SyncInfo was answered.
func (o *ops) Info() block.Info { return block.Info{Size: o.size, Align: 1} }

// Get refuses what can not be asked and shortens reads to one message.
func (o *ops) Get(m *block.Mref) error {
	c := (*Client)(o)
	switch {
	case !c.On():
		return fmt.Errorf("%s: %w", c.what(), env.ErrClosed)
	case m.Op != block.Read && (m.Op != block.Digest || c.number != 0):
		return fmt.Errorf("%s, %s: %w", m.Op, c.what(), ErrOp)
	case m.Pos < 0 || m.Len < 0 || m.Pos > wire.MaxOffset-m.Len:
		return fmt.Errorf("%s of %d bytes at %d, %s: %w", m.Op, m.Len, m.Pos, c.what(), block.ErrRange)
	}
	m.TotalSize = c.size
	if m.Op == block.Read {
		m.Len = min(m.Len, wire.MaxData)
		return nil
	}
	if m.Gran != wire.Coarse && m.Gran != wire.Fine || m.Len > wire.MaxSums*m.Gran {
		return fmt.Errorf("digest of %d bytes per %d, %s: %w", m.Len, m.Gran, c.what(), block.ErrRange)
	}
	return nil
}

// Put has nothing to give back.
func (o *ops) Put(*block.Mref) {}

// IO starts the request.
func (o *ops) IO(m *block.Mref) {
	c := (*Client)(o)
	switch {
	case !c.On():
		m.Complete(fmt.Errorf("%s: %w", c.what(), env.ErrClosed))
	case m.Len == 0:
		m.Complete(nil)
	default:
		r := &request{m: m}
		if m.Wait && c.number != 0 {
			r.wait = c.p.LongPoll
		}
		c.start(r)
	}
}
