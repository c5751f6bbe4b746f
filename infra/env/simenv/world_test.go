package simenv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mars/infra/env"
)

// rig is a world with one node, for tests of its storage.
type rig struct {
	t *testing.T
	w *World
	n *Node
}

func newRig(t *testing.T, seed uint64) *rig {
	w := New(seed, Options{})
	t.Cleanup(w.Close)
	return &rig{t: t, w: w, n: w.AddNode("a", "10.0.0.1", NodeOptions{})}
}

func (r *rig) wait(until func() bool) {
	r.t.Helper()
	if err := r.w.Run(until, time.Minute); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) disk(path string) env.File {
	r.t.Helper()
	var f env.File
	r.n.Env(0).Files().OpenDisk(path, func(g env.File, err error) {
		if err != nil {
			r.t.Fatal(err)
		}
		f = g
	})
	r.wait(func() bool { return f != nil })
	return f
}

func (r *rig) file(name string) env.File {
	r.t.Helper()
	var f env.File
	r.n.Env(0).Files().OpenFile(name, env.OpenMode{Create: true, Write: true}, func(g env.File, err error) {
		if err != nil {
			r.t.Fatal(err)
		}
		f = g
	})
	r.wait(func() bool { return f != nil })
	return f
}

// do submits an IO and waits for it.
func (r *rig) do(f env.File, io *env.IO) error {
	r.t.Helper()
	done := false
	io.Done = func(*env.IO) { done = true }
	f.Submit(io)
	r.wait(func() bool { return done })
	return io.Err
}

func block(v byte, n int) []byte { return bytes.Repeat([]byte{v}, n) }

func TestDiskReadsWhatWasWritten(t *testing.T) {
	r := newRig(t, 1)
	r.n.AddDisk("/dev/x", 1<<20)
	f := r.disk("/dev/x")
	if err := r.do(f, &env.IO{Kind: env.Write, Off: 4608, Vec: [][]byte{block(1, 512), block(2, 1024)}}); err != nil {
		t.Fatal(err)
	}
	rd := &env.IO{Kind: env.Read, Off: 4096, Buf: make([]byte, 4096)}
	if err := r.do(f, rd); err != nil || rd.N != 4096 {
		t.Fatal(rd.N, err)
	}
	want := append(append(append(block(0, 512), block(1, 512)...), block(2, 1024)...), block(0, 2048)...)
	if !bytes.Equal(rd.Buf, want) {
		t.Fatal("content differs")
	}
	for _, bad := range []*env.IO{
		{Kind: env.Write, Off: 1, Buf: block(0, 512)},
		{Kind: env.Write, Off: 0, Buf: block(0, 100)},
		{Kind: env.Read, Off: 1 << 20, Buf: block(0, 512)},
		{Kind: env.Write, Off: -512, Buf: block(0, 512)},
		{Kind: env.Truncate},
	} {
		if r.do(f, bad) == nil {
			t.Errorf("%v at %d succeeded", bad.Kind, bad.Off)
		}
	}
	var err error
	done := false
	r.n.Env(1).Files().OpenDisk("/dev/x", func(_ env.File, e error) { err, done = e, true })
	r.wait(func() bool { return done })
	if !errors.Is(err, env.ErrInUse) {
		t.Fatal("second open:", err)
	}
}

func TestTimersPostsTasks(t *testing.T) {
	r := newRig(t, 2)
	e := r.n.Env(0)
	var got []string
	say := func(s string) func() { return func() { got = append(got, s) } }
	tm := e.NewTimer(say("timer"))
	tm.Reset(time.Second)
	tm.Reset(2 * time.Second)
	tm.Reset(time.Millisecond)
	stopped := e.NewTimer(say("never"))
	stopped.Reset(time.Microsecond)
	stopped.Stop()
	task := &env.Task{Fn: say("task")}
	e.Post(func() { e.Schedule(task); e.Schedule(task); say("post1")() })
	e.Post(say("post2"))
	e.Offload(say("work"), func() { say("done")(); tm.Reset(time.Millisecond) })
	start := r.w.Now()
	r.wait(func() bool { return len(got) == 6 })
	if d := r.w.Now() - start; d < time.Millisecond || d > 3*time.Millisecond {
		t.Fatal("took", d)
	}
	pos := map[string]int{}
	for i, s := range got {
		pos[s] = i
	}
	if pos["post1"] > pos["task"] || pos["post1"] > pos["post2"] || pos["work"] > pos["done"] || pos["timer"] != 5 {
		t.Fatal(got)
	}
	if err := r.w.Run(func() bool { return false }, time.Second); !errors.Is(err, ErrIdle) {
		t.Fatal(err)
	}
}
