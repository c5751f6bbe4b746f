package simtest

// Watch checks invariants after every event.
type Watch struct{ c *Cluster }

func newWatch(c *Cluster) *Watch { return &Watch{c: c} }
