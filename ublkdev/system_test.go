// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree makes files; a name that ends in a slash is a directory.
func tree(t *testing.T, names ...string) *system {
	t.Helper()
	root := t.TempDir()
	s := &system{dev: filepath.Join(root, "dev"), sys: filepath.Join(root, "sys"), proc: filepath.Join(root, "proc")}
	for _, name := range names {
		path := filepath.Join(root, name)
		dir := filepath.Dir(path)
		if name[len(name)-1] == '/' {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if dir == path {
			continue
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Rule 10: no child inherits a descriptor.
func TestRuleCloseOnExec(t *testing.T) {
	s := tree(t, "dev/ublk-control", "dev/ublkc3", "dev/ublkb3")
	for name, open := range map[string]func() (int, error){
		"control": s.openControl,
		"char":    func() (int, error) { return s.openChar(3) },
		"block":   func() (int, error) { return s.openBlock(3, true) },
	} {
		fd, err := open()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("%s: flags %#x, %v", name, flags, err)
		}
		s.close(fd)
	}
	if _, err := s.openChar(4); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
}

func TestSystemFiles(t *testing.T) {
	s := tree(t, "sys/class/ublk-char/ublkc12/", "sys/class/ublk-char/ublkc3/", "sys/class/ublk-char/other/",
		"sys/class/ublk-char/ublkcX/", "sys/block/ublkb3/queue/io_timeout", "sys/module/ublk_drv/x",
		"sys/block/ublkb3/holders/dm-0", "sys/block/ublkb3/ublkb3p1/partition", "sys/block/ublkb3/ublkb3p1/holders/md1")
	ids, err := s.listIDs()
	if err != nil || !slices.Equal(ids, []uint32{3, 12}) {
		t.Errorf("%v, %v", ids, err)
	}
	if err := s.setIOTimeout(3, 1500*time.Millisecond); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(s.sys, "block/ublkb3/queue/io_timeout")); string(b) != "1500" {
		t.Errorf("%q", b)
	}
	if got, err := s.holders(3); err != nil || !slices.Equal(got, []string{"dm-0", "md1"}) {
		t.Errorf("%v, %v", got, err)
	}
	empty := tree(t)
	if !s.moduleLoaded() || empty.moduleLoaded() {
		t.Error("module")
	}
	if ids, err := empty.listIDs(); ids != nil || err != nil {
		t.Errorf("%v, %v", ids, err)
	}
	if got, err := empty.openers(3); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestUsage(t *testing.T) {
	for _, x := range []struct {
		u     Usage
		count int
		word  string
	}{
		{Usage{}, 0, "not in use"},
		{Usage{Claimed: true}, 1, "mounted, swap or otherwise claimed"},
		{Usage{Claimed: true, Holders: []string{"dm-0"}}, 1, "used by dm-0"},
		{Usage{Claimed: true, Openers: []string{"1/2", "3/4"}}, 3, "mounted, swap or otherwise claimed; open in 1/2, 3/4"},
	} {
		if x.u.Count() != x.count || x.u.String() != x.word {
			t.Errorf("%+v: %d %q", x.u, x.u.Count(), x.u.String())
		}
	}
}

// Rule 11, as far as it is the process's.
func TestRuleProtect(t *testing.T) {
	s := tree(t, "proc/self/oom_score_adj", "proc/self/ns/", "proc/1/ns/")
	if err := s.protect(); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(s.proc, "self/oom_score_adj")); string(b) != "-1000" {
		t.Errorf("%q", b)
	}
	if err := s.checkNamespace(); err != nil {
		t.Errorf("nothing known: %v", err)
	}
	for _, x := range []struct {
		pid, ns string
	}{{"self", "mnt:[1]"}, {"1", "mnt:[2]"}} {
		if err := os.Symlink(x.ns, filepath.Join(s.proc, x.pid, "ns", "mnt")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.checkNamespace(); !errors.Is(err, ErrNamespace) {
		t.Errorf("another namespace: %v", err)
	}
	if err := tree(t).protect(); err == nil {
		t.Error("no error without the file")
	}
}
