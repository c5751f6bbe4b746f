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
func (r *rig) go1(p pattern) (outcome, error) {
	if p.span == 0 {
		p.span = r.size
	}
	if p.time == 0 {
		p.time = time.Hour
	}
	c := make(chan outcome, 1)
	r.e.Post(func() { r.src.run(p, func(o outcome) { c <- o }) })
	select {
	case o := <-c:
		return r.judge(o)
	case <-r.ctx.Done():
	}
	r.src.stop.Store(true)
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

// pairs alternates slices of the bare loop and of the logger and returns the
// rates of both. Warm is how long the logger runs before.
func (r *rig) pairs(b *bare, p pattern, rounds int, short, warm time.Duration) (bareRates, rates []float64, all []outcome, err error) {
	warmUp := p
	warmUp.time = warm
	if _, err = r.run(warmUp); err != nil {
		return nil, nil, nil, err
	}
	for range rounds {
		if err = r.rotate(); err != nil {
			return nil, nil, nil, err
		}
		if err = r.hold(); err != nil {
			return nil, nil, nil, err
		}
		x, err := b.run(short)
		if err != nil {
			return nil, nil, nil, err
		}
		if err := r.resume(); err != nil {
			return nil, nil, nil, err
		}
		o, err := r.go1(p)
		if err != nil {
			return nil, nil, nil, err
		}
		bareRates, rates, all = append(bareRates, x), append(rates, o.rate()), append(all, o)
	}
	return bareRates, rates, all, nil
}
