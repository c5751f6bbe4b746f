// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import "time"

// ScanPlan decides when a watching goroutine goes through /proc.
type ScanPlan struct {
	Every time.Duration // at least this far apart
	Calm  time.Duration // so long after the last pass when nothing happened
	Share int           // a pass takes at most this part of the time: 1/Share

	last     time.Time
	took     time.Duration
	eventful bool // there was something since the last pass
}

// Due tells whether it is time, given whether something happened now.
func (p *ScanPlan) Due(now time.Time, eventful bool) bool {
	p.eventful = p.eventful || eventful
	wait := p.Calm
	if p.eventful {
		wait = p.Every
	}
	return now.Sub(p.last) >= max(wait, p.took*time.Duration(p.Share))
}

// Done tells when a pass began, and how much time it took.
func (p *ScanPlan) Done(start time.Time, took time.Duration) {
	p.last, p.took, p.eventful = start, took, false
}

// Again is for a pass that has left something out: the next one is due as if
// something had happened.
func (p *ScanPlan) Again() { p.eventful = true }
