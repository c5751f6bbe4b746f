package check

import (
	"errors"
	"strings"
	"testing"

	"mars/infra/block"
	"mars/infra/brick"
)

// bottom is a provider under the control of a test.
type bottom struct {
	*brick.Brick
	info block.Info
	get  func(*block.Mref) error
	held []*block.Mref
}

func (b *bottom) Switch(on bool) { b.SetOn(on); b.SetOff(!on) }

func (b *bottom) Info() block.Info { return b.info }
func (b *bottom) IO(m *block.Mref) { b.held = append(b.held, m) }
func (b *bottom) Put(*block.Mref)  {}
func (b *bottom) Get(m *block.Mref) error {
	if b.get != nil {
		return b.get(m)
	}
	return nil
}

// consumer is the test's own brick above the checker.
type consumer struct{ *brick.Brick }

func (c *consumer) Switch(on bool) { c.SetOn(on); c.SetOff(!on) }

type rig struct {
	g      brick.Graph
	bottom *bottom
	check  *Check
	top    *consumer
	found  []string
	done   []error
}

func newRig(t *testing.T, opt Options) *rig {
	t.Helper()
	r := &rig{bottom: &bottom{info: block.Info{Size: 1 << 20, Align: 512}}, top: &consumer{}}
	var err error
	if r.bottom.Brick, err = r.g.Add(&brick.Type{Name: "bottom", Outputs: 1}, "bottom", "bottom", r.bottom); err != nil {
		t.Fatal(err)
	}
	r.bottom.Output(0).Ops = r.bottom
	if r.check, err = New(&r.g, "check", opt, func(s string) { r.found = append(r.found, s) }); err != nil {
		t.Fatal(err)
	}
	if r.top.Brick, err = r.g.Add(&brick.Type{Name: "top", Inputs: 1}, "top", "top", r.top); err != nil {
		t.Fatal(err)
	}
	for _, e := range []error{
		brick.Connect(r.check.Input(0), r.bottom.Output(0)),
		brick.Connect(r.top.Input(0), r.check.Output(0)),
	} {
		if e != nil {
			t.Fatal(e)
		}
	}
	if !r.g.SwitchAll(true) {
		t.Fatal("not on")
	}
	return r
}

func (r *rig) start(m *block.Mref) {
	block.Start(r.top.Input(0), m, block.CompletionFunc(func(m *block.Mref, err error) {
		r.done = append(r.done, err)
	}))
}

func (r *rig) put(m *block.Mref) { block.OpsOf(r.top.Input(0)).Put(m) }

// finish completes what the bottom holds.
func (r *rig) finish(err error) {
	held := r.bottom.held
	r.bottom.held = nil
	for _, m := range held {
		m.Complete(err)
	}
}

func write(pos, n int64) *block.Mref {
	return &block.Mref{Op: block.Write, Pos: pos, Len: n, Data: make([]byte, n)}
}

func TestCleanTraffic(t *testing.T) {
	r := newRig(t, Options{NoOverlap: true, Stable: true})
	a, b, f := write(0, 4096), write(4096, 512), &block.Mref{Op: block.Flush}
	r.start(a)
	r.start(b)
	r.start(f)
	if r.check.InFlight() != 3 {
		t.Fatalf("in flight: %d", r.check.InFlight())
	}
	bad := errors.New("bad")
	r.finish(bad)
	for _, m := range []*block.Mref{a, b, f} {
		r.put(m)
	}
	if len(r.done) != 3 || !errors.Is(r.done[0], bad) {
		t.Fatalf("done: %v", r.done)
	}
	// The same mref again, over the range that is free now.
	r.start(a)
	r.finish(nil)
	r.put(a)
	r.g.SwitchAll(false)
	if len(r.found) != 0 || r.check.Total() != 4 {
		t.Fatalf("found %q, total %d", r.found, r.check.Total())
	}
}

// TestViolations is the negative control of every rule.
func TestViolations(t *testing.T) {
	all := Options{NoOverlap: true, Stable: true}
	for _, c := range []struct {
		name, rule string
		opt        Options
		run        func(r *rig)
	}{
		{"completed twice", "once", all, func(r *rig) {
			m := write(0, 512)
			r.start(m)
			q := r.bottom.held[0]
			r.finish(nil)
			r.put(m)
			q.Complete(nil)
		}},
		{"started without get", "once", all, func(r *rig) {
			block.Forward(r.top.Input(0), write(0, 512), block.CompletionFunc(func(*block.Mref, error) {}))
		}},
		{"put without get", "once", all, func(r *rig) { r.put(write(0, 512)) }},
		{"put in flight", "once", all, func(r *rig) {
			m := write(0, 512)
			r.start(m)
			r.put(m)
			r.finish(nil)
		}},
		{"got twice", "once", all, func(r *rig) {
			m := write(0, 512)
			ops := block.OpsOf(r.top.Input(0))
			_, _ = ops.Get(m), ops.Get(m)
		}},
		{"range", "range", all, func(r *rig) { r.start(write(1<<20-512, 1024)) }},
		{"align", "align", all, func(r *rig) { r.start(write(100, 512)) }},
		{"short data", "align", all, func(r *rig) {
			m := write(0, 1024)
			m.Data = m.Data[:512]
			r.start(m)
		}},
		{"lengthened", "clip", all, func(r *rig) {
			r.bottom.get = func(m *block.Mref) error { m.Len += 512; return nil }
			r.start(write(0, 512))
		}},
		{"overlap", "overlap", all, func(r *rig) {
			r.start(write(0, 4096))
			r.start(&block.Mref{Op: block.Discard, Pos: 2048, Len: 8192})
		}},
		{"scribble", "stable", all, func(r *rig) {
			m := write(0, 512)
			r.start(m)
			m.Data[17] ^= 1
			r.finish(nil)
		}},
		{"lost completion", "drained", all, func(r *rig) {
			r.start(write(0, 512))
			r.g.SwitchAll(false)
		}},
		{"never put", "drained", all, func(r *rig) {
			r.start(write(0, 512))
			r.finish(nil)
			r.g.SwitchAll(false)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opt)
			c.run(r)
			if len(r.found) == 0 || !strings.Contains(r.found[0], ": "+c.rule+": ") {
				t.Fatalf("want rule %q, found %q", c.rule, r.found)
			}
		})
	}
}

func TestOptionsOff(t *testing.T) {
	r := newRig(t, Options{MayGrow: true})
	a := write(0, 4096)
	b := write(0, 4096)
	c := write(1<<20, 512)
	r.start(a)
	r.start(b)
	r.start(c)
	a.Data[0] = 1
	r.finish(nil)
	if len(r.found) != 0 {
		t.Fatalf("found %q", r.found)
	}
}
