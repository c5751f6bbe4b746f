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

// watcher is what the watching goroutine goes by.
type watcher struct {
	h     *Host
	bell  *bell
	aside *aside
	next  time.Time      // of the looks at regular times
	looks int            // such looks
	own   map[string]int // how often the last look has opened each
}

func (h *Host) newWatcher(now time.Time) *watcher {
	return &watcher{h: h, bell: newBell(), aside: newAside(), next: now.Add(watchEvery), own: map[string]int{}}
}

func (w *watcher) end() {
	w.bell.close()
	w.aside.end()
}

// watch looks after all devices until there are none.
func (h *Host) watch() {
	runtime.LockOSThread() // what it takes is counted by thread
	defer runtime.UnlockOSThread()
	w := h.newWatcher(time.Now())
	defer w.end()
	for {
		w.bell.await(min(time.Until(w.next), h.scans.Next()))
		list, more := h.devs.Live()
		if !more {
			return
		}
		w.turn(list, time.Now())
	}
}

// turn looks at the devices as far as there is reason to.
func (w *watcher) turn(list []*device, now time.Time) {
	if w.bell.others(w.own) {
		w.h.scans.Soon()
	}
	tick := !now.Before(w.next)
	if tick {
		w.next = now.Add(watchEvery)
		w.looks++
	}
	clear(w.own)
	// A ring is no reason for an exclusive open: whoever has just opened the device may
	// be about to do the same, as mkfs and mount are, and must not find us there.
	w.look(list, tick && w.looks%calmEvery == 0, tick, now)
	w.bell.listen(nodes(list))
}

// nodes are the paths at which devices are opened.
func nodes(list []*device) map[string]bool {
	paths := map[string]bool{}
	for _, d := range list {
		paths[d.loop.path()] = true
	}
	return paths
}

// look checks the devices once: at a tick who has them exclusively, of all or of those
// that are busy, and where there is reason who has them at all. One that is
// being closed or probed is left to whoever does that.
func (w *watcher) look(list []*device, all, tick bool, now time.Time) {
	h, eventful := w.h, false
	for _, d := range list {
		if tick && w.lookExclusive(d, all) {
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
func (w *watcher) lookExclusive(d *device, all bool) (eventful bool) {
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
		err := w.aside.do(func() (err error) { busy, err = d.loop.exclusive(); return err })
		if err != nil {
			d.h.log.Warn("cannot tell whether the device is in use", "device", d.name, "err", err)
		} else {
			d.use.busy = busy
			d.report()
		}
		if err == nil && !busy {
			w.own[d.loop.path()]++
		}
	}
	return active || d.use.plain > 0
}
