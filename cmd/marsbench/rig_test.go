package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/translog"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be a child, as the program is.
func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

const testDisk = 8 << 20

func testRig(t testing.TB) *rig {
	t.Helper()
	r, err := newRig(t.Context(), t.TempDir(), testDisk, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The context of the test is over: what is left ends by itself.
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestSourceCounts(t *testing.T) {
	r := testRig(t)
	before := r.stats(t)
	p := fourK(3, streams, 0)
	p.count = 100
	o, err := r.run(p)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.stats(t) - before; o.ops != 100 || n != 100 || len(o.lat) != 100 || o.time <= 0 {
		t.Fatalf("%d of 100 writes, the logger saw %d, %d latencies, in %v", o.ops, n, len(o.lat), o.time)
	}
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
	if o, err = r.run(pattern{op: block.Read, size: 4096, depth: 2, count: 50}); err != nil || o.ops != 50 {
		t.Fatalf("%d of 50 reads: %v", o.ops, err)
	}
}

func (r *rig) stats(t *testing.T) (n int64) {
	t.Helper()
	if err := r.do(func() error { n = r.lg.Stats().Writes; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReadsFromBuffer: requests that complete at once neither stop the source
// nor keep it for ever.
func TestReadsFromBuffer(t *testing.T) {
	r := testRig(t)
	if err := r.hold(); err != nil {
		t.Fatal(err)
	}
	w := fourK(1, streams, 0)
	w.count, w.span = 4, 4*4096
	if _, err := r.run(w); err != nil {
		t.Fatal(err)
	}
	o, err := r.run(pattern{op: block.Read, size: 4096, depth: 4, span: 4 * 4096, count: 2000})
	if err != nil || o.ops != 2000 {
		t.Fatalf("%d of 2000 reads: %v", o.ops, err)
	}
	if err := r.resume(); err != nil {
		t.Fatal(err)
	}
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
}

func TestSourceTellsErrors(t *testing.T) {
	r := testRig(t)
	p := fourK(2, random, time.Minute)
	p.span = 1 << 40 // beyond the end of the disk
	if o, err := r.run(p); err == nil {
		t.Fatalf("%d writes beyond the end of the disk, no error", o.ops)
	}
}

// TestPlaces holds that streams do not meet, and that all stays within the span.
func TestPlaces(t *testing.T) {
	for _, ord := range []order{random, streams} {
		s := &source{p: pattern{size: 4096, depth: 4, span: 64 * 4096, order: ord}}
		seen := map[int64]int64{}
		for i := range int64(4) {
			l := &lane{s: s, number: i}
			for range 100 {
				at := l.place()
				if at < 0 || at%4096 != 0 || at+4096 > s.p.span {
					t.Fatalf("order %d: a write at %d", ord, at)
				}
				if owner, ok := seen[at]; ok && owner != i && ord == streams {
					t.Fatalf("streams %d and %d meet at %d", owner, i, at)
				}
				seen[at] = i
			}
		}
		if len(seen) < 48 {
			t.Errorf("order %d: only %d of 64 blocks used", ord, len(seen))
		}
	}
}

// TestRotate: a long log is replaced and its file removed.
func TestRotate(t *testing.T) {
	r := testRig(t)
	p := pattern{op: block.Write, size: 1 << 20, depth: 2, count: rotateAt>>20 + 1}
	if _, err := r.run(p); err != nil {
		t.Fatal(err)
	}
	first := r.last.Name()
	p.count = 2
	if _, err := r.run(p); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(filepath.Join(r.dir, "mars"))
	if err != nil {
		t.Fatal(err)
	}
	if r.last.Name() == first || len(list) != 1 || list[0].Name() != r.last.Name() {
		t.Fatalf("log %s, before %s; files: %v", r.last.Name(), first, list)
	}
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
}

func TestReplayPart(t *testing.T) {
	r := testRig(t)
	var rep report
	if err := measureReplay(r, &rep); err != nil {
		t.Fatal(err)
	}
	if len(rep.figures) != 1 || rep.figures[0].value <= 0 {
		t.Fatalf("%+v", rep.figures)
	}
}

// file stands for the log below a gauge.
type file struct{ size int64 }

func (f *file) Info() block.Info        { return block.Info{Size: f.size, Align: 512} }
func (f *file) Get(m *block.Mref) error { return nil }
func (f *file) IO(m *block.Mref)        {}
func (f *file) Put(*block.Mref)         {}

func TestGaugeSeesGrowth(t *testing.T) {
	r := testRig(t)
	g := r.gauge()
	r.onExecutor(t, func() {
		f := &file{size: 1 << 20}
		g.Input(0).Peer().Ops = f
		*g = gauge{Brick: g.Brick, large: 512 << 10}
		for _, c := range []struct {
			op             block.Op
			fua            bool
			pos, len       int64
			batches, grown int64
		}{
			{block.Write, true, 0, 4608, 1, 0},
			{block.Write, true, 1<<20 - 4608, 4608, 2, 0}, // up to the end
			{block.Write, true, 1<<20 - 4096, 4608, 3, 1},
			{block.Write, true, 1 << 20, 4608, 4, 2},
			{block.Write, true, 1 << 20, 512 << 10, 4, 2}, // large: it may
			{block.Write, false, 1 << 20, 128 << 10, 4, 2},
			{block.Read, false, 1 << 20, 4096, 4, 2},
		} {
			m := &block.Mref{Op: c.op, FUA: c.fua, Pos: c.pos, Len: c.len}
			(*gaugeOps)(g).IO(m)
			if g.batches != c.batches || g.grown != c.grown {
				t.Errorf("%v of %d at %d: %d batches, %d grew the file", c.op, c.len, c.pos, g.batches, g.grown)
			}
		}
	})
}

func (r *rig) onExecutor(t *testing.T, fn func()) {
	t.Helper()
	if err := r.do(func() error { fn(); return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestPadded(t *testing.T) {
	const record = translog.Overhead + translog.MaxPayload
	for _, c := range []struct{ align, want int64 }{{512, 4608}, {4096, 8192}} {
		if got := padded(c.align); got != c.want || got < record {
			t.Errorf("padded(%d) = %d, want %d", c.align, got, c.want)
		}
	}
}

// TestIdleChild runs the real child, with few resources and a short time.
func TestIdleChild(t *testing.T) {
	var o idleOutcome
	task := task{Idle: &idleTask{Dir: t.TempDir(), Resources: 3, Executors: 2, Time: 50 * time.Millisecond}}
	if err := spawn(t.Context(), task, &o); err != nil {
		t.Fatal(err)
	}
	if o.Time < 50*time.Millisecond || o.RSS < 1<<20 || o.Executors != 2 || o.share() < 0 {
		t.Errorf("%+v", o)
	}
}

// TestClientChild lets the client write to a plain file.
func TestClientChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dev")
	if err := layOut(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	o, err := runClient(t.Context(), clientTask{Path: path, Depth: 2, Span: 1 << 20, Time: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if o.Ops == 0 || o.P50 <= 0 || o.P99 < o.P50 || o.Time < 20*time.Millisecond {
		t.Errorf("%+v", o)
	}
	if _, err := runClient(t.Context(), clientTask{Path: path + "none", Depth: 1, Span: 4096, Time: time.Millisecond}); err == nil {
		t.Error("a client of a device that is not there reports success")
	}
}

func TestTasksSurviveTheWay(t *testing.T) {
	t.Setenv(childVar, "{}")
	if _, child, err := childTask(); !child || err == nil {
		t.Error("an empty task is accepted")
	}
	text, err := json.Marshal(task{Client: &clientTask{Path: "x", Depth: 3, Span: 9, Time: time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(childVar, string(text))
	got, child, err := childTask()
	if !child || err != nil || *got.Client != (clientTask{Path: "x", Depth: 3, Span: 9, Time: time.Second}) {
		t.Errorf("%+v, %v, %v", got, child, err)
	}
}

// TestBenchOnePart runs the program's own way through one quick part.
func TestBenchOnePart(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	if err := bench(t.Context(), &out, options{dir: dir, rounds: 1, only: "replay"}); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "replay") || !strings.Contains(s, "bench: OK") {
		t.Errorf("printed:\n%s", s)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("left behind: %v, %v", list, err)
	}
	if err := bench(t.Context(), &out, options{dir: dir, rounds: 1, only: "replai"}); err == nil {
		t.Error("an unknown part is accepted")
	}
}
