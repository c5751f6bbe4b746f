// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"
	"mars/ublkdev"
)

// Config says where things are, and whose.
type Config struct {
	RunDir string       // notes are in RunDir/ublk; an absolute path
	DevDir string       // device names appear here; made if missing; absolute
	Owner  string       // who makes the devices, the same after a restart: cluster and host
	Logger *slog.Logger // nil: slog.Default
	// Fatal is told when a device can only be helped by a new process: its users
	// wait for requests that this one has lost. nil: it is logged. It is called
	// on any goroutine and must not block.
	Fatal func(error)
}

// Executor is what serves devices: *osenv.Executor. Its ring must be there.
type Executor interface {
	ublkdev.Loop
	// AtEnd has fn called on the thread when the ring has been closed.
	AtEnd(fn func())
}

// callTimeout bounds what is done with a device: several control commands, each
// of which has to wait for those of other devices.
const callTimeout = 2 * time.Minute

// Host owns the front ends of a process. It is safe for concurrent use.
type Host struct {
	cfg Config
	log *slog.Logger
	ctl *ublkdev.Control

	devs devnode.Registry[device]

	mu      sync.Mutex
	orphans map[uint64]uint32 // of this owner: ids by stamp
}

// New opens the driver and looks for what a predecessor left; it changes
// nothing. Errors are those of ublkdev.Open: what is missing, and what to do.
func New(cfg Config) (*Host, error) {
	if !filepath.IsAbs(cfg.RunDir) || !filepath.IsAbs(cfg.DevDir) {
		return nil, fmt.Errorf("ublkfront: %q and %q must be absolute paths", cfg.RunDir, cfg.DevDir)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	ctl, err := ublkdev.Open(ublkdev.ControlOptions{})
	if err != nil {
		return nil, err
	}
	if cfg.Fatal == nil {
		cfg.Fatal = func(err error) { cfg.Logger.Error("restart this process", "err", err) }
	}
	h := &Host{cfg: cfg, log: cfg.Logger, ctl: ctl, orphans: map[uint64]uint32{}}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	list, err := ctl.List(ctx)
	if err != nil {
		ctl.Close()
		return nil, err
	}
	for _, info := range list {
		if info.Stamp>>nameBits == ownerStamp(cfg.Owner) {
			h.orphans[info.Stamp] = info.ID
		}
	}
	return h, nil
}

// Close gives up the driver, after the executors have ended. Devices that are
// left go to a successor.
func (h *Host) Close() { h.ctl.Close() }

// Caps tells what the kernel offers.
func (h *Host) Caps() ublkdev.Caps { return h.ctl.Caps() }

// For makes the Devices of one executor. It is called before that runs.
func (h *Host) For(e Executor) env.Devices {
	v := &devices{h: h, ex: e, live: map[*device]bool{}}
	e.AtEnd(v.abandon)
	return v
}

func (h *Host) link(name string) string { return filepath.Join(h.cfg.DevDir, name) }

// orphan is the device of that name that a predecessor left.
func (h *Host) orphan(name string) (id uint32, found bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id, found = h.orphans[stampOf(h.cfg.Owner, name)]
	return id, found
}

func (h *Host) forget(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.orphans, stampOf(h.cfg.Owner, name))
}

// devices is env.Devices for one executor.
type devices struct {
	h    *Host
	ex   Executor
	live map[*device]bool // of the executor
}

// abandon is the end of the ring: devices that are still there stay for a
// successor.
func (v *devices) abandon() {
	for d := range v.live {
		d.dev.Abandon()
	}
}

// Create implements env.Devices.
func (v *devices) Create(cfg env.DeviceConfig, h env.DeviceHandler, done func(env.Device, error)) {
	go func() {
		d, err := v.create(cfg, h)
		if err != nil {
			v.ex.Post(func() { done(nil, fmt.Errorf("create device %s: %w", cfg.Name, err)) })
			return
		}
		count := d.count
		v.ex.Post(func() {
			v.live[d] = true
			done(d, nil)
			if count > 0 {
				h.OpenCount(count)
			}
			v.h.devs.Publish(d.name, d, v.h.watch)
		})
	}()
}

// Cleanup implements env.Devices.
func (v *devices) Cleanup(name string, keep bool, done func(error)) {
	go func() {
		err := v.h.devs.Reserve(name)
		if err == nil {
			err = v.h.cleanup(name, keep)
			v.h.devs.Release(name)
		}
		if err != nil {
			err = fmt.Errorf("clean up device %s: %w", name, err)
		}
		v.ex.Post(func() { done(err) })
	}()
}

// Left implements env.Devices.
func (v *devices) Left(name string) bool {
	_, found := v.h.orphan(name)
	return found
}
