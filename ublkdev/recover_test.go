// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// orphan makes a device and lets its server die.
func (r *rig) orphan() {
	r.t.Helper()
	d := r.create()
	r.l.end()
	r.crash(7)
	r.t.Cleanup(func() { d.q.fd = -1 })
	r.l = r.loop(64)
}

func (r *rig) recover(ctx context.Context) (*Device, error) {
	return recoverDevice(ctx, r.ctl, r.l, 7, 0xfeed, r.mem)
}

func TestRecover(t *testing.T) {
	r := newRig(t)
	r.orphan()
	before := len(r.history())
	d, err := r.recover(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	h := r.history()[before:]
	wantOrder(t, h, "GET_PARAMS", "START_USER_RECOVERY", "open char", "submit 8 fetches", "map descriptors",
		"END_USER_RECOVERY")
	// Rule 9.
	if pid := r.sent(opEndRecovery)[0].cmd.data; pid != 4711 {
		t.Errorf("pid %d", pid)
	}
	if len(r.sent(opSetParams)) != 1 {
		t.Error("parameters cannot be set again")
	}
	want, err := small.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	want.DiscardGranularity = 0 // not offered
	if diff := cmp.Diff(want, d.Config()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if got := r.result(r.send(7, ioDesc{opFlags: rawRead, nrSectors: 8}, nil)); got.res != 4096 {
		t.Errorf("read: %d", got.res)
	}
	r.stop(d)
}

// The predecessor may take a moment to be gone, and one may have died half way.
func TestRecoverWaits(t *testing.T) {
	for name, script := range map[string][]unix.Errno{
		"held":           {unix.EBUSY, unix.EBUSY, 0},
		"half recovered": {unix.EINVAL},
	} {
		r := newRig(t)
		r.orphan()
		r.script[opStartRecovery] = script
		r.busy = 3
		d, err := r.recover(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r.stop(d)
	}
}

func TestRecoverRefuses(t *testing.T) {
	// Who is refused is refused at once; who is live still may end in time.
	limit := func(err error) context.Context {
		if !errors.Is(err, ErrBusy) {
			return context.Background()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	for name, x := range map[string]struct {
		edit func(d *devInfo)
		want error
	}{
		"stamp":       {func(d *devInfo) { d.srvFlags = 1 }, ErrForeign},
		"no recovery": {func(d *devInfo) { d.flags = 0 }, ErrNotRecoverable},
		"two queues":  {func(d *devInfo) { d.nrHWQueues = 2 }, ErrNotRecoverable},
		"user copy":   {func(d *devInfo) { d.flags |= uint64(FUserCopy) }, ErrNotRecoverable},
		"dead":        {func(d *devInfo) { d.state = uint16(Dead) }, ErrNotRecoverable},
		"still live":  {func(d *devInfo) { d.state = uint16(Live) }, ErrBusy},
	} {
		r := newRig(t)
		r.orphan()
		x.edit(&r.devs[7].info)
		before := len(r.history())
		_, err := r.recover(limit(x.want))
		if !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		for _, h := range r.history()[before:] {
			if h == "open char" || h == "STOP_DEV" || h == "DEL_DEV" {
				t.Errorf("%s: %s", name, h)
			}
		}
	}
	r := newRig(t)
	if _, err := r.recover(context.Background()); !errors.Is(err, ErrGone) {
		t.Errorf("no device: %v", err)
	}
}

func TestDetach(t *testing.T) {
	r := newRig(t)
	d := r.create()
	if err := d.Detach(context.Background()); !errors.Is(err, ErrUnsupported) {
		t.Errorf("without quiesce: %v", err)
	}
	r.stop(d)

	r = newRig(t, func(f *fake) { f.rel, f.feat = Release{Major: 6, Minor: 18, Patch: 15}, 0x7fff })
	d = r.create()
	r.l.sync(func() { r.mem.hold = true })
	q := r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 1}, make([]byte, 512))
	done := make(chan error, 1)
	go func() { done <- d.Detach(context.Background()) }()
	r.until(time.Minute, func() bool { return len(r.devs[7].armed) == 0 })
	// What is completed now is armed again, and taken away in another round.
	r.l.sync(func() { r.mem.serve(r.mem.held[0]) })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := r.result(q); got.res != 512 {
		t.Errorf("the request at the handler: %d", got.res)
	}
	if !errors.Is(d.Err(), ErrDetached) || len(r.sent(opStopDev)) != 0 || r.devs[7].charFd != 0 {
		t.Errorf("%v", d.Err())
	}
	r.crash(7)
	if d, err := r.recover(context.Background()); err != nil {
		t.Error(err)
	} else {
		r.l.sync(func() { r.mem.hold = false })
		r.stop(d)
	}
}

// The end of the ring frees everything, as soon as the kernel let go.
func TestAbandon(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.crash(7)
	r.mu.Lock()
	r.devs[7].charFd = d.q.fd // the queue closes it
	r.opened++
	r.mu.Unlock()
	r.l.sync(d.Abandon)
	<-d.Done()
	if !errors.Is(d.Err(), ErrDetached) || d.q.mem != nil {
		t.Errorf("%v, memory %v", d.Err(), d.q.mem != nil)
	}
	if d, err := r.recover(context.Background()); err != nil {
		t.Error(err)
	} else {
		r.stop(d)
	}
}

// Whatever fails on the way, nothing is left.
func TestCreateRollsBack(t *testing.T) {
	for _, op := range []ctrlOp{opAddDev, opSetParams, opStartDev} {
		r := newRig(t)
		r.script[op] = []unix.Errno{unix.ENOMEM}
		_, err := create(context.Background(), r.ctl, r.l, small, r.mem)
		if !errors.Is(err, unix.ENOMEM) {
			t.Errorf("%v: %v", op, err)
		}
		if _, err := r.ctl.Info(context.Background(), 7); !errors.Is(err, ErrGone) {
			t.Errorf("%v: left behind: %v", op, err)
		}
	}
	r := newRig(t)
	r.busy = 1 << 30
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := create(ctx, r.ctl, r.l, small, r.mem); !errors.Is(err, ErrBusy) {
		t.Errorf("a character device that never opens: %v", err)
	}
	if _, err := r.ctl.Info(context.Background(), 7); !errors.Is(err, ErrGone) {
		t.Errorf("left behind: %v", err)
	}
	d := r.create2(t)
	if _, err := create(context.Background(), r.ctl, r.l, small, r.mem); !errors.Is(err, ErrExist) {
		t.Errorf("twice: %v", err)
	}
	r.stop(d)
}

func (r *rig) create2(t *testing.T) *Device {
	t.Helper()
	r.mu.Lock()
	r.busy = 0
	r.mu.Unlock()
	return r.create()
}

func TestResize(t *testing.T) {
	r := newRig(t)
	d := r.create()
	if err := d.Resize(context.Background(), 2<<20); !errors.Is(err, ErrUnsupported) {
		t.Errorf("6.12: %v", err)
	}
	r.stop(d)
	r = newRig(t, func(f *fake) { f.rel, f.feat = Release{Major: 6, Minor: 18}, 0x7fff })
	d = r.create()
	if err := d.Resize(context.Background(), 1000); err == nil {
		t.Error("a size that is no multiple of the block size passed")
	}
	if err := d.Resize(context.Background(), 2<<20); err != nil || r.devs[7].params.basic.devSectors != 4096 {
		t.Errorf("%v, %d sectors", err, r.devs[7].params.basic.devSectors)
	}
	// Some kernels crash when the device is not live.
	r.mu.Lock()
	r.devs[7].info.state = uint16(Quiesced)
	r.mu.Unlock()
	n := len(r.sent(opUpdateSize))
	if err := d.Resize(context.Background(), 4<<20); !errors.Is(err, ErrBusy) || len(r.sent(opUpdateSize)) != n {
		t.Errorf("quiesced: %v", err)
	}
	if d.Config().Size != 2<<20 {
		t.Errorf("%d", d.Config().Size)
	}
	r.stop(d)
}
