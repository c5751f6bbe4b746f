// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestKernelProbe(t *testing.T) {
	if !realKernel(t) {
		return
	}
	c, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kernel %v, features %v (%#x), %v, warnings %q", c.Release, c.Features, uint64(c.Features),
		c.Plan().Level, c.Plan().Warnings)
}

func TestKernelDisk(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &memory{data: make([]byte, vmSize)}
	h := &lasting{memory: m}
	var ops []Request
	d := v.create(1000, HandlerFunc(func(r *Request) {
		ops = append(ops, Request{Op: r.Op, FUA: r.FUA, Pos: r.Pos, Len: r.Len})
		h.Request(r)
	}))
	seen := func() []Request {
		var out []Request
		if err := onLoop(v.ctx, v.loop, func() error { out, ops = ops, nil; return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	has := func(what string, match func(r Request) bool) {
		t.Helper()
		if got := seen(); !slices.ContainsFunc(got, match) {
			t.Errorf("%s: the handler saw %+v", what, got)
		}
	}
	if _, err := Create(v.ctx, v.ctl, v.loop, vmConfig(1000), m); !errors.Is(err, ErrExist) {
		t.Errorf("the same id again: %v", err)
	}
	fd := openDev(t, d.Path(), unix.O_DIRECT)
	if n := deviceSize(t, fd); n != vmSize {
		t.Errorf("size %d", n)
	}
	checkWriteRead(t, fd, 256<<10) // more than MaxIO: comes in pieces
	for _, r := range seen() {
		if r.Len > 128<<10 {
			t.Errorf("a request of %d bytes", r.Len)
		}
	}
	if err := unix.Fsync(fd); err != nil {
		t.Error(err)
	}
	has("fsync", func(r Request) bool { return r.Op == Flush })
	sfd := openDev(t, d.Path(), unix.O_DIRECT|unix.O_DSYNC)
	if n, err := unix.Pwrite(sfd, aligned(t, 4096), 0); n != 4096 || err != nil {
		t.Errorf("write with O_DSYNC: %d %v", n, err)
	}
	has("O_DSYNC", func(r Request) bool { return r.Op == Write && r.FUA })
	unix.Close(sfd)
	for what, req := range map[string]uint{"discard": unix.BLKDISCARD, "write zeroes": unix.BLKZEROOUT} {
		if err := ioctl(fd, req, unsafe.Pointer(&[2]uint64{1 << 20, 1 << 20})); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		has(what, func(r Request) bool { return r.Op.String() == what && r.Pos == 1<<20 && r.Len == 1<<20 })
	}
	unix.Close(fd)
	v.stop(d)
}

// checkWriteRead writes n bytes at 4096 and reads them back.
func checkWriteRead(t *testing.T, fd, n int) {
	t.Helper()
	buf := aligned(t, n)
	for i := range buf {
		buf[i] = byte(i * 7)
	}
	want := bytes.Clone(buf)
	if n, err := unix.Pwrite(fd, buf, 4096); n != len(buf) || err != nil {
		t.Fatalf("write: %d %v", n, err)
	}
	clear(buf)
	if n, err := unix.Pread(fd, buf, 4096); n != len(buf) || err != nil || !bytes.Equal(buf, want) {
		t.Fatalf("read: %d %v", n, err)
	}
}

// Errors reach the user as they are, and only where the request was.
func TestKernelErrors(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &memory{data: make([]byte, vmSize)}
	answers := map[int64]error{1 << 20: unix.ENOSPC, 2 << 20: unix.EIO, 3 << 20: unix.EAGAIN}
	d := v.create(1001, HandlerFunc(func(r *Request) {
		if err := answers[r.Pos]; err != nil && r.Op == Write {
			r.Complete(err)
			return
		}
		m.serve(r)
	}))
	fd := openDev(t, d.Path(), unix.O_DIRECT)
	buf := aligned(t, 4096)
	for pos, want := range map[int64]error{1 << 20: unix.ENOSPC, 2 << 20: unix.EIO, 3 << 20: unix.EIO, 0: nil} {
		if _, err := unix.Pwrite(fd, buf, pos); err != want {
			t.Errorf("at %d: %v, want %v", pos, err, want)
		}
	}
	unix.Close(fd)
	v.stop(d)
}

// What is only in the page cache reaches the backend before a stop.
func TestKernelStopWritesBack(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &memory{data: make([]byte, vmSize)}
	d := v.create(1002, m)
	// Somebody else has it open: the kernel writes back when the last opener
	// closes, so the cache stays dirty only as long as there is one.
	fd := openDev(t, d.Path(), 0)
	data := bytes.Repeat([]byte("dirty"), 200000)
	if n, err := unix.Pwrite(fd, data, 0); n != len(data) || err != nil {
		t.Fatalf("%d %v", n, err)
	}
	// Own descriptors do not count as a user, but keep the id until closed.
	if err := d.Stop(v.ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := onLoop(v.ctx, v.loop, func() error {
		if !bytes.Equal(m.data[:len(data)], data) {
			t.Error("written data was lost in the stop")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	unix.Close(fd)
	for {
		_, err := v.ctl.Info(v.ctx, 1002)
		if errors.Is(err, ErrGone) {
			return
		}
		if err := errors.Join(err, pause(v.ctx, retryEvery)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelInUse(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	d := v.create(1003, &memory{data: make([]byte, vmSize)})
	if u, err := d.InUse(); err != nil || u.Count() != 0 {
		t.Errorf("unused: %v, %v", u, err)
	}
	// An exclusive opener is what a mount is.
	fd := openDev(t, d.Path(), unix.O_EXCL)
	if err := d.Stop(v.ctx, false); !errors.Is(err, ErrInUse) {
		t.Errorf("claimed: %v", err)
	}
	unix.Close(fd)
	// A plain opener in another process.
	other := startServer(t, "hold", d.ID(), d.Path())
	other.ready(t)
	u, err := d.InUse()
	if err != nil || len(u.Openers) != 1 {
		t.Errorf("open elsewhere: %v, %v", u, err)
	}
	if err := d.Stop(v.ctx, false); !errors.Is(err, ErrInUse) {
		t.Errorf("open elsewhere: %v", err)
	}
	other.kill()
	v.stop(d)
}

// A forced stop ends also when the handler is stuck and the device is open.
func TestKernelForcedStop(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &lasting{&memory{data: make([]byte, vmSize)}, true}
	d := v.create(1004, m)
	fd := openDev(t, d.Path(), unix.O_DIRECT)
	buf := aligned(t, 4096)
	result := make(chan error, 1)
	go func() {
		_, err := unix.Pwrite(fd, buf, 0)
		result <- err
	}()
	for owned := 0; owned == 0; {
		if err := onLoop(v.ctx, v.loop, func() error { owned = d.q.owned; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Stop(v.ctx, true); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != unix.EIO {
		t.Errorf("the write that was stuck: %v", err)
	}
	unix.Close(fd)
}

// START without fetched tags never ends by itself.
func TestKernelCommandIsCancelled(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	quick, err := Open(ControlOptions{Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer quick.Close()
	cfg, err := vmConfig(1005).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.ctl.add(v.ctx, cfg.devInfo(v.ctl.plan.AddFlags)); err != nil {
		t.Fatal(err)
	}
	if err := v.ctl.setParams(v.ctx, 1005, cfg.params(cfg.MaxIO)); err != nil {
		t.Fatal(err)
	}
	err = quick.start(v.ctx, 1005)
	var ce *CmdError
	if !errors.Is(err, ErrTimeout) || !errors.As(err, &ce) || ce.Lost {
		t.Errorf("start without fetches: %v", err)
	}
	if _, err := quick.Info(v.ctx, 1005); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := Recover(v.ctx, v.ctl, v.loop, 1005, cfg.Stamp, &memory{}); !errors.Is(err, ErrNotRecoverable) {
		t.Errorf("recovery of a device that never started: %v", err)
	}
	v.remove(1005)
}

// Making and stopping leaves nothing behind.
func TestKernelChurn(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &memory{data: make([]byte, vmSize)}
	v.stop(v.create(1006, m))
	before := ownFds(t)
	for range 30 {
		a, b := v.create(1006, m), v.create(1007, m)
		v.stop(a)
		v.stop(b)
	}
	if after := ownFds(t); after != before {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	list, err := v.ctl.List(v.ctx)
	if err != nil || len(list) != 0 {
		t.Errorf("left: %+v, %v", list, err)
	}
}

// A killed server costs its users nothing but time, again and again.
func TestKernelKillUnderLoad(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	defer v.remove(1010)
	store := filepath.Join(t.TempDir(), "store")
	s := startServer(t, "create", 1010, store)
	s.ready(t)
	l := startLoad(t, "/dev/ublkb1010")
	rng := rand.New(rand.NewPCG(1, 2))
	const kills = 25
	for i := range kills {
		if err := l.progress(1 + rng.IntN(200)); err != nil {
			t.Errorf("after %d kills: %v", i, err)
			break
		}
		s.kill()
		s = startServer(t, "recover", 1010, store)
		s.ready(t)
	}
	if err := l.progress(200); err != nil {
		t.Error(err)
	}
	if err := l.end(); err != nil {
		t.Error(err)
	}
	t.Logf("%d operations, %d kills", l.ops, kills)
	s.kill()
}

// A server may die anywhere in a recovery.
func TestKernelKillInRecovery(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	defer v.remove(1011)
	store := filepath.Join(t.TempDir(), "store")
	s := startServer(t, "create", 1011, store)
	s.ready(t)
	l := startLoad(t, "/dev/ublkb1011")
	for _, at := range append(deaths[:], deaths[:]...) {
		if err := l.progress(50); err != nil {
			t.Errorf("before the death at %q: %v", at, err)
			break
		}
		s.kill()
		startServer(t, "recover", 1011, store, at).died(t)
		s = startServer(t, "recover", 1011, store)
		s.ready(t)
	}
	if err := errors.Join(l.progress(50), l.end()); err != nil {
		t.Error(err)
	}
	s.kill()
}

// A server that dies with all its tags in hand is noticed soon, too, and every
// request is answered by the next.
func TestKernelKillWithAllTags(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	defer v.remove(1012)
	store := filepath.Join(t.TempDir(), "store")
	s := startServer(t, "create", 1012, store, "mute")
	s.ready(t)
	const writes = 32 // the depth is 16
	results := make(chan error, writes)
	for i := range writes {
		fd := openDev(t, "/dev/ublkb1012", unix.O_DIRECT)
		buf := aligned(t, 4096)
		buf[0] = byte(i + 1)
		go func() {
			defer unix.Close(fd)
			_, err := unix.Pwrite(fd, buf, int64(i)*8192)
			results <- err
		}()
	}
	for busy := 0; busy < 16; {
		in, out := inflight(t, 1012)
		busy = in + out
	}
	s.kill()
	begin := time.Now()
	s = startServer(t, "recover", 1012, store)
	s.ready(t)
	if d := time.Since(begin); d > 25*time.Second { // without the short time limit of requests it is 30 s and more
		t.Errorf("recovered only after %v", d)
	} else {
		t.Logf("recovered after %v", d)
	}
	for range writes {
		if err := <-results; err != nil {
			t.Errorf("a write: %v", err)
		}
	}
	m, err := shared(store)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		if m.data[i*8192] != byte(i+1) {
			t.Errorf("write %d is not in the store", i)
		}
	}
	s.kill()
}

// The end of a reactor leaves the device to a successor, in the same process
// also; requests that were not answered come again.
func TestKernelHandOver(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	first, err := NewReactor(ReactorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{data: make([]byte, vmSize)}
	old, err := Create(v.ctx, v.ctl, first, vmConfig(1013), &lasting{m, true})
	if err != nil {
		t.Fatal(err)
	}
	fd := openDev(t, old.Path(), unix.O_DIRECT)
	buf := aligned(t, 4096)
	buf[0] = 77
	result := make(chan error, 1)
	go func() {
		_, err := unix.Pwrite(fd, buf, 4096)
		result <- err
	}()
	for owned := 0; owned == 0; {
		if err := onLoop(v.ctx, first, func() error { owned = old.q.owned; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Recover(v.ctx, v.ctl, v.loop, 1013, 1, m); !errors.Is(err, ErrForeign) {
		t.Errorf("another stamp: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := Recover(v.ctx, v.ctl, v.loop, 1013, vmConfig(0).Stamp, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("the write: %v", err)
	}
	<-old.Done()
	if !errors.Is(old.Err(), ErrDetached) {
		t.Errorf("the old one ended with %v", old.Err())
	}
	unix.Close(fd)
	got, want := d.Config(), vmConfig(1013)
	if got.Size != want.Size || got.Depth != want.Depth || got.MaxIO != want.MaxIO || got.MaxDiscard != want.MaxDiscard {
		t.Errorf("recovered as %+v", got)
	}
	v.stop(d)
	if m.data[4096] != 77 {
		t.Error("the write is not in the store")
	}
}

// What the kernel offers works, what it does not is refused in words.
func TestKernelOptional(t *testing.T) {
	if !realKernel(t) {
		return
	}
	v := newVM(t)
	m := &memory{data: make([]byte, 2*vmSize)}
	d := v.create(1014, m)
	err := d.Resize(v.ctx, 2*vmSize)
	if offered := v.ctl.Plan().Resize; offered != (err == nil) || !offered && !errors.Is(err, ErrUnsupported) {
		t.Errorf("resize (offered: %v): %v", offered, err)
	}
	err = d.Detach(v.ctx)
	if !v.ctl.Plan().Quiesce {
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("detach: %v", err)
		}
		v.stop(d)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if d, err = Recover(v.ctx, v.ctl, v.loop, 1014, vmConfig(0).Stamp, m); err != nil {
		t.Fatal(err)
	}
	v.stop(d)
}
