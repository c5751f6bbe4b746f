// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// InUseError is the refusal to stop a device that somebody uses. It matches
// ErrInUse.
type InUseError struct {
	ID    uint32
	Usage Usage // empty where the kernel refused and nobody was seen
}

// Error tells who uses the device.
func (e *InUseError) Error() string {
	if e.Usage.Count() == 0 {
		return fmt.Sprintf("ublk: device %d is in use, says the kernel; nobody was seen who has it open", e.ID)
	}
	return fmt.Sprintf("ublk: device %d is in use: %v", e.ID, e.Usage)
}

// Is matches ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// Stop removes the device, unless somebody uses it: then the error matches
// ErrInUse and nothing changed. What was written through the page cache is
// written back before. With force it goes in any case: all requests fail with
// EIO, those the handler has too, and what was not written back is lost.
//
// Without Plan.TryStop a plain opener that comes between the check and the stop
// is not noticed; it gets IO errors.
//
// When a stop without force runs out of time (the handler keeps requests), the
// device is on its way out; a stop with force ends it.
func (d *Device) Stop(ctx context.Context, force bool) error {
	d.life.Lock()
	defer d.life.Unlock()
	select {
	case <-d.done:
		if errors.Is(d.Err(), ErrDetached) {
			return nil
		}
		// Somebody else stopped it, or an earlier Stop came just as far.
		return d.delete(ctx)
	default:
	}
	var err error
	switch {
	case force:
		err = d.stopForced(ctx)
	case d.ctl.plan.TryStop && d.Info().Flags.Has(FSafeStop):
		err = d.stopAtomic(ctx)
	default:
		err = d.stopChecked(ctx)
	}
	if err != nil {
		return err
	}
	if err := d.waitDone(ctx, d.ctl.timeout); err != nil {
		return err
	}
	if err := d.delete(ctx); err != nil || force {
		return err
	}
	d.awaitGone(ctx)
	return nil
}

// delete removes the device, which has been stopped, unless that was done.
func (d *Device) delete(ctx context.Context) error {
	if d.deleted {
		return nil
	}
	if !d.ctl.plan.DelAsync {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, delWait)
		defer cancel()
	}
	err := ignoreGone(d.ctl.DeleteAsync(ctx, d.id))
	d.deleted = err == nil
	return err
}

// delWait is how long a removed device may take to give back its id, and delPoll
// the time between looks. It waits for openers that came after the check, and for
// own ones.
const (
	delWait = 2 * time.Second
	delPoll = 5 * time.Millisecond
)

// awaitGone waits a little for the id to be free. When that takes longer the
// device is removed nevertheless.
func (d *Device) awaitGone(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, delWait)
	defer cancel()
	for {
		if _, err := d.ctl.Info(ctx, d.id); err != nil || pause(ctx, delPoll) != nil {
			return
		}
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

func (d *Device) stopForced(ctx context.Context) error {
	d.expectEnd(nil)
	err := onLoop(ctx, d.lp, func() error {
		d.q.failAll()
		return nil
	})
	if err != nil {
		return err
	}
	return d.ctl.Stop(ctx, d.id)
}

// stopAtomic lets the kernel check: whoever dirties the page cache afterwards has
// the device open. The kernel counts this process' descriptors, too, so with such
// ones it is for us to look. Who cannot be seen has opened it for a moment, as
// probes do, and it is tried again for as long as they may take.
func (d *Device) stopAtomic(ctx context.Context) error {
	own, err := d.p.ownOpen(d.id)
	if err != nil {
		return err
	}
	if own {
		return d.stopChecked(ctx)
	}
	for tries := int(delWait / detachPoll); ; tries-- {
		d.expectEnd(nil)
		err := d.ctl.TryStop(ctx, d.id)
		if !errors.Is(err, ErrInUse) {
			return err
		}
		d.mu.Lock()
		d.ends = false
		d.mu.Unlock()
		u, _, uerr := usage(d.p, d.id, false)
		if uerr != nil {
			return err
		}
		if u.Count() > 0 || tries <= 0 {
			return &InUseError{ID: d.id, Usage: u}
		}
		if err := pause(ctx, detachPoll); err != nil {
			return err
		}
	}
}

// stopChecked looks itself. The exclusive descriptor keeps others from claiming
// the device until it is gone.
func (d *Device) stopChecked(ctx context.Context) error {
	own, err := d.p.ownOpen(d.id)
	if err != nil {
		return err
	}
	u, fd, err := usage(d.p, d.id, true)
	if err != nil {
		return err
	}
	if fd < 0 {
		return &InUseError{ID: d.id, Usage: u}
	}
	defer d.p.close(fd)
	if own {
		if err := syncBlock(ctx, d.p, d.id); err != nil {
			return err
		}
	}
	d.expectEnd(nil)
	return d.ctl.Stop(ctx, d.id)
}

// detachPoll is the time between looks at a device that is being detached, or
// that somebody has open for a moment.
const detachPoll = 50 * time.Millisecond

// Detach stops serving and leaves the device to a successor (Recover), in this
// process or another; its users wait meanwhile. Requests that the handler has
// are waited for. It needs FQuiesce: without, ErrUnsupported, and only the end of
// the ring detaches (Reactor.Close, or the end of the process), which is as
// good: requests that were not answered come again.
func (d *Device) Detach(ctx context.Context) error {
	d.life.Lock()
	defer d.life.Unlock()
	if err := d.alive(); err != nil {
		return err
	}
	if !d.Info().Flags.Has(FQuiesce) {
		return fmt.Errorf("%w: quiesce of device %d", ErrUnsupported, d.id)
	}
	d.expectEnd(ErrDetached)
	for {
		// Requests that were completed after the kernel took away the idle
		// ones are armed again; the next round takes them away.
		if err := d.ctl.Quiesce(ctx, d.id); err != nil {
			return err
		}
		if d.waitDone(ctx, detachPoll) == nil {
			return nil
		}
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// Abandon tells that the ring is gone, or will never be used again: its owner
// closed it (Ring.CloseNow). The device stays, for a successor. It must be
// called on the thread of the loop. Requests that the handler still has are to
// be completed nevertheless, which gives back nothing but them.
func (d *Device) Abandon() {
	d.expectEnd(ErrDetached)
	d.q.abandon()
	clean := d.q.zombies == 0
	go func() {
		if clean && d.released() {
			d.q.leak = false
			d.q.free()
		}
		d.finish(ErrDetached)
	}()
}

// released waits until the kernel has no more to do with our memory.
func (d *Device) released() bool {
	ctx, cancel := context.WithTimeout(context.Background(), d.ctl.timeout)
	defer cancel()
	for {
		info, err := d.ctl.Info(ctx, d.id)
		if errors.Is(err, ErrGone) || err == nil && info.State != Live {
			return true
		}
		if err != nil || pause(ctx, retryEvery) != nil {
			return false
		}
	}
}
