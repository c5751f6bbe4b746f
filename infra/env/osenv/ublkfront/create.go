// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"context"
	"errors"
	"fmt"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"
	"mars/ublkdev"
)

// The shape of new devices. A device of that depth takes at most depth * maxIO
// bytes of memory, and only what requests have touched. Discards are in whole
// blocks of most file systems; what is longer than the limits comes in pieces.
const (
	depth       = 128
	maxIO       = 256 << 10
	maxZero     = 64 << 20
	granularity = 4096

	// firstID keeps out of the way of programs that let the kernel choose.
	firstID = 1000
	lastID  = firstID + 1<<16
)

// create takes a device over, or makes one.
func (v *devices) create(cfg env.DeviceConfig, dh env.DeviceHandler) (_ *device, err error) {
	h := v.h
	if cfg.BlockSize != 512 && cfg.BlockSize != 4096 {
		return nil, fmt.Errorf("block size %d is neither 512 nor 4096", cfg.BlockSize)
	}
	if err := h.devs.Reserve(cfg.Name); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			h.devs.Release(cfg.Name)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	d := &device{h: h, v: v, name: cfg.Name, handler: dh}
	taken, err := d.serve(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d.size.Store(d.dev.Config().Size)
	switch err := d.appear(); {
	case err != nil && taken:
		h.log.Error("the device is served, but has no name", "device", d.name, "path", d.dev.Path(), "err", err)
	case err != nil:
		return nil, errors.Join(err, d.dev.Stop(ctx, true))
	}
	if err := d.look(false); err != nil {
		h.log.Warn("cannot tell whether the device is in use", "device", d.name, "err", err)
	}
	go d.awaitEnd()
	return d, nil
}

// serve finds the device of a predecessor and tells that it was taken over, or
// makes a new one.
func (d *device) serve(ctx context.Context, cfg env.DeviceConfig) (taken bool, err error) {
	h := d.h
	stamp := stampOf(h.cfg.Owner, d.name)
	if id, found := h.orphan(d.name); found {
		d.dev, err = ublkdev.Recover(ctx, h.ctl, d.v.ex, id, stamp, d)
		switch {
		case err == nil:
			h.forget(d.name)
			d.tookOver(cfg)
			return true, nil
		case errors.Is(err, ublkdev.ErrGone), errors.Is(err, ublkdev.ErrForeign):
			h.forget(d.name)
		case errors.Is(err, ublkdev.ErrNotRecoverable):
			return false, fmt.Errorf("%w: %w", env.ErrExist, err)
		case errors.Is(err, ublkdev.ErrHalfRecovered):
			h.cfg.Fatal(fmt.Errorf("take over device %s: %w", d.name, err))
			return false, err
		default:
			return false, err
		}
	}
	for id := uint32(firstID); id < lastID; id++ {
		d.dev, err = ublkdev.Create(ctx, h.ctl, d.v.ex, ublkdev.Config{
			ID: id, Size: cfg.Size, BlockSize: cfg.BlockSize, MaxIO: maxIO, Depth: depth, Stamp: stamp,
			MaxDiscard: maxZero, MaxWriteZeroes: maxZero, DiscardGranularity: granularity,
		}, d)
		if !errors.Is(err, ublkdev.ErrExist) {
			break
		}
	}
	return false, err
}

// tookOver checks what can not be changed any more.
func (d *device) tookOver(cfg env.DeviceConfig) {
	got := d.dev.Config()
	d.h.log.Info("took over the device of an earlier daemon", "device", d.name, "path", d.dev.Path(), "size", got.Size)
	if got.BlockSize < cfg.BlockSize {
		d.h.log.Error("requests may fail: the device has smaller blocks than its disk needs now; close it, then restart marsd",
			"device", d.name, "blocks", got.BlockSize, "needed", cfg.BlockSize)
	}
}

// appear gives the device its name, and leaves a note of it.
func (d *device) appear() error {
	if err := writeNote(d.h.cfg.RunDir, d.name, d.dev.ID(), d.dev.Config().Stamp); err != nil {
		return err
	}
	return devnode.MakeLink(d.dev.Path(), d.h.link(d.name))
}

// awaitEnd tells when somebody else took the device away.
func (d *device) awaitEnd() {
	<-d.dev.Done()
	if err := d.dev.Err(); err != nil && !errors.Is(err, ublkdev.ErrDetached) {
		d.h.log.Error("the device is gone; it is made anew when the resource becomes primary again, or marsd is restarted",
			"device", d.name, "path", d.dev.Path(), "err", err)
	}
}
