// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"
	"mars/ublkdev"
)

// device is one live front end; it implements env.Device and ublkdev.Handler.
type device struct {
	h       *Host
	v       *devices
	name    string
	handler env.DeviceHandler
	dev     *ublkdev.Device
	size    atomic.Int64 // bytes

	// Of the executor.
	holding bool // requests are left to the successor
	inHand  int  // requests that the handler has
	onIdle  func()

	// op lets one of Probe, Resize, Close, Hold and the watching goroutine at
	// the device; all below belongs to its holder.
	op     sync.Mutex
	closed bool
	count  int  // openers, as reported last
	hidden bool // known only by an exclusive open
}

var _ env.Device = (*device)(nil)

// How often, and after which pause, somebody who has the device open is looked
// for again before it counts as in use.
const (
	visits     = 5
	visitPause = 40 * time.Millisecond
)

// Path is the symlink.
func (d *device) Path() string { return d.h.link(d.name) }

// Size is the capacity in bytes.
func (d *device) Size() int64 { return d.size.Load() }

// run does something that takes time, with the device locked, then tells done on
// the executor.
func (d *device) run(what string, fn func(ctx context.Context) error, done func(error)) {
	go func() {
		d.op.Lock()
		defer d.op.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		err := env.ErrClosed
		if !d.closed {
			err = fn(ctx)
		}
		if err != nil {
			err = fmt.Errorf("%s device %s: %w", what, d.name, err)
		}
		d.v.ex.Post(func() { done(err) })
	}()
}

// Probe counts the openers.
func (d *device) Probe(done func(n int, err error)) {
	n := 0
	d.run("probe", func(context.Context) error {
		err := d.look(true)
		n = d.count
		d.report(n)
		return err
	}, func(err error) { done(n, err) })
}

// look finds out how many users there are, see survey.
func (d *device) look(exclusive bool) error {
	s, err := survey([]*device{d}, func(*device) bool { return exclusive })
	if err != nil {
		return err
	}
	d.count, d.hidden = s[d].count(), s[d].hidden
	return nil
}

// report tells the handler a count.
func (d *device) report(n int) { d.v.ex.Post(func() { d.handler.OpenCount(n) }) }

// Resize changes the capacity.
func (d *device) Resize(size int64, done func(error)) {
	d.run(fmt.Sprintf("resize to %d bytes", size), func(ctx context.Context) error {
		err := d.dev.Resize(ctx, size)
		switch {
		case errors.Is(err, ublkdev.ErrUnsupported):
			return fmt.Errorf("%w: %w", env.ErrUnsupported, err)
		case err == nil:
			d.size.Store(size)
		}
		return err
	}, done)
}

// Close removes the device.
func (d *device) Close(force bool, done func(error)) {
	d.run("close", func(ctx context.Context) error { return d.close(ctx, force) }, done)
}

func (d *device) close(ctx context.Context, force bool) error {
	if !force {
		if err := d.unused(); err != nil {
			return err
		}
	}
	// The name goes first: it must never lead to a device of somebody else.
	if err := devnode.RemoveLink(d.h.link(d.name)); err != nil && !force {
		return err
	}
	if err := d.dev.Stop(ctx, force); err != nil {
		return d.notClosed(err)
	}
	d.end()
	if err := removeNote(d.h.cfg.RunDir, d.name); err != nil {
		d.h.log.Warn("the note of a device stays", "device", d.name, "err", err)
	}
	return nil
}

// unused looks whether nobody has the device open. Short visits, as udev's, are
// waited for.
func (d *device) unused() error {
	for try := 1; ; try++ {
		if err := d.look(true); err != nil || d.count == 0 {
			return err
		}
		who := d.users()
		if try == visits {
			d.report(d.count)
			return fmt.Errorf("%w: %s", env.ErrInUse, devnode.Sentence(who))
		}
		time.Sleep(visitPause)
	}
}

// notClosed makes it as it was after a Stop that failed.
func (d *device) notClosed(err error) error {
	var used *ublkdev.InUseError
	if !errors.As(err, &used) {
		return err
	}
	d.count, d.hidden = max(used.Usage.Count(), 1), true
	d.report(d.count)
	return errors.Join(fmt.Errorf("%w: %w", env.ErrInUse, err), devnode.MakeLink(d.dev.Path(), d.h.link(d.name)))
}

// end is the end of the device in this process.
func (d *device) end() {
	d.closed, d.count = true, 0
	d.h.devs.Release(d.name)
	d.v.ex.Post(func() { delete(d.v.live, d) })
}

// Hold leaves the device to a successor.
func (d *device) Hold(done func(error)) {
	d.run("hold", func(ctx context.Context) error {
		if !d.dev.Info().Flags.Has(ublkdev.FUserRecovery) {
			return fmt.Errorf("%w: the kernel has no safe user recovery", env.ErrUnsupported)
		}
		switch err := d.dev.Detach(ctx); {
		case err == nil:
			d.end()
			return nil
		case !errors.Is(err, ublkdev.ErrUnsupported):
			d.h.log.Warn("quiesce failed; requests are left unanswered instead", "device", d.name, "err", err)
		}
		return d.park(ctx)
	}, done)
}

// park leaves all requests to come unanswered, and waits for those that the
// handler has. The end of the ring then detaches the device.
func (d *device) park(ctx context.Context) error {
	idle := make(chan struct{})
	d.v.ex.Post(func() {
		d.holding = true
		d.onIdle = func() { close(idle) }
		if d.inHand == 0 {
			d.onIdle = nil
			close(idle)
		}
	})
	select {
	case <-idle:
	case <-ctx.Done():
		return fmt.Errorf("requests are not answered: %w", ctx.Err())
	}
	// It stays among the live ones of the executor, whose end it waits for.
	d.closed = true
	d.h.devs.Release(d.name)
	return nil
}
