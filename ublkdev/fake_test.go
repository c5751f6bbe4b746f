// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// fake is a driver that plays the kernel's part behind port, controlRing and
// dataRing, and logs what happens in which order.
type fake struct {
	t       testing.TB
	rel     Release
	feat    Features
	clear   Features // flags that ADD does not grant
	noNode  bool     // no /dev/ublk-control
	module  bool
	openErr error // of openControl

	mu        sync.Mutex
	changed   chan struct{} // closed at every change
	log       []string
	devs      map[uint32]*fakeDev
	nextFd    int
	script    map[ctrlOp][]unix.Errno // answers in place of the command's own
	hang      map[ctrlOp]bool         // does not end by itself
	deaf      bool                    // nor by cancellation
	refuseTag bool                    // the fetch of tag 3 fails
	busy      int                     // so many opens of a character device fail
	cmds      []fakeCmd
	rings     []*fakeCtrlRing
	strange   bool // this process does not have block devices open
	usage     Usage
	shy       int // so many times an opener whom nobody sees is in the way
	opened    int // descriptors open
}

// fakeCmd is a control command as it arrived.
type fakeCmd struct {
	op   ctrlOp
	code uint32
	cmd  ctrlCmd
	buf  []byte
	ring *fakeCtrlRing
}

type fakeDev struct {
	info    devInfo
	params  params
	charFd  int // 0: closed
	started bool
	armed   map[uint16]fakeTag
	busy    map[uint16]*fakeReq
	descs   []byte
	blockFd int // open exclusively
	timeout time.Duration
	gone    bool
}

type fakeTag struct {
	addr uint64
	ud   uint64
	ring *fakeRing
}

// fakeReq is a request that the fake sent.
type fakeReq struct {
	desc ioDesc
	tag  uint16
	done chan fakeResult
}

type fakeResult struct {
	res  int32
	data []byte // of a read
	addr uint64 // of the buffer given with the commit
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, rel: Release{Major: 6, Minor: 12, Patch: 117}, feat: 0x1fe, module: true,
		changed: make(chan struct{}), devs: make(map[uint32]*fakeDev), nextFd: 1000,
		script: make(map[ctrlOp][]unix.Errno), hang: make(map[ctrlOp]bool)}
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.opened != 0 && !t.Failed() {
			t.Errorf("%d descriptors left open", f.opened)
		}
	})
	return f
}

// note and touch are called with the lock held.
func (f *fake) note(format string, args ...any) {
	f.log = append(f.log, fmt.Sprintf(format, args...))
	f.touch()
}

func (f *fake) touch() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fake) history() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// until waits for cond, which runs with the lock held, at most d.
func (f *fake) until(d time.Duration, cond func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		f.mu.Lock()
		ok, changed := cond(), f.changed
		f.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

func (f *fake) dev(id uint32) *fakeDev {
	d := f.devs[id]
	if d == nil || d.gone {
		return nil
	}
	return d
}

func (f *fake) byFd(fd int) *fakeDev {
	for _, d := range f.devs {
		if d.charFd == fd {
			return d
		}
	}
	return nil
}

// The port.

func (f *fake) controlRing() (controlRing, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &fakeCtrlRing{f: f}
	f.rings = append(f.rings, r)
	return r, nil
}

func (f *fake) fd() int {
	f.nextFd++
	f.opened++
	return f.nextFd
}

func (f *fake) openControl() (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.openErr != nil {
		return -1, f.openErr
	}
	if f.noNode {
		return -1, fs.ErrNotExist
	}
	return f.fd(), nil
}

func (f *fake) openChar(id uint32) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dev(id)
	if d == nil {
		return -1, unix.ENOENT
	}
	if f.busy > 0 {
		f.busy--
		return -1, unix.EBUSY
	}
	if d.charFd != 0 {
		return -1, unix.EBUSY
	}
	d.charFd = f.fd()
	f.note("open char")
	return d.charFd, nil
}

func (f *fake) openBlock(id uint32, excl bool) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dev(id)
	if d == nil || !d.started {
		return -1, unix.ENOENT
	}
	if excl && f.usage.Claimed {
		return -1, unix.EBUSY
	}
	fd := f.fd()
	if excl {
		d.blockFd = fd
		f.note("open block excl")
	}
	return fd, nil
}

func (f *fake) ownOpen(uint32) (bool, error) { return !f.strange, nil }

func (f *fake) syncBlock(int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("sync")
	return nil
}

func (f *fake) mapDescs(fd int, offset int64, length int) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.byFd(fd)
	if d == nil || offset != 0 || length != roundUp(int(d.info.queueDepth)*24, 4096) {
		return nil, unix.EINVAL
	}
	d.descs = make([]byte, length)
	f.note("map descriptors")
	return d.descs, nil
}

func (f *fake) unmapDescs(mem []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("unmap descriptors")
	return nil
}

func (f *fake) close(fd int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened--
	for _, d := range f.devs {
		if d.charFd == fd {
			d.charFd = 0
			f.note("close char")
		}
		if d.blockFd == fd {
			d.blockFd = 0
			f.note("close block")
		}
	}
	f.touch()
}

func (f *fake) setIOTimeout(id uint32, t time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.devs[id].timeout = t
	f.note("io_timeout %v", t)
	return nil
}

func (f *fake) listIDs() ([]uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []uint32
	for id := range f.devs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

func (f *fake) openers(uint32) ([]string, error) { return f.usage.Openers, nil }
func (f *fake) holders(uint32) ([]string, error) { return f.usage.Holders, nil }
func (f *fake) release() (Release, error)        { return f.rel, nil }
func (f *fake) moduleLoaded() bool               { return f.module }
func (f *fake) pid() int                         { return 4711 }
func (f *fake) pageSize() int                    { return 4096 }

// at makes memory of an address that came through the ring.
func at(addr uint64, n int) []byte {
	p := uintptr(addr)
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

// indexOf finds the first entry of the log that begins with prefix.
func indexOf(t testing.TB, log []string, prefix string) int {
	t.Helper()
	i := slices.IndexFunc(log, func(s string) bool { return strings.HasPrefix(s, prefix) })
	if i < 0 {
		t.Fatalf("%q did not happen in %q", prefix, log)
	}
	return i
}

// wantOrder checks that things happened in that order.
func wantOrder(t testing.TB, log []string, prefixes ...string) {
	t.Helper()
	from := 0
	for _, p := range prefixes {
		from += indexOf(t, log[from:], p) + 1
	}
}

// fakeCtrlRing carries one command at a time.
type fakeCtrlRing struct {
	f       *fake
	sqe     [128]byte
	filled  bool
	ud      uint64
	op      ctrlOp
	poll    func() (int32, bool)
	stopped bool // cancelled
	ready   []uring.CQE
	closed  bool
}

func (r *fakeCtrlRing) entry() *uring.SQE { return (*uring.SQE)(unsafe.Pointer(&r.sqe)) }

func (r *fakeCtrlRing) Get() *uring.SQE {
	r.sqe, r.filled = [128]byte{}, true
	return r.entry()
}

func (r *fakeCtrlRing) Cmd(*uring.SQE) []byte { return r.sqe[48:] }

func (r *fakeCtrlRing) SubmitAndWait(n int, d time.Duration) (int, error) {
	if r.filled {
		r.filled = false
		s := r.entry()
		r.ud = s.UserData
		r.op = ctrlOp(uint8(s.Off))
		r.poll = r.f.command(r, uint32(s.Off), *(*ctrlCmd)(unsafe.Pointer(&r.sqe[48])))
	}
	if d > 0 && r.poll != nil {
		var res int32
		if r.f.until(d, func() (ok bool) {
			res, ok = r.result()
			return ok
		}) {
			r.ready = append(r.ready, uring.CQE{UserData: r.ud, Res: res})
			r.poll = nil
		}
	}
	return 0, nil
}

// result is called with the lock held.
func (r *fakeCtrlRing) result() (int32, bool) {
	if r.f.hang[r.op] || r.f.deaf {
		if r.stopped && !r.f.deaf {
			return -int32(unix.EINTR), true
		}
		return 0, false
	}
	res, ok := r.poll()
	if !ok && r.stopped {
		return -int32(unix.EINTR), true
	}
	return res, ok
}

func (r *fakeCtrlRing) Reap(dst []uring.CQE) int {
	n := copy(dst, r.ready)
	r.ready = r.ready[n:]
	if n > 0 {
		r.stopped = false
	}
	return n
}

func (r *fakeCtrlRing) SyncCancel(ud uint64, _ time.Duration) error {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if ud != r.ud || r.poll == nil {
		return unix.ENOENT
	}
	r.stopped = true
	r.f.note("cancel %v", r.op)
	return nil
}

func (r *fakeCtrlRing) Close() error { r.closed = true; return nil }
func (r *fakeCtrlRing) CloseNow()    { r.closed = true }
