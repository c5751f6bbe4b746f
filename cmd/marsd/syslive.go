package main

import (
	"time"

	"mars/infra/lamport"
	"mars/infra/measure"
	"mars/infra/tunable"
	"mars/strategy"

	"golang.org/x/sys/unix"
)

// buildSys offers the tunables.
func (d *daemon) buildSys() error {
	s, err := newSysDir(d.opt.Sys(), d.tun, d.log)
	if err != nil {
		return err
	}
	exec := d.node.Executor(0)
	s.changed = func() {
		d.adapt()
		exec.Post(d.strat.Retune)
	}
	s.trigger = func(n int) { exec.Post(func() { d.strat.Trigger(n) }) }
	l := &liveSys{d: d}
	d.sys, err = s.serve(l.files)
	return err
}

// mainMemory is this host's, in bytes; 0 if it can not be told.
func mainMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// liveSys makes what RUN_DIR/sys shows of the present: the clock each second,
// the figures every statusfiles_rollover_sec.
type liveSys struct {
	d     *daemon
	next  time.Time // of the figures
	rates struct{ traffic, server, writeback measure.Rate }
	start time.Time
}

func (l *liveSys) files(stop <-chan struct{}) []liveFile {
	d := l.d
	if !d.started.Load() {
		return nil
	}
	var list []liveFile
	if now, ok := d.lamportClock(stop); ok {
		list = append(list, liveFile{"lamport_clock", now})
	}
	now := time.Now()
	if now.Before(l.next) {
		return list
	}
	l.next = now.Add(d.tun.StatusfilesRollover() - refreshEvery/2) // the ticks are not exact
	f, err := d.figures(false, stop)
	if err != nil {
		d.log.Warn("the figures can not be gathered", "err", err)
		return list
	}
	l.publish(f, now)
	return append(list, liveFile{"info", f.Info})
}

// publish stores the measured tunables.
func (l *liveSys) publish(f *strategy.Figures, now time.Time) {
	if l.start.IsZero() {
		l.start = now
	}
	var used, flying, traffic, server, writeback int64
	for i := range f.Resources {
		r := &f.Resources[i]
		used += r.BufferUsed
		flying += int64(r.Flying)
		traffic += r.Fetched + r.Received
		server += r.Served
		writeback += r.Logger.DiskBytes
	}
	at := now.Sub(l.start)
	for _, p := range []struct {
		id    tunable.ID
		value int64
	}{
		{tunable.LoggerMemUsedKB, used >> 10},
		{tunable.MemUsedRawKB, l.d.node.MemHeld() >> 10},
		{tunable.IOFlyingCount, flying},
		{tunable.TuningTrafficRateKB, l.rates.traffic.Look(traffic, at) >> 10},
		{tunable.TuningServerIORateKB, l.rates.server.Look(server, at) >> 10},
		{tunable.TuningWritebackRateKB, l.rates.writeback.Look(writeback, at) >> 10},
	} {
		l.d.tun.Publish(p.id, p.value)
	}
}

// lamportClock is the content of the file of that name.
func (d *daemon) lamportClock(stop <-chan struct{}) (string, bool) {
	exec := d.node.Executor(0)
	text := make(chan string, 1)
	exec.Post(func() {
		r := lamport.Reading{System: lamport.Stamp(exec.Wall()), Mono: int64(exec.Mono())}
		text <- lamport.FormatFile(r.System, d.clock.Now(r))
	})
	select {
	case t := <-text:
		return t, true
	case <-stop:
		return "", false
	}
}
