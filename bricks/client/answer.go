package client

import (
	"fmt"

	"mars/infra/block"
	"mars/infra/wire"
)

// answer takes an answer. An error ends the connection: the request is asked
// again on the next one.
func (c *Client) answer(t wire.Type, f []byte) error {
	switch {
	case t == wire.TypeLogData && c.number != 0:
		return c.logData(f)
	case t == wire.TypeBlocks && c.number == 0:
		return c.blocks(f)
	case t == wire.TypeDigests && c.number == 0:
		return c.digests(f)
	case t == wire.TypeSyncState && c.number == 0:
		return c.syncState(f)
	}
	return fmt.Errorf("%w: %s", ErrProtocol, t)
}

func nonsense(err error) error { return fmt.Errorf("%w: %w", ErrProtocol, err) }

func unfit(t wire.Type) error { return fmt.Errorf("%w: %s does not fit the request", ErrProtocol, t) }

// good notes that the peer works.
func (c *Client) good(bytes int) {
	c.progress, c.backoff = c.env.Mono(), 0
	c.received += int64(bytes)
}

func (c *Client) logData(f []byte) error {
	var a wire.LogData
	if err := a.Decode(f); err != nil {
		return nonsense(err)
	}
	i, r := c.find(a.ID)
	if r == nil {
		return nil
	}
	if a.Offset != r.m.Pos || int64(len(a.Data)) > r.m.Len {
		return unfit(wire.TypeLogData)
	}
	c.good(len(a.Data))
	news := a.Final && (!c.final || c.size != a.DurableEnd)
	c.size, c.final = a.DurableEnd, a.Final
	r.m.Short = r.m.Len - int64(copy(r.m.Data, a.Data))
	r.m.TotalSize = a.DurableEnd
	end := a.DurableEnd
	c.finish(i, nil)
	if news && c.p.OnFinal != nil {
		c.p.OnFinal(end)
	}
	return nil
}

func (c *Client) blocks(f []byte) error {
	var a wire.Blocks
	if err := a.Decode(f); err != nil {
		return nonsense(err)
	}
	i, r := c.find(a.ID)
	if r == nil {
		return nil
	}
	if r.m == nil || r.m.Op != block.Read || a.Offset != r.m.Pos || int64(len(a.Data)) != r.m.Len {
		return unfit(wire.TypeBlocks)
	}
	c.good(len(a.Data))
	copy(r.m.Data, a.Data)
	r.m.Short, r.m.TotalSize = 0, c.size
	c.finish(i, nil)
	return nil
}

func (c *Client) digests(f []byte) error {
	var a wire.Digests
	if err := a.Decode(f); err != nil {
		return nonsense(err)
	}
	i, r := c.find(a.ID)
	if r == nil {
		return nil
	}
	if r.m == nil || r.m.Op != block.Digest || a.Offset != r.m.Pos || int64(a.Count()) != (r.m.Len+r.m.Gran-1)/r.m.Gran {
		return unfit(wire.TypeDigests)
	}
	c.good(0)
	copy(r.m.Data, a.Sums)
	r.m.TotalSize = c.size
	c.finish(i, nil)
	return nil
}

func (c *Client) syncState(f []byte) error {
	var a wire.SyncState
	if err := a.Decode(f); err != nil {
		return nonsense(err)
	}
	i, r := c.find(a.ID)
	if r == nil {
		return nil
	}
	if r.m != nil {
		return unfit(wire.TypeSyncState)
	}
	c.good(0)
	c.size = a.Size
	done := r.info
	r.info = func(wire.SyncState, error) { done(a, nil) }
	c.finish(i, nil)
	return nil
}
