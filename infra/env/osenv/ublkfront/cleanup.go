// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"context"
	"errors"
	"fmt"

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
