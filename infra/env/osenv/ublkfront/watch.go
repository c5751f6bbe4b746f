// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"mars/infra/env/osenv/devnode"
	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

// watchEvery is how often the reference count of the driver is read, and echo
// how often after a change of the mount table: a file system is gone from there
// before it lets its device go.
const (
	watchEvery = time.Second
	refcnt     = "/sys/module/ublk_drv/refcnt"

	scanEvery = 20 * time.Millisecond
	scanCalm  = time.Minute
	scanShare = 20 // passes over /proc take at most this part of a core
)

var echo = [...]time.Duration{10 * time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond, 400 * time.Millisecond}

// watch looks after all devices until there are none.
func (h *Host) watch() {
	runtime.LockOSThread() // what it takes is counted by thread
	defer runtime.UnlockOSThread()
	mounts := openMounts()
	defer func() {
		if mounts >= 0 {
			_ = unix.Close(mounts)
		}
	}()
	plan := devnode.ScanPlan{Every: scanEvery, Calm: scanCalm, Share: scanShare}
	last, echoes, before := "", len(echo), false
	for {
		wait := watchEvery
		if echoes < len(echo) {
			wait = echo[echoes]
			echoes++
		}
		if devnode.Await(mounts, unix.POLLPRI, wait) {
			echoes = 0
		}
		list, more := h.devs.Live()
		if !more {
			return
		}
		for _, d := range list {
			d.checkTags()
		}
		// Without the file (a driver built into the kernel) each look counts.
		now, err := os.ReadFile(refcnt)
		changed := err != nil || string(now) != last
		last = string(now)
		// An opener counts with the driver before it has its descriptor: the look
		// at that change may be too early, so that there is another one.
		if plan.Due(time.Now(), changed || before) {
			start, used := time.Now(), devnode.ThreadTime()
			whole, more := h.lookAll(list)
			plan.Done(start, devnode.ThreadTime()-used, more)
			if !whole {
				plan.Again()
			}
		}
		before = changed
	}
}

// checkTags looks whether requests were lost that users wait for.
func (d *device) checkTags() {
	select {
	case <-d.dev.Done(): // awaitEnd tells why
	default:
		if err := d.dev.Err(); err != nil && !errors.Is(err, ublkdev.ErrDetached) {
			d.h.cfg.Fatal(fmt.Errorf("device %s can not be served any more: %w", d.name, err))
		}
	}
}

// lookAll counts the users of devices. One that is being closed or probed is
// left to whoever does that; then, and when the look fails, it is not whole. It tells
// whether there are more of one than before.
func (h *Host) lookAll(list []*device) (whole, more bool) {
	var mine []*device
	whole = true
	for _, d := range list {
		if !d.op.TryLock() {
			whole = false
		} else {
			defer d.op.Unlock()
			if !d.closed {
				mine = append(mine, d)
			}
		}
	}
	// What only an exclusive open shows is looked at so again: it is in nobody's
	// way, for nobody else can have the device.
	found, err := survey(mine, func(d *device) bool { return d.hidden })
	if err != nil {
		h.log.Warn("cannot see who has devices open", "err", err)
		return false, false
	}
	for _, d := range mine {
		d.hidden = found[d].hidden
		if n := found[d].count(); n != d.count {
			more = more || n > d.count
			d.count = n
			d.report(n)
		}
	}
	return whole, more
}

// openMounts opens what tells of changes of the mount table, or returns -1.
func openMounts() int {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}
