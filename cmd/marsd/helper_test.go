package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mars/infra/env/osenv"
	"mars/infra/symtree"
)

// patience is how long a test waits for something before it fails.
const patience = 20 * time.Second

const testUUID = "b3f0e9a4-6c1d-4e57-9a7e-0123456789ab"

// asMarsd makes the test binary act as marsd, see TestMain.
const asMarsd = "MARSD_TEST_ACT"

func TestMain(m *testing.M) {
	if os.Getenv(asMarsd) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// eventually waits until fn says yes.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !fn() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited %v in vain for: %s", patience, what)
		}
	}
}

// journal collects what is logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger { return newLogger(j, new(slog.LevelVar)) }

func quiet() *slog.Logger { return newLogger(io.Discard, new(slog.LevelVar)) }

// makeTree makes a symlink tree with these links and returns its directory.
func makeTree(t *testing.T, links map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mars")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	setLinks(t, dir, links)
	return dir
}

func setLinks(t *testing.T, dir string, links map[string]string) {
	t.Helper()
	store := openStore(t, dir)
	var changes []symtree.Change
	for path, value := range links {
		changes = append(changes, symtree.Set(path, value, 1700000000_000000000))
	}
	if skipped, err := store.Commit(changes); err != nil || len(skipped) > 0 {
		t.Fatalf("make the tree: skipped %v, %v", skipped, err)
	}
}

func openStore(t *testing.T, dir string) *symtree.Store {
	t.Helper()
	fs, err := osenv.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = fs.(io.Closer).Close() })
	return symtree.NewStore(fs, symtree.DaemonTemp)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantError checks that err says all of these words, or that there is none.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if len(words) == 0 {
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return
	}
	if err == nil {
		t.Errorf("no error, expected one about %q", words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
