// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const loopControl = "/dev/loop-control"

// loopMajor is the major device number of loop devices.
const loopMajor = 7

// loopDev names a loop device by its number.
type loopDev int

func (l loopDev) path() string          { return fmt.Sprintf("/dev/loop%d", int(l)) }
func (l loopDev) sys(sub string) string { return fmt.Sprintf("/sys/block/loop%d/%s", int(l), sub) }

// open opens the node and makes sure that it is what its name says. The number
// of a device is also its minor number as long as partitions are not scanned
// by default; otherwise sysfs tells.
func (l loopDev) open(flags int) (int, error) {
	fd, err := unix.Open(l.path(), flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", l.path(), err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		var want uint64
		if want, err = l.rdev(); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFBLK || st.Rdev != want) {
			err = errors.New("is another device")
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", l.path(), err)
	}
	return fd, nil
}

// rdev is the device number according to sysfs.
func (l loopDev) rdev() (uint64, error) {
	text, err := readSmall(l.sys("dev"))
	if err != nil {
		return 0, err
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(text, "%d:%d", &major, &minor); err != nil {
		return 0, fmt.Errorf("%s: %w", l.sys("dev"), err)
	}
	return unix.Mkdev(major, minor), nil
}

// bound tells whether the device has a file, without opening it.
func (l loopDev) bound() bool {
	var st unix.Stat_t
	return unix.Stat(l.sys("loop"), &st) == nil
}

// bindLoop binds a free loop device to the file behind fd, with direct IO.
func bindLoop(file int, id string, blockSize int) (loopDev, error) {
	ctl, err := unix.Open(loopControl, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", loopControl, err)
	}
	defer unix.Close(ctl)
	for range 100 {
		n, err := unix.IoctlRetInt(ctl, unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return -1, fmt.Errorf("find a free loop device: %w", err)
		}
		err = loopDev(n).bind(file, id, blockSize)
		if err == nil {
			return loopDev(n), nil
		}
		// Somebody else was faster, or the node has not appeared yet.
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENXIO) {
			return -1, err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return -1, errors.New("no free loop device to be had")
}

func (l loopDev) bind(file int, id string, blockSize int) error {
	fd, err := l.open(unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	cfg := unix.LoopConfig{Fd: uint32(file), Size: uint32(blockSize)}
	cfg.Info.Flags = unix.LO_FLAGS_DIRECT_IO
	copy(cfg.Info.File_name[:len(cfg.Info.File_name)-1], id)
	if err := unix.IoctlLoopConfigure(fd, &cfg); err != nil {
		return fmt.Errorf("configure %s: %w", l.path(), err)
	}
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err == nil && info.Flags&unix.LO_FLAGS_DIRECT_IO == 0 {
		err = errors.New("no direct IO")
	}
	if err != nil {
		_ = unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0)
		return fmt.Errorf("configure %s: %w", l.path(), err)
	}
	return nil
}

// detach gives the loop device's file up: at once if fd is the only opener,
// else when the last one goes. fd is closed.
func (l loopDev) detach(fd int) error {
	err := unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0)
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	if err != nil && !errors.Is(err, unix.ENXIO) { // ENXIO: it has none
		return fmt.Errorf("detach %s: %w", l.path(), err)
	}
	return nil
}

// drop is detach for those who have not opened the device.
func (l loopDev) drop() error {
	fd, err := l.open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	return l.detach(fd)
}

// reattach takes back a detach that waits for other openers.
func (l loopDev) reattach() error {
	fd, err := l.open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err != nil {
		return fmt.Errorf("status of %s: %w", l.path(), err)
	}
	info.Flags &^= unix.LO_FLAGS_AUTOCLEAR
	if err := unix.IoctlLoopSetStatus64(fd, info); err != nil {
		return fmt.Errorf("keep %s: %w", l.path(), err)
	}
	return nil
}

// resize has the driver look at the size of the file again.
func (l loopDev) resize() error {
	fd, err := l.open(unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.IoctlSetInt(fd, unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("resize %s: %w", l.path(), err)
	}
	return nil
}

// capacity is the present size in bytes.
func (l loopDev) capacity() (int64, error) {
	text, err := readSmall(l.sys("size"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n * 512, err
}

// loopID is how a loop device remembers whose it is: the file's path, or a
// digest of it when that is too long for the kernel (63 bytes).
func loopID(path string) string {
	if len(path) < 64 {
		return path
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(path))
	return fmt.Sprintf("mars:%016x:%s", h.Sum64(), path[len(path)-32:])
}

// boundLoops lists the loop devices whose file has the given path, dead or
// alive. Others are not opened.
func boundLoops(path string) ([]loopDev, error) {
	dirs, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var out []loopDev
	for _, p := range dirs {
		text, err := readSmall(p)
		if err != nil {
			continue // gone since
		}
		// A detached mount shows the path within it only.
		file := strings.TrimSuffix(strings.TrimSuffix(text, "\n"), " (deleted)")
		if filepath.Base(file) != filepath.Base(path) {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(p, "/sys/block/loop%d/", &n); err != nil {
			continue
		}
		if info, err := loopDev(n).status(); err == nil && cString(info.File_name[:]) == loopID(path) {
			out = append(out, loopDev(n))
		}
	}
	return out, nil
}

func (l loopDev) status() (*unix.LoopInfo64, error) {
	fd, err := l.open(unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err != nil {
		return nil, fmt.Errorf("status of %s: %w", l.path(), err)
	}
	return info, nil
}

// readSmall reads a file of sysfs, which fits in one page. It may be called on
// an aside.
func readSmall(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var buf [4096]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(buf[:n]), nil
}

func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}
