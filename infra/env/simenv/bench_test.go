package simenv

import (
	"testing"
	"time"

	"mars/infra/env"
)

// BenchmarkEvent is a bare event with 100 others waiting.
func BenchmarkEvent(b *testing.B) {
	w := New(1, Options{})
	e := w.AddNode("a", "10.0.0.1", NodeOptions{}).Env(0)
	for range 100 {
		var tm env.Timer
		tm = e.NewTimer(func() { tm.Reset(time.Millisecond) })
		tm.Reset(time.Millisecond)
	}
	b.ReportAllocs()
	for b.Loop() {
		w.Step()
	}
}

// BenchmarkWrite is a durable write of 4 KiB.
func BenchmarkWrite(b *testing.B) {
	w := New(1, Options{})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{})
	n.AddDisk("/dev/x", 16<<20)
	var f env.File
	n.Env(0).Files().OpenDisk("/dev/x", func(g env.File, _ error) { f = g })
	w.RunFor(time.Second)
	io := &env.IO{Kind: env.Write, Durable: true, Buf: make([]byte, 4096)}
	io.Done = func(io *env.IO) { io.Off = (io.Off + 4096) % (16 << 20) }
	b.ReportAllocs()
	for b.Loop() {
		f.Submit(io)
		w.Step()
	}
}

// BenchmarkCrashImage is of a node with a full disk of 16 MiB, 100 links and
// 50 unsynced writes of 4 KiB.
func BenchmarkCrashImage(b *testing.B) {
	w := New(1, Options{})
	n := w.AddNode("a", "10.0.0.1", NodeOptions{})
	d := n.AddDisk("/dev/x", 16<<20)
	buf := make([]byte, 1<<20)
	for i := range int64(16) {
		_, _ = d.WriteAt(buf, i<<20)
	}
	var f env.File
	n.Env(0).Files().OpenDisk("/dev/x", func(g env.File, _ error) { f = g })
	w.RunFor(time.Second)
	for i := range 100 {
		_ = n.FS().Symlink("value", "link"+string(rune('a'+i)))
	}
	for i := range int64(50) {
		f.Submit(&env.IO{Kind: env.Write, Off: i << 18, Buf: buf[:4096], Done: func(*env.IO) {}})
	}
	w.RunFor(time.Second)
	m := Independent(0.5)
	b.ReportAllocs()
	seed := uint64(0)
	for b.Loop() {
		seed++
		n.CrashImage(seed, m)
	}
}
