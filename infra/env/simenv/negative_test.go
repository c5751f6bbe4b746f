package simenv

import (
	"bytes"
	"testing"
	"time"

	"mars/infra/env"
)

func TestLyingDiskIsCaught(t *testing.T) {
	r := newRig(t, 1)
	disk := r.n.AddDisk("/dev/x", 64<<10)
	d := r.disk("/dev/x")
	for _, lie := range []bool{true, false} {
		disk.Lie(lie)
		must(t, r.do(d, &env.IO{Kind: env.Write, Buf: block(1, 512), Durable: true}), r.do(d, &env.IO{Kind: env.Sync}))
		buf := make([]byte, 512)
		if _, err := r.n.CrashImage(1, Zero()).Disk("/dev/x").ReadAt(buf, 0); err != nil || (buf[0] == 0) != lie {
			t.Fatal(lie, buf[0], err)
		}
	}
}

func panics(fn func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	fn()
	return false
}

func TestMisuseIsCaught(t *testing.T) {
	r := newRig(t, 1)
	r.n.AddDisk("/dev/x", 64<<10)
	d := r.disk("/dev/x")
	b := make([]byte, 512)
	if !panics(func() {
		d.Submit(&env.IO{Kind: env.Write, Buf: b, Done: func(*env.IO) {}})
		b[100] = 1
		r.w.RunFor(time.Second)
	}) {
		t.Error("a buffer changed in flight")
	}
	sync := &env.IO{Kind: env.Sync, Done: func(*env.IO) {}}
	d.Submit(sync)
	if !panics(func() { d.Submit(sync) }) {
		t.Error("submitted twice")
	}
	e := r.n.Env(0)
	p := e.Alloc(4096)
	if r.n.Allocated() != 4096 {
		t.Error(r.n.Allocated())
	}
	e.Free(p)
	if p[0] != poisonFreed || p[4095] != poisonFreed {
		t.Error("no poison")
	}
	if !panics(func() { e.Free(p) }) {
		t.Error("freed twice")
	}
	if !panics(func() { e.Free(make([]byte, 10)) }) {
		t.Error("foreign memory freed")
	}
	m := &ram{data: make([]byte, 64<<10), hold: true}
	dev := r.device(m)
	dev.Flush(nil)
	r.wait(func() bool { return len(m.held) == 1 })
	m.dev.Complete(m.held[0], nil)
	if !panics(func() { m.dev.Complete(m.held[0], nil) }) {
		t.Error("answered twice")
	}
}

func TestCorruption(t *testing.T) {
	r := newRig(t, 1)
	must(t, r.n.FS().WriteFile("f", block(1, 100)), r.n.FS().SyncDir("."), r.n.Poke("f", []byte{9}, 50))
	im := r.n.CrashImage(1, Zero())
	must(t, im.Poke("f", []byte{8}, 51))
	b, err := im.FS().ReadFile("f", 200)
	must(t, err)
	want := block(1, 100)
	want[50], want[51] = 9, 8
	if !bytes.Equal(b, want) {
		t.Fatal(b)
	}
	if r.n.Poke("f", []byte{1}, 100) == nil || r.n.Poke("g", nil, 0) == nil {
		t.Fatal("poked nothing")
	}
}

// Code that schedules itself for ever does not stop time.
func TestEndlessTask(t *testing.T) {
	r := newRig(t, 1)
	e := r.n.Env(0)
	n := 0
	var task env.Task
	task.Fn = func() { n++; e.Schedule(&task) }
	e.Schedule(&task)
	if err := r.w.Run(func() bool { return n > 1000 }, time.Second); err != nil {
		t.Fatal(err)
	}
}

// A model of pages: random writes, holes, cuts and copies against a plain slice.
func TestPages(t *testing.T) {
	const size = 3 * chunkSize
	r := newRNG(7)
	var m pages
	plain := make([]byte, size)
	type copied struct {
		p     pages
		plain []byte
	}
	var old []copied
	buf := make([]byte, 3*pageSize)
	for i := range 3000 {
		off, n := r.intn(size-int64(len(buf))), r.intn(int64(len(buf)))
		switch r.intn(20) {
		case 0:
			m.cut(off)
			clear(plain[off:])
		case 1, 2, 3, 4:
			m.zero(off, n)
			clear(plain[off : off+n])
		default:
			fill(buf[:n], byte(i))
			m.writeAt(buf[:n], off)
			copy(plain[off:], buf[:n])
		}
		if i%600 == 0 {
			old = append(old, copied{m.clone(), bytes.Clone(plain)})
		}
	}
	old = append(old, copied{m, plain})
	got := make([]byte, size)
	for i, c := range old {
		if c.p.readAt(got, 0); !bytes.Equal(got, c.plain) {
			t.Errorf("copy %d differs", i)
		}
		if have := int64(size/pageSize) - c.p.missing(0, size); have != c.p.count {
			t.Errorf("copy %d has %d pages and counts %d", i, have, c.p.count)
		}
	}
}
