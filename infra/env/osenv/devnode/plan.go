// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"time"

	"golang.org/x/sys/unix"
)

// A process that is being forked has the descriptors of its parent until it is
// another program: a pass that finds more openers than the one before may have
// found such a one, of which nobody hears when it is gone. So some passes come soon
// behind it.
const (
	doubtPasses = 3
	doubtShare  = 50 // they take at most this part of the time, where the plan allows less
)

// ScanPlan decides when a watching goroutine goes through /proc.
type ScanPlan struct {
	Every time.Duration // at least this far apart
	Calm  time.Duration // so long after the last pass when nothing happened
	Share int           // a pass takes at most this part of the time: 1/Share

	last     time.Time
	took     time.Duration
	eventful bool // there was something since the last pass
	doubt    int  // passes to come because of one that found more openers
}

// Due tells whether it is time, given whether something happened now.
func (p *ScanPlan) Due(now time.Time, eventful bool) bool {
	p.eventful = p.eventful || eventful
	wait, share := p.Calm, p.Share
	if p.eventful {
		wait = p.Every
	}
	if p.doubt > 0 {
		wait, share = p.Every, min(share, doubtShare)
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
