// SPDX-License-Identifier: GPL-2.0-or-later

package measure

import (
	"sync/atomic"
	"time"
)

// limiterSlack is how much may be taken at once when nothing was taken for a
// while, as a time at the limit.
const limiterSlack = 100 * time.Millisecond

// Limiter bounds a rate that several executors of a node share: each takes
// from it what it is about to do. It is the one thing of this package that is
// safe for concurrent use; it never blocks, and costs an atomic operation.
// The zero value is ready.
type Limiter struct {
	next atomic.Int64 // when what was taken is paid for, in ns of the node's monotonic clock
}

// Take takes n (bytes) at the time now, when perSecond are allowed; 0 or less is no
// limit. It returns 0 if they were taken; otherwise nothing was, and the caller
// shall ask again after that time. A piece larger than a second's worth is let
// through as well, and paid for afterwards.
func (l *Limiter) Take(now time.Duration, n, perSecond int64) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	for {
		next := l.next.Load()
		begin := max(next, int64(now-limiterSlack))
		if wait := begin - int64(now); wait > 0 {
			return max(time.Duration(wait), time.Millisecond)
		}
		cost := int64(float64(n)/float64(perSecond)*float64(time.Second)) + 1
		if l.next.CompareAndSwap(next, begin+cost) {
			return 0
		}
	}
}
