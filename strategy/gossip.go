package strategy

import (
	"fmt"
	"slices"
	"time"

	"mars/infra/env"
	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/wire"
)

// gossip exchanges the symlink tree with the other hosts. Each host subscribes
// to the trees of others (see overlay): it gets all of it once, then every change
// as it happens. What a host learns it passes on, so the tree also reaches hosts
// that can not talk to each other.
type gossip struct {
	n         *Node
	peers     []*peer       // whom we subscribe to, sorted by host
	subs      []*subscriber // who subscribes to us
	listeners []env.Listener
	flush     env.Task

	stale  bool                     // something has changed that wanted looks at
	size   int                      // hosts of the cluster
	order  int                      // number of the last subscription, either way
	failed map[string]time.Duration // when a connection failed last, by host; looked up only
	signs  signs

	links []wire.Link // scratch of whoever sends a tree
	buf   []byte      // scratch for frames
}

// failedTime is how long a host that could not be reached is passed over.
const failedTime = 5 * time.Minute

func (g *gossip) init(n *Node) {
	g.n = n
	g.failed, g.stale = map[string]time.Duration{}, true
	g.signs.init(g)
	g.flush.Fn = func() {
		for _, s := range slices.Clone(g.subs) {
			s.flush()
		}
	}
}

func (g *gossip) listen() error {
	for port := env.PortTree; port <= env.PortSync; port++ {
		l, err := g.n.env.Net().Listen(port, func(c env.Conn) env.ConnHandler { return g.accept(port, c) })
		if err != nil {
			return fmt.Errorf("listen for peers (port +%d): %w", port, err)
		}
		g.listeners = append(g.listeners, l)
	}
	return nil
}

func (g *gossip) close() {
	g.signs.timer.Stop()
	for _, l := range g.listeners {
		l.Close()
	}
	for _, p := range g.peers {
		p.stop()
	}
	for _, s := range slices.Clone(g.subs) {
		s.conn.Close()
	}
	g.peers, g.subs = nil, nil
}

// hello is our greeting.
func (n *Node) hello(p wire.Purpose) wire.Hello {
	return wire.Hello{
		ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: n.tree.UUID(), Host: n.me,
		Stamp: lamport.Stamp(n.stamp()), SystemTime: lamport.Stamp(n.env.Wall()), Purpose: p, Version: TreeVersion, Life: n.life,
	}
}

// greeted checks a peer's greeting.
func (n *Node) greeted(theirs *wire.Hello, proved string, p wire.Purpose) error {
	ours := n.hello(p)
	if _, err := theirs.Accept(&ours, proved); err != nil {
		return err
	}
	if !n.tree.Exists(symtree.IPPath(theirs.Host)) {
		return &wire.Error{Code: wire.CodeCluster, Text: "host is not in the cluster"}
	}
	if !n.cfg.Clock.Meet(theirs.Stamp, theirs.SystemTime, n.reading()) {
		n.complain(theirs.Host, "the clocks of this host and a peer are too far apart", "theirs", theirs.SystemTime, "ours", n.env.Wall())
	}
	return nil
}

// wanted are the hosts to subscribe to, sorted: all of a small cluster. In a
// large one the members of our resources, those of the overlay, and whoever
// subscribed to us before we did to it, so that nobody talks to the deaf.
func (g *gossip) wanted() []string {
	hosts := g.n.tree.Hosts()
	g.size = len(hosts)
	others := slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == g.n.me })
	if g.size <= meshSize {
		return others
	}
	var list []string
	for _, res := range g.n.tree.Resources() {
		if g.n.tree.IsMember(res, g.n.me) {
			list = append(list, g.n.tree.Members(res)...)
		}
	}
	now := g.n.env.Mono()
	list = append(list, overlay(hosts, g.n.me, func(h string) standing {
		at, failed := g.failed[h]
		p := g.find(h)
		return standing{connected: p != nil && p.synced, failed: failed && now-at < failedTime, at: int64(at)}
	})...)
	for _, s := range g.subs {
		if p := g.find(s.host); s.subscribed && (p == nil || s.order < p.order) {
			list = append(list, s.host)
		}
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(h string) bool {
		_, ok := slices.BinarySearch(others, h)
		return !ok
	})
}

// look notes whether changes of the tree have to do with whom to subscribe to.
func (g *gossip) look(changes []symtree.Change) {
	for _, c := range changes {
		if name, err := symtree.Parse(c.Path); err == nil && (name.Kind == symtree.KindIP || name.Kind == symtree.KindData) {
			g.stale = true
			return
		}
	}
}

// reconcile keeps one subscription for every host that is wanted.
func (g *gossip) reconcile() {
	if !g.stale {
		return
	}
	g.stale = false
	hosts := g.wanted()
	for _, p := range slices.Clone(g.peers) {
		addr, _ := g.n.tree.Value(symtree.IPPath(p.host))
		if _, ok := slices.BinarySearch(hosts, p.host); !ok || addr != p.addr {
			p.stop()
			g.peers = slices.DeleteFunc(g.peers, func(x *peer) bool { return x == p })
		}
	}
	for _, h := range hosts {
		if g.find(h) != nil {
			continue
		}
		addr, _ := g.n.tree.Value(symtree.IPPath(h))
		g.order++
		p := &peer{g: g, host: h, addr: addr, order: g.order}
		p.retry = g.n.env.NewTimer(p.dial)
		g.peers = append(g.peers, p)
		slices.SortFunc(g.peers, func(a, b *peer) int { return cmpString(a.host, b.host) })
		p.dial()
	}
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (g *gossip) find(host string) *peer {
	i, ok := slices.BinarySearchFunc(g.peers, host, func(p *peer, h string) int { return cmpString(p.host, h) })
	if !ok {
		return nil
	}
	return g.peers[i]
}

func (g *gossip) connected(host string) bool {
	p := g.find(host)
	return p != nil && p.synced
}

// heard tells whether what a host knew when it connected first is in our tree.
func (g *gossip) heard(host string) bool {
	p := g.find(host)
	return p != nil && p.heard
}

// met is told that a host has connected in that life. A connection to an earlier
// one is dead, however long its silence may last yet: the host had no time to
// close it, or its word got lost.
func (g *gossip) met(host string, life uint64) {
	if life == 0 {
		return
	}
	for _, s := range slices.Clone(g.subs) {
		if s.host == host && s.life != 0 && s.life != life {
			s.conn.Close()
		}
	}
	p := g.find(host)
	if p == nil || p.conn == nil || p.life == 0 || p.life == life {
		return
	}
	g.n.log.Info("a peer has started again", "peer", host)
	p.life, p.backoff = 0, 0
	p.conn.Close()
}

// push sends changes on to all subscribers but the one they came from.
func (g *gossip) push(from string, changes []symtree.Change) {
	if len(g.subs) == 0 {
		return
	}
	for _, c := range changes {
		if c.Op != symtree.OpSet {
			continue // deletions travel as orders, directories with their links
		}
		name, err := symtree.Parse(c.Path)
		if err != nil || !name.Kind.Replicated() {
			continue
		}
		e, ok := g.n.tree.Get(c.Path)
		if !ok || e.Kind != symtree.Link {
			continue
		}
		l := wire.Link{Path: c.Path, Value: e.Value, Stamp: lamport.Stamp(e.Stamp), Kind: wire.KindLink}
		if from != "" && g.size > meshSize && signOfLife(name.Kind) {
			g.signs.add(l, from)
			continue
		}
		for _, s := range g.subs {
			if s.host != from && s.subscribed {
				s.add(l)
			}
		}
	}
	g.n.env.Schedule(&g.flush)
}

// has tells that a host has those links: what waits to be sent to it of them
// need not be.
func (g *gossip) has(host string, changes []symtree.Change) {
	var there map[string]symtree.Change
	for _, s := range g.subs {
		if s.host != host || len(s.pending) == 0 {
			continue
		}
		if there == nil {
			there = make(map[string]symtree.Change, len(changes))
			for _, c := range changes {
				there[c.Path] = c
			}
		}
		s.pending = slices.DeleteFunc(s.pending, func(l wire.Link) bool {
			c, ok := there[l.Path]
			return ok && c.Stamp == int64(l.Stamp) && c.Value == l.Value
		})
	}
}

// notifyAll asks every peer to look at its tree and to say that it lives.
func (g *gossip) notifyAll() {
	m := wire.Notify{Stamp: lamport.Stamp(g.n.stamp())}
	for _, p := range g.peers {
		if p.conn != nil && p.greeted {
			p.conn.Send(m.Append(nil))
		}
	}
}

// peer is our subscription to another host's tree.
type peer struct {
	g       *gossip
	host    string
	addr    string
	order   int // when it began, in the order of all subscriptions
	conn    env.Conn
	greeted bool
	life    uint64 // of the host, as it said; 0: not known
	synced  bool   // the whole tree has arrived
	heard   bool   // it is in ours, or one of an earlier connection was
	stopped bool
	backoff time.Duration
	retry   env.Timer
	said    bool // that it is unreachable
	since   time.Duration
	waiting int  // bytes of its links on their way to the disk
	behind  bool // links were dropped: the whole tree is needed again
}

func (p *peer) dial() {
	if p.stopped || p.conn != nil {
		return
	}
	p.conn = p.g.n.env.Net().Dial(env.Endpoint{Host: p.host, Addr: p.addr, Port: env.PortTree}, p)
}

func (p *peer) stop() {
	p.stopped = true
	p.retry.Stop()
	if p.conn != nil {
		p.conn.Close()
	}
}

// Opened implements env.ConnHandler.
func (p *peer) Opened(c env.Conn) {
	p.since, p.behind = p.g.n.env.Mono(), false
	h := p.g.n.hello(wire.ForTree)
	c.Send(h.Append(nil))
	p.subscribe(c)
}

// subscribe asks for the whole tree, but for the directories that are the same
// here: a connection that is made anew in a large, quiet tree costs little.
func (p *peer) subscribe(c env.Conn) {
	sums := p.g.n.tree.Sums(wire.MaxHave)
	m := wire.SubscribeTree{Have: make([][wire.SumSize]byte, len(sums))}
	for i := range sums {
		m.Have[i] = sums[i]
	}
	c.Send(m.Append(nil))
}

// Frame implements env.ConnHandler.
func (p *peer) Frame(c env.Conn, f []byte) {
	n := p.g.n
	var err error
	switch t := wire.TypeOf(f); {
	case t == wire.TypeHello:
		var m wire.Hello
		if err = m.Decode(f); err == nil {
			err = n.greeted(&m, c.Peer().Host, wire.ForTree)
		}
		p.greeted, p.life = err == nil, m.Life
	case !p.greeted:
		err = fmt.Errorf("expected a greeting, found %v", t)
	case t == wire.TypeTreeLinks:
		var m wire.TreeLinks
		if err = m.Decode(f); err == nil {
			p.g.signs.heard(p.host, m.Links)
			n.merge(p, m.Links)
		}
	case t == wire.TypeTreeBegin:
		var m wire.TreeBegin
		if err = m.Decode(f); err == nil {
			n.cfg.Clock.Observe(m.Stamp, n.reading())
		}
	case t == wire.TypeTreeEnd:
		p.synced, p.said, p.g.stale = true, false, true
		p.heard = p.heard || p.waiting == 0
		delete(p.g.failed, p.host)
		n.log.Info("connected", "peer", p.host)
		n.kick()
	case t == wire.TypeHeartbeat:
		var m wire.Heartbeat
		if err = m.Decode(f); err == nil {
			n.cfg.Clock.Observe(m.Stamp, n.reading())
		}
	case t == wire.TypeError:
		var m wire.Error
		if err = m.Decode(f); err == nil {
			err = &m
		}
	}
	if err != nil {
		n.complain(p.host, "a peer's tree can not be used", "err", err)
		c.Close()
	}
}

// Drained implements env.ConnHandler.
func (p *peer) Drained(env.Conn) {}

// Closed implements env.ConnHandler.
func (p *peer) Closed(_ env.Conn, err error) {
	was := p.synced
	p.conn, p.greeted, p.life, p.synced = nil, false, 0, false
	if p.stopped {
		return
	}
	now := p.g.n.env.Mono()
	if was && now-p.since > steadyTime {
		p.backoff = 0
	}
	p.g.failed[p.host], p.g.stale = now, true
	if !p.said {
		p.said = true
		p.g.n.log.Warn("no connection", "peer", p.host, "addr", p.addr, "err", err)
	}
	p.backoff = min(max(2*p.backoff, 250*time.Millisecond), 5*time.Second)
	p.retry.Reset(p.backoff)
	if was || p.g.size > meshSize {
		p.g.n.kick()
	}
}

// steadyTime is how long a connection must have lasted to be made anew at once:
// one that is always broken at the same place is not.
const steadyTime = 2 * time.Second
