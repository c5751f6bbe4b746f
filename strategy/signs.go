package strategy

import (
	"slices"
	"time"

	"mars/infra/env"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// lazyTime is how long signs of life of others wait to be passed on in a large
// cluster: meanwhile most subscribers have them from somebody else.
const lazyTime = time.Second

// signs are the signs of life of others that wait to be passed on.
type signs struct {
	g     *gossip
	timer env.Timer
	links map[string]*sign // by path; nil: nothing waits
}

// sign is one of them.
type sign struct {
	link  wire.Link
	known []string // hosts that have sent it themselves
}

// signOfLife tells the links that every host renews all the time.
func signOfLife(k symtree.Kind) bool { return k == symtree.KindAlive || k == symtree.KindTime }

func (g *signs) init(of *gossip) { g.g, g.timer = of, of.n.env.NewTimer(g.send) }

// add notes a sign of life that came from a host.
func (g *signs) add(l wire.Link, from string) {
	if g.links == nil {
		g.links = map[string]*sign{}
		g.timer.Reset(lazyTime)
	}
	s := g.links[l.Path]
	if s == nil {
		s = &sign{}
		g.links[l.Path] = s
	}
	s.link, s.known = l, append(s.known[:0], from)
}

// heard notes what a host has sent: that need not be passed on to it.
func (g *signs) heard(from string, links []wire.Link) {
	if len(g.links) == 0 {
		return
	}
	for i := range links {
		if s := g.links[links[i].Path]; s != nil && s.link.Stamp <= links[i].Stamp && !slices.Contains(s.known, from) {
			s.known = append(s.known, from)
		}
	}
}

// send passes on what has gathered.
func (g *signs) send() {
	paths := make([]string, 0, len(g.links))
	for p := range g.links { // order does not matter: sorted below
		paths = append(paths, p)
	}
	slices.Sort(paths)
	subs := slices.Clone(g.g.subs)
	for _, p := range paths {
		for _, s := range subs {
			if x := g.links[p]; s.subscribed && !slices.Contains(x.known, s.host) {
				s.add(x.link)
			}
		}
	}
	g.links = nil
	for _, s := range subs {
		s.flush()
	}
}
