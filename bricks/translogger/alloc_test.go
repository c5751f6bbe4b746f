package translogger

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/translog"
)

// bench is an environment and bricks below that cost nothing themselves.
type bench struct {
	env.Env
	now   time.Duration
	tasks env.TaskQueue
	disk  *instant
	log   *instant
	lg    *Logger
	top   *top
	pool  block.Pool
	g     brick.Graph
	fly   int
	data  []byte
}

func (b *bench) Mono() time.Duration          { return b.now }
func (b *bench) Schedule(t *env.Task)         { b.tasks.Enqueue(t) }
func (b *bench) Alloc(n int) []byte           { return make([]byte, n) }
func (b *bench) Free([]byte)                  {}
func (b *bench) Log() *slog.Logger            { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
func (b *bench) NewTimer(fn func()) env.Timer { return &benchTimer{fn: fn} }

// benchTimer is never called: the bench lets the memory's fill drive the
// writeback.
type benchTimer struct {
	fn    func()
	armed bool
}

func (t *benchTimer) Reset(time.Duration) { t.armed = true }
func (t *benchTimer) Stop()               { t.armed = false }
func (t *benchTimer) Armed() bool         { return t.armed }

// instant is a file or a disk that keeps requests until the bench goes on.
type instant struct {
	*brick.Brick
	size  int64
	queue []*block.Mref
	write int
}

func (i *instant) Switch(on bool)        { i.SetOn(on); i.SetOff(!on) }
func (i *instant) Info() block.Info      { return block.Info{Size: i.size, Align: 512} }
func (i *instant) Get(*block.Mref) error { return nil }
func (i *instant) Put(*block.Mref)       {}
func (i *instant) IO(m *block.Mref) {
	i.queue = append(i.queue, m)
	if m.Op == block.Write {
		i.write++
	}
}

func (i *instant) finish() bool {
	n := len(i.queue)
	for k := 0; k < n; k++ {
		i.queue[k].Complete(nil)
	}
	i.queue = i.queue[:copy(i.queue, i.queue[n:])]
	return n > 0
}

func newBench(t testing.TB, change func(*Tuning)) *bench {
	b := &bench{disk: &instant{size: 1 << 30}, log: &instant{}, top: &top{}, data: make([]byte, 1<<20)}
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	for i, x := range []*instant{b.disk, b.log} {
		x.Brick, err = b.g.Add(&brick.Type{Name: "instant", Outputs: 1}, "", string(rune('a'+i)), x)
		check(err)
		x.Output(0).Ops = x
	}
	tune := DefaultTuning()
	tune.MemLimit = 8 << 20
	if change != nil {
		change(&tune)
	}
	b.lg, err = New(&b.g, b, "logger", Config{Now: func() translog.Stamp { return translog.Stamp{Sec: 1} }, Tuning: tune})
	check(err)
	b.top.Brick, err = b.g.Add(&brick.Type{Name: "top", Inputs: 1}, "", "top", b.top)
	check(err)
	check(brick.Connect(b.lg.Input(InputDisk), b.disk.Output(0)))
	check(brick.Connect(b.lg.Input(InputLog1), b.log.Output(0)))
	check(brick.Connect(b.top.Input(0), b.lg.Output(0)))
	check(b.disk.Press(true))
	check(b.log.Press(true))
	check(b.lg.StartLog(InputLog1, translog.Identity{Resource: "r", Number: 1, Origin: "a", Nonce: [16]byte{1}}))
	check(b.lg.Press(true))
	check(b.top.Press(true))
	return b
}

// MrefDone ends a request of the bench.
func (b *bench) MrefDone(m *block.Mref, err error) {
	if err != nil {
		panic(err)
	}
	b.fly--
	block.OpsOf(b.top.Input(0)).Put(m)
	b.pool.Put(m)
}

func (b *bench) start(op block.Op, pos, n int64) {
	m := b.pool.New()
	m.Op, m.Pos, m.Len, m.Data = op, pos, n, b.data[:n]
	b.fly++
	block.Start(b.top.Input(0), m, b)
}

// turn delivers everything that is ready, then the tasks.
func (b *bench) turn() {
	b.now += 100 * time.Microsecond
	b.log.finish()
	b.disk.finish()
	for t := b.tasks.Dequeue(); t != nil; t = b.tasks.Dequeue() {
		t.Fn()
	}
}

func (b *bench) drain() {
	for b.fly > 0 {
		b.turn()
	}
}

// mix is a round of all that is on the hot path.
func (b *bench) mix(i int64) {
	for k := int64(0); k < 16; k++ {
		b.start(block.Write, (i*7919+k*31)%65536*4096, 4096)
	}
	b.start(block.Write, i%4096*4096+512, 1024)
	b.start(block.Write, i%4096*4096+2048, 16384)
	b.start(block.Read, i%4096*4096, 16384)
	b.start(block.Read, 512<<20+i*4096, 4096)
	b.start(block.Flush, 0, 0)
	b.start(block.Discard, i%1000*65536, 65536)
	b.drain()
}

// TestNoAllocation: in steady state a request costs no allocation.
func TestNoAllocation(t *testing.T) {
	b := newBench(t, nil)
	i := int64(0)
	for ; i < 5000; i++ { // warm the pools up
		b.mix(i)
	}
	writes := b.disk.write
	n := testing.AllocsPerRun(2000, func() {
		i++
		b.mix(i)
	})
	if n != 0 {
		t.Errorf("%v allocations a round of 22 requests", n)
	}
	if b.disk.write-writes < 1000 || b.lg.Stats().BufferedReads == 0 {
		t.Errorf("%d writes of the disk, %+v", b.disk.write-writes, b.lg.Stats())
	}
}

// BenchmarkWrite4k is the cost of the logger itself for a small write, log,
// memory buffer and writeback included.
func BenchmarkWrite4k(bm *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		bm.Run(string(rune('0'+depth/10))+string(rune('0'+depth%10)), func(bm *testing.B) {
			b := newBench(bm, nil)
			bm.SetBytes(4096)
			bm.ReportAllocs()
			for i := 0; i < bm.N; {
				for k := 0; k < depth && i < bm.N; k++ {
					b.start(block.Write, int64(i*7919%200000)*4096, 4096)
					i++
				}
				b.drain()
			}
		})
	}
}
