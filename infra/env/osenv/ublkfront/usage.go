// SPDX-License-Identifier: GPL-2.0-or-later

package ublkfront

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mars/infra/env/osenv/devnode"

	"golang.org/x/sys/unix"
)

// use is what was found out about the users of a device.
type use struct {
	plain   int  // descriptors of other processes, its partitions' included
	claimed bool // mounted, swap, below another device, or else held exclusively
	hidden  bool // only an exclusive open shows that
}

// count is a number of users: 0 exactly when none was seen. Whoever has a claim
// may have a descriptor too.
func (u use) count() int {
	if u.claimed {
		return max(u.plain, 1)
	}
	return u.plain
}

// survey looks for users of some devices, in one pass over /proc. A device that
// is gone has none. Where exclusive says so, a device that nobody was seen to have
// open is opened exclusively: whoever else tries that in the same moment (mount,
// mkfs) fails, so it is not done without need.
func survey(list []*device, exclusive func(*device) bool) (map[*device]use, error) {
	counts := map[uint64]int{}
	nodes := map[*device][]uint64{}
	for _, d := range list {
		nodes[d] = numbers(filepath.Base(d.dev.Path()))
		for _, n := range nodes[d] {
			counts[n] = 0
		}
	}
	if err := devnode.ScanOpeners(counts); err != nil {
		return nil, err
	}
	mounted := devnode.Mounted(counts)
	out := map[*device]use{}
	for _, d := range list {
		u := use{claimed: devnode.Claimed(filepath.Base(d.dev.Path()))}
		for _, n := range nodes[d] {
			u.plain += counts[n]
			u.claimed = u.claimed || mounted[n]
		}
		if u.count() == 0 && exclusive(d) {
			var err error
			if u.hidden, err = claimed(d.dev.Path()); err != nil {
				return nil, err
			}
			u.claimed = u.hidden
		}
		out[d] = u
	}
	return out, nil
}

// claimed tells whether an exclusive open fails. It is asked only of a device
// that nobody was seen to have open, see the package comment.
func claimed(path string) (bool, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return false, unix.Close(fd)
	case errors.Is(err, unix.EBUSY):
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return false, nil
	}
	return false, fmt.Errorf("open %s: %w", path, err)
}

// numbers are the device numbers of a block device and its partitions.
func numbers(name string) (out []uint64) {
	dirs, _ := filepath.Glob(filepath.Join("/sys/block", name, name+"p*")) // the pattern is sound
	for _, dir := range append(dirs, filepath.Join("/sys/block", name)) {
		text, err := os.ReadFile(filepath.Join(dir, "dev"))
		if err != nil {
			continue // gone
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(strings.TrimSpace(string(text)), "%d:%d", &major, &minor); err == nil {
			out = append(out, unix.Mkdev(major, minor))
		}
	}
	return out
}

// users describes everybody who has the device open, as what to do about it.
func (d *device) users() (who []string) { return usersOf(d.dev.Path()) }

func usersOf(path string) (who []string) {
	list := numbers(filepath.Base(path))
	for i, n := range list {
		held := n == list[len(list)-1]
		if held {
			if busy, err := claimed(path); err == nil && busy {
				who = append(who, devnode.Holders(path, n)...)
			}
		}
		who = append(who, devnode.Openers(list[i])...)
	}
	return who
}
