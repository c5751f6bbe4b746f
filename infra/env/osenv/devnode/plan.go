// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"time"

	"golang.org/x/sys/unix"
)

// A process that is being forked has the descriptors of its parent until it is
// another program: a pass that finds more openers than the one before may have
// found such a one, of which nobody hears when it is gone. And who is just opening
// a device does not have a descriptor yet. So some passes come soon behind such a sign.
const (
	doubtPasses = 3
	doubtShare  = 50 // they take at most this part of the time, where the plan allows less
	doubtEvery  = 20 * time.Millisecond
)

// ScanPlan decides when a watching goroutine goes through /proc.
type ScanPlan struct {
	Every time.Duration // at least this far apart
	Calm  time.Duration // so long after the last pass when nothing happened
	Share int           // a pass takes at most this part of the time: 1/Share

	last     time.Time
	took     time.Duration
	eventful bool // there was something since the last pass
	doubt    int  // passes to come soon
}

// Due tells whether it is time, given whether something happened now.
func (p *ScanPlan) Due(now time.Time, eventful bool) bool {
	p.eventful = p.eventful || eventful
	wait, share := p.Calm, p.Share
	if p.eventful {
		wait = p.Every
	}
	if p.doubt > 0 {
		wait, share = min(p.Every, doubtEvery), min(share, doubtShare)
	}
	return now.Sub(p.last) >= max(wait, p.took*time.Duration(share))
}

// Done tells when a pass began, how much time it took, and whether it has found more
// openers of some device than the one before.
func (p *ScanPlan) Done(start time.Time, took time.Duration, more bool) {
	p.last, p.took, p.eventful = start, took, false
	p.doubt = max(p.doubt-1, 0)
	if more {
		p.doubt = doubtPasses
	}
}

// Soon is for a sign that somebody has come or gone: some passes come soon.
func (p *ScanPlan) Soon() { p.doubt = doubtPasses }

// Next is how long after a look there may be another pass, if nothing happens.
func (p *ScanPlan) Next() time.Duration {
	if p.doubt > 0 {
		return max(min(p.Every, doubtEvery), p.took*time.Duration(min(p.Share, doubtShare)))
	}
	return p.Calm
}

// Again is for a pass that has left something out: the next one is due as if
// something had happened.
func (p *ScanPlan) Again() { p.eventful = true }

// ThreadTime is the time that the calling thread has spent on a core: what others
// take of a busy machine is not what a pass takes.
func ThreadTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0 // it does not fail; then only Every is a bound
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
