// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// Device is a block device that this process serves. Its methods may be called
// from any goroutine but the thread of its Loop, except where told.
type Device struct {
	ctl *Control
	p   port
	lp  looper
	q   *queue
	id  uint32

	life    sync.Mutex // one command that changes the device at a time
	deleted bool       // of life's holder
	mu      sync.Mutex // what follows
	info    Info
	cfg     Config
	err     error
	ends    bool // an end was asked for

	trouble chan struct{} // closed when a tag was lost
	broken  sync.Once
	done    chan struct{}
	closed  sync.Once
}

// retryEvery is the time between attempts at what others hold for a moment.
const retryEvery = 2 * time.Millisecond

func newDevice(c *Control, lp looper, id uint32) *Device {
	return &Device{ctl: c, p: c.p, lp: lp, id: id, trouble: make(chan struct{}), done: make(chan struct{})}
}

// hooks connect the queue; they run on the loop.
func (d *Device) hooks() queueHooks {
	return queueHooks{
		post: d.lp.Post,
		ended: func() {
			if rl, ok := d.lp.(registrar); ok {
				rl.forget(d)
			}
			d.finish(ErrGone)
		},
		trouble: func(err error) {
			d.setErr(err)
			d.broken.Do(func() { close(d.trouble) })
		},
	}
}

func (d *Device) setErr(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

// finish is the end; why is for those who did not ask for it.
func (d *Device) finish(why error) {
	d.closed.Do(func() {
		d.mu.Lock()
		if d.err == nil && !d.ends {
			d.err = why
		}
		d.mu.Unlock()
		close(d.done)
	})
}

func (d *Device) expectEnd(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ends = true
	if d.err == nil {
		d.err = err
	}
}

// ID is the N of /dev/ublkbN. From anywhere.
func (d *Device) ID() uint32 { return d.id }

// Path is the block device. From anywhere.
func (d *Device) Path() string { return "/dev/" + blockName(d.id) }

// Info is what the kernel answered when the device was made or recovered. From
// anywhere.
func (d *Device) Info() Info {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// Config is how the device was made, with the values the kernel made of the
// wishes. Of a recovered device IOTimeout is 0. From anywhere.
func (d *Device) Config() Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// Done is closed when the device is served no more. From anywhere.
func (d *Device) Done() <-chan struct{} { return d.done }

// Err tells what went wrong, also before Done: ErrGone when somebody else
// stopped the device, ErrDetached after Detach or the end of its ring, another
// error when requests can no longer be served. Nil after Stop. From anywhere.
func (d *Device) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// InUse tells who has the block device open. This process itself counts only
// where it mounted or otherwise claimed it.
func (d *Device) InUse() (Usage, error) {
	u, _, err := usage(d.p, d.id, false)
	return u, err
}

// Resize changes the capacity, in bytes. ErrUnsupported without Plan.Resize.
func (d *Device) Resize(ctx context.Context, size int64) error {
	d.life.Lock()
	defer d.life.Unlock()
	cfg := d.Config()
	cfg.Size = size
	if _, err := cfg.withDefaults(); err != nil {
		return err
	}
	if err := d.alive(); err != nil {
		return err
	}
	if err := d.ctl.updateSize(ctx, d.id, size); err != nil {
		return err
	}
	d.mu.Lock()
	d.cfg.Size = size
	d.mu.Unlock()
	return nil
}

func (d *Device) alive() error {
	select {
	case <-d.done:
		return fmt.Errorf("%w: device %d", ErrClosed, d.id)
	default:
		return nil
	}
}

// openChar opens the character device; others (udev, a dying predecessor) may
// hold it for a moment, and its node may not be there yet.
func (d *Device) openChar(ctx context.Context) (int, error) {
	for {
		fd, err := d.p.openChar(d.id)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENXIO) {
			return -1, fmt.Errorf("ublk: %w", err)
		}
		if err := pause(ctx, retryEvery); err != nil {
			return -1, fmt.Errorf("%w: character device of %d: %w", ErrBusy, d.id, err)
		}
	}
}

// pause waits, or tells that ctx ended.
func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
}

// fetch opens the character device and lets the loop take over the queue.
// Nothing that takes time may be left to do.
func (d *Device) fetch(ctx context.Context) error {
	fd, err := d.openChar(ctx)
	if err != nil {
		return err
	}
	taken := false
	err = onLoop(ctx, d.lp, func() error {
		if rl, ok := d.lp.(registrar); ok && !rl.register(d) {
			return ErrClosed
		}
		taken = true
		base, release := d.lp.RingOwner(func(c uring.CQE) { d.q.handle(c) })
		return d.q.start(d.lp.dataRing(), base, release, fd)
	})
	if err != nil && !taken {
		d.p.close(fd)
	}
	return err
}

// unlessTrouble is ctx that ends also when a tag is lost: then commands that wait
// for all tags would wait for ever.
func (d *Device) unlessTrouble(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-d.trouble:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// waitDone waits for the end of the queue.
func (d *Device) waitDone(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: device %d still has requests: %w", ErrTimeout, d.id, ctx.Err())
	}
}
