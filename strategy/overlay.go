package strategy

import "slices"

// meshSize is up to how many hosts everybody subscribes to everybody. In larger
// clusters each host subscribes to the members of its resources, and to a few
// others that reach further and further around the circle of all names.
const meshSize = 16

// standing is what is known of a host that might be subscribed to.
type standing struct {
	connected bool
	failed    bool  // the last attempt did, not long ago
	at        int64 // when
}

// overlay picks whom a host subscribes to besides those that it needs: of the
// hosts at distances 1, 2 to 3, 4 to 7, 8 to 15, ... behind it on the circle of
// names, one each. hosts are sorted. Since a subscription is answered by one
// the other way, any two hosts that are up are connected by at most as many
// steps as there are intervals: two hosts in one interval are closer to each
// other than to the host whose interval it is.
//
// Within an interval it stays with the one that is connected; else it takes the
// first one that has not failed, in the end the one that failed longest ago: it
// walks until it finds one that is up.
func overlay(hosts []string, me string, look func(host string) standing) (list []string) {
	at, member := slices.BinarySearch(hosts, me)
	n := len(hosts)
	if !member {
		at--
		n++ // as if it were there
	}
	for from := 1; from < n; from *= 2 {
		best, rank := "", standing{failed: true, at: 1<<63 - 1}
		for d := from; d < min(2*from, n); d++ {
			h := hosts[((at+d)%len(hosts)+len(hosts))%len(hosts)]
			if s := look(h); s.better(rank) {
				best, rank = h, s
			}
		}
		if best != "" {
			list = append(list, best)
		}
	}
	return list
}

// better is a strict order: of equals the first one stays.
func (s standing) better(o standing) bool {
	switch {
	case s.connected != o.connected:
		return s.connected
	case s.failed != o.failed:
		return !s.failed
	}
	return s.failed && s.at < o.at
}
