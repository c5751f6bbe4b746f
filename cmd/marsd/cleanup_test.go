package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/place"
)

// cleanup refuses beside a daemon and without a run directory, and is content
// where nothing is left.
func TestCleanup(t *testing.T) {
	dir := t.TempDir()
	o := &options{Place: place.Place{MarsDir: dir, RunDir: filepath.Join(dir, "run"), DevDir: filepath.Join(dir, "dev"), Host: "a"}}
	run := func() (string, error) {
		var out bytes.Buffer
		err := cleanUp(o, false, &out, slog.New(slog.DiscardHandler))
		return out.String(), err
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "--run-dir") {
		t.Errorf("without a run directory: %v", err)
	}
	if err := os.Mkdir(o.RunDir, 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := lockRun(o.RunDir, o.Lock())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(); err == nil || !strings.Contains(err.Error(), "is running") {
		t.Errorf("beside a daemon: %v", err)
	}
	release(held)
	for range 2 {
		if out, err := run(); err != nil || !strings.Contains(out, "nothing is left") {
			t.Errorf("%q, %v", out, err)
		}
	}
}
