// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"errors"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
)

func (r *rig) leave() {
	r.t.Helper()
	if err := r.b.Leave(); err != nil {
		r.t.Fatal(err)
	}
}

// TestLeave: what is open when the daemon ends goes on under the next one; what it
// had in hand is answered before, what came later is not.
func TestLeave(t *testing.T) {
	for _, silent := range []bool{false, true} {
		r := newRig(t, simenv.NodeOptions{SilentOpens: silent}, params)
		d := r.on()
		if err := d.Open(); err != nil {
			t.Fatal(err)
		}
		r.store.hold = true
		var first, second []error
		d.Write(512, []byte{511: 7}, false, func(err error) { first = append(first, err) })
		r.until("held", func() bool { return len(r.store.held) > 0 })
		r.leave()
		r.until("the way out", r.b.Leaving)
		r.w.RunFor(time.Second)
		if r.b.Off() {
			t.Fatal("left with a request in hand")
		}
		d.Write(1024, []byte{511: 8}, false, func(err error) { second = append(second, err) })
		r.w.RunFor(time.Second)
		r.store.release()
		r.until("off", r.b.Off)
		if r.b.Held() != 1 || r.b.Leaving() || r.b.OpenCount() != 0 || r.b.Err() != nil {
			t.Errorf("held %d, leaving %v, open count %d, %v", r.b.Held(), r.b.Leaving(), r.b.OpenCount(), r.b.Err())
		}
		r.until("the first answer", func() bool { return len(first) > 0 })
		r.w.RunFor(time.Second)
		if first[0] != nil || len(second) > 0 || r.n.Device("lv") != d {
			t.Errorf("answers %v and %v, same device %v", first, second, r.n.Device("lv") == d)
		}
		r.n.Kill()
		r.n.Start()
		r.build(nil, params)
		if r.on() != d {
			t.Error("another device")
		}
		r.until("the second answer", func() bool { return len(second) > 0 })
		if second[0] != nil || r.store.data[1023] != 7 || r.store.data[1535] != 8 {
			t.Errorf("%v, data %d %d", second[0], r.store.data[1023], r.store.data[1535])
		}
	}
}

// TestLeaveUnused: what nobody has open is removed, also when the count is old.
func TestLeaveUnused(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{SilentOpens: true}, params)
	d := r.on()
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	n := -1
	r.b.Probe(func(k int, err error) { n = k })
	r.until("probe", func() bool { return n == 1 })
	d.CloseDev() // unheard
	r.leave()
	r.until("off", r.b.Off)
	if r.b.Held() != 0 {
		t.Errorf("held %d", r.b.Held())
	}
	r.atRest()
}

// TestLeaveMortal: a device that can not outlive its server is served until it is
// closed.
func TestLeaveMortal(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{FuseDevices: true}, params)
	d := r.on()
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	r.leave()
	r.w.RunFor(30 * time.Second)
	if r.b.Off() || r.b.Held() != 0 {
		t.Fatalf("off %v, held %d", r.b.Off(), r.b.Held())
	}
	if err := r.answer(func(done func(error)) { d.Write(0, make([]byte, 512), false, done) }); err != nil {
		t.Error(err)
	}
	d.CloseDev()
	r.until("off", r.b.Off)
	r.atRest()
}

// TestResizeWaits: where a device keeps its size it is made anew when it was
// closed, and serves as ever until then.
func TestResizeWaits(t *testing.T) {
	for _, silent := range []bool{false, true} {
		r := newRig(t, simenv.NodeOptions{FixedDevices: true, SilentOpens: silent}, Params{DeviceName: "lv", Size: 8192})
		d := r.on()
		if err := d.Open(); err != nil {
			t.Fatal(err)
		}
		if !silent {
			r.until("open count", func() bool { return r.b.OpenCount() == 1 })
		}
		if err := r.answer(func(done func(error)) { r.b.Resize(16384, done) }); err != nil {
			t.Fatal(err)
		}
		r.w.RunFor(30 * time.Second)
		if r.b.Waiting() != 16384 || r.b.Size() != 8192 || r.n.Device("lv") != d || !r.b.On() {
			t.Fatalf("waits for %d, has %d, on %v", r.b.Waiting(), r.b.Size(), r.b.On())
		}
		if err := r.answer(func(done func(error)) { d.Write(0, make([]byte, 512), false, done) }); err != nil {
			t.Error(err)
		}
		d.CloseDev()
		r.until("the new size", func() bool {
			n := r.n.Device("lv")
			return n != nil && n != d && n.Size() == 16384 && r.b.On()
		})
		if r.b.Waiting() != 0 || r.b.Size() != 16384 {
			t.Errorf("waits for %d, has %d", r.b.Waiting(), r.b.Size())
		}
		if err := r.answer(func(done func(error)) { r.n.Device("lv").Write(15872, make([]byte, 512), false, done) }); err != nil {
			t.Errorf("write at the new end: %v", err)
		}
		r.off()
	}
}

// TestTakenOverSize: a device of former times gets its new size.
func TestTakenOverSize(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, Params{DeviceName: "lv", Size: 8192})
	d := r.on()
	r.n.Kill()
	r.n.Start()
	r.build(nil, Params{DeviceName: "lv", Size: 16384})
	r.on()
	r.until("the new size", func() bool { return d.Size() == 16384 && r.b.Size() == 16384 })
	if r.n.Device("lv") != d {
		t.Error("it was made anew")
	}
	r.off()
}

// TestEarlyRequests: the kernel reads the partition table before Create is done,
// and a failed Create may leave requests with us.
func TestEarlyRequests(t *testing.T) {
	r, f := newFakeRig(t)
	hopeless := errors.New("hopeless")
	f.creates = []error{hopeless}
	early := func() *env.DevRequest {
		q := &env.DevRequest{Dev: &f.dev, Op: env.DevRead, Len: 512, Buf: make([]byte, 512)}
		(*handler)(r.b).Request(q)
		return q
	}
	r.press(true)
	r.store.hold = true
	early()
	r.w.RunFor(time.Second)
	if r.b.Off() {
		t.Fatal("off with a request in flight")
	}
	r.store.release()
	r.until("off", r.b.Off)
	if !errors.Is(r.b.Err(), hopeless) || f.dev.answers != 1 {
		t.Errorf("%v, %d answers", r.b.Err(), f.dev.answers)
	}
	r.press(true)
	early()
	r.until("on", r.b.On)
	if f.dev.answers != 2 || f.dev.last != nil {
		t.Errorf("%d answers, %v", f.dev.answers, f.dev.last)
	}
	r.off()
}

// TestFailedTakeOver: after an error that is not ErrExist what is there is left as
// it is: it may be taken over later.
func TestFailedTakeOver(t *testing.T) {
	r, f := newFakeRig(t)
	f.creates = []error{env.ErrInUse}
	r.press(true)
	r.until("off", r.b.Off)
	if len(f.log) != 1 || !errors.Is(r.b.Err(), env.ErrInUse) {
		t.Errorf("%v, %v", f.log, r.b.Err())
	}
}
