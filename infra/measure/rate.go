// SPDX-License-Identifier: GPL-2.0-or-later

package measure

import "time"

// Rate turns a count that only grows into bytes (or anything) per second,
// between two looks at it.
type Rate struct {
	last  int64
	at    time.Duration
	begun bool
	value int64
}

// Look takes the count as it is at the time now and returns the rate since the
// last look. A count that went back (whoever counts was made anew) begins a new
// measurement, as does the first look; the rate is 0 then. Looks without time
// between them return the rate of the last one.
func (r *Rate) Look(count int64, now time.Duration) int64 {
	d := now - r.at
	switch {
	case !r.begun || count < r.last:
		r.value = 0
	case d <= 0:
		return r.value
	default:
		r.value = int64(float64(count-r.last) / d.Seconds())
	}
	r.last, r.at, r.begun = count, now, true
	return r.value
}

// Value is the rate at the last look.
func (r *Rate) Value() int64 { return r.value }
