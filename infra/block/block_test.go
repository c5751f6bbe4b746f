package block

import (
	"errors"
	"testing"

	"mars/infra/brick"
)

type recorder struct {
	name string
	log  *[]string
	next bool // pass on
	errs []error
}

func (r *recorder) MrefDone(m *Mref, err error) {
	*r.log = append(*r.log, r.name)
	r.errs = append(r.errs, err)
	if r.next {
		m.Complete(err)
	}
}

func TestCompletionChain(t *testing.T) {
	var log []string
	var p Pool
	m := p.New()
	outer, inner := &recorder{name: "outer", log: &log}, &recorder{name: "inner", log: &log, next: true}
	m.Push(outer)
	m.Push(inner)
	want := errors.New("boom")
	m.Complete(want)
	if len(log) != 2 || log[0] != "inner" || log[1] != "outer" || outer.errs[0] != want {
		t.Errorf("completions called: %v, error %v", log, outer.errs)
	}
	if m.Pending() != 0 {
		t.Errorf("%d completions pending at the end", m.Pending())
	}
	p.Put(m)
	if p.Out() != 0 {
		t.Errorf("pool counts %d mrefs out", p.Out())
	}
}

func mustPanic(t *testing.T, what string, fn func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s did not panic", what)
		}
	}()
	fn()
}

func TestBugsAreCaught(t *testing.T) {
	var log []string
	var p, q Pool
	r := &recorder{log: &log}
	m := p.New()
	mustPanic(t, "completing twice", func() { m.Push(r); m.Complete(nil); m.Complete(nil) })
	mustPanic(t, "freeing in flight", func() { m := p.New(); m.Push(r); p.Put(m) })
	mustPanic(t, "freeing into a foreign pool", func() { q.Put(p.New()) })
	mustPanic(t, "a chain too deep", func() {
		m := p.New()
		for range maxDepth + 1 {
			m.Push(r)
		}
	})
}

// half serves at most half of what is asked.
type half struct{ puts int }

func (h *half) Info() Info        { return Info{Size: 1 << 20, Align: 512} }
func (h *half) Get(m *Mref) error { m.Len /= 2; return nil }
func (h *half) IO(m *Mref)        { m.Complete(nil) }
func (h *half) Put(*Mref)         { h.puts++ }

type quick struct{ b *brick.Brick }

func (q *quick) Switch(bool) {}

func TestStart(t *testing.T) {
	var g brick.Graph
	src, err := g.Add(&brick.Type{Name: "half", Outputs: 1}, "h", "h", &quick{})
	if err != nil {
		t.Fatal(err)
	}
	dst, err := g.Add(&brick.Type{Name: "user", Inputs: 1}, "u", "u", &quick{})
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	r := &recorder{log: &log}
	var p Pool
	m := p.New()
	m.Len = 8192
	Start(dst.Input(0), m, r)
	if !errors.Is(r.errs[0], brick.ErrNotConnected) {
		t.Errorf("request on an unconnected input: %v", r.errs[0])
	}
	h := &half{}
	src.Output(0).Ops = h
	if err := brick.Connect(dst.Input(0), src.Output(0)); err != nil {
		t.Fatal(err)
	}
	Start(dst.Input(0), m, r)
	if !errors.Is(r.errs[1], ErrShort) || h.puts != 1 {
		t.Errorf("request served by half: %v, %d puts", r.errs[1], h.puts)
	}
}

func TestPoolAllocatesNothing(t *testing.T) {
	var p Pool
	r := &recorder{log: new([]string)}
	if n := testing.AllocsPerRun(100, func() {
		m := p.New()
		*r.log, r.errs = (*r.log)[:0], r.errs[:0]
		m.Push(r)
		m.Complete(nil)
		p.Put(m)
	}); n != 0 {
		t.Errorf("a request allocates %v times", n)
	}
}
