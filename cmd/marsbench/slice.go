package main

import (
	"context"
	"time"
)

// run lets the source work for one slice, after a rotation if the log is long.
func (r *rig) run(p pattern) (outcome, error) {
	if err := r.rotate(); err != nil {
		return outcome{}, err
	}
	return r.go1(p)
}

// go1 is run without the rotation.
func (r *rig) go1(p pattern) (outcome, error) { return r.runOn(r.src, p) }

// runOn lets any source work.
func (r *rig) runOn(s *source, p pattern) (outcome, error) {
	if p.span == 0 {
		p.span = r.size
	}
	if p.time == 0 {
		p.time = time.Hour
	}
	c := make(chan outcome, 1)
	r.e.Post(func() { s.run(p, func(o outcome) { c <- o }) })
	select {
	case o := <-c:
		return r.judge(o)
	case <-r.ctx.Done():
	}
	s.stop.Store(true)
	<-c
	return outcome{}, context.Cause(r.ctx)
}

// judge turns what went wrong in a slice into an error.
func (r *rig) judge(o outcome) (outcome, error) {
	err := r.do(func() error { return r.trouble })
	if err == nil {
		err = o.err
	}
	return o, err
}

// hold keeps the logger from starting writes to the disk and returns when
// nothing is in flight any more: the machine is the bare loop's.
func (r *rig) hold() error {
	t := r.tune
	t.MemLimit, t.MaxAge, t.Idle, t.Publish = 1<<40, time.Hour, time.Hour, time.Hour
	if err := r.do(func() error { r.lg.SetTuning(t); return nil }); err != nil {
		return err
	}
	quiet := 0
	return r.await("end of the IO in flight", func() bool {
		quiet++
		if r.disk.InFlight() > 0 || r.logs[r.current()].file.InFlight() > 0 {
			quiet = 0
		}
		return quiet >= 3
	})
}

// resume ends hold.
func (r *rig) resume() error {
	return r.do(func() error { r.lg.SetTuning(r.tune); return nil })
}

// drain waits until everything is written back.
func (r *rig) drain() error {
	return r.await("end of the writeback", func() bool {
		r.lg.SetTuning(r.tune) // lets it look again
		return r.lg.MemUsed() == 0 && r.disk.InFlight() == 0
	})
}
