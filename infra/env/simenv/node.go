package simenv

import (
	"fmt"
	"math"
	"time"

	"mars/infra/env"
)

// NodeOptions of a node. The zero value is a good default.
type NodeOptions struct {
	Executors   int           // default 2
	Cluster     string        // uuid that peers see; Node.SetCluster changes it
	ClockOffset time.Duration // of the wall clock from the truth
	ClockDrift  float64       // how much faster the wall clock runs: 1e-5 gains 10 us a second
	Total       int64         // size of the file system in bytes (default 64 GiB)
	FileAlign   int           // alignment of direct files (default 512)
	DiskAlign   int           // alignment of disks (default 512)
	NoDirect    bool          // the file system refuses direct IO
	Latency     *IOLatency    // default DefaultLatency
	// FuseDevices makes devices die with the process, as the fallback's do;
	// otherwise they wait for the next process, as those of ublk do.
	FuseDevices bool
	// FixedDevices makes devices keep their size, as those of ublk do before
	// kernel 6.16.
	FixedDevices bool
	// SilentOpens makes devices report a changed open count only to Probe.
	SilentOpens bool
	// ListValues makes ReadDir tell the values of links, too, as the real one
	// does; otherwise each is read by itself, and others may come in between.
	ListValues bool
}

// Node is a host: its storage, which lasts, and the process running on it,
// which is made anew by Start.
type Node struct {
	w    *World
	id   int
	host string
	addr string
	opt  NodeOptions
	lat  IOLatency

	fs      *fileSystem
	disks   []*Disk
	media   map[string]*Medium // by file name; looked up, never ranged over
	devices []*SimDevice

	inc    *incarnation
	starts int
	up     bool
	bootAt time.Duration // when the power came
	jump   time.Duration

	fsFault   func(op, name string) error
	fsOps     uint64
	crashAt   uint64 // number of the FS operation that powers off; 0: none
	doomModel CrashModel
	doomed    bool
	lost      bool // powered off: peers do not hear of closed connections
}

// incarnation is one life of a node's process.
type incarnation struct {
	node  *Node
	dead  bool
	ex    []*executor
	files []*simFile
	mem   arena

	listeners []*listener
}

// AddNode adds a node, with empty storage, and starts it. Hosts and addresses
// are unique in a world.
func (w *World) AddNode(host, addr string, opt NodeOptions) *Node {
	n := w.newNode(host, addr, opt)
	n.fs = newFileSystem(n.opt.Total)
	n.fs.clock = n.wall
	n.Start()
	return n
}

func (w *World) newNode(host, addr string, opt NodeOptions) *Node {
	for _, o := range w.nodes {
		if o.host == host || o.addr == addr {
			panic(fmt.Sprintf("simenv: two nodes %s (%s)", host, addr))
		}
	}
	if opt.Executors <= 0 {
		opt.Executors = 2
	}
	if opt.Total <= 0 {
		opt.Total = 64 << 30
	}
	if opt.FileAlign <= 0 {
		opt.FileAlign = sector
	}
	if opt.DiskAlign <= 0 {
		opt.DiskAlign = sector
	}
	if opt.Latency == nil {
		l := DefaultLatency()
		opt.Latency = &l
	}
	n := &Node{w: w, id: len(w.nodes), host: host, addr: addr, opt: opt, lat: *opt.Latency,
		media: map[string]*Medium{}, lost: true}
	w.nodes = append(w.nodes, n)
	return n
}

// Nodes lists the nodes in the order they were added.
func (w *World) Nodes() []*Node { return append([]*Node(nil), w.nodes...) }

// Host and Addr are the node's name and IP address, World where it lives, Up
// whether its process runs, Executors how many there are.
func (n *Node) Host() string   { return n.host }
func (n *Node) Addr() string   { return n.addr }
func (n *Node) World() *World  { return n.w }
func (n *Node) Up() bool       { return n.up }
func (n *Node) Executors() int { return n.opt.Executors }

// SetCluster changes the uuid that peers see of connections made from now on.
func (n *Node) SetCluster(uuid string) { n.opt.Cluster = uuid }

// Start starts the process on the surviving storage; afterwards Env gives
// fresh environments. Starting a running node is a bug of the test.
func (n *Node) Start() {
	if n.up {
		panic("simenv: " + n.host + " is running")
	}
	n.starts++
	n.up, n.doomed, n.crashAt = true, false, 0
	if n.lost {
		n.bootAt, n.lost = n.w.now, false
	}
	inc := &incarnation{node: n}
	for i := range n.opt.Executors {
		inc.ex = append(inc.ex, newExecutor(n.w, inc, i))
	}
	n.inc = inc
	n.w.mix(uint64(n.id)<<32 | uint64(n.starts))
	n.w.net.started(n)
}

// Env is the environment of executor i in the node's present life (after its
// end: of the last one, dead).
func (n *Node) Env(i int) env.Env { return n.inc.ex[i] }

// Kill is the death of the process (kill -9): what was written stays, IO in
// flight happens or not, peers see their connections closed. All Envs are
// dead: their calls do nothing and their callbacks never come.
func (n *Node) Kill() {
	if !n.up {
		return
	}
	n.halt()
	for _, d := range n.disks {
		d.st.kill(n.w)
	}
	n.fs.eachFile(func(ino *inode) { ino.st.kill(n.w) })
	n.releaseFiles()
	n.w.net.killed(n)
	n.killDevices(!n.opt.FuseDevices)
}

// Crash is a power cut: as Kill, and storage keeps of what was not durable
// only what the model leaves. Peers do not notice at once.
func (n *Node) Crash(model CrashModel) {
	if n.up {
		n.halt()
		n.w.net.lost(n)
	} else if n.lost {
		return
	}
	n.lost = true
	n.w.stopCoroutines(n)
	n.killDevices(false)
	r := n.w.rng.fork(uint64(n.id))
	img := n.image(&r, &model)
	n.releaseFiles()
	n.adopt(img)
}

// halt ends the process.
func (n *Node) halt() {
	n.up, n.inc.dead = false, true
	n.w.mix(0xdead<<32 | uint64(n.id))
	n.fs.watchers = nil
}

func (n *Node) releaseFiles() {
	files := n.inc.files
	n.inc.files = nil
	for _, f := range files {
		f.release()
	}
	for _, d := range n.disks {
		d.st.flight, d.held = nil, nil
	}
}

func (inc *incarnation) forget(f *simFile) {
	for i, x := range inc.files {
		if x == f {
			inc.files = append(inc.files[:i], inc.files[i+1:]...)
			return
		}
	}
}

// CrashAtFSOp powers the node off at its nth file system change from now
// (1: the next): that one is not done any more, it and all later calls fail
// with env.ErrCrashed, and the power is off as soon as the event ends. Changes
// are Symlink, Lutimes, Rename, Remove, Mkdir, Create, WriteFile (as its
// parts), Truncate, SyncDir and SyncFile. 0 takes the order back.
func (n *Node) CrashAtFSOp(nth int, model CrashModel) {
	n.doomModel, n.crashAt = model, 0
	if nth > 0 {
		n.crashAt = n.fsOps + uint64(nth)
	}
}

// FSOps is the number of file system changes that the node made so far.
func (n *Node) FSOps() uint64 { return n.fsOps }

// FailFS sets a fault of the metadata interface: fn is asked at every call,
// with the method's name, and the call fails with the error it returns; so does
// the opening of a file, by the name of open.
// nil removes it.
func (n *Node) FailFS(fn func(op, name string) error) { n.fsFault = fn }

// File is the handle on timing and faults of the file of that name, whether
// it exists or not.
func (n *Node) File(name string) *Medium {
	m := n.media[name]
	if m == nil {
		m = &Medium{w: n.w}
		n.media[name] = m
	}
	return m
}

// SetLatency sets the latencies of everything that was not set by itself.
func (n *Node) SetLatency(l IOLatency) { n.lat = l }

// SetSpace sets the size of the file system and how much of it is free now.
func (n *Node) SetSpace(total, free int64) {
	n.fs.total = total
	n.fs.foreign = total - free - n.fs.used
}

// FS is the file system as an outsider on the host sees it. It works whether
// the process runs or not, and counts for no fault.
func (n *Node) FS() env.FS { return &fsHandle{node: n} }

// SyncAll makes everything on the node durable, as sync(1) does.
func (n *Node) SyncAll() {
	for _, d := range n.disks {
		d.st.drain(n.w, math.MaxUint64)
	}
	n.fs.syncAll(n.w)
}

// JumpClock moves the wall clock.
func (n *Node) JumpClock(d time.Duration) { n.jump += d }

// SetDrift changes how much faster than the truth the wall clock runs, from
// now on.
func (n *Node) SetDrift(drift float64) {
	n.jump += time.Duration(float64(n.w.now) * (n.opt.ClockDrift - drift))
	n.opt.ClockDrift = drift
}

// Wall is the node's wall clock in ns since the epoch.
func (n *Node) Wall() int64 { return n.wall() }

func (n *Node) wall() int64 {
	t := n.w.now
	return n.w.opt.Start + int64(t) + int64(float64(t)*n.opt.ClockDrift) + int64(n.opt.ClockOffset) + int64(n.jump)
}
