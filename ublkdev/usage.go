// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Usage tells who has a block device open, as far as it can be seen.
type Usage struct {
	// Claimed: the kernel has it for itself (mounted anywhere, also lazily
	// unmounted but still open; swap; device-mapper, md).
	Claimed bool
	// Openers are processes with the device or a partition of it open, as
	// "pid/fd". Needs root to be complete, and is a snapshot.
	Openers []string
	// Holders are the block devices stacked on it or its partitions.
	Holders []string
}

// Count is a number of users: 0 exactly when none was seen. A claim counts as
// one where no holder explains it.
func (u Usage) Count() int {
	n := len(u.Openers) + len(u.Holders)
	if u.Claimed && len(u.Holders) == 0 {
		n++
	}
	return n
}

// String describes it for a message.
func (u Usage) String() string {
	var out []string
	if len(u.Holders) > 0 {
		out = append(out, "used by "+strings.Join(u.Holders, ", "))
	} else if u.Claimed {
		out = append(out, "mounted, swap or otherwise claimed")
	}
	if len(u.Openers) > 0 {
		out = append(out, "open in "+strings.Join(u.Openers, ", "))
	}
	if len(out) == 0 {
		return "not in use"
	}
	return strings.Join(out, "; ")
}

// usage looks at a device. With keep, the exclusive descriptor taken in the
// course is returned (-1 when in use): it keeps others from claiming the device
// until it is closed.
func usage(p port, id uint32, keep bool) (Usage, int, error) {
	var u Usage
	fd, err := p.openBlock(id, true)
	switch {
	case err == nil:
	case errors.Is(err, unix.EBUSY):
		u.Claimed = true
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return u, -1, fmt.Errorf("%w: %w", ErrGone, err)
	default:
		return u, -1, fmt.Errorf("ublk: in-use check: %w", err)
	}
	u.Openers, err = p.openers(id)
	if err == nil {
		u.Holders, err = p.holders(id)
	}
	if fd >= 0 && (err != nil || !keep || u.Count() > 0) {
		p.close(fd)
		fd = -1
	}
	if err != nil {
		return u, -1, fmt.Errorf("ublk: in-use check: %w", err)
	}
	return u, fd, nil
}

// syncBlock makes what this process itself wrote through the page cache durable,
// at most until ctx ends; the kernel did the same for everybody else who closed
// the device. The fsync itself cannot be interrupted: then it is left behind with
// its descriptor.
func syncBlock(ctx context.Context, p port, id uint32) error {
	fd, err := p.openBlock(id, false)
	if err != nil {
		return fmt.Errorf("ublk: sync: %w", err)
	}
	done := make(chan error, 1)
	go func() {
		err := p.syncBlock(fd)
		p.close(fd)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("ublk: sync: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: sync of the block device: %w", ErrTimeout, ctx.Err())
	}
}

// blockNodes are the device and its partitions: directories in sysfs.
func (s *system) blockNodes(id uint32) ([]string, error) {
	parts, err := filepath.Glob(s.block(id, blockName(id)+"p*", "partition"))
	if err != nil {
		return nil, err
	}
	out := []string{s.block(id)}
	for _, p := range parts {
		out = append(out, filepath.Dir(p))
	}
	return out, nil
}

func (s *system) holders(id uint32) ([]string, error) {
	nodes, err := s.blockNodes(id)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, dir := range nodes {
		entries, err := os.ReadDir(filepath.Join(dir, "holders"))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// openers walks through the descriptors of all other processes. Processes that
// end meanwhile, and those of which nothing may be seen, are passed over.
func (s *system) openers(id uint32) ([]string, error) {
	fds, err := filepath.Glob(filepath.Join(s.proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return nil, err
	}
	self := fmt.Sprint(s.pid())
	owner := func(path string) string { return filepath.Base(filepath.Dir(filepath.Dir(path))) }
	fds = slices.DeleteFunc(fds, func(path string) bool { return owner(path) == self })
	var out []string
	found, err := s.descriptors(id, fds)
	for _, path := range found {
		out = append(out, owner(path)+"/"+filepath.Base(path))
	}
	sort.Strings(out)
	return out, err
}

func (s *system) ownOpen(id uint32) (bool, error) {
	fds, err := filepath.Glob(filepath.Join(s.proc, "self", "fd", "*"))
	if err != nil {
		return false, err
	}
	found, err := s.descriptors(id, fds)
	return len(found) > 0, err
}

// descriptors are those of fds that are open on the device or a partition.
func (s *system) descriptors(id uint32, fds []string) (found []string, err error) {
	nodes, err := s.blockNodes(id)
	if err != nil {
		return nil, err
	}
	want := make(map[string]bool)
	for _, dir := range nodes {
		if b, err := os.ReadFile(filepath.Join(dir, "dev")); err == nil {
			want[strings.TrimSpace(string(b))] = true
		}
	}
	for _, path := range fds {
		var st unix.Stat_t
		// Only device nodes are followed: stat of others can hang (network
		// file systems) and tells nothing here.
		target, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(target, "/") || !strings.Contains(target, "/dev") &&
			!strings.Contains(target, "ublkb") {
			continue
		}
		if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFBLK {
			continue
		}
		if want[fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))] {
			found = append(found, path)
		}
	}
	return found, nil
}
