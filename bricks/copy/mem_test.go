package copy_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mars/bricks/copy"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env/simenv"
)

// mem is a provider in memory that completes everything at once, or soon. What was not
// flushed is lost when a flush fails, but is still read: a later flush succeeds
// and makes nothing of it durable.
type mem struct {
	*brick.Brick
	data, durable []byte
	dirty         []block.Mref
	failFlush     int
	reads, digest int64
	noWait        int
	most          int64        // bytes that a read brings at most; 0: all
	post          func(func()) // when requests are done; nil: at once
}

func newMem(t *testing.T, g *brick.Graph, name string, data []byte) *mem {
	t.Helper()
	m := &mem{data: data, durable: bytes.Clone(data)}
	var err error
	if m.Brick, err = g.Add(&brick.Type{Name: "mem", Outputs: 1}, name, name, m); err != nil {
		t.Fatal(err)
	}
	m.Output(0).Ops = m
	return m
}

var errFlush = errors.New("flush failed")

func (b *mem) Switch(on bool) {
	if on {
		b.SetOff(false)
		b.SetOn(true)
	} else {
		b.SetOn(false)
		b.SetOff(true)
	}
}
func (b *mem) Info() block.Info      { return block.Info{Size: int64(len(b.data)), Align: 1} }
func (b *mem) Get(*block.Mref) error { return nil }
func (b *mem) Put(*block.Mref)       {}

func (b *mem) IO(m *block.Mref) {
	if b.post != nil {
		b.post(func() { m.Complete(b.do(m)) })
		return
	}
	m.Complete(b.do(m))
}

func (b *mem) do(m *block.Mref) (err error) {
	m.TotalSize = int64(len(b.data))
	switch m.Op {
	case block.Read:
		n, want := int64(0), m.Len
		if b.most > 0 {
			want = min(want, b.most)
		}
		if m.Pos < m.TotalSize {
			n = int64(len(append(m.Data[:0], b.data[m.Pos:min(m.Pos+want, m.TotalSize)]...)))
		}
		b.reads += n
		m.Short = m.Len - n
		if m.Wait && n == 0 {
			b.noWait++
		}
	case block.Digest:
		out := m.Data[:0]
		for at := m.Pos; at < m.Pos+m.Len; at += m.Gran {
			out = copy.Sum(out, b.data[at:min(at+m.Gran, m.Pos+m.Len)])
		}
		b.digest += m.Len
	case block.Write:
		for int64(len(b.data)) < m.Pos+m.Len {
			b.data = append(b.data, 0)
		}
		_ = append(b.data[:m.Pos], m.Data[:m.Len]...)
		b.dirty = append(b.dirty, block.Mref{Pos: m.Pos, Len: m.Len})
		if m.FUA {
			err = b.flush()
		}
	case block.Flush:
		err = b.flush()
	}
	return err
}

func (b *mem) flush() error {
	dirty := b.dirty
	b.dirty = nil
	if b.failFlush > 0 {
		b.failFlush--
		return errFlush
	}
	for _, d := range dirty {
		for len(b.durable) < len(b.data) {
			b.durable = append(b.durable, 0)
		}
		_ = append(b.durable[:d.Pos], b.data[d.Pos:d.Pos+d.Len]...)
	}
	return nil
}

// memRig is a copy between two of them.
type memRig struct {
	t    *testing.T
	w    *simenv.World
	g    brick.Graph
	a, b *mem
	p    copy.Params
	errs []error
	done int
	err  error
	told int64
}

func newMemRig(t *testing.T, a, b []byte) *memRig {
	r := &memRig{t: t, w: simenv.New(1, simenv.Options{})}
	t.Cleanup(r.w.Close)
	r.w.AddNode("b", "10.0.0.2", simenv.NodeOptions{})
	r.a, r.b = newMem(t, &r.g, "a", a), newMem(t, &r.g, "b", b)
	r.p = copy.Params{
		OnError: func(_ copy.Side, err error) { r.errs = append(r.errs, err) },
		OnDone:  func(err error) { r.done++; r.err = err },
	}
	return r
}

func (r *memRig) connect(b *brick.Brick, err error) {
	r.t.Helper()
	if err == nil {
		err = brick.Connect(b.Input(0), r.a.Output(0))
	}
	if err == nil {
		err = brick.Connect(b.Input(1), r.b.Output(0))
	}
	if err != nil || !r.g.SwitchAll(true) {
		r.t.Fatal("not on", err)
	}
}

func (r *memRig) until(fn func() bool) {
	r.t.Helper()
	if err := r.w.Run(fn, time.Hour); err != nil {
		r.t.Fatal(err, r.errs)
	}
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>12 ^ i*7)
	}
	return b
}

// TestFlushFailsOnce: everything that the flush lost is written again, although
// it reads as if it was there.
func TestFlushFailsOnce(t *testing.T) {
	for _, fast := range []bool{true, false} {
		r := newMemRig(t, pattern(40<<20), make([]byte, 40<<20))
		r.b.failFlush = 1
		s, err := copy.NewSync(&r.g, r.w.Nodes()[0].Env(0), "copy", copy.SyncParams{Params: r.p, OnProgress: func(pos int64) {
			if r.told = pos; !bytes.Equal(r.a.data[:pos], r.b.durable[:pos]) {
				t.Error("told", pos, "which is not durable")
			}
		}})
		r.connect(s.Brick, err)
		if err := s.Start(0, 40<<20, fast); err != nil {
			t.Fatal(err)
		}
		r.until(func() bool { return r.done == 1 })
		if r.err != nil || r.told != 40<<20 || len(r.errs) != 1 || !errors.Is(r.errs[0], errFlush) {
			t.Fatal(r.err, r.told, r.errs)
		}
		if fast && r.a.digest == 0 {
			t.Fatal("never trusted again")
		}
		if !r.g.SwitchAll(false) {
			t.Fatal("not off")
		}
	}
}

// TestNothingIsReadTwice: of equal disks only digests are asked, once.
func TestNothingIsReadTwice(t *testing.T) {
	r := newMemRig(t, pattern(64<<20+512), pattern(64<<20+512))
	s, err := copy.NewSync(&r.g, r.w.Nodes()[0].Env(0), "copy", copy.SyncParams{Params: r.p})
	r.connect(s.Brick, err)
	if err := s.Start(0, 64<<20+512, true); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { return r.done == 1 })
	if r.a.reads != 0 || r.a.digest != 64<<20+512 || r.b.reads != 64<<20+512 {
		t.Fatal(r.a.reads, r.a.digest, r.b.reads)
	}
}

// TestNoSpinning: a source that does not wait is not asked without end.
func TestNoSpinning(t *testing.T) {
	r := newMemRig(t, pattern(10<<20), nil)
	f, err := copy.NewFollow(&r.g, r.w.Nodes()[0].Env(0), "copy", copy.FollowParams{Params: r.p, OnGrow: func(end int64) { r.told = end }})
	r.connect(f.Brick, err)
	if err := f.Start(0, -1); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { return r.told == 10<<20 })
	r.w.RunFor(time.Minute)
	if r.a.noWait < 10 || r.a.noWait > 20 || len(r.errs) != 0 || f.Known() != 10<<20 {
		t.Fatal(r.a.noWait, "questions in a minute", r.errs)
	}
	r.a.data = pattern(10<<20 + 5)
	r.until(func() bool { return r.told == 10<<20+5 })
	if !bytes.Equal(r.a.data, r.b.durable) {
		t.Fatal("files differ")
	}
	f.Stop()
	r.w.RunFor(time.Second)
	if f.Running() || r.done != 0 || !r.g.SwitchAll(false) {
		t.Fatal("not stopped")
	}
}

// TestShortReads: a source may bring less than is asked and there; what was
// read behind the gap is of no use.
func TestShortReads(t *testing.T) {
	for _, later := range []bool{false, true} {
		r := newMemRig(t, pattern(3<<20), nil)
		e := r.w.Nodes()[0].Env(0)
		if r.a.most = 30001; later {
			r.a.post = e.Post
		}
		f, err := copy.NewFollow(&r.g, e, "copy", copy.FollowParams{Params: r.p})
		r.connect(f.Brick, err)
		if err := f.Start(0, 3<<20-1); err != nil {
			t.Fatal(err)
		}
		r.until(func() bool { return r.done == 1 })
		if r.err != nil || len(r.errs) != 0 || !bytes.Equal(r.a.data[:3<<20-1], r.b.durable) {
			t.Fatal("files differ", r.err, r.errs)
		}
	}
}
