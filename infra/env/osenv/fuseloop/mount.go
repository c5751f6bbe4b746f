// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountFuse mounts an unserved FUSE file system and returns its descriptor.
// It does so itself, and not by the FUSE library, so that the descriptor is
// close-on-exec from the start: a child that inherits it would keep the mount
// alive, and hanging, after our death.
func mountFuse(dir, name string) (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /dev/fuse: %w", err)
	}
	opts := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d",
		fd, unix.S_IFDIR, unix.Geteuid(), unix.Getegid(), maxWrite)
	err = unix.Mount("mars:"+name, dir, "fuse.mars", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, opts)
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("mount fuse on %s: %w", dir, err)
	}
	return fd, nil
}

// devFD is the name by which the FUSE library takes a descriptor over.
func devFD(fd int) string { return fmt.Sprintf("/dev/fd/%d", fd) }

// mountsOn lists what is mounted on dir in our mount namespace, the topmost
// last. It touches none of the file systems, which may be dead.
func mountsOn(dir string) ([]*mountinfo.Info, error) {
	list, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) { return i.Mountpoint != dir, false })
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return list, nil
}

// unmountIdle unmounts a FUSE file system that the loop driver has left. The
// last reference may go a moment later than the driver says.
func unmountIdle(dir string) error {
	var err error
	for range 50 {
		if err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if errors.Is(err, unix.EBUSY) { // somebody's working directory
		err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// unmountDead aborts the connection of everything mounted on dir and takes it
// out of sight.
func unmountDead(dir string) error {
	for range 16 {
		list, err := mountsOn(dir)
		if err != nil || len(list) == 0 {
			return err
		}
		err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW|unix.MNT_FORCE|unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: gone since
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
	}
	return fmt.Errorf("unmount %s: more than 16 mounts on top of each other", dir)
}
