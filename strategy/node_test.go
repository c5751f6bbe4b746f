package strategy

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/lamport"
	"mars/infra/symtree"
	"mars/infra/tunable"
)

const diskSize = 1 << 20

// simHost is one simulated host with its daemon.
type simHost struct {
	*simenv.Node
	t     *testing.T
	st    *Node
	ready bool
}

func newWorld(t *testing.T, seed uint64) *simenv.World {
	w := worldOfSeed(seed)
	t.Cleanup(w.Close)
	return w
}

// worldOfSeed makes a world that its caller closes. The cleanup of a test that
// runs thousands of seeds would keep them all, some megabytes each.
func worldOfSeed(seed uint64) *simenv.World {
	opt := simenv.Options{}
	if testing.Verbose() {
		opt.Log = os.Stderr
	}
	return simenv.New(seed, opt)
}

// newHosts makes a cluster of hosts, each with a disk.
func newHosts(t *testing.T, w *simenv.World, names ...string) []*simHost {
	var list []*simHost
	for i, name := range names {
		n := w.AddNode(name, "10.0.0."+string(rune('1'+i)), simenv.NodeOptions{Cluster: "u1"})
		n.AddDisk("/dev/d", diskSize)
		h := &simHost{Node: n, t: t}
		list = append(list, h)
		var b symtree.Batch
		b.Set(symtree.UUIDPath(), "11111111-1111-4111-8111-111111111111")
		for j, other := range names {
			b.Set(symtree.IPPath(other), "10.0.0."+string(rune('1'+j)))
		}
		b.Mkdir(symtree.TodoGlobalDir())
		h.commit(&b)
		h.boot()
	}
	return list
}

func (h *simHost) store() *symtree.Store { return symtree.NewStore(h.FS(), symtree.AdmTemp) }

func (h *simHost) tree() *symtree.Tree {
	h.t.Helper()
	tree, _, err := h.store().Load()
	if err != nil {
		h.t.Fatal(err)
	}
	return tree
}

// commit writes links as marsadm does.
func (h *simHost) commit(b *symtree.Batch) {
	h.t.Helper()
	tree, markers, err := h.store().Load()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.store().CommitBatch(b, symtree.BatchStamp(h.Wall(), tree, markers)); err != nil {
		h.t.Fatal(err)
	}
}

// set writes links, pairs of path and value.
func (h *simHost) set(pairs ...string) {
	var b symtree.Batch
	for i := 0; i < len(pairs); i += 2 {
		b.Set(pairs[i], pairs[i+1])
	}
	h.commit(&b)
}

func (h *simHost) boot() {
	h.ready = false
	h.st = New(Config{
		Me: h.Host(), Env: h.Env(0), Executors: []env.Env{h.Env(0), h.Env(1)},
		Clock: lamport.New(lamport.DefaultFuture), Tunables: tunable.New(),
		Fatal: func(err error) { h.t.Error(err) },
		Ready: func() { h.ready = true },
	})
	h.Env(0).Post(h.st.Start)
}

// create makes resource r with this host as its primary.
func (h *simHost) create() {
	me := h.Host()
	var b symtree.Batch
	b.Set(symtree.SizePath("r"), symtree.FormatInt(diskSize))
	b.Set(symtree.DataPath("r", me), "/dev/d")
	b.Set(symtree.DevicePath("r", me), "r")
	for _, k := range []string{symtree.TodoAttach, symtree.TodoConnect, symtree.TodoSync, symtree.TodoAllowReplay} {
		b.Set(symtree.TodoPath("r", me, k), "1")
	}
	b.Set(symtree.SyncStatusPath("r", me), symtree.FormatInt(diskSize))
	b.Create(symtree.LogPath("r", 1, me))
	b.Set(symtree.VersionPath("r", 1, me), symtree.InitialVersion(1, me))
	b.Set(symtree.ReplayPath("r", me), symtree.ReplayLink{Number: 1, Origin: me}.String())
	b.Set(symtree.PrimaryPath("r"), me)
	h.commit(&b)
}

// join makes this host a member; p is the primary.
func (h *simHost) join(p string) {
	me, tree := h.Host(), h.tree()
	r, ok := tree.Replay("r", p)
	if !ok {
		h.t.Fatalf("no replay link of %s on %s", p, me)
	}
	var b symtree.Batch
	b.Set(symtree.DataPath("r", me), "/dev/d")
	b.Set(symtree.DevicePath("r", me), "r")
	for _, k := range []string{symtree.TodoAttach, symtree.TodoConnect, symtree.TodoSync, symtree.TodoAllowReplay} {
		b.Set(symtree.TodoPath("r", me, k), "1")
	}
	b.Set(symtree.SyncStatusPath("r", me), "0")
	b.Set(symtree.SyncFromPath("r", me), p)
	if r.Number > 1 {
		v, ok := tree.Value(symtree.VersionPath("r", r.Number-1, p))
		if !ok {
			h.t.Fatalf("no version link %d of %s", r.Number-1, p)
		}
		b.Set(symtree.VersionPath("r", r.Number-1, me), v)
	}
	b.Set(symtree.ReplayPath("r", me), symtree.ReplayLink{Number: r.Number, Origin: r.Origin}.String())
	h.commit(&b)
}

// wait runs the world until cond holds.
func wait(t *testing.T, w *simenv.World, what string, cond func() bool) {
	t.Helper()
	if err := w.Run(cond, 2*time.Minute); err != nil {
		t.Fatalf("waiting for %s at %v: %v", what, w.Now(), err)
	}
}

func (h *simHost) device() *simenv.SimDevice { return h.Device("r") }

// write writes one block and waits for its acknowledgement.
func (h *simHost) write(w *simenv.World, pos int64, fill byte) {
	h.t.Helper()
	done := false
	h.device().Write(pos, bytes.Repeat([]byte{fill}, 4096), false, func(err error) {
		if err != nil {
			h.t.Errorf("write at %d on %s: %v", pos, h.Host(), err)
		}
		done = true
	})
	wait(h.t, w, "a write", func() bool { return done })
}

func (h *simHost) actual(key, value string) func() bool {
	return func() bool {
		v, _ := h.tree().Value(symtree.ActualPath("r", h.Host(), key))
		return v == value
	}
}

func (h *simHost) content() []byte {
	p := make([]byte, diskSize)
	if _, err := h.Disk("/dev/d").ReadAt(p, 0); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// caughtUp tells whether the replay link of h is at the end of p's log.
func (h *simHost) caughtUp(p string) func() bool {
	return func() bool {
		tree := h.tree()
		mine, ok1 := tree.Replay("r", h.Host())
		v, ok2 := tree.Value(symtree.VersionPath("r", mine.Number, p))
		link, err := symtree.ParseVersion(v)
		status, _ := tree.Int(symtree.SyncStatusPath("r", h.Host()))
		if _, newer := tree.Value(symtree.VersionPath("r", mine.Number+1, p)); newer {
			return false
		}
		if v, ok := tree.Value(symtree.SyncPosPath("r", h.Host())); ok {
			if passed, err := symtree.ParseReplay(v); err != nil || mine.Compare(passed) < 0 {
				return false // the sync is over, but the disk is not consistent yet
			}
		}
		return ok1 && ok2 && err == nil && status == diskSize && mine.Pos == link.Pos && mine.Len == 0
	}
}

func TestSimPrimary(t *testing.T) {
	w := newWorld(t, 1)
	a := newHosts(t, w, "a")[0]
	w.RunFor(time.Second)
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	for i := range 20 {
		a.write(w, int64(i)*4096, byte(i+1))
	}
	// The log is rotated by making the next one.
	var b symtree.Batch
	b.Create(symtree.LogPath("r", 2, "a"))
	a.commit(&b)
	wait(t, w, "the version link of the next log", func() bool {
		_, ok := a.tree().Value(symtree.VersionPath("r", 2, "a"))
		return ok
	})
	a.write(w, 0, 99)
	// secondary
	a.set(symtree.PrimaryPath("r"), symtree.None)
	wait(t, w, "the end of the primary role", a.actual("is-primary", "0"))
	if got := a.content(); got[0] != 99 || got[4096] != 2 {
		t.Errorf("the disk holds %d and %d, want 99 and 2", got[0], got[4096])
	}
	r, _ := a.tree().Replay("r", "a")
	if r.Number != 2 || r.Len != 0 {
		t.Errorf("replay link %v, want log 2 and nothing dirty", r)
	}
	a.set(symtree.PrimaryPath("r"), "a")
	wait(t, w, "the device again", a.actual("is-primary", "1"))
	if _, ok := a.tree().Value(symtree.VersionPath("r", 3, "a")); !ok {
		t.Error("a primary went on with a log that it found")
	}
	stopped := false
	a.st.Stop(time.Second, func() { stopped = true })
	wait(t, w, "the daemon to stop", func() bool { return stopped })
}

// read reads one byte through the device.
func (h *simHost) read(w *simenv.World, pos int64) byte {
	h.t.Helper()
	buf := make([]byte, 512)
	done := false
	h.device().Read(pos, buf, func(err error) {
		if err != nil {
			h.t.Errorf("read at %d on %s: %v", pos, h.Host(), err)
		}
		done = true
	})
	wait(h.t, w, "a read", func() bool { return done })
	return buf[0]
}

// TestSimRestart: whatever a primary acknowledged is there after any end of
// the daemon or of the power, and a new log is used.
func TestSimRestart(t *testing.T) {
	for seed := uint64(1); seed <= 30; seed++ {
		w := newWorld(t, seed)
		a := newHosts(t, w, "a")[0]
		w.RunFor(time.Second)
		a.create()
		wait(t, w, "the device", func() bool { return a.device() != nil })
		for round := byte(1); round <= 4; round++ {
			for i := range int64(5 + seed%7) {
				a.write(w, i*4096, round)
			}
			w.RunFor(time.Duration(seed%5) * 300 * time.Millisecond)
			switch models := simenv.Models(); round % 2 {
			case 0:
				a.Kill()
			default:
				a.Crash(models[int(seed+uint64(round))%len(models)])
			}
			a.Start()
			a.boot()
			wait(t, w, "the device after a restart", func() bool { return a.ready && a.device() != nil && a.actual("device-r", "1")() })
			for i := range int64(5 + seed%7) {
				if got := a.read(w, i*4096); got != round {
					t.Fatalf("seed %d, round %d: block %d holds %d", seed, round, i, got)
				}
			}
		}
		w.Close()
	}
}

// TestSimReplicate: a second host joins while the first writes, follows it
// over a rotation, takes over, and the first one follows then.
func TestSimReplicate(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		w := newWorld(t, seed)
		hosts := newHosts(t, w, "a", "b")
		a, b := hosts[0], hosts[1]
		w.RunFor(time.Second)
		a.create()
		wait(t, w, "the device", func() bool { return a.device() != nil })
		for i := range int64(30) {
			a.write(w, i*8192, byte(i+1))
		}
		wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
		b.join("a")
		for i := range int64(30) {
			a.write(w, i*4096, byte(i+100))
		}
		wait(t, w, "b to catch up", b.caughtUp("a"))
		var batch symtree.Batch
		batch.Create(symtree.LogPath("r", 2, "a"))
		a.commit(&batch)
		for i := range int64(30) {
			a.write(w, i*12288, byte(i+50))
			w.RunFor(50 * time.Millisecond)
		}
		wait(t, w, "log 2 to be current", func() bool { r, _ := b.tree().Replay("r", "b"); return r.Number == 2 })
		wait(t, w, "b to catch up", b.caughtUp("a"))
		a.set(symtree.PrimaryPath("r"), symtree.None)
		wait(t, w, "a to give up the role", a.actual("is-primary", "0"))
		wait(t, w, "b to catch up", b.caughtUp("a"))
		if !bytes.Equal(a.content(), b.content()) {
			t.Fatalf("seed %d: the disks differ at rest", seed)
		}
		wait(t, w, "b to hear that", func() bool { return b.tree().Primary("r") == "" })
		b.set(symtree.PrimaryPath("r"), "b")
		wait(t, w, "b to be primary", b.actual("is-primary", "1"))
		for i := range int64(30) {
			b.write(w, i*16384, byte(i+200))
		}
		wait(t, w, "a to catch up", a.caughtUp("b"))
		b.set(symtree.PrimaryPath("r"), symtree.None)
		wait(t, w, "b to give up the role", b.actual("is-primary", "0"))
		wait(t, w, "a to catch up", a.caughtUp("b"))
		if !bytes.Equal(a.content(), b.content()) {
			t.Fatalf("seed %d: the disks differ after the handover", seed)
		}
		w.Close()
	}
}

// TestSimDiskFlushFails: a secondary whose disk fails to flush opens it anew
// and ends identical; what it applied in between counts for nothing.
func TestSimDiskFlushFails(t *testing.T) {
	w := newWorld(t, 7)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	w.RunFor(time.Second)
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
	b.join("a")
	wait(t, w, "b to catch up", b.caughtUp("a"))
	b.Disk("/dev/d").Fail(simenv.FailNth(env.Sync, 1, env.ErrShort))
	for i := range int64(20) {
		a.write(w, i*8192, byte(i+1))
	}
	wait(t, w, "the fault", func() bool { return b.Disk("/dev/d").Faults() > 0 })
	b.Disk("/dev/d").Fail(nil)
	for i := range int64(20) {
		a.write(w, i*4096, byte(i+100))
	}
	wait(t, w, "b to catch up", b.caughtUp("a"))
	a.set(symtree.PrimaryPath("r"), symtree.None)
	wait(t, w, "a to give up the role", a.actual("is-primary", "0"))
	wait(t, w, "b to catch up", b.caughtUp("a"))
	if !bytes.Equal(a.content(), b.content()) {
		t.Fatal("the disks differ")
	}
}

// TestSimLife: a host that comes back from a power cut at once finds the others
// listening, although they have had no word of the end of the old connections.
func TestSimLife(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		w := newWorld(t, seed)
		hosts := newHosts(t, w, "a", "b")
		a, b := hosts[0], hosts[1]
		w.RunFor(time.Second)
		b.Crash(simenv.Models()[0])
		b.Start()
		b.boot()
		wait(t, w, "b to be ready", func() bool { return b.ready })
		at := w.Now()
		b.set("userspace/b", "back")
		wait(t, w, "a to hear of it", func() bool { v, _ := a.tree().Value("userspace/b"); return v == "back" })
		if took := w.Now() - at; took > time.Second {
			t.Errorf("seed %d: a heard of it after %v", seed, took)
		}
		w.Close()
	}
}

// TestSimDirectoryMadeAgain: a directory of the tree is removed and made again
// so fast that nobody sees it missing: links in the new one are noticed at once,
// not at the next look at the whole tree.
func TestSimDirectoryMadeAgain(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		w := newWorld(t, seed)
		hosts := newHosts(t, w, "a", "b")
		a, b := hosts[0], hosts[1]
		w.RunFor(time.Second)
		a.set("userspace/x/k", "1")
		heard := func(v string) func() bool {
			return func() bool { got, _ := b.tree().Value("userspace/x/k"); return got == v }
		}
		wait(t, w, "b to hear of it", heard("1"))
		for i := range 5 {
			for _, err := range []error{a.FS().Remove("userspace/x/k"), a.FS().Remove("userspace/x")} {
				if err != nil {
					t.Fatal(err)
				}
			}
			w.RunFor(time.Duration(w.Intn(3)) * time.Millisecond)
			if err := a.FS().Mkdir("userspace/x"); err != nil {
				t.Fatal(err)
			}
			w.RunFor(time.Duration(w.Intn(10)) * time.Millisecond)
			v := strconv.Itoa(i + 2)
			a.set("userspace/x/k", v)
			w.RunFor(3 * time.Second)
			if !heard(v)() {
				t.Fatalf("seed %d: b has not heard of link %s, made on a 3 s ago", seed, v)
			}
		}
		w.Close()
	}
}

// TestSimRoleFlaps: a role that comes back while it is being given up is taken
// again, whenever that happens: the device returns and serves.
func TestSimRoleFlaps(t *testing.T) {
	w := newWorld(t, 3)
	a := newHosts(t, w, "a")[0]
	w.RunFor(time.Second)
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	for i := range 120 {
		a.write(w, int64(i%64)*4096, byte(i+1))
		a.set(symtree.PrimaryPath("r"), symtree.None)
		w.RunFor(time.Duration(i) * 500 * time.Microsecond)
		a.set(symtree.PrimaryPath("r"), "a")
		wait(t, w, "the role to be taken again", func() bool {
			return a.device() != nil && a.actual("is-primary", "1")() && a.actual("device-r", "1")() && a.tree().Primary("r") == "a"
		})
		w.RunFor(100 * time.Millisecond)
		wait(t, w, "the device to be there still", func() bool { return a.device() != nil && !a.device().Gone() })
		if got := a.read(w, int64(i%64)*4096); got != byte(i+1) {
			t.Fatalf("after %d flaps: block %d holds %d", i, i%64, got)
		}
	}
}
