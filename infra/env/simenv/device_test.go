package simenv

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mars/infra/env"
)

// ram serves a device from memory.
type ram struct {
	data  []byte
	dev   env.Device
	opens int
	hold  bool
	held  []*env.DevRequest
	log   []env.DevOp
}

func (m *ram) OpenCount(n int) { m.opens = n }
func (m *ram) Request(r *env.DevRequest) {
	m.log = append(m.log, r.Op)
	if m.hold {
		m.held = append(m.held, r)
		return
	}
	switch r.Op {
	case env.DevRead:
		copy(r.Buf, m.data[r.Pos:])
	case env.DevWrite:
		copy(m.data[r.Pos:], r.Buf)
	case env.DevDiscard, env.DevWriteZeroes:
		clear(m.data[r.Pos : r.Pos+r.Len])
	}
	m.dev.Complete(r, nil)
}

func (r *rig) device(m *ram) *SimDevice {
	r.t.Helper()
	got := false
	r.n.Env(0).Devices().Create(env.DeviceConfig{Name: "res", Size: 64 << 10, BlockSize: 512}, m, func(d env.Device, err error) {
		if err != nil {
			r.t.Fatal(err)
		}
		m.dev, got = d, true
	})
	r.wait(func() bool { return got })
	return r.n.Device("res")
}

func TestDevice(t *testing.T) {
	r := newRig(t, 1)
	m := &ram{data: make([]byte, 64<<10)}
	d := r.device(m)
	must(t, d.Open())
	r.wait(func() bool { return m.opens == 1 })
	var errs []error
	done := func(err error) { errs = append(errs, err) }
	d.Write(512, block(3, 1024), true, done)
	r.wait(func() bool { return len(errs) == 1 })
	d.WriteZeroes(1024, 512, done)
	r.wait(func() bool { return len(errs) == 2 })
	buf := make([]byte, 2048)
	d.Read(0, buf, done)
	d.Flush(done)
	d.Discard(8192, 512, done)
	r.wait(func() bool { return len(errs) == 5 })
	must(t, errs...)
	if want := append(append(block(0, 512), block(3, 512)...), block(0, 1024)...); !bytes.Equal(buf, want) {
		t.Fatal("content differs")
	}
	d.Read(64<<10, buf, done)
	d.Write(1, buf, false, done)
	r.wait(func() bool { return len(errs) == 7 })
	if errs[5] == nil || errs[6] == nil {
		t.Fatal("bad requests were answered without error")
	}
	var err error
	closed := false
	m.dev.Close(false, func(e error) { err, closed = e, true })
	r.wait(func() bool { return closed })
	if !errors.Is(err, env.ErrInUse) {
		t.Fatal(err)
	}
	d.CloseDev()
	closed = false
	m.dev.Close(false, func(e error) { err, closed = e, true })
	r.wait(func() bool { return closed })
	if err != nil || r.n.Device("res") != nil || !d.Gone() || r.n.Allocated() != 0 {
		t.Fatal(err, r.n.Allocated())
	}
}

// The requests of a killed server wait for the next one; a power cut loses them.
func TestDeviceOutlivesProcess(t *testing.T) {
	r := newRig(t, 2)
	m := &ram{data: make([]byte, 64<<10), hold: true}
	d := r.device(m)
	must(t, d.Open())
	answered := 0
	for i := range 5 {
		d.Write(int64(i)*512, block(byte(i+1), 512), false, func(err error) {
			must(t, err)
			answered++
		})
	}
	r.wait(func() bool { return len(m.held) == 5 })
	r.n.Kill()
	m.dev.Complete(m.held[0], nil) // the dead do not answer
	r.w.RunFor(time.Second)
	if answered != 0 || d.Pending() != 5 {
		t.Fatal("answered by a dead process")
	}
	r.n.Start()
	m2 := &ram{data: m.data}
	if r.device(m2) != d {
		t.Fatal("another device")
	}
	r.wait(func() bool { return answered == 5 && m2.opens == 1 })
	for i := range 5 {
		if m.data[i*512] != byte(i+1) {
			t.Fatal("data lost")
		}
	}
	m2.hold = true
	d.Flush(func(error) { t.Error("answer after the power cut") })
	r.n.Crash(Zero())
	r.n.Start()
	r.w.RunFor(time.Second)
	if !d.Gone() || d.Open() == nil {
		t.Fatal("device survived a power cut")
	}
}
