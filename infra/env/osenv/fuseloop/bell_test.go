// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBell: it rings for each opener and closer of its files but for our own, and of
// no others.
func TestBell(t *testing.T) {
	dir := t.TempDir()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint(i)) }
	for i := range 3 {
		if err := os.WriteFile(path(i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := newBell()
	defer b.close()
	b.listen(map[string]bool{path(0): true, path(1): true, filepath.Join(dir, "none"): true})
	open := func(i, flags int) *os.File {
		f, err := os.OpenFile(path(i), flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	closed := func(i, flags int) {
		if err := open(i, flags).Close(); err != nil {
			t.Fatal(err)
		}
	}
	held := open(0, os.O_RDONLY)
	own := map[string]int{path(0): 1, path(1): 2}
	for _, c := range []struct {
		what string
		do   func()
		own  map[string]int
		want bool
	}{
		{"an opener", func() {}, nil, true},
		{"nothing", func() {}, nil, false},
		{"our own looks", func() { closed(0, os.O_RDONLY); closed(1, os.O_RDONLY); closed(1, os.O_RDONLY) }, own, false},
		{"one look more than ours", func() { closed(0, os.O_RDONLY); closed(0, os.O_RDONLY) }, own, true},
		{"a closer", func() { closed(1, os.O_RDONLY); held.Close(); closed(1, os.O_RDONLY) }, own, true},
		{"a writer that closes, where we have looked", func() { closed(0, os.O_WRONLY) }, own, true},
		{"another file", func() { closed(2, os.O_RDWR) }, nil, false},
		{"a file no longer listened to", func() { b.listen(map[string]bool{path(2): true}); closed(0, os.O_RDWR) }, nil, false},
		{"a file listened to since", func() { closed(2, os.O_RDONLY) }, nil, true},
		{"more than can be remembered", func() {
			for i := range 40_000 {
				b.listen(map[string]bool{path(i % 2): true}) // what is no longer listened to tells so
			}
		}, nil, true},
	} {
		c.do()
		if got := b.others(c.own); got != c.want {
			t.Errorf("%s: rung %v, want %v", c.what, got, c.want)
		}
	}
	if b.await(0) {
		t.Error("it rings when all is read")
	}
	b.listen(map[string]bool{path(0): true})
	closed(0, os.O_RDONLY)
	if !b.await(time.Minute) {
		t.Error("it does not ring")
	}
}

// TestBellMissing: without it nothing rings, and waiting is waiting.
func TestBellMissing(t *testing.T) {
	b := newBell()
	b.close()
	b.fd = -1
	b.listen(map[string]bool{"/": true})
	if b.await(time.Millisecond) || b.others(nil) {
		t.Error("a missing bell rings")
	}
}
