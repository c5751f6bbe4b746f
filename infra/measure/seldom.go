// SPDX-License-Identifier: GPL-2.0-or-later

package measure

import "time"

// Something is said at once, and then at most once in SeldomEvery. There are at
// most maxSeldom sorts of things; further ones share one place.
const (
	SeldomEvery = 10 * time.Minute
	maxSeldom   = 1024
)

// Seldom keeps a log from being filled by what others do, within fixed memory.
// The zero value is ready. It is not safe for concurrent use.
type Seldom struct{ list map[string]*said }

type said struct {
	next   time.Duration
	missed int
}

// Say tells whether to log now, at a monotonic time, something of the sort
// what, and how many of that sort were left out since it was logged last.
func (s *Seldom) Say(what string, now time.Duration) (missed int, ok bool) {
	if s.list == nil {
		s.list = map[string]*said{}
	}
	x := s.list[what]
	if x == nil && len(s.list) >= maxSeldom {
		what = ""
		x = s.list[what]
	}
	if x == nil {
		s.list[what] = &said{next: now + SeldomEvery}
		return 0, true
	}
	if now < x.next {
		x.missed++
		return 0, false
	}
	missed, x.missed, x.next = x.missed, 0, now+SeldomEvery
	return missed, true
}
