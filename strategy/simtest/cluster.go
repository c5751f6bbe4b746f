package simtest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"mars/bricks/translogger"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/tunable"
	"mars/strategy"
)

// What all clusters have in common.
const (
	UUID     = "11111111-1111-4111-8111-111111111111"
	Res      = "r"       // the resource, and its device
	DiskPath = "/dev/vd" // on every host
)

// Options of a cluster. The zero value is a good default.
type Options struct {
	World simenv.Options
	Node  simenv.NodeOptions
	Size  int64    // of the disks, bytes; default 128 KiB
	Set   []string // tunables, NAME=VALUE
	Tune  func(*translogger.Tuning)
	// Bounds of the trees; zero: the usual ones.
	Bounds symtree.Bounds
	Fill   func(b *symtree.Batch) // more links for every tree, nil: none
}

// Cluster is a simulated cluster with one resource.
type Cluster struct {
	T       testing.TB
	World   *simenv.World
	Hosts   []*Host
	Journal *Journal // of the resource
	Watch   *Watch

	opt   Options
	loads []*Load
	of    *Cluster // what it was made from by BootImage
	story []string // see Note
}

// Host is a host of a cluster, with its daemon and a disk.
type Host struct {
	*simenv.Node
	C      *Cluster
	Daemon *strategy.Node // of the present life
	// Tunables are those of the present life.
	Tunables *tunable.Set
	Ready    bool  // the daemon has said so
	Fatal    error // what the daemon died of
	life     int   // lives begun and ended
}

// NewCluster makes hosts of one cluster with running daemons, and no resource.
func NewCluster(t testing.TB, seed uint64, opt Options, hosts ...string) *Cluster {
	if opt.Size == 0 {
		opt.Size = 128 << 10
	}
	opt.Node.Cluster = UUID
	c := &Cluster{T: t, World: simenv.New(seed, opt.World), opt: opt, Journal: NewJournal(opt.Size)}
	for i, name := range hosts {
		n := c.World.AddNode(name, Addr(i), opt.Node)
		n.AddDisk(DiskPath, opt.Size)
		c.Hosts = append(c.Hosts, &Host{Node: n, C: c})
	}
	c.Watch = newWatch(c)
	for _, h := range c.Hosts {
		var b symtree.Batch
		for i, name := range hosts {
			b.Set(symtree.IPPath(name), Addr(i))
		}
		b.Mkdir(symtree.TodoGlobalDir())
		if opt.Fill != nil && h != c.Hosts[0] { // they have long agreed
			c.Must(h.CopyFS(c.Hosts[0].Node), "fill the tree")
			h.Boot()
			continue
		}
		if opt.Fill != nil {
			opt.Fill(&b)
		}
		b.Set(symtree.UUIDPath(), UUID)
		h.Commit(&b)
		h.SyncAll()
		h.Boot()
	}
	return c
}

// Addr is the address of the host with that index.
func Addr(i int) string { return fmt.Sprintf("10.0.%d.%d", i/200, i%200+1) }

// Host finds a host by name.
func (c *Cluster) Host(name string) *Host {
	for _, h := range c.Hosts {
		if h.Node.Host() == name {
			return h
		}
	}
	c.Fatalf("no host %s", name)
	return nil
}

// Close ends the world. It is called as soon as a seed is done.
func (c *Cluster) Close() { c.World.Close() }

// Fatalf ends the test with the command that reproduces the failure.
func (c *Cluster) Fatalf(format string, a ...any) {
	c.T.Helper()
	c.World.Close()
	if k, ok := c.T.(keeper); ok {
		k.keep(c)
	}
	if c.of != nil {
		c.of.Fatalf("in a world of its own, booted from an image, at %v: %s", c.World.Now(), fmt.Sprintf(format, a...))
	}
	c.T.Fatalf("seed %d at %v, event %d: %s\n%s\nreproduce: MARS_SIM_SEED=%d go test -count=1 -run '^%s$' ./strategy/simtest/",
		c.World.Seed(), c.World.Now(), c.World.Events(), fmt.Sprintf(format, a...),
		strings.Join(c.story, "\n"), c.World.Seed(), c.T.Name())
}

// keeper is a testing.TB that wants to see a cluster that has failed.
type keeper interface{ keep(c *Cluster) }

// listing is the whole tree of a host.
func (h *Host) listing() string {
	t, markers, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%vdeletion markers: %v\n", t, markers)
}

// Note adds a line to what is told when the test fails.
func (c *Cluster) Note(format string, a ...any) {
	c.story = append(c.story, fmt.Sprintf("%12v %s", c.World.Now(), fmt.Sprintf(format, a...)))
}

// Must fails the test if there is an error.
func (c *Cluster) Must(err error, format string, a ...any) {
	c.T.Helper()
	if err != nil {
		c.Fatalf("%s: %v", fmt.Sprintf(format, a...), err)
	}
}

// Wait runs the world until cond holds, at most two minutes.
func (c *Cluster) Wait(what string, cond func() bool) {
	c.T.Helper()
	c.WaitFor(what, 2*time.Minute, cond)
}

// WaitFor runs the world until cond holds.
func (c *Cluster) WaitFor(what string, limit time.Duration, cond func() bool) {
	c.T.Helper()
	if err := c.World.Run(cond, limit); err != nil {
		c.Fatalf("waiting for %s: %v\n%s", what, err, c.Dump())
	}
}

// RunFor lets time pass.
func (c *Cluster) RunFor(d time.Duration) { c.World.RunFor(d) }

// Dump tells in what state the cluster is: the links of the first host, and
// of the others what is different there.
func (c *Cluster) Dump() string {
	var s strings.Builder
	first := map[string]string{}
	for i, h := range c.Hosts {
		fmt.Fprintf(&s, "--- %s up %v ready %v\n", h.Node.Host(), h.Up(), h.Ready)
		t, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
		if err != nil {
			fmt.Fprintln(&s, err)
			continue
		}
		for _, it := range t.Items() {
			value := it.Value
			if it.Kind == symtree.File {
				fi, _ := h.FS().Lstat(it.Path)
				value = strconv.FormatInt(fi.Size, 10)
			}
			if it.Kind == symtree.Dir || dull(it.Path) || i > 0 && first[it.Path] == value {
				continue
			}
			if i == 0 {
				first[it.Path] = value
			}
			fmt.Fprintf(&s, "%s -> %s\n", it.Path, value)
		}
	}
	return s.String()
}

// dull links are not shown.
func dull(path string) bool {
	for _, part := range []string{"ips/", "/todo-", "time-", "tree-", "uuid", "_rate", "emergency-", "/connect-", "/device-", "/data-", "size"} {
		if strings.Contains(path, part) {
			return true
		}
	}
	return false
}

// Boot starts the daemon on the node's present life.
func (h *Host) Boot() {
	h.Ready = false
	h.life++
	life := h.life
	set := tunable.New()
	for _, s := range h.C.opt.Set {
		h.C.Must(set.AssignPair(s), "tunable %s", s)
	}
	h.Tunables = set
	execs := make([]env.Env, h.Executors())
	for i := range execs {
		execs[i] = h.Env(i)
	}
	h.Daemon = strategy.New(strategy.Config{
		Me: h.Node.Host(), Env: h.Env(0), Executors: execs, Clock: lamport.New(lamport.DefaultFuture), Tunables: set, Tune: h.C.opt.Tune, Bounds: h.C.opt.Bounds,
		Fatal: func(err error) {
			if h.life == life && !errors.Is(err, env.ErrCrashed) {
				h.Fatal = err
				h.C.Fatalf("%s: the daemon can not go on: %v", h.Node.Host(), err)
			}
		},
		Ready: func() { h.Ready = h.life == life },
	})
	h.Env(0).Post(h.Daemon.Start)
}

// Restart starts a host that was crashed or killed.
func (h *Host) Restart() {
	h.Start()
	h.Boot()
}

// Kill is the death of the daemon; see simenv.
func (h *Host) Kill() {
	h.Ready = false
	h.life++
	h.Node.Kill()
}

// Crash is a power cut. What was in flight to a device here stays open until
// Resolve.
func (h *Host) Crash(m simenv.CrashModel) {
	h.Node.Crash(m)
	h.ended()
}

// ended notes that the power is gone.
func (h *Host) ended() {
	h.Ready = false
	h.life++
	for _, l := range h.C.loads {
		if l.host == h {
			l.drop()
		}
	}
}

// Stop ends the daemon in order; the device must be closed.
func (h *Host) Stop() {
	stopped := false
	h.Daemon.Stop(time.Hour, func() { stopped = true })
	h.C.Wait("the daemon of "+h.Node.Host()+" to stop", func() bool { return stopped })
	h.Kill()
}

// Dev is the resource's device here, nil if there is none.
func (h *Host) Dev() *simenv.SimDevice { return h.Node.Device(Res) }

// Data is the disk.
func (h *Host) Data() *simenv.Disk { return h.Node.Disk(DiskPath) }

// Link is the value of a link, empty if there is none.
func (h *Host) Link(path string) string {
	v, err := h.FS().Readlink(path)
	if err != nil {
		return ""
	}
	return v
}

// Replay is the replay link of a host as this one knows it.
func (h *Host) Replay(of string) symtree.ReplayLink {
	r, err := symtree.ParseReplay(h.Link(symtree.ReplayPath(Res, of)))
	if err != nil {
		return symtree.ReplayLink{}
	}
	return r
}

// Actual tells whether a fact about this host's resource has that value.
func (h *Host) Actual(key, value string) func() bool {
	path := symtree.ActualPath(Res, h.Node.Host(), key)
	return func() bool { return h.Link(path) == value }
}

// Serving tells whether the device is there and served.
func (h *Host) Serving() bool {
	return h.Ready && h.Dev() != nil && h.Actual("device-"+Res, "1")()
}

// CaughtUp tells whether this host has applied everything up to where p, which
// is not primary any more, stands itself, and is at rest.
func (h *Host) CaughtUp(p *Host) func() bool {
	return func() bool {
		mine, end := h.Replay(h.Node.Host()), p.Replay(p.Node.Host())
		return mine.Number > 0 && mine == end && mine.Len == 0 && h.Synced()
	}
}

// Synced tells whether the disk counts as consistent here.
func (h *Host) Synced() bool { return consistent(h.FS(), h.Node.Host(), h.C.opt.Size) }

// consistent tells whether the links of a host say that its disk is a past
// version of the resource.
func consistent(fs env.FS, host string, size int64) bool {
	read := func(path string) string {
		v, err := fs.Readlink(path)
		if err != nil {
			return ""
		}
		return v
	}
	done, err := symtree.ParseInt(read(symtree.SyncStatusPath(Res, host)))
	if err != nil || done < size {
		return false
	}
	end, err := symtree.ParseReplay(read(symtree.SyncPosPath(Res, host)))
	if err != nil {
		return true
	}
	at, err := symtree.ParseReplay(read(symtree.ReplayPath(Res, host)))
	return err == nil && at.Compare(end) >= 0
}

// Content is what the disk holds now.
func (h *Host) Content() []byte {
	p := make([]byte, h.C.opt.Size)
	if _, err := h.Data().ReadAt(p, 0); err != nil && err != io.EOF {
		h.C.Fatalf("read the disk of %s: %v", h.Node.Host(), err)
	}
	return p
}

// bytesAt is an image in memory.
type bytesAt []byte

// ReadAt implements io.ReaderAt.
func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// ReadDev reads the whole device of h, as its users see it.
func (h *Host) ReadDev() io.ReaderAt {
	h.C.T.Helper()
	p := make([]byte, h.C.opt.Size)
	left := 0
	for pos := 0; pos < len(p); pos += 16 << 10 {
		left++
		h.Dev().Read(int64(pos), p[pos:min(len(p), pos+16<<10)], func(err error) {
			left--
			h.C.Must(err, "read the device of %s at %d", h.Node.Host(), pos)
		})
	}
	h.C.Wait("the device to be read", func() bool { return left == 0 })
	return bytesAt(p)
}

// BootImage boots the host of a crash image in a world of its own, with a disk
// and a history like that of c.
func (c *Cluster) BootImage(img *simenv.Image, seed uint64) *Host {
	opt := c.opt.World
	opt.Start = 0
	b := &Cluster{T: c.T, World: simenv.New(seed, opt), opt: c.opt, Journal: c.Journal, of: c}
	n := img.Node(b.World)
	n.JumpClock(c.World.Now())
	h := &Host{Node: n, C: b}
	b.Hosts = []*Host{h}
	h.Boot()
	return h
}
