// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"

	"pgregory.net/rapid"
)

// TestContent compares the device with a plain piece of memory, while Get cuts
// requests into random pieces and answers come at once or in random order.
func TestContent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, simenv.NodeOptions{}, params)
		r.store.piece = func(n int64) int64 { return 512 * rapid.Int64Range(1, n/512).Draw(rt, "piece") }
		d := r.on()
		model := make([]byte, size)
		for i := range rapid.IntRange(1, 20).Draw(rt, "requests") {
			pos := 512 * rapid.Int64Range(0, 60).Draw(rt, "pos")
			n := 512 * rapid.Int64Range(1, 40).Draw(rt, "len")
			buf := make([]byte, n)
			part := model[pos : pos+n]
			op := rapid.SampledFrom([]string{"read", "write", "zero", "discard"}).Draw(rt, "op")
			r.store.hold = rapid.Bool().Draw(rt, "hold")
			done := false
			answer := func(err error) {
				if err != nil {
					rt.Fatal(err)
				}
				done = true
			}
			switch op {
			case "read":
				d.Read(pos, buf, answer)
			case "write":
				for j := range buf {
					buf[j] = byte(i*31 + j + j>>8)
				}
				copy(part, buf)
				d.Write(pos, buf, false, answer)
			case "zero":
				clear(part)
				d.WriteZeroes(pos, n, answer)
			case "discard":
				clear(part)
				d.Discard(pos, n, answer)
			}
			r.until("answer", func() bool {
				for h := r.store.held; len(h) > 0; h = r.store.held {
					k := rapid.IntRange(0, len(h)-1).Draw(rt, "first")
					m := h[k]
					r.store.held = slices.Delete(h, k, k+1)
					r.store.answer(m)
				}
				return done
			})
			if op == "read" && !bytes.Equal(buf, part) {
				rt.Fatalf("read of %d at %d differs", n, pos)
			}
		}
		if !bytes.Equal(r.store.data, model) {
			rt.Fatal("content differs")
		}
		r.off()
	})
}

// TestTranslation: what becomes of each kind of request.
func TestTranslation(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	d := r.on()
	r.store.piece = func(int64) int64 { return 4096 }
	buf := make([]byte, 6144)
	for _, c := range []struct {
		name  string
		start func(done func(error))
		want  string
	}{
		{"read", func(done func(error)) { d.Read(512, buf, done) }, "read 512+4096 false, read 4608+2048 false"},
		{"write", func(done func(error)) { d.Write(512, buf, false, done) }, "write 512+4096 false, write 4608+2048 false"},
		{"fua", func(done func(error)) { d.Write(0, buf, true, done) }, "write 0+4096 true, write 4096+2048 true"},
		{"flush", func(done func(error)) { d.Flush(done) }, "flush 0+0 false"},
		{"discard", func(done func(error)) { d.Discard(0, 4608, done) }, "discard 0+4096 false, discard 4096+512 false"},
		{"zero", func(done func(error)) { d.WriteZeroes(0, 512, done) }, "write-zeroes 0+512 false"},
	} {
		r.store.seen = nil
		if err := r.answer(c.start); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got := ""
		for i := range r.store.seen {
			m := &r.store.seen[i]
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%s %d+%d %v", m.Op, m.Pos, m.Len, m.FUA)
		}
		if got != c.want {
			t.Errorf("%s became %q, want %q", c.name, got, c.want)
		}
	}
	want := Stats{Reads: 1, Writes: 2, Flushes: 1, Zeroes: 2, ReadBytes: 6144, WriteBytes: 12288, ZeroByte: 5120, Mrefs: 10}
	got := r.b.Stats()
	for i, n := range [...]uint64{TimeRead: 1, TimeWrite: 2, TimeZero: 2, TimeFlush: 1} {
		if c := got.Times[i].Count(); c != n || got.Times[i].Bound(0) != 50_000 {
			t.Errorf("the time of %d requests was taken at %d, want %d", c, i, n)
		}
	}
	got.Times = want.Times
	if got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	r.off()
}

// TestErrors: errors come up as they are, once, after everything has landed.
func TestErrors(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	d := r.on()
	sick := errors.New("sick")
	buf := make([]byte, 8192)
	read := func(done func(error)) { d.Read(0, buf, done) }

	r.store.io = sick
	if err := r.answer(read); !errors.Is(err, sick) {
		t.Errorf("error of IO became %v", err)
	}
	if err := r.answer(func(done func(error)) { d.Flush(done) }); !errors.Is(err, sick) {
		t.Errorf("error of a flush became %v", err)
	}
	r.store.io, r.store.get = nil, sick
	if err := r.answer(read); !errors.Is(err, sick) {
		t.Errorf("error of Get became %v", err)
	}
	r.store.get, r.store.short = nil, 512
	if err := r.answer(read); !errors.Is(err, block.ErrShort) {
		t.Errorf("short read became %v", err)
	}
	r.store.short = 0

	// The second piece is refused while the first is in flight.
	r.store.hold = true
	r.store.piece = func(int64) int64 { r.store.get = sick; return 512 }
	var answer error
	d.Read(0, buf, func(err error) { answer = err })
	r.until("held", func() bool { return len(r.store.held) == 1 })
	if r.b.Stats().InFlight != 1 {
		t.Error("answered too early")
	}
	r.store.release()
	r.until("answer", func() bool { return answer != nil })
	if !errors.Is(answer, sick) {
		t.Errorf("error of a later Get became %v", answer)
	}
	r.store.get, r.store.piece = nil, nil
	if err := r.answer(read); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if n := r.b.Stats().Errors; n != 5 {
		t.Errorf("%d errors counted", n)
	}
	r.off()
}

// TestPartsBounded: a discard of everything does not flood the graph.
func TestPartsBounded(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	d := r.on()
	r.store.piece = func(int64) int64 { return 512 }
	for _, hold := range []bool{false, true} {
		r.store.hold, r.store.most, r.store.seen = hold, 0, nil
		done := false
		d.Discard(0, size, func(err error) { done = err == nil })
		r.until("answer", func() bool {
			for len(r.store.held) > 0 {
				m := r.store.held[0]
				r.store.held = r.store.held[1:]
				r.store.answer(m)
			}
			return done
		})
		most := 1
		if hold {
			most = maxParts
		}
		if r.store.most != most || len(r.store.seen) != size/512 {
			t.Errorf("hold %v: %d in flight, %d in all", hold, r.store.most, len(r.store.seen))
		}
	}
	r.store.hold = false
	r.off()
}

// fake is a device (and its maker) that is driven by hand.
type fake struct {
	env.Env
	dev      fakeDev
	h        env.DeviceHandler
	creates  []error // results of Create, in order; then success
	cleanErr error
	log      []string
}

type fakeDev struct {
	f       *fake
	answers int
	last    error
}

func (f *fake) Devices() env.Devices { return f }

func (f *fake) Create(_ env.DeviceConfig, h env.DeviceHandler, done func(env.Device, error)) {
	f.log = append(f.log, "create")
	f.Post(func() {
		if len(f.creates) > 0 {
			err := f.creates[0]
			f.creates = f.creates[1:]
			done(nil, err)
			return
		}
		f.h, f.dev.f = h, f
		done(&f.dev, nil)
	})
}

func (f *fake) Cleanup(_ string, _ bool, done func(error)) {
	f.log = append(f.log, "cleanup")
	f.Post(func() { done(f.cleanErr) })
}

func (f *fake) Left(string) bool { return false }

func (d *fakeDev) Complete(_ *env.DevRequest, err error) { d.answers++; d.last = err }
func (d *fakeDev) Probe(done func(int, error))           { d.f.Post(func() { done(0, nil) }) }
func (d *fakeDev) Resize(_ int64, done func(error))      { d.f.Post(func() { done(nil) }) }
func (d *fakeDev) Size() int64                           { return size }
func (d *fakeDev) Hold(done func(error))                 { d.f.Post(func() { done(env.ErrUnsupported) }) }
func (d *fakeDev) Path() string                          { return "/dev/fake" }
func (d *fakeDev) Close(force bool, done func(error)) {
	d.f.log = append(d.f.log, fmt.Sprintf("close %v", force))
	d.f.Post(func() { done(nil) })
}

func newFakeRig(t testing.TB) (*rig, *fake) {
	r := newRig(t, simenv.NodeOptions{}, params)
	f := &fake{Env: r.n.Env(0)}
	r.build(f, params)
	return r, f
}

func TestCleanup(t *testing.T) {
	exist := fmt.Errorf("left over: %w", env.ErrExist)
	for _, c := range []struct {
		name    string
		creates []error
		clean   error
		on      bool
		log     string
	}{
		{"nothing there", nil, nil, true, "[create]"},
		{"left over", []error{exist}, nil, true, "[create cleanup create]"},
		{"in use", []error{exist}, env.ErrInUse, false, "[create cleanup]"},
		{"hopeless", []error{exist, exist}, nil, false, "[create cleanup create]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, f := newFakeRig(t)
			f.creates, f.cleanErr = c.creates, c.clean
			r.press(true)
			r.until("result", func() bool { return r.b.On() || r.b.Off() })
			if r.b.On() != c.on || (r.b.Err() == nil) != c.on || fmt.Sprint(f.log) != c.log {
				t.Errorf("on %v, %v, %v", r.b.On(), r.b.Err(), f.log)
			}
			if !c.on && !errors.Is(r.b.Err(), env.ErrExist) || c.clean != nil && !errors.Is(r.b.Err(), c.clean) {
				t.Errorf("error %v", r.b.Err())
			}
			f.cleanErr = nil
			r.press(true)
			r.until("on", r.b.On)
			r.off()
		})
	}
	t.Run("no longer wanted", func(t *testing.T) {
		r, f := newFakeRig(t)
		f.creates = []error{exist}
		r.press(true)
		r.until("cleanup", func() bool { return len(f.log) == 2 })
		r.off()
		if fmt.Sprint(f.log) != "[create cleanup]" {
			t.Errorf("%v", f.log)
		}
	})
}

// TestRefused: what no kernel should send.
func TestRefused(t *testing.T) {
	r, f := newFakeRig(t)
	r.press(true)
	r.until("on", r.b.On)
	buf := make([]byte, 4096)
	for i, q := range []env.DevRequest{
		{Op: env.DevRead, Pos: size, Len: 512, Buf: buf},
		{Op: env.DevRead, Pos: size - 512, Len: 1024, Buf: buf},
		{Op: env.DevWrite, Pos: -512, Len: 512, Buf: buf},
		{Op: env.DevWrite, Pos: 1<<63 - 512, Len: 512, Buf: buf},
		{Op: env.DevDiscard, Pos: 0, Len: 1<<63 - 512},
		{Op: env.DevDiscard, Pos: 0, Len: -512},
		{Op: env.DevDiscard, Pos: 0, Len: 0},
		{Op: env.DevWrite, Pos: 1, Len: 512, Buf: buf},
		{Op: env.DevWrite, Pos: 0, Len: 511, Buf: buf},
		{Op: env.DevWrite, Pos: 0, Len: 8192, Buf: buf},
		{Op: 99, Pos: 0, Len: 512, Buf: buf},
	} {
		f.dev.last = nil
		q.Dev = &f.dev
		f.h.Request(&q)
		if f.dev.last == nil || f.dev.answers != i+1 {
			t.Errorf("request %d: %v, %d answers", i, f.dev.last, f.dev.answers)
		}
	}
	if len(r.store.seen) != 0 {
		t.Errorf("some went down: %v", len(r.store.seen))
	}
	r.off()
}

func TestAllocs(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	f := &fake{Env: r.n.Env(0)}
	g := &brick.Graph{}
	s := newStore(t, g, size)
	b, err := New(g, f, "if", params)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(brick.Connect(b.Input(0), s.Output(0)), s.Press(true), b.Press(true)); err != nil {
		t.Fatal(err)
	}
	r.until("on", b.On)
	s.quiet = true
	s.piece = func(int64) int64 { return 4096 }
	q := &env.DevRequest{Dev: &f.dev, Buf: make([]byte, 16384)}
	one := func() {
		for _, op := range []env.DevOp{env.DevWrite, env.DevRead, env.DevDiscard, env.DevFlush} {
			q.Op, q.Len = op, 16384
			if op == env.DevFlush {
				q.Len = 0
			}
			f.h.Request(q)
		}
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations", n)
	}
	s.hold = true
	held := func() {
		q.Op, q.Len = env.DevWrite, 16384
		f.h.Request(q)
		for i, m := range s.held {
			s.held[i] = nil
			s.answer(m)
		}
		s.held = s.held[:0]
	}
	if n := testing.AllocsPerRun(1000, held); n != 0 {
		t.Errorf("%v allocations when answers come later", n)
	}
	if f.dev.answers != 5*1001 || f.dev.last != nil || b.Stats().InFlight != 0 {
		t.Errorf("%d answers, %v, %d in flight", f.dev.answers, f.dev.last, b.Stats().InFlight)
	}
}
