// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this machine (or this user) cannot have front ends
// of this kind.
var ErrUnsupported = errors.New("no FUSE or loop devices here")

// Config says where things are. All directories are absolute paths.
type Config struct {
	RunDir string       // mount points are below RunDir/fuse
	DevDir string       // device names appear here; made if missing
	Logger *slog.Logger // nil: slog.Default
}

// Host owns the front ends of a process. It is safe for concurrent use.
type Host struct {
	cfg Config
	log *slog.Logger

	devs  devnode.Registry[device]
	scans devnode.ScanPlan // of the watching goroutine
}

// New checks that FUSE and loop devices are to be had. It changes nothing.
func New(cfg Config) (*Host, error) {
	if !filepath.IsAbs(cfg.RunDir) || !filepath.IsAbs(cfg.DevDir) {
		return nil, fmt.Errorf("fuseloop: %q and %q must be absolute paths", cfg.RunDir, cfg.DevDir)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: not root", ErrUnsupported)
	}
	for _, p := range []string{"/dev/fuse", loopControl} {
		fd, err := unix.Open(p, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("%w: open %s: %w", ErrUnsupported, p, err)
		}
		_ = unix.Close(fd)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Host{cfg: cfg, log: cfg.Logger, scans: devnode.ScanPlan{Every: scanEvery, Calm: calmScan, Share: scanShare}}, nil
}

// For makes the Devices of one executor; post is its Env.Post.
func (h *Host) For(post func(func())) env.Devices { return &devices{h: h, post: post} }

func (h *Host) mountPoint(name string) string { return filepath.Join(h.cfg.RunDir, "fuse", name) }
func (h *Host) link(name string) string       { return filepath.Join(h.cfg.DevDir, name) }

// devices is env.Devices for one executor.
type devices struct {
	h    *Host
	post func(func())
}

func (v *devices) Create(cfg env.DeviceConfig, h env.DeviceHandler, done func(env.Device, error)) {
	go func() {
		d, err := v.h.create(cfg, h, v.post)
		if err != nil {
			v.post(func() { done(nil, fmt.Errorf("create device %s: %w", cfg.Name, err)) })
			return
		}
		v.h.devs.Publish(d.name, d, v.h.watch)
		v.post(func() { done(d, nil) })
		d.fs.begin()
	}()
}

// Cleanup keeps nothing: what is left of a dead daemon only looks alive.
func (v *devices) Cleanup(name string, _ bool, done func(error)) {
	go func() {
		err := v.h.devs.Reserve(name)
		if err == nil {
			err = v.h.cleanup(name)
			v.h.devs.Release(name)
		}
		if err != nil {
			err = fmt.Errorf("clean up device %s: %w", name, err)
		}
		v.post(func() { done(err) })
	}()
}

// Left is false: what is left of a dead daemon only looks alive.
func (v *devices) Left(string) bool { return false }
