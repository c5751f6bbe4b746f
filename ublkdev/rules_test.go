// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// rig is a fake with a control plane and a loop.
type rig struct {
	*fake
	ctl *Control
	l   *fakeLoop
	mem *memory
}

func newRig(t testing.TB, edit ...func(f *fake)) *rig {
	t.Helper()
	f := newFake(t)
	for _, fn := range edit {
		fn(f)
	}
	ctl, err := openControl(f, ControlOptions{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ctl.Close)
	return &rig{fake: f, ctl: ctl, l: f.loop(64), mem: &memory{data: make([]byte, 1<<20)}}
}

// memory is a handler that serves at once, or holds what it gets.
type memory struct {
	data []byte
	hold bool
	held []*Request // of the loop
	seen []Request
}

func (m *memory) Request(r *Request) {
	m.seen = append(m.seen, *r)
	if m.hold {
		m.held = append(m.held, r)
		return
	}
	m.serve(r)
}

func (m *memory) serve(r *Request) {
	switch r.Op {
	case Read:
		copy(r.Buf, m.data[r.Pos:])
	case Write:
		copy(m.data[r.Pos:], r.Buf)
	}
	r.Complete(nil)
}

var small = Config{ID: 7, Size: 1 << 20, MaxIO: 64 << 10, Depth: 8, Stamp: 0xfeed}

func (r *rig) create() *Device {
	r.t.Helper()
	d, err := create(context.Background(), r.ctl, r.l, small, r.mem)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) stop(d *Device) {
	r.t.Helper()
	if err := d.Stop(context.Background(), false); err != nil {
		r.t.Fatal(err)
	}
	if d.Err() != nil {
		r.t.Errorf("stopped with %v", d.Err())
	}
}

func (r *rig) sent(op ctrlOp) []fakeCmd {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []fakeCmd
	for _, c := range r.cmds {
		if c.op == op {
			out = append(out, c)
		}
	}
	return out
}

// Rules 1 and 2: buffers first, then open, one submission of all fetches, then
// the map, then START.
func TestRuleFetchInOneSubmission(t *testing.T) {
	r := newRig(t)
	d := r.create()
	wantOrder(t, r.history(), "ADD_DEV", "SET_PARAMS", "open char", "submit 8 fetches", "map descriptors", "START_DEV")
	if n := len(slices.DeleteFunc(r.history(), func(s string) bool { return !strings.Contains(s, "fetches") })); n != 1 {
		t.Errorf("%d submissions with fetches", n)
	}
	r.stop(d)
	// Everything but entries of the ring existed when the device was opened.
	q, err := newQueue(r.fake, Info{Depth: 4, MaxIO: 4096}, r.mem, queueHooks{})
	if err != nil || len(q.mem) != 5*4096 || len(q.reqs) != 4 {
		t.Errorf("queue with %d bytes, %d requests: %v", len(q.mem), len(q.reqs), err)
	}
	q.free()
}

// Entries of others that leave too little room go to the kernel before.
func TestRuleFetchMakesRoomFirst(t *testing.T) {
	r := newRig(t)
	r.l.ring.entries = 10
	first := r.create()
	// Answers to five requests are queued when the second device is fetched.
	r.l.sync(func() { r.mem.hold = true })
	var reqs []*fakeReq
	for range 5 {
		reqs = append(reqs, r.send(7, ioDesc{opFlags: rawRead, nrSectors: 1}, nil))
	}
	cfg := small
	cfg.ID = 8
	q, err := newQueue(r.fake, Info{Depth: 8, MaxIO: 64 << 10}, r.mem, queueHooks{ended: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ctl.add(context.Background(), cfg.devInfo(0)); err != nil {
		t.Fatal(err)
	}
	fd, err := r.openChar(8)
	if err != nil {
		t.Fatal(err)
	}
	r.l.sync(func() {
		for _, h := range r.mem.held {
			r.mem.serve(h)
		}
		if r.l.ring.Queued() != 5 {
			t.Errorf("%d answers queued", r.l.ring.Queued())
		}
		base, release := r.l.RingOwner(func(c uring.CQE) { q.handle(c) })
		if err := q.start(r.l.ring, base, release, fd); err != nil {
			t.Error(err)
		}
	})
	for _, q := range reqs {
		r.result(q)
	}
	wantOrder(t, r.history(), "submit 8 fetches", "submit 8 fetches", "map descriptors")
	if err := r.ctl.Remove(context.Background(), 8); err != nil {
		t.Error(err)
	}
	r.stop(first)
}

// A ring that cannot take all fetches at once is refused before anything is made.
func TestRuleRingTooSmall(t *testing.T) {
	r := newRig(t)
	cfg := small
	cfg.Depth = 65
	if _, err := create(context.Background(), r.ctl, r.l, cfg, r.mem); err == nil {
		t.Fatal("a ring of 64 took a queue of 65")
	}
	if len(r.sent(opAddDev)) != 0 {
		t.Error("a device was made")
	}
}

// Rule 3: one loop serves many devices, each with its own answers.
func TestRuleOneLoopManyDevices(t *testing.T) {
	r := newRig(t)
	var devs []*Device
	for id := range uint32(3) {
		cfg := small
		cfg.ID = id
		d, err := create(context.Background(), r.ctl, r.l, cfg, HandlerFunc(func(q *Request) {
			for i := range q.Buf {
				q.Buf[i] = byte(id)
			}
			q.Complete(nil)
		}))
		if err != nil {
			t.Fatal(err)
		}
		devs = append(devs, d)
	}
	for id := range uint32(3) {
		got := r.result(r.send(id, ioDesc{opFlags: rawRead, nrSectors: 8}, nil))
		if got.res != 4096 || !bytes.Equal(got.data, bytes.Repeat([]byte{byte(id)}, 4096)) {
			t.Errorf("device %d: %d", id, got.res)
		}
	}
	r.stop(devs[1])
	if got := r.result(r.send(2, ioDesc{opFlags: rawRead, nrSectors: 1}, nil)); got.res != 512 {
		t.Errorf("after its neighbour went: %d", got.res)
	}
	r.stop(devs[0])
	r.stop(devs[2])
}

// Rule 4: recovery and reissue are asked for, FAIL_IO is not, and what was
// granted is compared.
func TestRuleRecoveryFlags(t *testing.T) {
	r := newRig(t, func(f *fake) { f.feat = 0x1fffff; f.rel = Release{Major: 7, Minor: 3} })
	d := r.create()
	info := *(*devInfo)(unsafe.Pointer(&r.sent(opAddDev)[0].buf[0]))
	want := FUserRecovery | FRecoverReissue | FQuiesce | FSafeStop | FNoPartScan | FUpdateSize
	if f := Features(info.flags); f != want {
		t.Errorf("asked for %v, want %v", f, want)
	}
	if info.nrHWQueues != 1 || info.srvFlags != small.Stamp {
		t.Errorf("%+v", info)
	}
	r.stop(d)

	r2 := newRig(t, func(f *fake) { f.clear = FRecoverReissue })
	if _, err := create(context.Background(), r2.ctl, r2.l, small, r2.mem); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a device without reissue: %v", err)
	}
	if _, err := r2.ctl.Info(context.Background(), 7); !errors.Is(err, ErrGone) {
		t.Errorf("it was left behind: %v", err)
	}
}

// Rule 4: a kernel that can crash in a recovery is never asked for one.
func TestRuleNoRecoveryOnOldKernels(t *testing.T) {
	r := newRig(t, func(f *fake) { f.rel = Release{Major: 6, Minor: 12, Patch: 23} })
	d := r.create()
	info := *(*devInfo)(unsafe.Pointer(&r.sent(opAddDev)[0].buf[0]))
	if Features(info.flags)&(FUserRecovery|FRecoverReissue) != 0 {
		t.Errorf("asked for %v", Features(info.flags))
	}
	if _, err := recoverDevice(context.Background(), r.ctl, r.l, d.ID(), small.Stamp, r.mem); !errors.Is(err, ErrNotRecoverable) {
		t.Errorf("recover: %v", err)
	}
	if len(r.sent(opStartRecovery)) != 0 {
		t.Error("a recovery was tried")
	}
	r.stop(d)
}

// Rule 5: not in use, then synced, then stopped; the exclusive descriptor is
// held until after STOP and closed before DEL.
func TestRuleSyncBeforeStop(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.usage = Usage{Openers: []string{"12/3"}}
	err := d.Stop(context.Background(), false)
	var use *InUseError
	if !errors.Is(err, ErrInUse) || !errors.As(err, &use) || use.Usage.Count() != 1 {
		t.Fatalf("stop of an open device: %v", err)
	}
	r.usage = Usage{Claimed: true}
	if err := d.Stop(context.Background(), false); !errors.Is(err, ErrInUse) {
		t.Fatalf("stop of a mounted device: %v", err)
	}
	if len(r.sent(opStopDev)) != 0 || d.Err() != nil {
		t.Fatal("something changed")
	}
	r.usage = Usage{}
	r.stop(d)
	wantOrder(t, r.history(), "open block excl", "sync", "STOP_DEV", "close block", "DEL_DEV")
	h := r.history()
	if indexOf(t, h, "sync") < indexOf(t, h, "open block excl") {
		t.Error("synced before the check")
	}
}

// Rule 5: a process that does not have the device open never waits for its own
// IO: nothing is synced.
func TestRuleNoSyncOfOthers(t *testing.T) {
	for _, rel := range []Release{{Major: 6, Minor: 12, Patch: 90}, {Major: 7}} {
		r := newRig(t, func(f *fake) {
			f.strange, f.rel = true, rel
			if rel.Major == 7 {
				f.feat = 0x7ffff
			}
		})
		r.stop(r.create())
		if slices.Contains(r.history(), "sync") {
			t.Errorf("%v: %v", rel, r.history())
		}
	}
}

func TestRuleTryStop(t *testing.T) {
	r := newRig(t, func(f *fake) { f.feat, f.strange, f.rel = 0x7ffff, true, Release{Major: 7} })
	d := r.create()
	r.usage = Usage{Openers: []string{"12/3"}}
	if err := d.Stop(context.Background(), false); !errors.Is(err, ErrInUse) {
		t.Fatalf("stop of an open device: %v", err)
	}
	// Now somebody who has closed it when one looks for him.
	r.usage, r.shy = Usage{}, 2
	r.stop(d)
	wantOrder(t, r.history(), "TRY_STOP_DEV", "TRY_STOP_DEV", "TRY_STOP_DEV", "TRY_STOP_DEV", "close char", "DEL_DEV")
	if len(r.sent(opStopDev)) != 0 {
		t.Error("stopped without a check")
	}
}

// The kernel counts our own descriptors, too: with such ones it is for us to look.
func TestRuleTryStopOwn(t *testing.T) {
	r := newRig(t, func(f *fake) { f.feat, f.rel = 0x7ffff, Release{Major: 7} })
	d := r.create()
	r.usage = Usage{Openers: []string{"12/3"}}
	if err := d.Stop(context.Background(), false); !errors.Is(err, ErrInUse) {
		t.Fatalf("stop of an open device: %v", err)
	}
	r.usage = Usage{}
	r.stop(d)
	wantOrder(t, r.history(), "sync", "STOP_DEV", "close char", "DEL_DEV")
}

// Rule 6: the time-out is lowered where the kernel needs it.
func TestRuleIOTimeout(t *testing.T) {
	for _, x := range []struct {
		rel  Release
		feat Features
		cfg  time.Duration
		want time.Duration
	}{
		{Release{Major: 6, Minor: 12, Patch: 117}, 0x1fe, 0, time.Second},
		{Release{Major: 6, Minor: 12, Patch: 117}, 0x1fe, 5 * time.Second, 5 * time.Second},
		{Release{Major: 6, Minor: 15}, 0x3ff, 0, 0},
		{Release{Major: 6, Minor: 16}, 0x3fff, 0, 0},
		{Release{Major: 6, Minor: 16}, 0x3fff, 2 * time.Second, 2 * time.Second},
	} {
		r := newRig(t, func(f *fake) { f.rel, f.feat = x.rel, x.feat })
		cfg := small
		cfg.IOTimeout = x.cfg
		d, err := create(context.Background(), r.ctl, r.l, cfg, r.mem)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.devs[7].timeout; got != x.want {
			t.Errorf("%v: io_timeout %v, want %v", x.rel, got, x.want)
		}
		r.stop(d)
	}
}

// Rule 7: cache and FUA are always offered, together.
func TestRuleCacheAndFUA(t *testing.T) {
	r := newRig(t)
	d := r.create()
	p := r.devs[7].params
	if p.len != 152 || p.basic.attrs != 4|8 {
		t.Errorf("length %d, attributes %#x", p.len, p.basic.attrs)
	}
	r.result(r.send(7, ioDesc{opFlags: rawWrite | 1<<13, nrSectors: 1}, make([]byte, 512)))
	r.result(r.send(7, ioDesc{opFlags: rawWrite, nrSectors: 1}, make([]byte, 512)))
	r.result(r.send(7, ioDesc{opFlags: rawFlush}, nil))
	r.l.sync(func() {
		for i, want := range []Request{{Op: Write, FUA: true}, {Op: Write}, {Op: Flush}} {
			if got := r.mem.seen[i]; got.Op != want.Op || got.FUA != want.FUA {
				t.Errorf("request %d: %v FUA %v", i, got.Op, got.FUA)
			}
		}
	})
	r.stop(d)
}

// Rule 9: START carries the own pid, which the fake kernel wrote down.
func TestRulePID(t *testing.T) {
	r := newRig(t)
	d := r.create()
	if pid := r.sent(opStartDev)[0].cmd.data; pid != 4711 {
		t.Errorf("started with pid %d", pid)
	}
	r.stop(d)
}

// Rule 12: a loop with DEFER_TASKRUN is refused on kernels that it can wedge.
func TestRuleNoDeferTaskrun(t *testing.T) {
	for rel, ok := range map[string]bool{"6.12.117": true, "6.16.12": false, "6.17.13": false, "6.18.20": true} {
		r := newRig(t, func(f *fake) { f.rel = ParseRelease(rel, "") })
		r.l.ring.flags = uring.SetupDeferTaskrun
		d, err := create(context.Background(), r.ctl, r.l, small, r.mem)
		if ok {
			if err != nil {
				t.Errorf("%s: %v", rel, err)
				continue
			}
			r.stop(d)
			continue
		}
		if !errors.Is(err, ErrBadKernel) || len(r.sent(opAddDev)) > 0 {
			t.Errorf("%s: %v", rel, err)
		}
	}
}

// Rule 13: a command that does not end is cancelled; if not even that helps, its
// memory and its ring are never used again.
func TestRuleControlDeadline(t *testing.T) {
	r := newRig(t)
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	r.addDev(ctrlCmd{devID: 3}, bytesOf(&devInfo{devID: 3, queueDepth: 1}))
	err := r.ctl.start(short(), 3) // nothing fetched: it waits for ever
	var ce *CmdError
	if !errors.Is(err, ErrTimeout) || !errors.As(err, &ce) || ce.Lost || ce.Errno != unix.EINTR {
		t.Fatalf("start without fetches: %v", err)
	}
	indexOf(t, r.history(), "cancel START_DEV")
	if _, err := r.ctl.Info(context.Background(), 3); err != nil {
		t.Fatalf("after a cancelled command: %v", err)
	}
	if len(r.rings) != 1 {
		t.Errorf("%d rings after a cancelled command", len(r.rings))
	}

	r.deafen(true)
	_, err = r.ctl.Info(short(), 3)
	if !errors.Is(err, ErrTimeout) || !errors.As(err, &ce) || !ce.Lost {
		t.Fatalf("a deaf kernel: %v", err)
	}
	r.deafen(false)
	lost := r.cmds[len(r.cmds)-1]
	for range 5 {
		if _, err := r.ctl.Info(context.Background(), 3); err != nil {
			t.Fatalf("after a lost command: %v", err)
		}
	}
	if len(r.rings) != 2 || !r.rings[0].closed {
		t.Errorf("%d rings, the first closed: %v", len(r.rings), r.rings[0].closed)
	}
	for _, c := range r.cmds[len(r.cmds)-5:] {
		if c.cmd.addr == lost.cmd.addr || c.ring == lost.ring {
			t.Error("memory or ring of a lost command is used again")
		}
	}
	// The kernel may still write there: it must be mapped.
	clear(at(lost.cmd.addr, 64))
}

func (f *fake) deafen(deaf bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deaf = deaf
	f.touch()
}
