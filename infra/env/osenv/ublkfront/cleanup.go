// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mars/infra/env"
	"mars/infra/env/osenv/devnode"
	"mars/ublkdev"
)

// cleanup removes what a predecessor left for a name. With keep a device that
// can be taken over stays.
func (h *Host) cleanup(name string, keep bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	id, found := h.orphan(name)
	if found {
		info, err := h.ctl.Info(ctx, id)
		switch {
		case errors.Is(err, ublkdev.ErrGone):
			found = false
		case err != nil:
			return err
		case info.Stamp != stampOf(h.cfg.Owner, name):
			found = false
		case keep && recoverable(info):
			return nil
		}
	}
	if err := devnode.RemoveLinkTo("/dev/ublkb", h.link(name)); err != nil {
		return err
	}
	if found {
		if who := usersOf(blockPath(id)); len(who) > 0 {
			h.log.Warn("the device of an earlier daemon is removed under its users: this host is not primary any more",
				"device", name, "path", blockPath(id), "users", devnode.Sentence(who))
		}
		if err := h.ctl.Remove(ctx, id); err != nil && !errors.Is(err, ublkdev.ErrGone) {
			return err
		}
	}
	h.forget(name)
	return removeNote(h.cfg.RunDir, name)
}

// recoverable tells whether a device has a chance to be taken over: it was
// started, by who wanted that.
func recoverable(i ublkdev.Info) bool {
	return i.State != ublkdev.Dead && i.Flags.Has(ublkdev.FUserRecovery) && i.Queues == 1
}

func blockPath(id uint32) string { return fmt.Sprintf("/dev/ublkb%d", id) }

// Orphan is a device that a daemon left which is gone.
type Orphan struct {
	Name string // "" when nobody left a note of it
	Path string // the block device
	// Users are those who have it open, each as what to do about it.
	Users []string

	info ublkdev.Info
}

// Orphans lists the devices of this owner, and those of which RunDir has a note.
// It is for a process that serves none.
func (h *Host) Orphans() ([]Orphan, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	names, err := readNotes(h.cfg.RunDir)
	if err != nil {
		return nil, err
	}
	all, err := h.ctl.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []Orphan
	for _, info := range all {
		name, noted := names[info.Stamp]
		if noted || info.Stamp>>nameBits == ownerStamp(h.cfg.Owner) {
			path := blockPath(info.ID)
			list = append(list, Orphan{Name: name, Path: path, Users: usersOf(path), info: info})
		}
	}
	return list, nil
}

// Remove removes an orphan with all that leads to it. One that is in use is
// refused, unless force: its users get IO errors then.
func (h *Host) Remove(o Orphan, force bool) error {
	if len(o.Users) > 0 && !force {
		return fmt.Errorf("%s is %w: %s", o.Path, env.ErrInUse, devnode.Sentence(o.Users))
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	now, err := h.ctl.Info(ctx, o.info.ID)
	switch {
	case errors.Is(err, ublkdev.ErrGone):
	case err != nil:
		return err
	case now.Stamp != o.info.Stamp:
		return fmt.Errorf("%s: %w: it belongs to another program now", o.Path, env.ErrExist)
	}
	links, err := filepath.Glob(filepath.Join(h.cfg.DevDir, "*"))
	if err != nil {
		return err
	}
	for _, path := range links {
		if target, err := os.Readlink(path); err == nil && target == o.Path {
			if err := devnode.RemoveLink(path); err != nil {
				return err
			}
		}
	}
	if err == nil {
		if err := h.ctl.Remove(ctx, o.info.ID); err != nil && !errors.Is(err, ublkdev.ErrGone) {
			return err
		}
	}
	if o.Name == "" {
		return nil
	}
	return removeNote(h.cfg.RunDir, o.Name)
}
