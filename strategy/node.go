package strategy

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"time"

	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/lamport"
	"mars/infra/measure"
	"mars/infra/status"
	"mars/infra/symtree"
	"mars/infra/tunable"
)

// beatShare is how much later each further host of a large cluster makes the
// next heartbeat of all: 1,000 hosts send one every 25 s, within the time that
// wait-cluster waits.
const beatShare = 25 * time.Millisecond

// TreeVersion is the version of the symlink tree's format (the link tree-$host).
const TreeVersion = "0.1"

// Config is what a node is made of.
type Config struct {
	Me string // own host name
	// Env is strategy's own executor.
	Env env.Env
	// Executors carry the resources; a resource lives on one of them. They
	// may include Env.
	Executors []env.Env
	Clock     *lamport.Clock
	Tunables  *tunable.Set
	// Devices is what the administrator should know of how devices are made
	// here; empty: nothing. It is published, for marsadm status.
	Devices string
	// Memory is the host's main memory in bytes; 0: not known.
	Memory int64
	// Tune changes what loggers are tuned to, nil for nothing: simulations draw
	// windows and batches so small that their ends come often.
	Tune func(*translogger.Tuning)
	// Bounds are those of the tree; zero: the usual ones. Simulations make them
	// small, or lift them to see that it is found.
	Bounds symtree.Bounds
	// Fatal is told why the node can not start or go on.
	Fatal func(error)
	// Ready is called once, when the tree is read and peers can connect.
	Ready func()
}

// Node is strategy for one host. It lives on its executor.
type Node struct {
	cfg     Config
	env     env.Env
	log     *slog.Logger
	me      string
	life    uint64 // of this start, never 0
	store   *symtree.Store
	tree    *symtree.Tree
	markers map[string]int64
	started bool
	began   time.Duration // when it was started
	early   env.Timer     // the time is over in which a primary listens before it begins
	cleared bool          // what a predecessor left is out of the way: resources may begin

	pipe   pipeline
	watch  env.Watcher
	round  env.Task
	beat   env.Timer
	slow   env.Timer
	gossip gossip
	meter  status.Meter
	limits limits
	space  spaceWatch

	coming    symtree.Coming            // from peers, on its way into the tree
	untaken   map[string]symtree.Change // of peers, by path: could not be written
	takeAgain env.Timer
	refused   map[string]symtree.Refusal // of peers, by path: to be mended

	repairing   bool // some of them are being mended
	refusedMore bool // and more have come since

	complaints measure.Seldom

	resources []*resource // sorted by name
	all       bool        // in the next round every resource is decided anew
	turn      int         // of the resources at the next heartbeat
	deleting  bool        // a plan of deletions is being committed
	stopping  bool
	stopped   func()
}

// New makes a node; Start brings it to life.
func New(cfg Config) *Node {
	if cfg.Bounds == (symtree.Bounds{}) {
		cfg.Bounds = symtree.UsualBounds()
	}
	n := &Node{cfg: cfg, env: cfg.Env, log: cfg.Env.Log(), me: cfg.Me, life: cfg.Env.Rand() | 1, tree: symtree.New(), markers: map[string]int64{}}
	n.store = symtree.NewStore(cfg.Env.FS(), symtree.DaemonTemp)
	n.pipe.n = n
	n.round.Fn = n.reconcile
	n.beat = n.env.NewTimer(n.heartbeat)
	n.slow = n.env.NewTimer(n.periodic)
	n.gossip.init(n)
	n.space.init(n)
	n.untaken, n.refused = map[string]symtree.Change{}, map[string]symtree.Refusal{}
	n.takeAgain = n.env.NewTimer(n.takeUntaken)
	n.early = n.env.NewTimer(n.kick)
	return n
}

// reading is both clocks of this host, now.
func (n *Node) reading() lamport.Reading {
	return lamport.Reading{System: lamport.Stamp(n.env.Wall()), Mono: int64(n.env.Mono())}
}

// stamp is a new Lamport stamp.
func (n *Node) stamp() int64 { return int64(n.cfg.Clock.Now(n.reading())) }

// Start reads the tree, then listens, connects and reconciles. Called on the
// node's executor.
func (n *Node) Start() {
	var (
		tree    *symtree.Tree
		markers map[string]int64
		err     error
	)
	n.env.Offload(func() { tree, markers, err = n.store.Load() }, func() {
		switch {
		case n.stopping:
			return
		case err != nil:
			n.cfg.Fatal(fmt.Errorf("read the symlink tree: %w", err))
			return
		case tree.UUID() == "":
			n.cfg.Fatal(fmt.Errorf("there is no cluster here (no link uuid): say marsadm create-cluster or join-cluster first"))
			return
		}
		n.tree, n.markers = tree, markers
		n.restoreClock()
		n.begin()
	})
}

// restoreClock feeds the clock with the stamps of the tree. Believed are those
// that this clock itself has made, since marsd alone writes these links; the
// others are looked at: marsadm stamps by the system clock.
func (n *Node) restoreClock() {
	items := n.tree.Items()
	for _, path := range []string{symtree.AlivePath(n.me), symtree.TimePath(n.me), symtree.TreePath(n.me)} {
		own, _ := n.tree.Stamp(path)
		n.cfg.Clock.Restore(lamport.Stamp(own))
	}
	for _, it := range items {
		if it.Kind == symtree.Link {
			n.cfg.Clock.Observe(lamport.Stamp(it.Stamp), n.reading())
		}
	}
}

func (n *Node) begin() {
	n.watch = n.env.Watch(n.dirChanged)
	n.watchAll()
	n.started, n.began = true, n.env.Mono()
	n.early.Reset(listenFirst)
	n.stampAnew(symtree.Implausible(n.tree, n.stamp(), int64(n.cfg.Tunables.MaxLamportFuture())))
	values := map[string]string{symtree.TreePath(n.me): TreeVersion}
	if note := symtree.GlobalActualPath(n.me, symtree.ActualDevices); n.cfg.Devices != "" {
		values[note] = n.cfg.Devices
	} else if n.tree.Exists(note) {
		values[note] = symtree.None
	}
	n.commit(n.changesFor(values), nil)
	if err := n.gossip.listen(); err != nil {
		n.cfg.Fatal(err)
		return
	}
	n.heartbeat()
	n.periodic()
	n.space.look()
	n.log.Info("started", "host", n.me, "cluster", n.tree.UUID(), "resources", len(n.tree.Resources()))
	n.clearPast()
}

// clearPast takes back what a predecessor that died said and left: links that
// claim a device or a role, and devices that nobody serves. Only then the node
// is ready.
func (n *Node) clearPast() {
	values := map[string]string{}
	open := 1
	ready := func() {
		if open--; open == 0 {
			n.cleared = true
			n.kick()
			if n.cfg.Ready != nil {
				n.cfg.Ready()
			}
		}
	}
	for _, res := range n.tree.Resources() {
		if !n.tree.IsMember(res, n.me) {
			continue
		}
		name := n.tree.DeviceName(res, n.me)
		keys := []string{symtree.ActualIsAttached, symtree.ActualIsReplaying, symtree.ActualIsSyncing, symtree.ActualIsCopying, "device-" + name}
		if n.tree.Primary(res) != n.me || !n.env.Devices().Left(name) {
			// Otherwise the device is there, with its users.
			keys = append(keys, symtree.ActualIsPrimary, symtree.ActualOpenCount)
		}
		for _, key := range keys {
			values[symtree.ActualPath(res, n.me, key)] = "0"
		}
		open++
		// A primary takes a device over that can still be served.
		n.env.Devices().Cleanup(name, n.tree.Primary(res) == n.me, func(err error) {
			if err != nil {
				n.log.Warn("can not remove what an earlier daemon left of a device", "device", name, "err", err)
			}
			ready()
		})
	}
	n.commit(n.changesFor(values), func(error) { ready() })
}

func (n *Node) watchAll() {
	n.watch.Add(".")
	for _, it := range n.tree.Items() {
		if it.Kind == symtree.Dir {
			n.watch.Add(it.Path)
		}
	}
}

// kick asks for a round of reconciliation of everything at the end of the turn.
func (n *Node) kick() {
	n.all = true
	n.again()
}

// again asks for a round at the end of the turn, of those resources that are due.
func (n *Node) again() {
	if n.started {
		n.env.Schedule(&n.round)
	}
}

// kickFor asks for a round of what changes have to do with.
func (n *Node) kickFor(changes []symtree.Change) {
	for _, c := range changes {
		name, err := symtree.Parse(c.Path)
		switch {
		case err == nil && signOfLife(name.Kind):
		case err == nil && name.Resource != "":
			if r := n.find(name.Resource); r != nil {
				r.due = true
			}
			n.again() // also for one that is new here
		default:
			n.kick()
			return
		}
	}
}

// A heartbeat decides some resources anew, in case that nobody asked for it: so
// many at least, and each one after so many heartbeats. The others cost nothing
// while nothing happens.
const (
	leastTurn = 8
	turns     = 6
)

// takeTurn has the next resources decided anew.
func (n *Node) takeTurn() {
	for range min(max(len(n.resources)/turns+1, leastTurn), len(n.resources)) {
		n.turn = (n.turn + 1) % len(n.resources)
		n.resources[n.turn].due = true
	}
	n.again()
}

// heartbeat renews the links by which others see that this host lives: in large
// clusters less often, since everybody hears of everybody.
func (n *Node) heartbeat() {
	n.touchAlive()
	for _, r := range n.resources {
		r.wenv.Post(r.w.measure)
	}
	n.takeTurn()
	every := max(n.cfg.Tunables.PropagateInterval(), time.Second, time.Duration(n.gossip.size)*beatShare)
	if !n.stopping {
		n.beat.Reset(every)
	}
}

// touchAlive rewrites alive-$me and time-$me with a new stamp.
func (n *Node) touchAlive() {
	alive := "1"
	if n.stopping {
		alive = "0"
	}
	t := n.stamp()
	n.commit([]symtree.Change{
		symtree.Set(symtree.AlivePath(n.me), alive, t),
		symtree.Set(symtree.TimePath(n.me), lamport.Stamp(t).Format(), t),
	}, nil)
}

// periodic looks at everything again, in case a notice was lost.
func (n *Node) periodic() {
	for _, dir := range n.dirs() {
		n.pipe.dirty(dir)
	}
	n.gossip.stale = true
	n.kick()
	if !n.stopping {
		n.slow.Reset(n.cfg.Tunables.ScanInterval())
	}
}

func (n *Node) dirs() []string {
	list := []string{"."}
	for _, it := range n.tree.Items() {
		if it.Kind == symtree.Dir {
			list = append(list, it.Path)
		}
	}
	return list
}

// dirChanged is told by the watcher.
func (n *Node) dirChanged(dir string) { n.pipe.dirty(dir) }

// Trigger is the manual's /proc/sys/mars/trigger: look at everything now and,
// from level 2 on, ask all peers to do the same.
func (n *Node) Trigger(level int) {
	if !n.started {
		return
	}
	for _, dir := range n.dirs() {
		n.pipe.dirty(dir)
	}
	if level > 1 {
		n.gossip.notifyAll()
	}
	n.kick()
}

// Stop ends everything in order: devices are closed, buffers written back,
// positions durable; then done is called. Devices that are still open after
// grace are taken away.
func (n *Node) Stop(grace time.Duration, done func()) {
	n.stopping, n.stopped = true, done
	if !n.started {
		done()
		return
	}
	n.touchAlive()
	n.env.NewTimer(func() { n.outOfGrace(grace) }).Reset(grace)
	n.kick()
}

// outOfGrace is the end of the patience of Stop: devices that are still open are
// taken away. Those that are being left to the next daemon are not: the process
// ends as it is, which to them is the same.
func (n *Node) outOfGrace(again time.Duration) {
	if n.stopped == nil {
		return
	}
	for _, r := range n.resources {
		if r.state.Leaving {
			n.cfg.Fatal(fmt.Errorf("%s: requests are not answered in time; the device stays with its users for the next daemon", r.name))
			return
		}
	}
	for _, r := range n.resources {
		r.force()
	}
	again = max(again, time.Second)
	n.env.NewTimer(func() { n.outOfGrace(again) }).Reset(again)
}

// checkStopped ends a stop when all workers rest and all is committed.
func (n *Node) checkStopped() {
	if !n.stopping || n.stopped == nil || !n.pipe.idle() {
		return
	}
	for _, r := range n.resources {
		if !r.atRest() {
			return
		}
	}
	done := n.stopped
	n.stopped = nil
	n.started = false
	n.gossip.close()
	n.watch.Close()
	n.beat.Stop()
	n.slow.Stop()
	n.space.timer.Stop()
	n.takeAgain.Stop()
	n.early.Stop()
	done()
}

// executor picks the executor of a resource, always the same one.
func (n *Node) executor(res string) env.Env {
	h := fnv.New32a()
	h.Write([]byte(res))
	return n.cfg.Executors[int(h.Sum32())%len(n.cfg.Executors)]
}

// changesFor makes changes of link values with one new stamp, in order of
// their paths, leaving out those that have the value already.
func (n *Node) changesFor(values map[string]string) []symtree.Change {
	paths := make([]string, 0, len(values))
	for p := range values { // order does not matter: sorted below
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var list []symtree.Change
	t := n.stamp()
	for _, p := range paths {
		if old, ok := n.tree.Value(p); !ok || old != values[p] {
			list = append(list, symtree.Set(p, values[p], t))
		}
	}
	return list
}
