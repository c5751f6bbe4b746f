package simenv

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
)

// swarm is a small workload on everything: writers on two nodes, frames
// between them, links, devices, a coroutine, faults and crashes.
type swarm struct {
	w *World
	t *testing.T
}

func (s *swarm) life(n, peer *Node) {
	e := n.Env(0)
	if _, err := n.Env(1).Net().Listen(env.PortTree, func(env.Conn) env.ConnHandler { return &echo{e: n.Env(1)} }); err != nil {
		s.t.Fatal(err)
	}
	h := &echo{e: e}
	e.Net().Dial(env.Endpoint{Host: peer.Host(), Addr: peer.Addr(), Port: env.PortTree}, h)
	e.Watch(func(dir string) { e.Trace("watch "+dir, 1, 2) }).Add(".")
	e.Files().OpenDisk("/dev/x", func(f env.File, err error) { s.write(e, f, err) })
	e.Files().OpenFile("log", env.OpenMode{Create: true, Write: true}, func(f env.File, err error) { s.write(e, f, err) })
	tick := 0
	var tm env.Timer
	tm = e.NewTimer(func() {
		tick++
		name := fmt.Sprint("l", e.Rand()%8)
		e.Offload(func() {
			fs := e.FS()
			_ = fs.Remove(name)
			e.Trace("link", int64(len(fmt.Sprint(fs.Symlink(fmt.Sprint(tick), name)))), int64(tick))
			if tick%3 == 0 {
				_ = fs.SyncDir(".")
			}
		}, func() { tm.Reset(time.Duration(e.Rand()%5000) * time.Microsecond) })
	})
	tm.Reset(time.Millisecond)
}

// write keeps three IOs in flight.
func (s *swarm) write(e env.Env, f env.File, err error) {
	if err != nil {
		s.t.Error(err)
		return
	}
	for range 3 {
		io := &env.IO{Buf: e.Alloc(4096)}
		io.Done = func(io *env.IO) {
			e.Trace("io", int64(io.N), io.Off)
			io.Kind = []env.Kind{env.Read, env.Write, env.Write, env.Sync, env.Zero}[e.Rand()%5]
			io.Off, io.Len = int64(e.Rand()%64)*512, 512
			for i := range io.Buf {
				io.Buf[i] = byte(e.Rand())
			}
			io.Durable = e.Rand()%2 == 0
			f.Submit(io)
		}
		io.Kind, io.Off = env.Sync, 0
		f.Submit(io)
	}
}

type echo struct{ e env.Env }

func (h *echo) Opened(c env.Conn) { c.Send(make([]byte, 1000)) }
func (h *echo) Drained(env.Conn)  {}
func (h *echo) Closed(_ env.Conn, err error) {
	h.e.Trace("closed "+fmt.Sprint(err), 0, 0)
}
func (h *echo) Frame(c env.Conn, f []byte) {
	f[h.e.Rand()%uint64(len(f))]++
	h.e.Post(func() { c.Send(f[:len(f):len(f)]) })
}

func runSwarm(t *testing.T, seed uint64) (hash, events uint64, trace string) {
	var sb strings.Builder
	w := New(seed, Options{Trace: &sb})
	defer w.Close()
	s := &swarm{w: w, t: t}
	a, b := w.AddNode("a", "10.0.0.1", NodeOptions{}), w.AddNode("b", "10.0.0.2", NodeOptions{})
	for _, n := range []*Node{a, b} {
		n.AddDisk("/dev/x", 64<<10).Fail(func(*env.IO) error {
			if w.Intn(50) == 0 {
				return ErrIO
			}
			return nil
		})
	}
	s.life(a, b)
	s.life(b, a)
	a.Go(func(c *Coroutine) {
		for i := 0; c.Sleep(3*time.Millisecond) == nil; i++ {
			_ = c.FS().WriteFile("status", []byte(fmt.Sprint(i, c.Rand())))
		}
	})
	for i := range 6 {
		w.RunFor(20 * time.Millisecond)
		a.CrashImage(uint64(i), Independent(0.5))
		switch i {
		case 1:
			w.Cut(a, b, true)
		case 2:
			w.Heal(a, b)
		case 3:
			b.Crash(Independent(0.5))
			b.Start()
			s.life(b, a)
		case 4:
			a.Kill()
			a.Start()
			s.life(a, b)
		}
	}
	return w.Hash(), w.Events(), sb.String()
}

const childVar = "SIMENV_CHILD_SEED"

func TestSameSeedSameHash(t *testing.T) {
	if v := os.Getenv(childVar); v != "" {
		var seed uint64
		if _, err := fmt.Sscan(v, &seed); err != nil {
			t.Fatal(err)
		}
		hash, events, _ := runSwarm(t, seed)
		fmt.Printf("HASH %016x %d\n", hash, events)
		return
	}
	hashes := map[uint64]bool{}
	for seed := range uint64(4) {
		h1, n1, tr1 := runSwarm(t, seed)
		h2, n2, tr2 := runSwarm(t, seed)
		if h1 != h2 || n1 != n2 {
			t.Fatalf("seed %d: first difference: %s", seed, firstDiff(tr1, tr2))
		}
		if n1 < 1000 {
			t.Fatal("only", n1, "events")
		}
		hashes[h1] = true
	}
	if len(hashes) != 4 {
		t.Fatal("different seeds have one hash")
	}
	h, n, _ := runSwarm(t, 2)
	want := fmt.Sprintf("HASH %016x %d\n", h, n)
	for _, vars := range [][]string{{"GOMAXPROCS=1", "GOGC=5"}, {"GOMAXPROCS=4", "GOGC=off"}} {
		exe, err := os.Executable()
		must(t, err)
		cmd := exec.Command(exe, "-test.run=^TestSameSeedSameHash$")
		cmd.Env = append(append(os.Environ(), childVar+"=2"), vars...)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v: %v\n%s, want %s", vars, err, out, want)
		}
	}
}

func firstDiff(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("line %d: %q, %q", i, x[i], y[i])
		}
	}
	return "one is longer"
}

// The hash must notice what happens: one byte, one trace, one event.
func TestHashNotices(t *testing.T) {
	run := func(do func(e env.Env)) uint64 {
		w := New(1, Options{})
		n := w.AddNode("a", "10.0.0.1", NodeOptions{})
		do(n.Env(0))
		w.RunFor(time.Second)
		return w.Hash()
	}
	seen := map[uint64]int{}
	for i, do := range []func(env.Env){
		func(env.Env) {},
		func(e env.Env) { e.Post(func() {}) },
		func(e env.Env) { e.Trace("a", 1, 2) },
		func(e env.Env) { e.Trace("a", 2, 1) },
		func(e env.Env) { _ = e.FS().Symlink("v", "n") },
		func(e env.Env) { _ = e.FS().Symlink("w", "n") },
	} {
		h := run(do)
		if j, ok := seen[h]; ok {
			t.Errorf("%d and %d have one hash", i, j)
		}
		seen[h] = i
	}
}
