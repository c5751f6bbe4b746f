// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Probe tells whether this process can serve ublk devices, and what the kernel
// offers. Errors say what is missing and what to do about it; they match
// ErrNoModule, ErrPermission, ErrNoUring or ErrBadKernel. It leaves nothing
// behind and may be called by any goroutine.
func Probe() (Caps, error) {
	c, err := Open(ControlOptions{})
	if err != nil {
		return Caps{}, err
	}
	defer c.Close()
	return c.Caps(), nil
}

func controlOpenError(p port, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.moduleLoaded():
		return fmt.Errorf("%w: module ublk_drv is loaded but its device node is missing; "+
			"make /dev/ublk-control (udev, or mknod with the numbers in /sys/class/misc/ublk-control/dev): %w", ErrNoModule, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: run modprobe ublk_drv; a kernel without that module is built without "+
			"CONFIG_BLK_DEV_UBLK, take another (Debian: 6.12 or later): %w", ErrNoModule, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: /dev/ublk-control is for root: %w", ErrPermission, err)
	}
	return fmt.Errorf("ublk: %w", err)
}

// negotiate finds out what the kernel can do and refuses what cannot work.
func (c *Control) negotiate(opt ControlOptions) error {
	r, err := c.p.release()
	if err != nil {
		return err
	}
	bad, _ := defects(r)
	if bad != nil && !opt.AllowBadKernel {
		return bad
	}
	var f Features
	err = c.do(context.Background(), opGetFeatures, AutoID, 0, bytesOf(&f))
	if errors.Is(err, ErrUnsupported) {
		return &KernelError{Release: r, Reason: "its driver does not know GET_FEATURES", Remedy: "run kernel 6.12.31 or later"}
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: the kernel's io_uring does not carry driver commands: %w", ErrNoUring, err)
	}
	if err != nil {
		return err
	}
	if !f.Has(FUserRecovery | FRecoverReissue) {
		return &KernelError{Release: r, Reason: "its driver offers no recovery (features: " + f.String() + ")",
			Remedy: "run kernel 6.12.31 or later"}
	}
	c.caps = Caps{Release: r, Features: f}
	c.plan = c.caps.Plan()
	return nil
}
