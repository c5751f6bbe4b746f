package copy_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"mars/bricks/aio"
	"mars/bricks/check"
	"mars/bricks/client"
	"mars/bricks/copy"
	"mars/bricks/server"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
	"mars/infra/wire"
)

const uuid = "00000000-0000-4000-8000-000000000001"

// rig is a host a, that serves a disk and a log, and a host b, that copies.
type rig struct {
	t    *testing.T
	w    *simenv.World
	a, b *simenv.Node
	size int64

	// On a.
	ga      brick.Graph
	srv     *server.Server
	writer  *consumer
	journal []change // what was written to a's disk
	writing []change // of that, what is in flight
	ready   bool
	logs    logs
	logFile env.File
	log     []byte // content of a's log, durable or not

	// On b, since its last start.
	gb     *brick.Graph
	client *client.Client
	target *aio.AIO
	guard  *check.Check
	sync   *copy.Sync
	follow *copy.Follow
	watch  bool // nothing may be written any more
	total  int

	told    int64 // last durable position that was told
	errs    []error
	sides   []copy.Side
	done    int
	doneErr error
	stopped int
	onGrow  func()
	slow    func(n int64) time.Duration
	timeout time.Duration
}

type change struct {
	pos  int64
	data []byte
}

type consumer struct{ *brick.Brick }

func (c *consumer) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

// logs is what a trans_logger would know of its one log.
type logs struct {
	end   int64
	final bool
	waits []*wait
}

type wait struct {
	beyond int64
	fn     func()
}

func (l *logs) End(number int, origin string) (int64, bool, bool) {
	return l.end, l.final, number == 1 && origin == "a"
}

func (l *logs) Wait(_ int, _ string, beyond int64, fn func()) func() {
	w := &wait{beyond, fn}
	l.waits = append(l.waits, w)
	return func() { w.fn = nil }
}

func (l *logs) grow(end int64) {
	l.end = end
	list := l.waits
	l.waits = nil
	for _, w := range list {
		switch {
		case w.fn == nil:
		case end > w.beyond || l.final:
			w.fn()
		default:
			l.waits = append(l.waits, w)
		}
	}
}

func newRig(t *testing.T, seed uint64, size int64) *rig {
	t.Helper()
	r := &rig{t: t, w: simenv.New(seed, simenv.Options{CheckMemory: true}), size: size, ready: true, timeout: 30 * time.Second}
	t.Cleanup(r.w.Close)
	r.a = r.w.AddNode("a", "10.0.0.1", simenv.NodeOptions{Cluster: uuid})
	r.b = r.w.AddNode("b", "10.0.0.2", simenv.NodeOptions{Cluster: uuid})
	r.a.AddDisk("/dev/a", size)
	r.b.AddDisk("/dev/b", size)
	for _, n := range r.w.Nodes() {
		r.must(n.FS().Mkdir(symtree.ResourceDir("res")))
	}
	r.b.SyncAll()
	r.buildA()
	r.w.After(func() {
		if r.guard == nil {
			return
		}
		if n := r.guard.Total(); r.watch && n != r.total {
			t.Error("something was done at the target after the end")
			r.watch = false
		}
	})
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) until(fn func() bool) {
	r.t.Helper()
	if err := r.w.Run(fn, time.Hour); err != nil {
		r.t.Fatal(err, r.errs)
	}
}

func (r *rig) buildA() {
	e := r.a.Env(1)
	disk, err := aio.NewDisk(&r.ga, e, "disk", "/dev/a")
	r.must(err)
	r.srv, err = server.New(&r.ga, e, "server", server.Params{Resource: "res", Logs: &r.logs,
		Ready:  func() wire.SyncState { return wire.SyncState{Size: r.size, Ready: r.ready} },
		Member: func(string, string) bool { return true }})
	r.must(err)
	r.writer = &consumer{}
	r.writer.Brick, err = r.ga.Add(&brick.Type{Name: "writer", Inputs: 1}, "writer", "writer", r.writer)
	r.must(err)
	r.must(brick.Connect(r.srv.Input(0), disk.Output(0)))
	r.must(brick.Connect(r.writer.Input(0), disk.Output(0)))
	r.until(func() bool { return r.ga.SwitchAll(true) })
	rec := &server.Reception{Own: hello("a"), Find: func(string, string, wire.Type) (*server.Server, error) { return r.srv, nil }}
	for port, purpose := range []wire.Purpose{env.PortLog: wire.ForLog, env.PortSync: wire.ForSync} {
		if purpose != 0 {
			_, err := r.a.Env(0).Net().Listen(port, func(env.Conn) env.ConnHandler { return rec.Receive(purpose) })
			r.must(err)
		}
	}
	e.Files().OpenFile(symtree.LogPath("res", 1, "a"), env.OpenMode{Create: true, Write: true, Buffered: true}, func(f env.File, err error) {
		r.must(err)
		r.logFile = f
	})
	r.until(func() bool { return r.logFile != nil })
}

func hello(host string) func() wire.Hello {
	return func() wire.Hello {
		return wire.Hello{ProtoMin: wire.ProtoMin, ProtoMax: wire.ProtoMax, ClusterUUID: uuid, Host: host, Stamp: 1}
	}
}

// random fills with something that compresses to nothing known.
func (r *rig) random(n int64) []byte {
	b := make([]byte, n)
	for i := range b {
		if i%8 == 0 && i+8 <= len(b) {
			x := r.w.Rand()
			for k := range 8 {
				b[i+k] = byte(x >> (8 * k))
			}
		}
	}
	return b
}

// fill gives a's disk random content, b's the same.
func (r *rig) fill() {
	d := r.random(r.size)
	_, err := r.a.Disk("/dev/a").WriteAt(d, 0)
	r.must(err)
	_, err = r.b.Disk("/dev/b").WriteAt(d, 0)
	r.must(err)
}

// scribble changes b's disk.
func (r *rig) scribble(pos, n int64) {
	_, err := r.b.Disk("/dev/b").WriteAt(bytes.Repeat([]byte{0x55}, int(n)), pos)
	r.must(err)
}

// write is a write at the primary: into the journal, then to its disk. As below
// a trans_logger, no two that overlap are in flight.
func (r *rig) write(pos int64, data []byte) {
	r.until(func() bool {
		return !slices.ContainsFunc(r.writing, func(c change) bool {
			return pos < c.pos+int64(len(c.data)) && c.pos < pos+int64(len(data))
		})
	})
	r.writing = append(r.writing, change{pos, data})
	r.journal = append(r.journal, change{pos, data})
	buf := r.a.Env(1).Alloc(len(data))
	_ = append(buf[:0], data...)
	m := &block.Mref{Op: block.Write, Pos: pos, Len: int64(len(data)), Data: buf}
	block.Start(r.writer.Input(0), m, block.CompletionFunc(func(m *block.Mref, err error) {
		r.must(err)
		r.a.Env(1).Free(buf)
		r.writing = slices.DeleteFunc(r.writing, func(c change) bool { return c.pos == pos })
	}))
}

// buildB makes what copies, on what b's storage holds now.
func (r *rig) buildB(follow bool) {
	r.t.Helper()
	e := r.b.Env(0)
	r.gb = &brick.Graph{}
	r.sync, r.follow, r.watch = nil, nil, false
	p := client.Params{Endpoints: []env.Endpoint{{Host: "a", Addr: "10.0.0.1"}}, Hello: hello("b"), Timeout: r.timeout}
	cp := copy.Params{
		OnError:   func(side copy.Side, err error) { r.errs, r.sides = append(r.errs, err), append(r.sides, side) },
		OnDone:    func(err error) { r.done, r.doneErr = r.done+1, err; r.ended() },
		OnStopped: func() { r.stopped++; r.ended() },
		Abort:     func() { r.client.Abort() },
	}
	if r.slow != nil {
		cp.Throttle = r.slow
	}
	var b *brick.Brick
	var err error
	if follow {
		r.client, err = client.NewLog(r.gb, e, "client", p, "res", 1, "a")
		r.must(err)
		r.target, err = aio.NewFile(r.gb, e, "target", symtree.LogPath("res", 1, "a"), env.OpenMode{Create: true, Write: true, Buffered: true})
		r.must(err)
		r.follow, err = copy.NewFollow(r.gb, e, "copy", copy.FollowParams{Params: cp, OnGrow: r.tell})
		r.must(err)
		b = r.follow.Brick
	} else {
		r.client, err = client.NewData(r.gb, e, "client", p, "res")
		r.must(err)
		r.target, err = aio.NewDisk(r.gb, e, "target", "/dev/b")
		r.must(err)
		r.sync, err = copy.NewSync(r.gb, e, "copy", copy.SyncParams{Params: cp, OnProgress: r.tell})
		r.must(err)
		b = r.sync.Brick
	}
	r.guard, err = check.New(r.gb, "guard", check.Options{NoOverlap: true, Stable: true, MayGrow: follow}, func(s string) { r.t.Error(s) })
	r.must(err)
	r.must(brick.Connect(r.guard.Input(0), r.target.Output(0)))
	r.must(brick.Connect(b.Input(0), r.client.Output(0)))
	r.must(brick.Connect(b.Input(1), r.guard.Output(0)))
	r.until(func() bool { return r.gb.SwitchAll(true) })
}

func (r *rig) tell(pos int64) {
	if pos <= r.told {
		r.t.Errorf("told %d after %d", pos, r.told)
	}
	r.told = pos
	if r.onGrow != nil {
		r.onGrow()
	}
}

func (r *rig) ended() { r.watch, r.total = true, r.guard.Total() }

func (r *rig) startSync(from, to int64, fast bool) {
	r.t.Helper()
	r.watch = false
	r.must(r.sync.Start(from, to, fast))
}

// finish waits for the end of the copy.
func (r *rig) finish() {
	r.t.Helper()
	n := r.done
	r.until(func() bool { return r.done > n })
	r.must(r.doneErr)
}

func (r *rig) stop() {
	r.t.Helper()
	n := r.done + r.stopped
	if r.sync != nil && r.sync.Running() {
		r.sync.Stop()
	} else if r.follow != nil && r.follow.Running() {
		r.follow.Stop()
	} else {
		return
	}
	r.until(func() bool { return r.done+r.stopped > n })
}

// compare replays the journal on b and expects it equal to a.
func (r *rig) compare(from, to int64) {
	r.t.Helper()
	a, b := make([]byte, r.size), make([]byte, r.size)
	_, err := r.a.Disk("/dev/a").ReadAt(a, 0)
	r.must(err)
	_, err = r.b.Disk("/dev/b").ReadAt(b, 0)
	r.must(err)
	for _, c := range r.journal {
		_ = append(b[:c.pos], c.data...)
	}
	if !bytes.Equal(a[from:to], b[from:to]) {
		for i := from; i < to; i++ {
			if a[i] != b[i] {
				r.t.Fatalf("disks differ at %d", i)
			}
		}
	}
}

// off switches everything off and finds nothing left.
func (r *rig) off() {
	r.t.Helper()
	r.until(func() bool { return r.gb.SwitchAll(false) })
	r.until(func() bool { return r.ga.SwitchAll(false) })
	r.w.RunFor(time.Minute)
	if n := r.w.Connections(); n != 0 {
		r.t.Fatalf("%d connections left", n)
	}
}

// many is how many seeds are run of n: with the race detector (-short) fewer, for
// a simulation is one goroutine at a time.
func many(n uint64) uint64 {
	if testing.Short() {
		return (n + 4) / 5
	}
	return n
}
