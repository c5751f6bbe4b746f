package check

import (
	"fmt"
	"hash/crc32"

	"mars/infra/block"
	"mars/infra/brick"
)

// Type is the brick type.
var Type = brick.Type{Name: "check", Inputs: 1, Outputs: 1}

// Options switch on rules that not every wire keeps.
type Options struct {
	NoOverlap bool // no two overlapping writes in flight
	Stable    bool // the data of writes must not change in flight
	MayGrow   bool // requests behind Info().Size are right (files)
}

// Check is one brick. It lives on one executor.
type Check struct {
	*brick.Brick
	report func(string)
	opt    Options

	live  []*request // got and not put
	fly   int        // of those, in flight
	total int
}

// request is the checked life of one mref, from Get to Put.
type request struct {
	c        *Check
	m        *block.Mref // the consumer's
	clone    block.Mref  // the provider's
	started  bool
	done     bool
	sum      uint32
	describe string
}

// aspect finds the request that belongs to a consumer's mref.
type aspect struct{ r *request }

// New makes a check brick; report is called with each violation.
func New(g *brick.Graph, path string, opt Options, report func(string)) (*Check, error) {
	c := &Check{report: report, opt: opt}
	b, err := g.Add(&Type, path, path, c)
	if err != nil {
		return nil, err
	}
	c.Brick = b
	b.Output(0).Ops = (*ops)(c)
	return c, nil
}

// Total is the number of requests started so far.
func (c *Check) Total() int { return c.total }

// InFlight is the number of requests not completed yet.
func (c *Check) InFlight() int { return c.fly }

// Switch implements brick.Worker.
func (c *Check) Switch(on bool) {
	if on {
		c.SetOn(true)
		return
	}
	if c.On() {
		for _, r := range c.live {
			if r.started && !r.done {
				c.violation("drained", "%s in flight at switching off", r.describe)
			} else {
				c.violation("drained", "%s not put at switching off", r.describe)
			}
		}
	}
	c.SetOff(true)
}

func (c *Check) violation(rule, format string, args ...any) {
	c.report(fmt.Sprintf("%s: %s: ", c.Path, rule) + fmt.Sprintf(format, args...))
}

type ops Check

func (o *ops) down() block.Ops { return block.OpsOf((*Check)(o).Input(0)) }

// Info passes the provider's on.
func (o *ops) Info() block.Info { return o.down().Info() }

// Get checks the shape of the request and asks the provider with a clone.
func (o *ops) Get(m *block.Mref) error {
	c := (*Check)(o)
	r := &request{c: c, m: m, describe: fmt.Sprintf("%s of %d at %d", m.Op, m.Len, m.Pos)}
	c.checkShape(r)
	q := &r.clone
	fill(q, m)
	a := brick.AspectOf[aspect](&m.Object, c.Brick)
	if a.r != nil {
		c.violation("once", "%s: got twice without put", r.describe)
	}
	if err := o.down().Get(q); err != nil {
		a.r = nil
		return err
	}
	if q.Len > m.Len || q.Len < 0 || q.Pos != m.Pos || m.Len > 0 && q.Len == 0 {
		c.violation("clip", "%s became %d at %d", r.describe, q.Len, q.Pos)
	}
	m.Len, m.TotalSize = q.Len, q.TotalSize
	a.r = r
	c.live = append(c.live, r)
	return nil
}

// fill copies what m asks into the clone.
func fill(q, m *block.Mref) {
	q.Op, q.Prio, q.FUA, q.Wait = m.Op, m.Prio, m.FUA, m.Wait
	q.Pos, q.Len, q.Gran, q.Data, q.Vec = m.Pos, m.Len, m.Gran, m.Data, m.Vec
}

func (c *Check) checkShape(r *request) {
	m, info := r.m, block.OpsOf(c.Input(0)).Info()
	switch m.Op {
	case block.Flush, block.Truncate:
		return
	}
	grows := c.opt.MayGrow && (m.Op == block.Write || m.Op == block.Read)
	if m.Pos < 0 || m.Len < 0 || m.Pos+m.Len > info.Size && !grows {
		c.violation("range", "%s, size %d", r.describe, info.Size)
	}
	if a := int64(info.Align); a > 1 && (m.Pos%a != 0 || m.Len%a != 0) {
		c.violation("align", "%s, alignment %d", r.describe, a)
	}
	if m.Op == block.Read || m.Op == block.Write {
		if n := dataLen(m); n < m.Len || m.Vec != nil && n != m.Len {
			c.violation("align", "%s with %d bytes of data", r.describe, n)
		}
	}
}

func dataLen(m *block.Mref) int64 {
	if m.Vec == nil {
		return int64(len(m.Data))
	}
	var n int64
	for _, v := range m.Vec {
		n += int64(len(v))
	}
	return n
}

// IO starts the clone, with a guard that stays on it for ever.
func (o *ops) IO(m *block.Mref) {
	c := (*Check)(o)
	r := brick.AspectOf[aspect](&m.Object, c.Brick).r
	switch {
	case r == nil:
		c.violation("once", "%s of %d at %d: started without get", m.Op, m.Len, m.Pos)
		m.Complete(block.ErrShort)
		return
	case r.started:
		c.violation("once", "%s: started twice", r.describe)
	}
	q := &r.clone
	fill(q, m)
	if c.opt.NoOverlap && m.Op.IsWrite() {
		c.checkOverlap(r)
	}
	r.started, r.done = true, false
	if c.opt.Stable && m.Op == block.Write {
		r.sum = sum(m)
	}
	c.fly++
	c.total++
	if q.Pending() == 0 {
		q.Push((*guard)(r))
	}
	q.Push(r)
	o.down().IO(q)
}

func (c *Check) checkOverlap(r *request) {
	for _, x := range c.live {
		if x == r || !x.started || x.done || !x.clone.Op.IsWrite() {
			continue
		}
		q, m := &x.clone, &r.clone
		if m.Pos < q.Pos+q.Len && q.Pos < m.Pos+m.Len {
			c.violation("overlap", "%s while %s is in flight", r.describe, x.describe)
		}
	}
}

func sum(m *block.Mref) uint32 {
	if m.Vec == nil {
		return crc32.ChecksumIEEE(m.Data[:min(m.Len, int64(len(m.Data)))])
	}
	var s uint32
	for _, v := range m.Vec {
		s = crc32.Update(s, crc32.IEEETable, v)
	}
	return s
}

// MrefDone is the first completion of a clone.
func (r *request) MrefDone(q *block.Mref, err error) {
	c := r.c
	r.done = true
	c.fly--
	if c.opt.Stable && q.Op == block.Write && sum(q) != r.sum {
		c.violation("stable", "data of %s changed in flight", r.describe)
	}
	r.m.TotalSize, r.m.Short = q.TotalSize, q.Short
	r.m.Complete(err)
}

// guard catches every further completion of a clone.
type guard request

// MrefDone reports and stays on guard.
func (g *guard) MrefDone(q *block.Mref, err error) {
	g.c.violation("once", "%s completed again (%v)", g.describe, err)
	q.Push(g)
}

// Put ends the request.
func (o *ops) Put(m *block.Mref) {
	c := (*Check)(o)
	a := brick.AspectOf[aspect](&m.Object, c.Brick)
	r := a.r
	if r == nil {
		c.violation("once", "%s of %d at %d: put without get", m.Op, m.Len, m.Pos)
		return
	}
	if r.started && !r.done {
		c.violation("once", "%s: put while in flight", r.describe)
	}
	a.r = nil
	for i, x := range c.live {
		if x == r {
			c.live = append(c.live[:i], c.live[i+1:]...)
			break
		}
	}
	o.down().Put(&r.clone)
}
