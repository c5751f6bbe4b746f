// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

func testSystem(t *testing.T) *system {
	t.Helper()
	s, err := newSystem()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := s.Place()
	p.MarsDir, p.RunDir, p.DevDir = filepath.Join(dir, "mars"), filepath.Join(dir, "run"), filepath.Join(dir, "dev")
	for _, d := range []string{p.RunDir, p.DevDir, p.Sys()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestLoaded(t *testing.T) {
	s := testSystem(t)
	if s.Loaded() {
		t.Error("loaded without a lock file")
	}
	f, err := os.Create(s.place.Lock())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s.Loaded() {
		t.Error("loaded without a lock")
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatalf("asking has left a lock: %v", err)
	}
	if !s.Loaded() {
		t.Error("not loaded with a lock")
	}
}

func TestTrigger(t *testing.T) {
	s := testSystem(t)
	name := filepath.Join(s.place.Sys(), "trigger")
	s.Trigger(2)
	if _, err := os.Lstat(name); err == nil {
		t.Error("it makes the file")
	}
	if err := os.WriteFile(name, []byte("something longer"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Trigger(3)
	if text, _ := os.ReadFile(name); string(text) != "3\n" {
		t.Errorf("found %q", text)
	}
}

func TestOnlyBlockDevicesCount(t *testing.T) {
	s := testSystem(t)
	file := filepath.Join(s.place.DevDir, "r")
	if err := os.WriteFile(file, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Device("r") || s.Device("none") {
		t.Error("a regular file counts as a device")
	}
	for _, path := range []string{file, "/dev/null", s.place.DevDir, "/nowhere"} {
		if _, err := s.Disk(path); err == nil {
			t.Errorf("%s counts as a disk", path)
		}
	}
}

func TestFS(t *testing.T) {
	s := testSystem(t)
	if _, err := s.FS(); !errors.Is(err, env.ErrNotExist) {
		t.Errorf("%v, expected %v", err, env.ErrNotExist)
	}
}

func TestSSH(t *testing.T) {
	s := testSystem(t)
	script := filepath.Join(t.TempDir(), "ssh")
	text := "#!/bin/sh\necho \"$1|$2|$3\"; cat; [ \"$1\" != bad ] || { echo nope >&2; exit 7; }\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s.place.SSH = script
	out, err := s.SSH("peer", []byte("input"), 1000, "marsadm", "en rol")
	if err != nil || string(out) != "peer|marsadm|en rol\ninput" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := s.SSH("bad", nil, 1000, "x"); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("error %v", err)
	}
	if _, err := s.SSH("peer", make([]byte, 1<<20), 100, "x"); err == nil || !strings.Contains(err.Error(), "more than 100 bytes") {
		t.Errorf("error %v", err)
	}
}
