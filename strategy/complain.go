package strategy

import "time"

// A complaint about a peer is logged at once, and then at most once in
// complainEvery with the number of those left out: what a peer does must not
// fill the log. There are at most maxComplaints sorts of them; further ones
// share one place.
const (
	complainEvery = 10 * time.Minute
	maxComplaints = 1024
)

// complaints remembers what was complained of.
type complaints struct{ list map[string]*complaint }

type complaint struct {
	next   time.Duration // monotonic: when it may be said again
	missed int
}

// say tells whether a complaint is to be logged now, and how many were left
// out since it was logged last.
func (c *complaints) say(what string, now time.Duration) (missed int, ok bool) {
	if c.list == nil {
		c.list = map[string]*complaint{}
	}
	x := c.list[what]
	if x == nil && len(c.list) >= maxComplaints {
		what = ""
		x = c.list[what]
	}
	if x == nil {
		c.list[what] = &complaint{next: now + complainEvery}
		return 0, true
	}
	if now < x.next {
		x.missed++
		return 0, false
	}
	missed, x.missed, x.next = x.missed, 0, now+complainEvery
	return missed, true
}

// complain logs a warning about a peer, unless it did so not long ago.
func (n *Node) complain(peer, msg string, args ...any) {
	missed, ok := n.complaints.say(peer+": "+msg, n.env.Mono())
	if !ok {
		return
	}
	args = append([]any{"peer", peer}, args...)
	if missed > 0 {
		args = append(args, "more of these", missed)
	}
	n.log.Warn(msg, args...)
}
