package main

import (
	"sync/atomic"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

var sourceType = brick.Type{Name: "source", Inputs: 1}

// pattern is what a source does in one slice.
type pattern struct {
	op    block.Op
	size  int64 // bytes of a request
	depth int   // requests in flight
	span  int64 // bytes of the device that are used, from its start
	order order
	time  time.Duration
	count int64 // end after so many requests; 0: by the time alone
}

// order says where the requests of a slice go.
type order uint8

const (
	random  order = iota // anywhere
	streams              // each lane from block to block in a part of its own
)

// outcome is what came of it.
type outcome struct {
	ops  int64
	time time.Duration
	lat  []time.Duration // of the first requests; valid until the next slice
	err  error
}

func (o outcome) rate() float64 { return perSecond(o.ops, o.time) }

// maxSamples bounds the latencies that are kept of one slice.
const maxSamples = 1 << 18

// source is the brick that stands where the block device would be. It belongs
// to its executor, but for stop.
type source struct {
	*brick.Brick
	env   env.Env
	lanes []*lane
	seed  uint64
	stop  atomic.Bool // ends the slice early; from anywhere

	p       pattern
	begin   time.Time
	started int64
	busy    int // lanes with a request in flight
	out     outcome
	done    func(outcome)
}

// lane is one request that is issued again and again.
type lane struct {
	s      *source
	m      block.Mref
	buf    []byte
	number int64
	block  int64 // streams: of its part, the next
	again  env.Task
	at     time.Time
	inside bool // within IO
	inline bool // completed within it
}

func newSource(g *brick.Graph, e env.Env, path string) (*source, error) {
	s := &source{env: e, seed: 1, out: outcome{lat: make([]time.Duration, 0, maxSamples)}}
	b, err := g.Add(&sourceType, path, path, s)
	s.Brick = b
	return s, err
}

// Switch implements brick.Worker.
func (s *source) Switch(on bool) { s.SetOn(on); s.SetOff(!on) }

// run starts a slice; done gets the outcome when its last request has ended.
// One at a time.
func (s *source) run(p pattern, done func(outcome)) {
	s.p, s.done, s.started = p, done, 0
	s.out = outcome{lat: s.out.lat[:0]}
	for len(s.lanes) < p.depth {
		l := &lane{s: s, number: int64(len(s.lanes))}
		l.again.Fn = l.issue
		s.lanes = append(s.lanes, l)
	}
	for _, l := range s.lanes[:p.depth] {
		if int64(len(l.buf)) != p.size {
			s.env.Free(l.buf)
			l.buf = s.env.Alloc(int(p.size))
			s.scramble(l.buf)
		}
	}
	s.begin = time.Now()
	for _, l := range s.lanes[:p.depth] {
		s.busy++
		s.started++
		l.issue()
	}
}

// random is splitmix64: the same places in every run.
func (s *source) random() uint64 {
	s.seed += 0x9e3779b97f4a7c15
	z := s.seed
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *source) scramble(b []byte) {
	for i := 0; i+8 <= len(b); i += 8 {
		for k, r := 0, s.random(); k < 8; k, r = k+1, r>>8 {
			b[i+k] = byte(r)
		}
	}
}

// place is where the lane's next request goes.
func (l *lane) place() int64 {
	p := &l.s.p
	blocks := p.span / p.size
	if p.order == random {
		return int64(l.s.random()%uint64(blocks)) * p.size
	}
	part := blocks / int64(p.depth)
	at := l.number*part + l.block%part
	l.block++
	return at * p.size
}

// issue starts the lane's next request.
func (l *lane) issue() {
	s, m := l.s, &l.m
	m.Op, m.Data, m.Pos, m.Len = s.p.op, l.buf, l.place(), s.p.size
	l.buf[0]++
	l.inside, l.inline = true, false
	l.at = time.Now()
	block.Start(s.Input(0), m, l)
	l.inside = false
	if l.inline {
		s.env.Schedule(&l.again) // not from here, or the turn would not end
	}
}

// MrefDone implements block.Completion.
func (l *lane) MrefDone(m *block.Mref, err error) {
	s := l.s
	now := time.Now()
	s.out.ops++
	if n := len(s.out.lat); n < cap(s.out.lat) {
		s.out.lat = append(s.out.lat, now.Sub(l.at))
	}
	if err != nil && s.out.err == nil {
		s.out.err = err
	}
	if err == nil {
		block.OpsOf(s.Input(0)).Put(m)
	}
	elapsed := now.Sub(s.begin)
	if elapsed < s.p.time && s.out.err == nil && !s.stop.Load() && (s.p.count == 0 || s.started < s.p.count) {
		s.started++
		if l.inline = l.inside; !l.inside {
			l.issue()
		}
		return
	}
	s.busy--
	if s.busy == 0 {
		s.out.time = elapsed
		s.done(s.out)
	}
}
