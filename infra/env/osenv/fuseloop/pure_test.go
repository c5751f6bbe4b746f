// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"mars/infra/env"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func TestLoopID(t *testing.T) {
	short := "/run/mars/fuse/lv/lv"
	if got := loopID(short); got != short {
		t.Errorf("loopID(%q) = %q", short, got)
	}
	seen := map[string]string{}
	for i := range 100 {
		path := fmt.Sprintf("/run/%s-%d/fuse/lv/%s", strings.Repeat("x", 60), i, strings.Repeat("y", 40))
		id := loopID(path)
		if len(id) > 63 || seen[id] != "" {
			t.Fatalf("loopID(%q) = %q, %d bytes, same as of %q", path, id, len(id), seen[id])
		}
		seen[id] = path
	}
}

// TestStatus: no error may become one that switches the operation off.
func TestStatus(t *testing.T) {
	for _, c := range []struct {
		op   env.DevOp
		err  error
		want fuse.Status
	}{
		{env.DevFlush, unix.ENOSYS, fuse.EIO},
		{env.DevFlush, unix.EOPNOTSUPP, fuse.EIO},
		{env.DevFlush, env.ErrNoSpace, fuse.EIO},
		{env.DevWrite, unix.ENOSYS, fuse.EIO},
		{env.DevWrite, unix.EINTR, fuse.EIO},
		{env.DevWrite, fmt.Errorf("x: %w", env.ErrNoSpace), fuse.Status(syscall.ENOSPC)},
		{env.DevWrite, unix.EOPNOTSUPP, fuse.EIO},
		{env.DevRead, errors.New("anything"), fuse.EIO},
		{env.DevDiscard, unix.EOPNOTSUPP, fuse.Status(syscall.EOPNOTSUPP)},
		{env.DevWriteZeroes, unix.ENOSYS, fuse.EIO},
	} {
		if got := status(c.op, c.err); got != c.want {
			t.Errorf("status(%d, %v) = %v, want %v", c.op, c.err, got, c.want)
		}
	}
}

func TestUsageCount(t *testing.T) {
	for _, c := range []struct {
		u    usage
		want int
	}{{usage{}, 0}, {usage{busy: true}, 1}, {usage{plain: 3}, 3}, {usage{busy: true, plain: 2}, 2}} {
		if got := c.u.count(); got != c.want {
			t.Errorf("%+v counts %d, want %d", c.u, got, c.want)
		}
	}
}
