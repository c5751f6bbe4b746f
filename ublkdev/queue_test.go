// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestServe(t *testing.T) {
	r := newRig(t)
	d := r.create()
	data := bytes.Repeat([]byte("mars"), 2048)
	if got := r.result(r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 16, startSector: 5}, data)); got.res != 8192 {
		t.Errorf("write: %d", got.res)
	}
	got := r.result(r.send(7, ioDesc{opFlags: rawRead, nrSectors: 16, startSector: 5}, nil))
	if got.res != 8192 || !bytes.Equal(got.data, data) {
		t.Errorf("read back: %d", got.res)
	}
	for _, x := range []struct {
		desc ioDesc
		want int32
	}{
		{ioDesc{opFlags: rawFlush}, 0},
		{ioDesc{opFlags: rawDiscard, nrSectors: 1000}, 0},
		{ioDesc{opFlags: 15, nrSectors: 8}, -int32(unix.EOPNOTSUPP)},
		{ioDesc{opFlags: rawRead, nrSectors: 129}, -int32(unix.EIO)}, // beyond the buffer
	} {
		if got := r.result(r.send(7, x.desc, nil)); got.res != x.want {
			t.Errorf("%+v: %d, want %d", x.desc, got.res, x.want)
		}
	}
	if d.Path() != "/dev/ublkb7" || d.ID() != 7 || d.Config().MaxIO != 64<<10 || d.Info().Stamp != 0xfeed {
		t.Errorf("%s %+v %+v", d.Path(), d.Config(), d.Info())
	}
	r.stop(d)
	wantOrder(t, r.history(), "STOP_DEV", "unmap descriptors", "close char", "DEL_DEV")
}

// A tag belongs to the handler until it completes it, in any order; its buffer
// and descriptor are not given away meanwhile.
func TestTagsAreHeld(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.l.sync(func() { r.mem.hold = true })
	var reqs []*fakeReq
	for i := range 8 {
		reqs = append(reqs, r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 1, startSector: uint64(i)},
			bytes.Repeat([]byte{byte(i + 1)}, 512)))
	}
	r.l.sync(func() {
		if len(r.mem.held) != 8 {
			t.Fatalf("%d requests at the handler", len(r.mem.held))
		}
		for i, h := range r.mem.held {
			if h.Pos != int64(i)*512 || !bytes.Equal(h.Buf, bytes.Repeat([]byte{byte(i + 1)}, 512)) {
				t.Errorf("request %d changed while it was held: %+v", i, h)
			}
		}
	})
	for i := 7; i >= 0; i-- {
		select {
		case <-reqs[i].done:
			t.Fatalf("request %d was answered before it was completed", i)
		default:
		}
		r.l.sync(func() { r.mem.serve(r.mem.held[i]) })
		if got := r.result(reqs[i]); got.res != 512 {
			t.Errorf("request %d: %d", i, got.res)
		}
	}
	r.stop(d)
}

func TestCompleteTwicePanics(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.l.sync(func() { r.mem.hold = true })
	q := r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 1}, make([]byte, 512))
	r.l.sync(func() {
		h := r.mem.held[0]
		h.Complete(nil)
		defer func() {
			if recover() == nil {
				t.Error("the second completion passed")
			}
		}()
		h.Complete(nil)
	})
	r.result(q)
	r.stop(d)
}

// A full ring delays answers and loses none.
func TestCommitsWaitForRoom(t *testing.T) {
	r := newRig(t)
	r.l.ring.entries = 8
	d := r.create()
	r.l.sync(func() { r.mem.hold = true })
	var reqs []*fakeReq
	for range 6 {
		reqs = append(reqs, r.send(7, ioDesc{opFlags: rawRead, nrSectors: 1}, nil))
	}
	r.l.sync(func() {
		r.l.ring.entries = 2
		r.l.ring.refuse = 5
		for _, h := range r.mem.held {
			r.mem.serve(h)
		}
		if len(d.q.backlog) != 4 {
			t.Errorf("%d answers wait", len(d.q.backlog))
		}
	})
	for _, q := range reqs {
		if got := r.result(q); got.res != 512 {
			t.Errorf("%d", got.res)
		}
	}
	r.l.sync(func() { r.l.ring.entries = 64 })
	r.stop(d)
}

// A forced stop does not wait for the handler; the buffers it holds stay.
func TestForcedStop(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.l.sync(func() { r.mem.hold = true })
	q := r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 128}, bytes.Repeat([]byte{9}, 64<<10))
	r.usage = Usage{Openers: []string{"1/1"}}
	if err := d.Stop(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	got := r.result(q)
	if got.res != -int32(unix.EIO) || got.addr == q.desc.addr {
		t.Errorf("result %d, next data goes to the buffer that is held: %v", got.res, got.addr == q.desc.addr)
	}
	wantOrder(t, r.history(), "STOP_DEV", "close char", "DEL_DEV_ASYNC")
	r.l.sync(func() {
		h := r.mem.held[0]
		if !bytes.Equal(h.Buf, bytes.Repeat([]byte{9}, 64<<10)) {
			t.Error("the buffer changed under the handler")
		}
		if d.q.mem == nil {
			t.Error("freed while held")
		}
		h.Complete(nil)
		if d.q.mem != nil {
			t.Error("not freed")
		}
	})
	if d.Err() != nil {
		t.Error(d.Err())
	}
	if err := d.Stop(context.Background(), true); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

// A stop that runs out of time because of the handler is finished by force.
func TestStopWaitsForHandler(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.l.sync(func() { r.mem.hold = true })
	q := r.send(7, ioDesc{opFlags: rawRead, nrSectors: 1}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.Stop(ctx, false); !errors.Is(err, ErrTimeout) {
		t.Fatalf("stop with a request at the handler: %v", err)
	}
	if err := d.Stop(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	if got := r.result(q); got.res != -int32(unix.EIO) {
		t.Errorf("%d", got.res)
	}
	r.l.sync(func() { r.mem.held[0].Complete(errors.New("late")) })
}

// Somebody else may stop the device.
func TestStoppedByOthers(t *testing.T) {
	r := newRig(t)
	d := r.create()
	if err := r.ctl.Stop(context.Background(), 7); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if !errors.Is(d.Err(), ErrGone) {
		t.Errorf("%v", d.Err())
	}
	if err := d.Stop(context.Background(), false); err != nil {
		t.Error(err)
	}
	if _, err := r.ctl.Info(context.Background(), 7); !errors.Is(err, ErrGone) {
		t.Errorf("left behind: %v", err)
	}
	if err := d.Resize(context.Background(), 1<<20); !errors.Is(err, ErrClosed) {
		t.Errorf("resize: %v", err)
	}
}

// A tag that the kernel refuses ends START, which would wait for it for ever.
func TestFetchRefused(t *testing.T) {
	r := newRig(t)
	r.fake.refuseTag = true
	begin := time.Now()
	_, err := create(context.Background(), r.ctl, r.l, small, r.mem)
	if err == nil {
		t.Fatal("a device without all tags came up")
	}
	if d := time.Since(begin); d > 4*time.Second {
		t.Errorf("noticed after %v: %v", d, err)
	}
	if _, err := r.ctl.Info(context.Background(), 7); !errors.Is(err, ErrGone) {
		t.Errorf("left behind: %v", err)
	}
}

func TestServingAllocatesNothing(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.l.sync(func() {
		q := &d.q.reqs[0]
		d.q.inKernel++
		desc := ioDesc{opFlags: rawWrite, nrSectors: 8}
		copy(d.q.descs, bytesOf(&desc))
		d.q.handler = HandlerFunc(func(r *Request) { r.Complete(nil) })
		one := &oneEntry{}
		ring := d.q.ring
		d.q.ring = one
		if n := testing.AllocsPerRun(100, func() {
			d.q.inKernel--
			d.q.request(q)
		}); n != 0 {
			t.Errorf("%v allocations a request", n)
		}
		d.q.ring = ring
		d.q.inKernel -= 1
		d.q.handler = r.mem
	})
	r.stop(d)
}
