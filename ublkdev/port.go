// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// port is everything this package asks of the system but the ring of the data
// plane, so that tests can play the driver.
type port interface {
	// controlRing makes the ring that carries control commands; on the thread
	// that will use it.
	controlRing() (controlRing, error)
	openControl() (int, error)
	openChar(id uint32) (int, error)
	// openBlock opens the block device read-only; excl fails with EBUSY where
	// somebody claimed it (mount, dm, swap).
	openBlock(id uint32, excl bool) (int, error)
	syncBlock(fd int) error
	mapDescs(fd int, offset int64, length int) ([]byte, error)
	unmapDescs(mem []byte) error
	close(fd int)
	setIOTimeout(id uint32, d time.Duration) error
	listIDs() ([]uint32, error)
	// openers lists who else has the block device or its partitions open, in
	// words; holders the devices stacked upon it.
	openers(id uint32) ([]string, error)
	holders(id uint32) ([]string, error)
	// ownOpen tells whether this process has it open.
	ownOpen(id uint32) (bool, error)
	release() (Release, error)
	moduleLoaded() bool
	pid() int
	pageSize() int
}

// controlRing is what the control plane uses of *uring.Ring.
type controlRing interface {
	Get() *uring.SQE
	Cmd(s *uring.SQE) []byte
	SubmitAndWait(n int, timeout time.Duration) (int, error)
	Reap(dst []uring.CQE) int
	SyncCancel(userData uint64, timeout time.Duration) error
	Close() error
	CloseNow()
}

// dataRing is what the data plane uses of *uring.Ring.
type dataRing interface {
	Get() *uring.SQE
	Queued() int
	Entries() int
	Submit() (int, error)
	Flags() uring.SetupFlags
}

// system is the real port. Its directories are fields for the sake of tests.
type system struct {
	dev, sys, proc string
}

func newSystem() *system { return &system{dev: "/dev", sys: "/sys", proc: "/proc"} }

func (s *system) controlRing() (controlRing, error) {
	return uring.Setup(4, uring.Options{SQE128: true, CoopTaskrun: true})
}

// Every descriptor is close-on-exec: a child that inherited the character
// device would keep it from being recovered.
func open(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		return fd, nil
	}
}

func (s *system) openControl() (int, error) {
	return open(filepath.Join(s.dev, "ublk-control"), unix.O_RDWR)
}

func (s *system) openChar(id uint32) (int, error) {
	return open(filepath.Join(s.dev, fmt.Sprintf("ublkc%d", id)), unix.O_RDWR)
}

func (s *system) openBlock(id uint32, excl bool) (int, error) {
	flags := unix.O_RDONLY
	if excl {
		flags |= unix.O_EXCL
	}
	return open(filepath.Join(s.dev, blockName(id)), flags)
}

func (s *system) syncBlock(fd int) error {
	for {
		if err := unix.Fsync(fd); err != unix.EINTR {
			return err
		}
	}
}

// mapDescs maps read-only: the kernel refuses anything else.
func (s *system) mapDescs(fd int, offset int64, length int) ([]byte, error) {
	return unix.Mmap(fd, offset, length, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
}

func (s *system) unmapDescs(mem []byte) error { return unix.Munmap(mem) }

// close ignores errors: the descriptor is gone regardless.
func (s *system) close(fd int) { _ = unix.Close(fd) }

func blockName(id uint32) string { return fmt.Sprintf("ublkb%d", id) }

func (s *system) block(id uint32, rest ...string) string {
	return filepath.Join(append([]string{s.sys, "block", blockName(id)}, rest...)...)
}

func (s *system) setIOTimeout(id uint32, d time.Duration) error {
	return os.WriteFile(s.block(id, "queue", "io_timeout"), []byte(strconv.FormatInt(d.Milliseconds(), 10)), 0)
}

func (s *system) listIDs() ([]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(s.sys, "class", "ublk-char"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, e := range entries {
		num, ok := strings.CutPrefix(e.Name(), "ublkc")
		if !ok {
			continue
		}
		if id, err := strconv.ParseUint(num, 10, 32); err == nil {
			ids = append(ids, uint32(id))
		}
	}
	sort.Slice(ids, func(i, j int) bool { return ids[i] < ids[j] })
	return ids, nil
}

func (s *system) release() (Release, error) { return kernelRelease() }

func (s *system) moduleLoaded() bool {
	_, err := os.Stat(filepath.Join(s.sys, "module", "ublk_drv"))
	return err == nil
}

func (s *system) pid() int { return os.Getpid() }

func (s *system) pageSize() int { return os.Getpagesize() }
