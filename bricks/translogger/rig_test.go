package translogger

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"mars/bricks/aio"
	"mars/bricks/check"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/translog"
)

const diskPath = "/dev/vdb"

var envWrite = env.OpenMode{Create: true, Write: true}

// top is the test's own brick above the logger.
type top struct{ *brick.Brick }

func (c *top) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

// rig is a node with a disk, a logger and its logs.
type rig struct {
	t    testing.TB
	w    *simenv.World
	n    *simenv.Node
	e    env.Env
	g    brick.Graph
	disk *aio.AIO
	lg   *Logger
	top  *top
	dev  *simenv.Disk
	or   *oracle

	logs   []translog.Identity // all of them, by number - 1
	bricks map[int]*logBricks  // by input
	inputs int

	positions []Info
	ends      map[int]int64
	released  []int
	logErrs   []LogError
	healed    int
	diskErrs  int
	finals    int
	results   []ReplayResult
	ack       bool // acknowledge publications of a replay
	onPos     func(Info)

	fly    int
	failed []error
	pool   block.Pool
	clock  int64

	opening bool
	serial  uint64 // of the last publication of this life
}

type logBricks struct {
	file  *aio.AIO
	check *check.Check
	num   int
}

func newRig(t testing.TB, seed uint64, size int64, opt simenv.NodeOptions, change func(*Tuning)) *rig {
	t.Helper()
	r := &rig{t: t, w: simenv.New(seed, simenv.Options{CheckMemory: true}), bricks: map[int]*logBricks{}, ends: map[int]int64{}, ack: true}
	r.n = r.w.AddNode("a", "10.0.0.1", opt)
	r.dev = r.n.AddDisk(diskPath, size)
	r.or = newOracle(size)
	r.boot(change)
	return r
}

// boot makes the bricks, all but the logs, on the node's present life.
func (r *rig) boot(change func(*Tuning)) {
	t := r.t
	t.Helper()
	r.g, r.e, r.serial = brick.Graph{}, r.n.Env(0), 0
	var err error
	r.disk, err = aio.NewDisk(&r.g, r.e, "disk", diskPath)
	r.must(err)
	low, err := check.New(&r.g, "below", check.Options{NoOverlap: true, Stable: true}, func(s string) { t.Error(s) })
	r.must(err)
	tune := DefaultTuning()
	tune.MemLimit = 4 << 20
	if change != nil {
		change(&tune)
	}
	r.lg, err = New(&r.g, r.e, "logger", Config{Now: r.stamp, Tuning: tune, Events: r.events()})
	r.must(err)
	high, err := check.New(&r.g, "above", check.Options{}, func(s string) { t.Error(s) })
	r.must(err)
	r.top = &top{}
	r.top.Brick, err = r.g.Add(&brick.Type{Name: "top", Inputs: 1}, "top", "top", r.top)
	r.must(err)
	r.must(brick.Connect(low.Input(0), r.disk.Output(0)))
	r.must(brick.Connect(r.lg.Input(InputDisk), low.Output(0)))
	r.must(brick.Connect(high.Input(0), r.lg.Output(0)))
	r.must(brick.Connect(r.top.Input(0), high.Output(0)))
	r.must(r.disk.Press(true))
	r.wait("disk on", r.disk.On)
	r.must(low.Press(true))
}

func (r *rig) stamp() translog.Stamp {
	r.clock++
	return translog.Stamp{Sec: 1000, Nsec: r.clock}
}

func (r *rig) events() Events {
	return Events{
		OnDurable: func(number int, end int64) {
			if end < r.ends[number] {
				r.t.Errorf("durable end of log %d went back from %d to %d", number, r.ends[number], end)
			}
			r.ends[number] = end
		},
		OnPosition: func(i Info) {
			r.checkPosition(i)
			r.positions = append(r.positions, i)
			if r.onPos != nil {
				r.onPos(i)
			}
			if r.ack {
				r.lg.PositionDurable(i.Serial)
			}
		},
		OnLogReleased: func(input int) { r.released = append(r.released, input) },
		OnLogError:    func(e LogError) { r.logErrs = append(r.logErrs, e) },
		OnDiskError: func(err error, final bool) {
			r.diskErrs++
			if final {
				r.finals++
			}
		},
		OnDiskRewritten: func() { r.disk.Renew() },
		OnDiskHealed:    func() { r.healed++ },
		OnReplayEnd:     func(res ReplayResult) { r.results = append(r.results, res) },
	}
}

// checkPosition holds what is true of every publication.
func (r *rig) checkPosition(i Info) {
	if i.Min > i.Max || i.Max > i.LogPos || i.Min < 0 {
		r.t.Errorf("impossible position %+v", i)
	}
	if i.Serial <= r.serial {
		r.t.Errorf("serial %d after %d", i.Serial, r.serial)
	}
	r.serial = i.Serial
	if n := len(r.positions); n > 0 {
		last := r.positions[n-1]
		if i.Number < last.Number || i.Number == last.Number && i.Min < last.Min {
			r.t.Errorf("position went back: %+v after %+v", i, last)
		}
	}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) wait(what string, cond func() bool) {
	r.t.Helper()
	if err := r.w.Run(cond, 100*time.Second); err != nil {
		r.t.Fatalf("waiting for %s: %v (%s)", what, err, r.state())
	}
}

func (r *rig) state() string {
	l := r.lg
	if l == nil {
		return ""
	}
	s := fmt.Sprintf("head %v unapp %v bytes %d last %d acked %d eligible %d done %d dirty %d sweep %d writes %d subs %d reads %d used %d bypass %v stopping %v pub %v frozen %v",
		l.head != nil, l.unapp != nil, l.unappBytes, l.lastSeq, l.acked, l.eligible, l.doneSeq, l.dirty.n, l.sweep.left(), l.writes, l.subs, l.reads, l.buf.used, l.bypass, l.stopping, l.pub.busy, l.frozen)
	for _, g := range []*logFile{l.old, l.cur, l.next} {
		if g != nil {
			s += fmt.Sprintf(" | log %d in %d fly %d append %d durable %d min %d max %d failed %v closing %v closed %v ctl %v",
				g.id.Number, g.input, g.inFlight, g.appendPos, g.durable, g.min, g.max, g.failed, g.closing, g.closed, g.ctlBusy)
		}
	}
	return s
}

// addLog makes the next log at an input, switched on.
func (r *rig) addLog(input int) translog.Identity {
	r.t.Helper()
	num := len(r.logs) + 1
	id := translog.Identity{Resource: "r", Number: num, Origin: "a", Nonce: [16]byte{1, byte(num)}}
	r.connect(input, id.Name(), num, env.OpenMode{Create: true, Write: true})
	r.logs = append(r.logs, id)
	return id
}

// connect opens a log file at an input.
func (r *rig) connect(input int, name string, num int, mode env.OpenMode) {
	r.t.Helper()
	r.disconnect(input)
	path := fmt.Sprintf("%s#%d", name, r.inputs)
	r.inputs++
	f, err := aio.NewFile(&r.g, r.e, path, name, mode)
	r.must(err)
	c, err := check.New(&r.g, path+"-check", check.Options{NoOverlap: true, Stable: true, MayGrow: true}, func(s string) { r.t.Error(s) })
	r.must(err)
	r.must(brick.Connect(c.Input(0), f.Output(0)))
	r.must(f.Press(true))
	r.wait("log on", f.On)
	r.must(c.Press(true))
	r.must(brick.Connect(r.lg.Input(input), c.Output(0)))
	r.bricks[input] = &logBricks{f, c, num}
}

func (r *rig) disconnect(input int) {
	r.t.Helper()
	b := r.bricks[input]
	if b == nil {
		return
	}
	delete(r.bricks, input)
	brick.Disconnect(r.lg.Input(input))
	r.must(b.check.Press(false))
	r.must(b.file.Press(false))
	r.wait("log off", b.file.Off)
	r.must(r.g.Remove(b.check.Brick))
	r.must(r.g.Remove(b.file.Brick))
}

// start switches the logger on with a first log.
func (r *rig) start() {
	r.t.Helper()
	id := r.addLog(InputLog1)
	r.must(r.lg.StartLog(InputLog1, id))
	r.on()
}

func (r *rig) on() {
	r.t.Helper()
	r.must(r.lg.Press(true))
	if !r.lg.On() {
		r.t.Fatal("logger is not on")
	}
	r.must(r.g.Find("above").Press(true))
	r.must(r.top.Press(true))
}

// rotate gives the logger its next log if it can take one.
func (r *rig) rotate() bool {
	r.t.Helper()
	if r.lg.old != nil || r.lg.next != nil {
		return false
	}
	input := InputLog1
	if r.lg.cur != nil {
		input = 3 - r.lg.cur.input
	}
	id := r.addLog(input)
	r.must(r.lg.SetNextLog(input, id))
	return true
}

// off switches everything off.
func (r *rig) off() {
	r.t.Helper()
	r.must(r.top.Press(false))
	r.must(r.g.Find("above").Press(false))
	r.must(r.lg.Press(false))
	r.wait("logger off", r.lg.Off)
	for _, in := range []int{InputLog1, InputLog2} {
		r.disconnect(in)
	}
	r.must(r.g.Find("below").Press(false))
	r.must(r.disk.Press(false))
	r.wait("disk off", r.disk.Off)
	if n := r.n.Allocated(); n != 0 {
		r.t.Errorf("%d bytes are not given back", n)
	}
	if r.fly != 0 || r.pool.Out() != 0 {
		r.t.Errorf("%d requests in flight, %d not put", r.fly, r.pool.Out())
	}
}

// do starts a request; done is told.
func (r *rig) do(op block.Op, pos, n int64, fua bool, done func(m *block.Mref, err error)) *block.Mref {
	m := r.pool.New()
	m.Op, m.Pos, m.Len, m.FUA = op, pos, n, fua
	if op == block.Write || op == block.Read {
		m.Data = r.e.Alloc(int(n))
	}
	data := m.Data
	ops := block.OpsOf(r.top.Input(0))
	if err := ops.Get(m); err != nil {
		r.t.Fatalf("get %s of %d at %d: %v", op, n, pos, err)
	}
	r.fly++
	mark := 0
	var was map[int64]uint32
	switch {
	case op.IsWrite():
		mark = r.or.submit(m)
	case op == block.Flush:
		was = maps.Clone(r.or.waits)
	}
	id := r.or.next
	m.Push(block.CompletionFunc(func(m *block.Mref, err error) {
		r.fly--
		if err != nil {
			r.failed = append(r.failed, err)
		} else if mark > 0 && (m.FUA || r.lg.tune.Semantics == 2) {
			r.or.answered(mark)
		}
		if err == nil {
			r.or.flushedAll(was)
			if op == block.Write {
				r.or.done(m, id)
			}
		}
		if done != nil {
			done(m, err)
		}
		ops.Put(m)
		r.e.Free(data)
		r.pool.Put(m)
	}))
	ops.IO(m)
	return m
}

// sync waits until nothing is in flight above the logger.
func (r *rig) sync() {
	r.t.Helper()
	r.wait("requests", func() bool { return r.fly == 0 })
	if len(r.failed) > 0 {
		r.t.Fatalf("requests failed: %v", errors.Join(r.failed...))
	}
}

// readBack reads the whole device through the logger and compares.
func (r *rig) readBack() {
	r.t.Helper()
	got := make([]byte, r.or.size)
	const step = 256 << 10
	for pos := int64(0); pos < r.or.size; pos += step {
		n := min(step, r.or.size-pos)
		r.do(block.Read, pos, n, false, func(m *block.Mref, err error) { copy(got[m.Pos:], m.Data[:m.Len]) })
	}
	r.sync()
	if err := r.or.isNow(got); err != nil {
		r.t.Fatalf("through the logger: %v", err)
	}
}

// raw compares the disk itself.
func (r *rig) raw() {
	r.t.Helper()
	b, err := readAll(r.dev, r.or.size)
	r.must(err)
	if err := r.or.isNow(b); err != nil {
		r.t.Fatalf("on the disk: %v", err)
	}
}

// last is the position published last.
func (r *rig) last() (Info, bool) {
	if len(r.positions) == 0 {
		return Info{}, false
	}
	return r.positions[len(r.positions)-1], true
}

// fileAt reads a log of a file system.
type fileAt struct {
	fs   env.FS
	name string
}

func (f fileAt) ReadAt(p []byte, off int64) (int, error) { return f.fs.ReadAt(f.name, p, off) }

// storage is what a disk of an image and one of a node have in common.
type storage interface {
	io.ReaderAt
	io.WriterAt
}

// recoverAll replays all logs of a file system from a position on.
func (r *rig) recoverAll(fs env.FS, d storage, from Info) error {
	num, start := 1, int64(0)
	if from.Number > 0 {
		num, start = from.Number, from.Min
	}
	for ; num <= len(r.logs); num++ {
		name := r.logs[num-1].Name()
		fi, err := fs.Lstat(name)
		if errors.Is(err, env.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		sum, err := Recover(d, r.or.size, fileAt{fs, name}, fi.Size, translog.Options{Identity: r.logs[num-1], Start: start, Published: start})
		if err != nil {
			return fmt.Errorf("log %d from %d: %+v: %w", num, start, sum, err)
		}
		start = 0
	}
	return nil
}

// crashCheck takes an image as a power cut now would leave it, recovers it
// and compares with the oracle.
func (r *rig) crashCheck(model simenv.CrashModel) {
	r.t.Helper()
	from, _ := r.last()
	r.crashCheckFrom(from, model, r.or.must)
}

// crashCheckFrom is crashCheck with at least so many pieces.
func (r *rig) crashCheckFrom(from Info, model simenv.CrashModel, least int) {
	r.t.Helper()
	img := r.n.CrashImage(r.w.Rand(), model)
	d := img.Disk(diskPath)
	if err := r.recoverAll(img.FS(), d, from); err != nil {
		r.t.Fatalf("%v: recovery from %+v: %v", model, from, err)
	}
	b, err := readAll(d, r.or.size)
	r.must(err)
	if _, err := r.or.prefix(b, least); err != nil {
		r.t.Fatalf("%v: recovered from %+v: %v\n%s", model, from, err, r.state())
	}
}

// rotateLater rotates without waiting: the log is opened by and by.
func (r *rig) rotateLater() {
	l := r.lg
	if l.old != nil || l.next != nil || l.stopping || !l.On() || r.opening {
		return
	}
	input := InputLog1
	if l.cur != nil {
		input = 3 - l.cur.input
	}
	r.opening = true
	num := len(r.logs) + 1
	id := translog.Identity{Resource: "r", Number: num, Origin: "a", Nonce: [16]byte{1, byte(num), byte(num >> 8)}}
	r.logs = append(r.logs, id)
	if b := r.bricks[input]; b != nil {
		brick.Disconnect(l.Input(input))
		delete(r.bricks, input)
		r.must(b.check.Press(false))
		r.must(b.file.Press(false))
	}
	path := fmt.Sprintf("%s#%d", id.Name(), r.inputs)
	r.inputs++
	f, err := aio.NewFile(&r.g, r.e, path, id.Name(), env.OpenMode{Create: true, Write: true})
	r.must(err)
	c, err := check.New(&r.g, path+"-check", check.Options{NoOverlap: true, Stable: true, MayGrow: true}, func(s string) { r.t.Error(s) })
	r.must(err)
	r.must(brick.Connect(c.Input(0), f.Output(0)))
	f.OnLED(func() {
		if !f.On() || !r.opening {
			return
		}
		r.opening = false
		r.must(c.Press(true))
		r.must(brick.Connect(l.Input(input), c.Output(0)))
		r.bricks[input] = &logBricks{f, c, num}
		r.must(l.SetNextLog(input, id))
	})
	r.must(f.Press(true))
}

func (r *rig) diskFinals() []int { return make([]int, r.finals) }
