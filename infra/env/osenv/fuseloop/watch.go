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
	bell := newBell()
	defer bell.close()
	a := newAside()
	defer a.end()
	next, own := time.Now().Add(watchEvery), map[string]int{}
	for looks := 0; ; {
		bell.await(min(time.Until(next), h.scans.Next()))
		list, more := h.devs.Live()
		if !more {
			return
		}
		rung := bell.others(own)
		if rung {
			h.scans.Soon()
		}
		now := time.Now()
		tick := !now.Before(next)
		if tick {
			next = now.Add(watchEvery)
			looks++
		}
		clear(own)
		h.look(a, list, rung || tick && looks%calmEvery == 0, tick, now, own)
		bell.listen(nodes(list))
	}
}

// nodes are the paths at which devices are opened.
func nodes(list []*device) map[string]bool {
	paths := map[string]bool{}
	for _, d := range list {
		paths[d.loop.path()] = true
	}
	return paths
}

// look checks the devices once: who has them exclusively, of all or, at a tick, of those
// that are busy, and where there is reason who has them at all. One that is
// being closed or probed is left to whoever does that. own gets how often each was
// opened here.
func (h *Host) look(a *aside, list []*device, all, tick bool, now time.Time, own map[string]int) {
	eventful := false
	for _, d := range list {
		if (all || tick) && d.lookExclusive(a, all, own) {
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
func (d *device) lookExclusive(a *aside, all bool, own map[string]int) (eventful bool) {
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
		if err == nil && !busy {
			own[d.loop.path()]++
		}
	}
	return active || d.use.plain > 0
}
