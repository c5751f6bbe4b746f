// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

const (
	// ctrlSlice is how long a wait goes on before the context is looked at.
	ctrlSlice = 20 * time.Millisecond
	// cancelWait bounds the cancellation of a command, and the wait for its
	// completion after that.
	cancelWait = 500 * time.Millisecond
	ctrlArgMax = 256
)

// ctrlThread is the state of the thread: a ring, and the memory that the kernel
// reads arguments from and writes answers to. Both are given up together when
// a command is lost: the kernel may still write to the memory of a command that
// did not end, so that memory is never used again, nor freed.
type ctrlThread struct {
	c    *Control
	ring controlRing
	arg  []byte
	seq  uint64
}

func (c *Control) run(started chan<- error) {
	runtime.LockOSThread() // for good: kernel workers belong to this thread
	defer close(c.done)
	t := &ctrlThread{c: c}
	err := t.renew()
	started <- err
	if err != nil {
		return
	}
	defer t.end()
	for {
		select {
		case k := <-c.calls:
			k.reply <- t.do(k)
		case <-c.quit:
			return
		}
	}
}

// renew makes a fresh ring and argument memory.
func (t *ctrlThread) renew() error {
	arg, err := uring.Map(ctrlArgMax)
	if err != nil {
		return err
	}
	ring, err := t.c.p.controlRing()
	if err != nil {
		return errors.Join(err, uring.Unmap(arg))
	}
	t.ring, t.arg = ring, arg
	return nil
}

func (t *ctrlThread) end() {
	if t.ring != nil && t.ring.Close() == nil {
		// A failure means that the memory may be in use, or was never ours.
		_ = uring.Unmap(t.arg)
	}
}

// abandon gives up ring and memory with the command in them.
func (t *ctrlThread) abandon() {
	t.c.lost++
	t.ring.CloseNow()
	t.ring, t.arg = nil, nil
}

func (t *ctrlThread) do(k *call) error {
	ctx, cancel := context.WithTimeout(k.ctx, t.c.timeout)
	defer cancel()
	k.ctx = ctx
	if t.ring == nil {
		if err := t.renew(); err != nil {
			return fmt.Errorf("%w: %w", ErrNoUring, err)
		}
	}
	if len(k.buf) > len(t.arg) {
		panic("ublkdev: argument of a control command is too long")
	}
	copy(t.arg, k.buf)
	if err := t.send(k); err != nil {
		t.abandon()
		return &CmdError{Cmd: k.op.String(), ID: k.id, Lost: true, Kind: err, Hint: err.Error()}
	}
	res, ok := t.wait(k)
	if !ok {
		t.abandon()
		return &CmdError{Cmd: k.op.String(), ID: k.id, Lost: true, Kind: ErrTimeout}
	}
	if res < 0 {
		return cmdError(k.op, k.id, unix.Errno(-res))
	}
	copy(k.buf, t.arg)
	return nil
}

func (t *ctrlThread) send(k *call) error {
	s := t.ring.Get()
	if s == nil {
		panic("ublkdev: control ring is full with one command at a time")
	}
	t.seq++
	s.UringCmd(t.c.fd, k.op.code(), t.seq)
	cmd := ctrlCmd{devID: k.id, queueID: noQueue, data: k.data}
	if len(k.buf) > 0 {
		cmd.len, cmd.addr = uint16(len(k.buf)), addressOf(t.arg)
	}
	copy(t.ring.Cmd(s), bytesOf(&cmd))
	_, err := t.ring.SubmitAndWait(1, 0)
	return err
}

// wait waits for the completion until the context ends, then cancels. The
// second result is false when the command would not end at all.
func (t *ctrlThread) wait(k *call) (int32, bool) {
	for k.ctx.Err() == nil {
		if res, ok := t.reap(ctrlSlice); ok {
			return res, true
		}
	}
	// ENOENT and EALREADY may mean that it ends right now; ETIME that it does
	// not. The completion decides.
	_ = t.ring.SyncCancel(t.seq, cancelWait)
	return t.reap(cancelWait)
}

// reap takes the completion of the current command if it comes within d.
func (t *ctrlThread) reap(d time.Duration) (int32, bool) {
	if _, err := t.ring.SubmitAndWait(1, d); err != nil {
		return 0, false
	}
	var c [1]uring.CQE
	for t.ring.Reap(c[:]) == 1 {
		if c[0].UserData == t.seq {
			return c[0].Res, true
		}
	}
	return 0, false
}

func addressOf(b []byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}
