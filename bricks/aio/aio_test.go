package aio

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

// world is just enough of an environment: one file, whose IO is done when the
// test says so.
type world struct {
	env.Env
	data    []byte
	direct  bool
	openErr error
	opens   []func()
	ios     []*env.IO
	closes  []func()
	kinds   []env.Kind
	fail    map[env.Kind]error
}

func (w *world) Files() env.Files { return w }

func (w *world) OpenFile(_ string, _ env.OpenMode, done func(env.File, error)) {
	w.opens = append(w.opens, func() {
		if w.openErr != nil {
			done(nil, w.openErr)
			return
		}
		done(w, nil)
	})
}

func (w *world) OpenDisk(name string, done func(env.File, error)) {
	w.OpenFile(name, env.OpenMode{}, done)
}

func (w *world) Submit(io *env.IO) { w.ios = append(w.ios, io); w.kinds = append(w.kinds, io.Kind) }
func (w *world) Align() int        { return 512 }
func (w *world) Direct() bool      { return w.direct }
func (w *world) Size() int64       { return int64(len(w.data)) }
func (w *world) Close(done func()) { w.closes = append(w.closes, done) }
func run(list *[]func())           { l := *list; *list = nil; each(l) }
func each(l []func()) {
	for _, f := range l {
		f()
	}
}
func (w *world) grow(n int64) {
	for int64(len(w.data)) < n {
		w.data = append(w.data, 0)
	}
}
func (w *world) pending() int { return len(w.ios) }

// step does the oldest IO.
func (w *world) step() {
	io := w.ios[0]
	w.ios = w.ios[1:]
	if io.Err = w.fail[io.Kind]; io.Err != nil {
		io.Done(io)
		return
	}
	switch io.Kind {
	case env.Read:
		if io.Off < int64(len(w.data)) {
			io.N = copy(io.Buf, w.data[io.Off:])
		}
	case env.Write:
		vec := io.Vec
		if vec == nil {
			vec = [][]byte{io.Buf}
		}
		off := io.Off
		for _, v := range vec {
			w.grow(off + int64(len(v)))
			off += int64(copy(w.data[off:], v))
		}
		io.N = int(off - io.Off)
	case env.Zero:
		clear(w.data[io.Off:][:io.Len])
	case env.Truncate:
		w.data = w.data[:io.Off]
	}
	io.Done(io)
}

type consumer struct{ *brick.Brick }

func (c *consumer) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

type rig struct {
	t    *testing.T
	w    *world
	g    brick.Graph
	a    *AIO
	top  *consumer
	done int
	err  error
}

func newRig(t *testing.T, disk bool) *rig {
	t.Helper()
	r := &rig{t: t, w: &world{data: make([]byte, 8192), direct: true, fail: map[env.Kind]error{}}, top: &consumer{}}
	var err error
	if disk {
		r.a, err = NewDisk(&r.g, r.w, "disk", "/dev/x")
	} else {
		r.a, err = NewFile(&r.g, r.w, "file", "log", env.OpenMode{Write: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.top.Brick, err = r.g.Add(&brick.Type{Name: "top", Inputs: 1}, "top", "top", r.top); err != nil {
		t.Fatal(err)
	}
	if err = brick.Connect(r.top.Input(0), r.a.Output(0)); err != nil {
		t.Fatal(err)
	}
	if err = r.a.Press(true); err != nil {
		t.Fatal(err)
	}
	if r.a.On() || r.a.Off() {
		t.Fatal("not starting")
	}
	run(&r.w.opens)
	if !r.a.On() || !r.g.SwitchAll(true) {
		t.Fatal("not on")
	}
	return r
}

func (r *rig) MrefDone(m *block.Mref, err error) {
	r.done++
	r.err = err
	block.OpsOf(r.top.Input(0)).Put(m)
}

func (r *rig) do(m *block.Mref) error {
	r.t.Helper()
	before := r.done
	block.Start(r.top.Input(0), m, r)
	for r.w.pending() > 0 {
		r.w.step()
	}
	if r.done != before+1 {
		r.t.Fatalf("%s completed %d times", m.Op, r.done-before)
	}
	return r.err
}

func TestFile(t *testing.T) {
	r := newRig(t, false)
	a, b := bytes.Repeat([]byte{1}, 512), bytes.Repeat([]byte{2}, 512)
	if err := r.do(&block.Mref{Op: block.Write, Pos: 8192, Len: 1024, Vec: [][]byte{a, b}}); err != nil {
		t.Fatal(err)
	}
	if r.a.Size() != 9216 || block.OpsOf(r.top.Input(0)).Info() != (block.Info{Size: 9216, Align: 512}) {
		t.Fatalf("size %d", r.a.Size())
	}
	buf := make([]byte, 1024)
	if err := r.do(&block.Mref{Op: block.Read, Pos: 8192, Len: 1024, Data: buf}); err != nil || !bytes.Equal(buf, append(a, b...)) {
		t.Fatalf("read: %v", err)
	}
	for pos, short := range map[int64]int64{8704: 512, 9216: 1024, 1 << 40: 1024} {
		m := &block.Mref{Op: block.Read, Pos: pos, Len: 1024, Data: buf}
		if err := r.do(m); err != nil || m.Short != short || m.TotalSize != 9216 {
			t.Fatalf("read over the end: %v, %d bytes short, size %d", err, m.Short, m.TotalSize)
		}
	}
	if err := r.do(&block.Mref{Op: block.Discard, Pos: 8192, Len: 512}); err != nil || r.w.data[8192] != 0 || r.w.data[8704] != 2 {
		t.Fatalf("discard: %v", err)
	}
	if err := r.do(&block.Mref{Op: block.WriteZeroes, Pos: 9216, Len: 512}); !errors.Is(err, block.ErrRange) {
		t.Fatalf("zeroes behind the end: %v", err)
	}
	if err := r.do(&block.Mref{Op: block.Truncate, Pos: 100}); err != nil || r.a.Size() != 100 || len(r.w.data) != 100 {
		t.Fatalf("truncate: %v, size %d", err, r.a.Size())
	}
	if err := r.do(&block.Mref{Op: block.Write, Pos: 100, Len: 512, Data: a}); err == nil {
		t.Fatal("unaligned write passed")
	}
	if err := r.do(&block.Mref{Op: block.Digest, Len: 512}); !errors.Is(err, ErrOp) {
		t.Fatalf("digest: %v", err)
	}
}

func TestDiskBounds(t *testing.T) {
	r := newRig(t, true)
	buf := make([]byte, 1024)
	for _, op := range []block.Op{block.Read, block.Write, block.Discard, block.WriteZeroes} {
		for _, pos := range []int64{-512, 7680, 8192, 1 << 62} {
			if err := r.do(&block.Mref{Op: op, Pos: pos, Len: 1024, Data: buf}); !errors.Is(err, block.ErrRange) {
				t.Errorf("%s at %d: %v", op, pos, err)
			}
		}
		if err := r.do(&block.Mref{Op: op, Pos: 7168, Len: 1024, Data: buf}); err != nil {
			t.Errorf("%s at the end: %v", op, err)
		}
	}
	if err := r.do(&block.Mref{Op: block.Truncate, Pos: 0}); !errors.Is(err, ErrOp) {
		t.Errorf("truncate: %v", err)
	}
	r.w.data = r.w.data[:7680] // a disk must never serve less than it promised
	if err := r.do(&block.Mref{Op: block.Read, Pos: 7168, Len: 1024, Data: buf}); !errors.Is(err, block.ErrShort) {
		t.Errorf("short read: %v", err)
	}
}

func TestFlush(t *testing.T) {
	r := newRig(t, true)
	buf := make([]byte, 512)
	steps := []struct {
		m     block.Mref
		syncs int
	}{
		{block.Mref{Op: block.Flush}, 1}, // of what a dead process may have left
		{block.Mref{Op: block.Write, Len: 512, Data: buf, FUA: true}, 1},
		{block.Mref{Op: block.Flush}, 1}, // the write was durable already
		{block.Mref{Op: block.Write, Len: 512, Data: buf}, 1},
		{block.Mref{Op: block.Flush}, 2},
		{block.Mref{Op: block.Flush}, 2},
		{block.Mref{Op: block.Discard, Len: 512}, 2},
		{block.Mref{Op: block.Flush}, 3},
	}
	for i := range steps {
		if err := r.do(&steps[i].m); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, k := range r.w.kinds {
			if k == env.Sync {
				n++
			}
		}
		if n != steps[i].syncs {
			t.Fatalf("step %d: %d syncs, want %d", i, n, steps[i].syncs)
		}
	}
	// A write that completes while a sync is under way is not covered by it.
	block.Start(r.top.Input(0), &block.Mref{Op: block.Write, Len: 512, Data: buf}, r)
	r.w.step()
	block.Start(r.top.Input(0), &block.Mref{Op: block.Flush}, r)
	block.Start(r.top.Input(0), &block.Mref{Op: block.Write, Len: 512, Data: buf}, r)
	r.w.ios[0], r.w.ios[1] = r.w.ios[1], r.w.ios[0]
	r.w.step()
	r.w.step()
	block.Start(r.top.Input(0), &block.Mref{Op: block.Flush}, r)
	if r.w.pending() != 1 {
		t.Fatal("flush skipped although a write was not covered")
	}
	r.w.step()
}

func TestFailedFlushIsFinal(t *testing.T) {
	r := newRig(t, false)
	buf := make([]byte, 512)
	bad := errors.New("medium error")
	r.w.fail[env.Sync] = bad
	if err := r.do(&block.Mref{Op: block.Write, Len: 512, Data: buf}); err != nil {
		t.Fatal(err)
	}
	if err := r.do(&block.Mref{Op: block.Flush}); !errors.Is(err, bad) {
		t.Fatalf("flush: %v", err)
	}
	delete(r.w.fail, env.Sync)
	if err := r.do(&block.Mref{Op: block.Flush}); !errors.Is(err, bad) {
		t.Fatalf("second flush: %v", err)
	}
	if err := r.do(&block.Mref{Op: block.Write, FUA: true, Len: 512, Data: buf}); !errors.Is(err, bad) {
		t.Fatalf("durable write: %v", err)
	}
	if err := r.do(&block.Mref{Op: block.Write, Len: 512, Data: buf}); err != nil {
		t.Fatalf("plain write: %v", err)
	}
	// Opened anew it may be relied on.
	r.g.SwitchAll(false)
	run(&r.w.closes)
	if err := r.a.Press(true); err != nil {
		t.Fatal(err)
	}
	run(&r.w.opens)
	r.g.SwitchAll(true)
	if err := r.do(&block.Mref{Op: block.Write, FUA: true, Len: 512, Data: buf}); err != nil {
		t.Fatalf("durable write after reopening: %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	w := &world{openErr: env.ErrInUse}
	var g brick.Graph
	a, err := NewDisk(&g, w, "disk", "/dev/x")
	if err != nil {
		t.Fatal(err)
	}
	var told error
	a.OnError(func(err error) { told = err })
	if err := a.Press(true); err != nil {
		t.Fatal(err)
	}
	run(&w.opens)
	if !a.Off() || !errors.Is(told, env.ErrInUse) || !errors.Is(a.Err(), env.ErrInUse) {
		t.Fatalf("off %v, told %v, err %v", a.Off(), told, a.Err())
	}
	w.openErr = nil
	if err := a.Press(true); err != nil {
		t.Fatal(err)
	}
	run(&w.opens)
	if !a.On() || a.Err() != nil {
		t.Fatalf("on %v, err %v", a.On(), a.Err())
	}
}

func TestOffWaits(t *testing.T) {
	r := newRig(t, true)
	block.Start(r.top.Input(0), &block.Mref{Op: block.Write, Len: 512, Data: make([]byte, 512)}, r)
	r.a.ForceOff()
	if r.a.Off() || len(r.w.closes) != 0 {
		t.Fatal("closed with a request in flight")
	}
	r.w.step()
	if r.a.Off() || len(r.w.closes) != 1 || r.done != 1 {
		t.Fatal("not closing")
	}
	run(&r.w.closes)
	if !r.a.Off() {
		t.Fatal("not off")
	}
	if err := r.do(&block.Mref{Op: block.Flush}); !errors.Is(err, env.ErrClosed) {
		t.Fatalf("request at a closed file: %v", err)
	}
}

// TestOffWhileOpening presses the button off before the file is open.
func TestOffWhileOpening(t *testing.T) {
	w := &world{}
	var g brick.Graph
	a, _ := NewFile(&g, w, "f", "f", env.OpenMode{})
	for _, on := range []bool{true, false} {
		if err := a.Press(on); err != nil {
			t.Fatal(err)
		}
	}
	run(&w.opens)
	run(&w.closes)
	if !a.Off() || a.On() {
		t.Fatal("not off")
	}
}

func TestErrorsOfEachKind(t *testing.T) {
	r := newRig(t, false)
	for op, k := range map[block.Op]env.Kind{
		block.Read: env.Read, block.Write: env.Write, block.Discard: env.Zero, block.Truncate: env.Truncate,
	} {
		bad := fmt.Errorf("bad %v: %w", k, env.ErrNoSpace)
		r.w.fail = map[env.Kind]error{k: bad}
		if err := r.do(&block.Mref{Op: op, Pos: 0, Len: 512, Data: make([]byte, 512)}); !errors.Is(err, env.ErrNoSpace) {
			t.Errorf("%s: %v", op, err)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	r := newRig(t, true)
	buf := make([]byte, 4096)
	var pool block.Pool
	r.w.kinds = make([]env.Kind, 0, 10000)
	r.w.ios = make([]*env.IO, 0, 10000)
	n := testing.AllocsPerRun(1000, func() {
		r.w.ios, r.w.kinds = r.w.ios[:0], r.w.kinds[:0]
		m := pool.New()
		m.Op, m.Len, m.Data = block.Read, 4096, buf
		block.Start(r.top.Input(0), m, r)
		io := r.w.ios[0]
		io.N = 4096
		io.Done(io)
		pool.Put(m)
	})
	if n != 0 {
		t.Fatalf("%v allocations a request", n)
	}
}
