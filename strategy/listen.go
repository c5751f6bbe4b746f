package strategy

import "time"

// listenFirst is how long after its start a host that is designated primary waits to
// hear from the other members before it takes the role. While it was down another one
// may have been made primary by force (manual 1.4.2.2): the log that this host
// would begin by what it knew before would be a split brain, though nobody
// has written anything. Members that can not be reached are not waited for any
// longer: the application comes first. One that has the device open, left by a
// daemon that died, waits for nothing.
const listenFirst = 3 * time.Second

// isEarly tells whether it is still time to listen.
func (n *Node) isEarly() bool { return n.started && n.env.Mono()-n.began < listenFirst }

// unheard is a member of whom nothing has been heard since this host was started,
// empty if there is none that is worth waiting for.
func (r *resource) unheard(f *Facts) string {
	n := r.n
	if !n.isEarly() || f.Primary != n.me || n.env.Devices().Left(f.DeviceName) {
		return ""
	}
	for _, p := range f.Peers {
		if p.Member && !n.gossip.heard(p.Host) {
			return p.Host
		}
	}
	return ""
}
