// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"mars/infra/env"

	"go.uber.org/goleak"
)

// patience is how long a test waits for something before it fails.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// variants runs a test with both ways of doing IO.
func variants(t *testing.T, fn func(t *testing.T, force bool)) {
	t.Helper()
	t.Run("ring", func(t *testing.T) { fn(t, false) })
	t.Run("workers", func(t *testing.T) { fn(t, true) })
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	if cfg.MarsDir == "" {
		cfg.MarsDir = t.TempDir()
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet()
	}
	if cfg.Executors == 0 {
		cfg.Executors = 2
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(patience); err != nil {
			t.Error(err)
		}
	})
	return n
}

// on runs fn on the executor and waits until it calls done.
func on(t *testing.T, e env.Env, fn func(done func())) {
	t.Helper()
	c := make(chan struct{})
	e.Post(func() { fn(func() { close(c) }) })
	wait(t, c)
}

func wait(t *testing.T, c <-chan struct{}) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-c:
	case <-limit.C:
		t.Fatal("no progress")
	}
}

// get runs fn on the executor and returns its result.
func get[T any](t *testing.T, e env.Env, fn func() T) T {
	t.Helper()
	var v T
	on(t, e, func(done func()) {
		v = fn()
		done()
	})
	return v
}

func openFile(t *testing.T, e env.Env, name string, mode env.OpenMode) (f env.File, err error) {
	t.Helper()
	on(t, e, func(done func()) {
		e.Files().OpenFile(name, mode, func(g env.File, gerr error) {
			f, err = g, gerr
			done()
		})
	})
	return f, err
}

func openDisk(t *testing.T, e env.Env, path string) (f env.File, err error) {
	t.Helper()
	on(t, e, func(done func()) {
		e.Files().OpenDisk(path, func(g env.File, gerr error) {
			f, err = g, gerr
			done()
		})
	})
	return f, err
}

// do runs one IO to its end.
func do(t *testing.T, e env.Env, f env.File, io *env.IO) *env.IO {
	t.Helper()
	on(t, e, func(done func()) {
		io.Done = func(*env.IO) { done() }
		f.Submit(io)
	})
	return io
}

func closeFile(t *testing.T, e env.Env, f env.File) {
	t.Helper()
	on(t, e, func(done func()) { f.Close(done) })
}
