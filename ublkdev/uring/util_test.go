// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// long is a wait that only a defect makes run out.
const long = 20 * time.Second

// newRing makes a ring owned by the test's goroutine.
func newRing(t testing.TB, entries uint32, opt Options) *Ring {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	r, err := Setup(entries, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func mapped(t testing.TB, size int) []byte {
	t.Helper()
	mem, err := Map(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmap(mem); err != nil {
			t.Error(err)
		}
	})
	return mem
}

func tempFile(t testing.TB, flags int) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "f"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func eventfd(t testing.TB) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func signal(t testing.TB, efd int) {
	t.Helper()
	if _, err := unix.Write(efd, []byte{1, 1, 1, 1, 1, 1, 1, 1}); err != nil {
		t.Error(err)
	}
}

// wait submits and returns exactly n completions by user data.
func wait(t testing.TB, r *Ring, n int) map[uint64]CQE {
	t.Helper()
	got := make(map[uint64]CQE)
	buf := make([]CQE, 32)
	for total := 0; total < n; {
		if _, err := r.SubmitAndWait(1, long); err != nil {
			t.Fatal(err)
		}
		k := r.Reap(buf[:min(len(buf), n-total)])
		if k == 0 {
			t.Fatalf("%d of %d completions after %v", total, n, long)
		}
		for _, c := range buf[:k] {
			if _, twice := got[c.UserData]; twice {
				t.Fatalf("two completions for %d", c.UserData)
			}
			got[c.UserData] = c
		}
		total += k
	}
	return got
}

// expect waits for as many completions as want names and compares the results.
func expect(t testing.TB, r *Ring, want map[uint64]int32) {
	t.Helper()
	got := wait(t, r, len(want))
	for ud, res := range want {
		if c, ok := got[ud]; !ok || c.Res != res {
			t.Errorf("request %d: result %d (completed %v: %v), want %d", ud, c.Res, ok, c.Err(), res)
		}
	}
}

func fill(b []byte, seed byte) {
	for i := range b {
		b[i] = seed + byte(i)*7 + byte(i>>8)
	}
}

func fileSize(t testing.TB, fd int) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Size
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}
