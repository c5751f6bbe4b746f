// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// crashIOTimeout is the io_timeout for kernels that wait for it before they
// notice that a server died with all requests in hand.
const crashIOTimeout = time.Second

// Create makes a device and serves it on the loop. It returns when the block
// device can be opened; before that the handler sees the reads of the partition
// scan. On failure nothing is left behind. ErrExist: the id is taken, by a
// device that may want Recover or Control.Remove.
func Create(ctx context.Context, c *Control, l Loop, cfg Config, h Handler) (*Device, error) {
	return create(ctx, c, wrap(l), cfg, h)
}

func create(ctx context.Context, c *Control, lp looper, cfg Config, h Handler) (*Device, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkLoop(ctx, c, lp, cfg.Depth); err != nil {
		return nil, err
	}
	info, err := c.add(ctx, cfg.devInfo(c.plan.AddFlags))
	if err != nil {
		return nil, err
	}
	d := newDevice(c, lp, info.ID)
	cfg.ID, cfg.MaxIO, cfg.Depth = info.ID, info.MaxIO, info.Depth
	d.info, d.cfg = info, cfg
	if err := d.bringUp(ctx, h); err != nil {
		return nil, errors.Join(err, d.rollBack())
	}
	return d, nil
}

// checkLoop refuses a loop that cannot serve before anything is changed.
func checkLoop(ctx context.Context, c *Control, lp looper, depth int) error {
	return onLoop(ctx, lp, func() error {
		return suits(lp.dataRing(), depth, c.plan)
	})
}

func (d *Device) bringUp(ctx context.Context, h Handler) error {
	if want := d.ctl.plan.AddFlags & (FUserRecovery | FRecoverReissue); !d.info.Flags.Has(want) || d.info.Queues != 1 {
		return fmt.Errorf("%w: asked for flags %v and 1 queue, it granted %v and %d",
			ErrUnsupported, want, d.info.Flags, d.info.Queues)
	}
	var err error
	if d.q, err = newQueue(d.p, d.info, h, d.hooks()); err != nil {
		return err
	}
	if err := d.ctl.setParams(ctx, d.id, d.cfg.params(d.info.MaxIO)); err != nil {
		return err
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	sctx, cancel := d.unlessTrouble(ctx)
	defer cancel()
	if err := d.ctl.start(sctx, d.id); err != nil {
		return errors.Join(err, d.Err())
	}
	return d.lowerIOTimeout()
}

func (d *Device) lowerIOTimeout() error {
	t := d.cfg.IOTimeout
	if t == 0 && d.ctl.plan.IOTimeout {
		t = crashIOTimeout
	}
	if t == 0 {
		return nil
	}
	if err := d.p.setIOTimeout(d.id, t); err != nil {
		return fmt.Errorf("ublk: set io_timeout: %w", err)
	}
	return nil
}

// rollBack removes what a failed Create made. It has its own time: that of the
// caller may be what ran out.
func (d *Device) rollBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.ctl.timeout)
	defer cancel()
	d.expectEnd(nil)
	var errs []error
	if d.q != nil {
		errs = append(errs, onLoop(ctx, d.lp, func() error {
			if d.q.ring == nil {
				d.q.free()
				d.finish(nil)
				return nil
			}
			d.q.failAll()
			return nil
		}), d.ctl.Stop(ctx, d.id), d.waitDone(ctx, d.ctl.timeout))
	}
	return errors.Join(append(errs, d.ctl.DeleteAsync(ctx, d.id))...)
}
