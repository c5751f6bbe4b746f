package main

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestLock(t *testing.T) {
	base := t.TempDir()
	mars, run := filepath.Join(base, "mars"), filepath.Join(base, "a", "run")
	if err := os.Mkdir(mars, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(run, "lock")
	first, err := lockAll(run, file, mars)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("the lock holds %q, %v", text, err)
	}
	var held *heldError
	if _, err := lockAll(run, file, mars); !errors.As(err, &held) || held.PID != os.Getpid() || held.What != run {
		t.Errorf("second on the run directory: %v", err)
	}
	wantError(t, held, "another marsd (pid "+strconv.Itoa(os.Getpid())+") is running on "+run)

	// Another run directory does not let anybody into the same tree.
	run2 := filepath.Join(base, "run2")
	file2 := filepath.Join(run2, "lock")
	if _, err := lockAll(run2, file2, mars); !errors.As(err, &held) || held.What != mars {
		t.Errorf("second on the tree: %v", err)
	}
	first.Close()
	if text, err := os.ReadFile(file); err != nil || len(text) != 0 {
		t.Errorf("after the end the lock holds %q, %v", text, err)
	}
	second, err := lockAll(run2, file2, mars)
	if err != nil {
		t.Fatalf("the refused attempt left a lock, or the first did: %v", err)
	}
	second.Close()
}

func TestLockIsNoLink(t *testing.T) {
	base := t.TempDir()
	victim := filepath.Join(base, "victim")
	write(t, victim, "precious")
	if err := os.Symlink(victim, filepath.Join(base, "lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := lockAll(base, filepath.Join(base, "lock"), base); err == nil {
		t.Error("a symlink was taken for the lock")
	}
	if text, _ := os.ReadFile(victim); string(text) != "precious" {
		t.Errorf("the victim holds %q", text)
	}
}
