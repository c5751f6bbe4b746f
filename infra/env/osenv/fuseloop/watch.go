// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"runtime"
	"time"

	"mars/infra/env/osenv/devnode"
)

// Times of the watching goroutine.
const (
	watchEvery = time.Second
	calmEvery  = 5 // looks: exclusive opens of a device without IO
	scanEvery  = 5 * time.Second
	calmScan   = time.Minute
	scanShare  = 500 // a pass over /proc is at most this part of the time
)

// watch looks after all devices until there are none.
func (h *Host) watch() {
	runtime.LockOSThread() // what it takes is counted by thread
	defer runtime.UnlockOSThread()
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	a := newAside()
	defer a.end()
	for look := 0; ; look++ {
		<-t.C
		list, more := h.devs.Live()
		if !more {
			return
		}
		h.look(a, list, look%calmEvery == 0, time.Now())
	}
}

// look checks the devices once. One that is being closed or probed is left to
// whoever does that.
func (h *Host) look(a *aside, list []*device, all bool, now time.Time) {
	eventful := false
	for _, d := range list {
		if d.lookExclusive(a, all) {
			eventful = true
		}
	}
	if !h.scans.Due(now, eventful) {
		return
	}
	plain := map[uint64]int{}
	for _, d := range list {
		plain[d.rdev] = 0
	}
	used, more := devnode.ThreadTime(), false
	err := devnode.ScanOpeners(plain)
	used = devnode.ThreadTime() - used
	defer func() { h.scans.Done(now, used, more) }()
	if err != nil {
		h.log.Warn("cannot see who has devices open", "err", err)
		return
	}
	for _, d := range list {
		if d.op.TryLock() {
			if !d.closed {
				more = more || plain[d.rdev] > d.use.plain
				d.use.plain = plain[d.rdev]
				d.report()
			}
			d.op.Unlock()
		}
	}
}

// lookExclusive tries the exclusive open if there is reason to, and tells
// whether a pass over /proc may find something.
func (d *device) lookExclusive(a *aside, all bool) (eventful bool) {
	if !d.op.TryLock() {
		return false
	}
	defer d.op.Unlock()
	select {
	case <-d.fs.ready:
	default:
		return false
	}
	if d.closed {
		return false
	}
	active := d.fs.active.Swap(false)
	if active || all || d.use.busy {
		var busy bool
		err := a.do(func() (err error) { busy, err = d.loop.exclusive(); return err })
		if err != nil {
			d.h.log.Warn("cannot tell whether the device is in use", "device", d.name, "err", err)
		} else {
			d.use.busy = busy
			d.report()
		}
	}
	return active || d.use.plain > 0
}
