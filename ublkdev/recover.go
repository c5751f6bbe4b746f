// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Recover takes over a device whose server died or detached, and serves it on
// the loop. Its users notice nothing but the pause: requests that came
// meanwhile, and those that the predecessor did not answer, come to h. It waits
// for the predecessor to be gone, as long as ctx and the time-out of c allow
// (ErrBusy). stamp is what Config.Stamp was; ErrForeign if it is another.
// ErrNotRecoverable: the device was never started or has no recovery; remove it.
//
// What h needs (logs, peers) must be ready before: from here to the end of
// Recover a crash leaves the device in states that not all kernels bear well.
func Recover(ctx context.Context, c *Control, l Loop, id uint32, stamp uint64, h Handler) (*Device, error) {
	return recoverDevice(ctx, c, wrap(l), id, stamp, h)
}

func recoverDevice(ctx context.Context, c *Control, lp looper, id uint32, stamp uint64, h Handler) (*Device, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	info, err := c.Info(ctx, id)
	if err != nil {
		return nil, err
	}
	if info.Stamp != stamp {
		return nil, fmt.Errorf("%w: device %d has stamp %#x, not %#x", ErrForeign, id, info.Stamp, stamp)
	}
	if !c.plan.Recovery || !info.Flags.Has(FUserRecovery) || info.Queues != 1 || info.Flags&(FUserCopy|FZeroCopy|FNeedGetData) != 0 {
		return nil, fmt.Errorf("%w: device %d has %d queues and flags %v", ErrNotRecoverable, id, info.Queues, info.Flags)
	}
	if err := checkLoop(ctx, c, lp, info.Depth); err != nil {
		return nil, err
	}
	p, err := c.getParams(ctx, id)
	if err != nil {
		return nil, err
	}
	d := newDevice(c, lp, id)
	d.info, d.cfg = info, configOf(info, p)
	if d.q, err = newQueue(d.p, info, h, d.hooks()); err != nil {
		return nil, err
	}
	if err := d.takeOver(ctx); err != nil {
		return nil, errors.Join(err, d.letGo())
	}
	return d, nil
}

func (d *Device) takeOver(ctx context.Context) error {
	if err := d.waitOrphan(ctx); err != nil {
		return err
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	// From here on there is no way back: the time that was spent before, and
	// the caller's patience, must not end it half done.
	whole, stop := context.WithTimeout(context.WithoutCancel(ctx), queueFactor*d.ctl.timeout)
	defer stop()
	ectx, cancel := d.unlessTrouble(whole)
	defer cancel()
	if err := d.ctl.endRecovery(ectx, d.id); err != nil {
		return errors.Join(err, d.Err())
	}
	return nil
}

// waitOrphan begins the recovery, as soon as the predecessor let go.
func (d *Device) waitOrphan(ctx context.Context) error {
	for {
		again, err := d.beginRecovery(ctx)
		if err == nil {
			return nil
		}
		if again {
			err = errors.Join(err, pause(ctx, retryEvery))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: device %d still has a server: %w", ErrBusy, d.id, err)
		}
		if !again {
			return err
		}
	}
}

// beginRecovery tries once, and tells whether to try again.
func (d *Device) beginRecovery(ctx context.Context) (again bool, err error) {
	err = d.ctl.startRecovery(ctx, d.id)
	if err == nil {
		return false, nil
	}
	info, ierr := d.ctl.Info(ctx, d.id)
	invalid := errors.Is(err, unix.EINVAL)
	switch {
	case ierr != nil:
		return false, errors.Join(err, ierr)
	case invalid && info.State == Quiesced:
		// A successor died after it began; the kernel (6.12) takes it that the
		// recovery is under way already.
		return false, nil
	case info.State == Dead:
		return false, fmt.Errorf("%w: device %d was never started, or was stopped: %w", ErrNotRecoverable, d.id, err)
	case invalid && info.State == Live:
		return true, err // the death of the server is still being noticed
	}
	return errors.Is(err, unix.EBUSY), err
}

// letGo gives up a recovery that failed. What was fetched stays with the ring:
// it cannot be taken back but by stopping the device, which would fail the
// requests that wait. The end of the ring frees it for another attempt.
func (d *Device) letGo() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.ctl.timeout)
	defer cancel()
	return onLoop(ctx, d.lp, func() error {
		if d.q.ring != nil {
			return fmt.Errorf("%w: device %d; close the ring and try again", ErrHalfRecovered, d.id)
		}
		d.q.free()
		return nil
	})
}
