package aio

import (
	"fmt"

	"mars/infra/block"
	"mars/infra/env"
	"mars/infra/mutant"
)

// ops is the output's side of an AIO.
type ops AIO

// request is one IO on its way; they are reused.
type request struct {
	io   env.IO
	a    *AIO
	m    *block.Mref
	mark uint64 // Sync: how many changes it covers
	next *request
}

func (o *ops) Info() block.Info {
	i := block.Info{Size: o.size, Align: int(o.align)}
	if o.file != nil {
		i.Serial = !o.file.Direct()
	}
	return i
}

// Get refuses what lies outside of a disk or is not aligned, and tells the size.
func (o *ops) Get(m *block.Mref) error {
	if err := (*AIO)(o).admit(m); err != nil {
		return err
	}
	m.TotalSize = o.size
	return nil
}

func (a *AIO) admit(m *block.Mref) error {
	if a.file == nil {
		return fmt.Errorf("%s: %w", a.name, env.ErrClosed)
	}
	switch m.Op {
	case block.Flush:
		return nil
	case block.Digest:
		return fmt.Errorf("%s of %s: %w", m.Op, a.name, ErrOp)
	case block.Truncate:
		if a.disk {
			return fmt.Errorf("%s of %s: %w", m.Op, a.name, ErrOp)
		}
		if m.Pos < 0 {
			return fmt.Errorf("%s of %s to %d: %w", m.Op, a.name, m.Pos, block.ErrRange)
		}
		return nil
	}
	bounded := a.disk || m.Op == block.WriteZeroes || m.Op == block.Discard
	if m.Pos < 0 || m.Len < 0 || bounded && (m.Pos > a.size || m.Len > a.size-m.Pos) {
		return fmt.Errorf("%s of %d bytes at %d of %s: %w", m.Op, m.Len, m.Pos, a.name, block.ErrRange)
	}
	if (m.Pos|m.Len)&(a.align-1) != 0 {
		return fmt.Errorf("%s of %d bytes at %d of %s: not aligned to %d", m.Op, m.Len, m.Pos, a.name, a.align)
	}
	return nil
}

// Put has nothing to give back.
func (o *ops) Put(*block.Mref) {}

// IO starts the request.
func (o *ops) IO(m *block.Mref) {
	a := (*AIO)(o)
	if a.file == nil {
		m.Complete(fmt.Errorf("%s: %w", a.name, env.ErrClosed))
		return
	}
	a.requests++
	needSync := m.Op == block.Flush || m.Op == block.Write && m.FUA
	if needSync && a.syncErr != nil {
		m.Complete(fmt.Errorf("%s of %s after a failed flush: %w", m.Op, a.name, a.syncErr))
		return
	}
	if m.Op == block.Flush && a.written == a.synced || m.Len == 0 && m.Op != block.Flush && m.Op != block.Truncate {
		m.Complete(nil)
		return
	}
	r := a.newRequest(m)
	a.inFlight++
	a.file.Submit(&r.io)
}

func (a *AIO) newRequest(m *block.Mref) *request {
	r := a.free
	if r == nil {
		r = &request{a: a}
		r.io.Done = r.done
	} else {
		a.free = r.next
	}
	r.m, r.mark, r.next = m, a.written, nil
	io := &r.io
	io.Durable, io.Off, io.Len, io.N, io.Err = false, m.Pos, 0, 0, nil
	switch m.Op {
	case block.Read:
		io.Kind, io.Buf = env.Read, m.Data[:m.Len]
	case block.Write:
		io.Kind, io.Durable = env.Write, m.FUA
		if m.Vec != nil {
			io.Vec = m.Vec
		} else {
			io.Buf = m.Data[:m.Len]
		}
	case block.Flush:
		io.Kind, io.Off = env.Sync, 0
	case block.WriteZeroes, block.Discard:
		io.Kind, io.Len = env.Zero, m.Len
	case block.Truncate:
		io.Kind = env.Truncate
	}
	return r
}

func (r *request) done(io *env.IO) {
	a, m := r.a, r.m
	err := a.account(r, io)
	if err != nil {
		err = fmt.Errorf("%s of %d bytes at %d of %s: %w", m.Op, m.Len, m.Pos, a.name, err)
	}
	io.Buf, io.Vec, r.m = nil, nil, nil
	r.next, a.free = a.free, r
	a.inFlight--
	m.TotalSize = a.size
	m.Complete(err)
	if a.inFlight == 0 && !a.Button() {
		a.Switch(false)
	}
}

// account keeps size and durability; it returns what the request ends with.
func (a *AIO) account(r *request, io *env.IO) error {
	m := r.m
	if io.Err != nil {
		switch {
		case m.Op == block.Flush && mutant.Is(mutant.SyncErrorForgot):
		case m.Op == block.Flush && a.syncErr == nil:
			a.syncErr = io.Err
		case m.Op.IsWrite():
			a.written++ // parts of it may be there
		}
		return io.Err
	}
	switch m.Op {
	case block.Read:
		m.Short = m.Len - int64(io.N)
		if m.Short > 0 && a.disk {
			return fmt.Errorf("%d bytes: %w", io.N, block.ErrShort)
		}
		if !a.disk && m.Short < m.Len {
			a.size = max(a.size, m.Pos+int64(io.N)) // somebody else let it grow
		}
	case block.Write:
		if int64(io.N) < m.Len {
			a.written++
			return fmt.Errorf("%d bytes: %w", io.N, block.ErrShort)
		}
		a.size = max(a.size, m.Pos+m.Len)
		if !m.FUA {
			a.written++
		}
	case block.WriteZeroes, block.Discard:
		a.written++
	case block.Truncate:
		a.size = m.Pos
		a.written++
	case block.Flush:
		a.synced = max(a.synced, r.mark)
	}
	return nil
}
