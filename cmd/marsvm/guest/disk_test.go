// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"fmt"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sector is what a disk writes entirely or not at all, in bytes.
const sector = 512

func itoa[T int | int64](n T) string { return strconv.FormatInt(int64(n), 10) }

// blockDev is a block device without any cache between.
type blockDev struct{ fd int }

// openDev opens a device; it is closed with the test, or by close.
func openDev(t *testing.T, path string) *blockDev {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	return &blockDev{fd: fd}
}

func (d *blockDev) close(t *testing.T) {
	t.Helper()
	if err := unix.Close(d.fd); err != nil {
		t.Fatal(err)
	}
}

// alignedBuf is memory that direct IO accepts. It is never given back: a writer
// may outlive a test that has failed.
func alignedBuf(t *testing.T, size int) []byte {
	t.Helper()
	buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

func (d *blockDev) read(buf []byte, off int64) error {
	n, err := unix.Pread(d.fd, buf, off)
	return whole("read", n, len(buf), off, err)
}

func (d *blockDev) write(buf []byte, off int64) error {
	n, err := unix.Pwrite(d.fd, buf, off)
	return whole("write", n, len(buf), off, err)
}

// writeDurably is a write with FUA.
func (d *blockDev) writeDurably(buf []byte, off int64) error {
	n, err := unix.Pwritev2(d.fd, [][]byte{buf}, off, unix.RWF_DSYNC)
	return whole("durable write", n, len(buf), off, err)
}

func (d *blockDev) flush() error { return unix.Fdatasync(d.fd) }

func whole(what string, n, want int, off int64, err error) error {
	if err == nil && n != want {
		err = fmt.Errorf("%d bytes of %d", n, want)
	}
	if err != nil {
		return fmt.Errorf("%s at %d: %w", what, off, err)
	}
	return nil
}

// rangeIoctl is BLKDISCARD or BLKZEROOUT.
func (d *blockDev) rangeIoctl(req uint, off, length int64) error {
	span := [2]uint64{uint64(off), uint64(length)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), uintptr(req), uintptr(unsafe.Pointer(&span))); errno != 0 {
		return fmt.Errorf("ioctl %#x of %d bytes at %d: %w", req, length, off, errno)
	}
	return nil
}
