// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"errors"
	"testing"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
)

var params = Params{DeviceName: "lv", Size: size, BlockSize: 512}

func TestOnOff(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	for range 3 {
		d := r.on()
		if d == nil || d.Size() != size || d.BlockSize() != 512 || r.b.Device() == "" || r.b.Err() != nil {
			t.Fatalf("device %+v at %q, %v", d, r.b.Device(), r.b.Err())
		}
		r.off()
	}
	r.press(true)
	r.press(false) // at once
	r.until("off", r.b.Off)
	r.atRest()
	r.press(true)
	r.press(false)
	r.press(true)
	r.until("on", r.b.On)
	r.off()
}

func TestOffWaitsForUsers(t *testing.T) {
	for name, opt := range map[string]simenv.NodeOptions{"reported": {}, "silent": {SilentOpens: true}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opt, params)
			var counts []int
			r.b.OnOpenCount(func(n int) { counts = append(counts, n) })
			d := r.on()
			if err := d.Open(); err != nil {
				t.Fatal(err)
			}
			n := -1
			r.b.Probe(func(k int, err error) { n = k })
			r.until("probe", func() bool { return n >= 0 })
			if n != 1 || r.b.OpenCount() != 1 {
				t.Fatalf("probed %d, open count %d", n, r.b.OpenCount())
			}
			r.press(false)
			r.w.RunFor(30 * time.Second)
			if r.b.On() || r.b.Off() || r.n.Device("lv") == nil {
				t.Fatalf("in use: on %v off %v", r.b.On(), r.b.Off())
			}
			// It still serves, and may be wanted again.
			if err := r.answer(func(done func(error)) { d.Write(0, make([]byte, 512), false, done) }); err != nil {
				t.Error(err)
			}
			r.press(true)
			if !r.b.On() {
				t.Error("not on again")
			}
			r.press(false)
			d.CloseDev()
			r.until("off", r.b.Off)
			r.atRest()
			if len(counts) != 2 || counts[0] != 1 || counts[1] != 0 {
				t.Errorf("counts reported: %v", counts)
			}
		})
	}
}

// TestOpenedMeanwhile: the count was 0, but Close finds an opener.
func TestOpenedMeanwhile(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{SilentOpens: true}, params)
	var told error
	r.b.OnError(func(err error) { told = err })
	d := r.on()
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	r.press(false)
	r.until("refusal", func() bool { return r.b.Err() != nil })
	if !errors.Is(r.b.Err(), env.ErrInUse) || told != nil || r.b.Off() {
		t.Fatalf("%v, told %v, off %v", r.b.Err(), told, r.b.Off())
	}
	r.press(true)
	if !r.b.On() || r.b.Err() != nil {
		t.Errorf("on again: %v, %v", r.b.On(), r.b.Err())
	}
	r.press(false)
	d.CloseDev()
	r.until("off", r.b.Off)
	r.atRest()
}

func TestOffWaitsForFlight(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	d := r.on()
	r.store.hold = true
	answered := false
	d.Write(0, make([]byte, 4096), false, func(err error) { answered = err == nil })
	r.until("held", func() bool { return len(r.store.held) > 0 })
	r.press(false)
	r.w.RunFor(10 * time.Second)
	if r.b.On() || r.b.Off() {
		t.Fatal("did not wait")
	}
	r.store.release()
	r.until("off", r.b.Off)
	r.until("answer", func() bool { return answered })
	r.atRest()
}

func TestForceOff(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, params)
	d := r.on()
	if err := d.Open(); err != nil {
		t.Fatal(err)
	}
	r.store.hold = true
	var werr error
	d.Discard(0, 4096, func(err error) { werr = err })
	r.until("held", func() bool { return len(r.store.held) > 0 })
	r.press(false)
	r.b.ForceOff()
	r.until("the user is told", func() bool { return werr != nil })
	if r.b.Off() {
		t.Error("off with a request in flight")
	}
	if r.b.OpenCount() != 0 {
		t.Errorf("no device, but open count %d", r.b.OpenCount())
	}
	r.store.release()
	r.until("off", r.b.Off)
	r.atRest()
	if err := r.b.Press(true); !errors.Is(err, brick.ErrForcedOff) {
		t.Errorf("on again: %v", err)
	}
	if err := r.g.Remove(r.b.Brick); err != nil {
		t.Error(err)
	}
}

func TestShape(t *testing.T) {
	for _, c := range []struct {
		name  string
		p     Params
		align int
		size  int64 // 0: refused
		bs    int
	}{
		{"all of it", Params{}, 512, size, 512},
		{"aligned input", Params{}, 4096, size, 4096},
		{"small", Params{Size: 8192, BlockSize: 4096}, 512, 8192, 4096},
		{"too large", Params{Size: 2 * size}, 512, 0, 0},
		{"crooked", Params{Size: 8191}, 512, 0, 0},
		{"block size", Params{BlockSize: 1024}, 512, 0, 0},
		{"input needs more", Params{BlockSize: 512}, 4096, 0, 0},
		{"input needs too much", Params{}, 8192, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.DeviceName = "lv"
			r := newRig(t, simenv.NodeOptions{}, c.p)
			var told error
			r.b.OnError(func(err error) { told = err })
			r.store.align = c.align
			r.press(true)
			if c.size == 0 {
				if !r.b.Off() || r.b.Err() == nil || told == nil {
					t.Errorf("off %v, %v, told %v", r.b.Off(), r.b.Err(), told)
				}
				return
			}
			r.until("on", r.b.On)
			if d := r.n.Device("lv"); d.Size() != c.size || d.BlockSize() != c.bs || r.b.Size() != c.size {
				t.Errorf("size %d and %d, block size %d", d.Size(), r.b.Size(), d.BlockSize())
			}
			r.off()
		})
	}
}

// TestRestart: a device that survives its process is taken over with what its
// users wait for; one that does not is made anew.
func TestRestart(t *testing.T) {
	for _, fuse := range []bool{false, true} {
		r := newRig(t, simenv.NodeOptions{FuseDevices: fuse}, params)
		d := r.on()
		if err := d.Open(); err != nil {
			t.Fatal(err)
		}
		r.store.hold = true
		var answers []error
		d.Write(512, []byte{511: 7}, false, func(err error) { answers = append(answers, err) })
		r.until("held", func() bool { return len(r.store.held) > 0 })
		r.n.Kill()
		r.n.Start()
		r.build(nil, params)
		again := r.on()
		r.until("answer", func() bool { return len(answers) > 0 })
		if fuse {
			if again == d || answers[0] == nil {
				t.Errorf("fuse: same device %v, answer %v", again == d, answers[0])
			}
			continue
		}
		if again != d || answers[0] != nil || r.store.data[1023] != 7 {
			t.Errorf("same device %v, answer %v, data %d", again == d, answers[0], r.store.data[1023])
		}
		r.until("open count", func() bool { return r.b.OpenCount() == 1 })
	}
}

func TestResize(t *testing.T) {
	r := newRig(t, simenv.NodeOptions{}, Params{DeviceName: "lv", Size: 8192})
	resize := func(n int64) error {
		return r.answer(func(done func(error)) { r.b.Resize(n, done) })
	}
	if err := resize(16384); err != nil || r.b.Size() != 16384 {
		t.Fatalf("without device: %v, %d", err, r.b.Size())
	}
	r.press(true)
	if err := resize(32768); !errors.Is(err, ErrTransition) {
		t.Errorf("while it is made: %v", err)
	}
	d := r.on()
	if err := resize(32768); err != nil || d.Size() != 32768 || r.b.Size() != 32768 {
		t.Errorf("resize: %v, %d, %d", err, d.Size(), r.b.Size())
	}
	if err := r.answer(func(done func(error)) { d.Write(32256, make([]byte, 512), false, done) }); err != nil {
		t.Errorf("write at the new end: %v", err)
	}
	if err := resize(32768); err != nil {
		t.Errorf("same size: %v", err)
	}
	if err := resize(512); !errors.Is(err, ErrShrink) {
		t.Errorf("shrink: %v", err)
	}
	if err := resize(2 * size); !errors.Is(err, block.ErrRange) {
		t.Errorf("more than there is: %v", err)
	}
	if err := resize(32769); !errors.Is(err, block.ErrRange) {
		t.Errorf("crooked: %v", err)
	}
	if d.Size() != 32768 || r.b.Size() != 32768 {
		t.Errorf("afterwards %d, %d", d.Size(), r.b.Size())
	}
	r.off()
}
