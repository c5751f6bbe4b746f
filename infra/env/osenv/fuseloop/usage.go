// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"

	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// usage is what is known about the openers of a device.
type usage struct {
	busy  bool // an exclusive open failed
	plain int  // descriptors found in /proc
}

func (u usage) count() int {
	if u.busy {
		return max(u.plain, 1)
	}
	return u.plain
}

// exclusive tells whether somebody holds the device exclusively. It starts no
// IO: there are no partitions to be looked for.
func (l loopDev) exclusive() (busy bool, err error) {
	fd, err := l.open(unix.O_RDONLY | unix.O_EXCL)
	if errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, unix.Close(fd)
}

// users describes everybody who has the device open.
func users(l loopDev, rdev uint64) (who []string) {
	if busy, err := l.exclusive(); err == nil && busy {
		who = devnode.Holders(l.path(), rdev)
	}
	return append(who, devnode.Openers(rdev)...)
}
