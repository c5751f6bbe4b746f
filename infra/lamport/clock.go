package lamport

import (
	"sync"
	"time"
)

// DefaultFuture is the default of the tunable max_lamport_future.
const DefaultFuture = 30 * 24 * time.Hour

// Reading is what the caller reads off its two clocks, at one moment.
type Reading struct {
	// System is the system clock (CLOCK_REALTIME). It may jump either way.
	System Stamp
	// Mono is the monotonic clock in nanoseconds since an arbitrary origin. It
	// must keep its origin for the life of a Clock; a value lower than an
	// earlier one counts as no progress.
	Mono int64
}

// Source names the clock that the Lamport clock follows at the moment.
type Source uint8

const (
	// FromSystem is the normal state.
	FromSystem Source = iota
	// FromMono means that the system clock has leapt beyond the window and
	// is not believed.
	FromMono
)

// String returns "system" or "monotonic".
func (s Source) String() string {
	if s == FromMono {
		return "monotonic"
	}
	return "system"
}

// Status is a report on the state of a Clock.
type Status struct {
	// Last is the newest stamp issued or adopted.
	Last Stamp
	// Source is the clock being followed. FromMono is worth an error message
	// to the administrator: this host's system clock is implausible.
	Source Source
	// Leap is how far the last system reading is ahead of Last (negative:
	// behind it).
	Leap time.Duration
	// Refused counts the stamps that Observe and ObserveOwn refused.
	Refused uint64
}

// Clock is a physical Lamport clock. It is safe for concurrent use: several
// executors stamp their log records from the one clock of a node. No method
// blocks longer than a few instructions and none allocates.
type Clock struct {
	mu     sync.Mutex
	window uint64 // ns, 0 = no check
	last   Stamp
	primed bool // last holds something: a stamp was issued, restored or adopted

	prev Reading // the newest reading, with Mono never decreasing
	read bool    // prev is valid

	source Source
	ran    bool  // the leap was seen while running, not at start
	base   Stamp // FromMono: the time at which the monotonic clock was baseMo
	baseMo int64
	denied uint64
}

// New returns a clock with the given plausibility window (0 or less: no
// check). It has no past: without a Restore or an Observe the first reading of
// the system clock is believed.
func New(window time.Duration) *Clock {
	c := &Clock{}
	c.SetWindow(window)
	return c
}

// SetWindow changes the window while running; 0 or less switches the checks
// off, and a clock running on the monotonic clock then returns to the system
// clock.
func (c *Clock) SetWindow(window time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window = uint64(max(window, 0))
}

// Restore puts the clock to at least own, without a check against any clock:
// own is the newest stamp that an earlier life of this very clock has left in
// the tree. Stamps above MaxStamp are ignored.
func (c *Clock) Restore(own Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own <= MaxStamp {
		c.raise(own)
	}
}

// Now returns a new stamp: larger than every stamp returned or adopted before.
func (c *Clock) Now(r Reading) Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.follow(r)
	if c.primed && t <= c.last {
		t = c.last + 1
	}
	c.last, c.primed = t, true
	return t
}

// Observe takes note of a stamp that came from a peer (in a message, or as the
// stamp of a link). It returns true if the stamp is plausible: the next Now is
// then larger than it. It returns false if the stamp is more than the window
// ahead of both the system clock and the Lamport clock: the caller must not use
// what carries it.
func (c *Clock) Observe(s Stamp, r Reading) (adopted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.follow(r)
	return c.adopt(s, max(t, r.System, c.last))
}

// ObserveOwn is Observe for a stamp that was made on this host by someone else
// than its daemon, like marsadm: it was read off the same system clock, so that
// while this clock is not believed such a stamp is no witness for it and is
// refused. The caller may give the link a stamp of Now instead.
func (c *Clock) ObserveOwn(s Stamp, r Reading) (adopted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.follow(r)
	return c.adopt(s, max(t, c.last))
}

// Meet is called when a connection to a peer is made, with the Lamport stamp
// and the system time of its greeting. It observes the stamp, and returns
// false if the two hosts can not work together for the moment: the peer's
// stamp is refused here, or this host's Lamport clock is so far ahead that the
// peer will refuse ours.
//
// A clock that mistrusts its system clock since the start, because the newest
// stamp it was restored with is old, believes it again when the peer's system
// clock shows the same time (within the window). A leap seen while running is
// not forgiven in this way: then the monotonic clock is the better witness.
func (c *Clock) Meet(peer, peerSystem Stamp, r Reading) (ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.primed && peer <= MaxStamp && beyond(r.System, peer, c.window) {
		c.raise(peer) // a clock without a past starts from the peer's time
	}
	t := c.follow(r)
	if c.source == FromMono && !c.ran && !c.apart(peerSystem, r.System) {
		c.source = FromSystem
		c.raise(min(r.System, MaxStamp))
		t = c.last
	}
	ahead := max(t, c.last)
	return c.adopt(peer, max(ahead, r.System)) && !beyond(ahead, max(peer, peerSystem), c.window)
}

// Status reports the state as of the newest reading.
func (c *Clock) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Status{
		Last:    c.last,
		Source:  c.source,
		Leap:    time.Duration(saturatingSub(c.prev.System, c.last)),
		Refused: c.denied,
	}
}

// adopt raises the clock to s unless s is beyond the window ahead of limit.
func (c *Clock) adopt(s, limit Stamp) bool {
	if s > MaxStamp || beyond(s, limit, c.window) {
		c.denied++
		return false
	}
	c.raise(s)
	return true
}

func (c *Clock) raise(s Stamp) {
	if !c.primed || s > c.last {
		c.last, c.primed = s, true
	}
}

// follow judges the system clock and returns the time of the clock that is
// believed. That time may lie behind last: then the clock crawls.
func (c *Clock) follow(r Reading) Stamp {
	system := min(r.System, MaxStamp)
	mono := r.Mono
	if c.read && mono < c.prev.Mono {
		mono = c.prev.Mono
	}
	// What the clock should show now, had nothing leapt.
	due, known := c.last, c.primed
	switch {
	case c.source == FromMono:
		due = max(due, later(c.base, since(c.baseMo, mono)))
	case c.read:
		due = max(due, later(c.prev.System, since(c.prev.Mono, mono)))
	}
	running := c.read
	c.prev, c.read = Reading{System: system, Mono: mono}, true

	if !known || !beyond(system, due, c.window) {
		c.source = FromSystem
		return system
	}
	if c.source == FromSystem {
		c.source, c.ran = FromMono, running
		c.base, c.baseMo = due, mono
	}
	return later(c.base, since(c.baseMo, mono))
}

// apart reports whether two clocks differ by more than the window.
func (c *Clock) apart(a, b Stamp) bool {
	return beyond(a, b, c.window) || beyond(b, a, c.window)
}

// beyond reports whether s is more than window ahead of base; never if the
// window is 0.
func beyond(s, base Stamp, window uint64) bool {
	return window != 0 && s > base && uint64(s)-uint64(base) > window
}

// since returns to - from, exactly, where to is not before from.
func since(from, to int64) uint64 { return uint64(to) - uint64(from) }

// later returns s + d, at most MaxStamp.
func later(s Stamp, d uint64) Stamp {
	if s >= MaxStamp || d > uint64(MaxStamp)-uint64(s) {
		return MaxStamp
	}
	return s + Stamp(d)
}

func saturatingSub(a, b Stamp) int64 {
	d := int64(a) - int64(b)
	if (a >= b) != (d >= 0) { // overflow
		if a > b {
			return 1<<63 - 1
		}
		return -1 << 63
	}
	return d
}
