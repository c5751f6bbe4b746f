// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mars/infra/env"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"lv-1": true, "a.b_c": true, "": false, ".": false, "..": false, ".x": false, "a/b": false, "a b": false,
		"a\nb": false, "a,b": false, `a\b`: false, strings.Repeat("x", 200): true, strings.Repeat("x", 201): false,
	} {
		if err := checkName(name); (err == nil) != ok {
			t.Errorf("checkName(%q) = %v, want ok %v", name, err, ok)
		}
	}
}

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

func TestScanPlan(t *testing.T) {
	start := time.Unix(1e9, 0)
	var p scanPlan
	if !p.due(start, false) {
		t.Fatal("the first pass is not due")
	}
	p.done(start, start.Add(time.Millisecond))
	for _, c := range []struct {
		at       time.Duration
		eventful bool
		want     bool
	}{
		{4 * time.Second, false, false},
		{6 * time.Second, false, false},
		{60 * time.Second, false, true},
		{4 * time.Second, true, false},
		{5 * time.Second, false, true}, // remembers the event
	} {
		if got := p.due(start.Add(c.at), c.eventful); got != c.want {
			t.Errorf("after %v, eventful %v: due %v", c.at, c.eventful, got)
		}
	}
	p.done(start, start.Add(100*time.Millisecond))
	if p.due(start.Add(49*time.Second), true) || !p.due(start.Add(50*time.Second), true) {
		t.Error("a slow pass is not repeated at 1/500 of the time")
	}
}

func TestLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	path := filepath.Join(dir, "lv")
	for _, target := range []string{"/dev/loop1", "/dev/loop2"} {
		if err := makeLink(target, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(path); got != target {
			t.Fatalf("link is %q, %v", got, err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Fatalf("left over: %v", list)
	}
	for range 2 {
		if err := removeLink(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeLink("/dev/loop1", path); !errors.Is(err, env.ErrExist) {
		t.Errorf("replacing a file: %v", err)
	}
	if err := removeLink(path); !errors.Is(err, env.ErrExist) {
		t.Errorf("removing a file: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Error("the file is gone")
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
