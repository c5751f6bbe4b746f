// SPDX-License-Identifier: GPL-2.0-or-later

package uring

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestSetupGrants(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries uint32
		opt     Options
		sq, cq  int
		flags   SetupFlags
	}{
		{"plain", 8, Options{}, 8, 16, SetupSubmitAll},
		{"rounded", 5, Options{}, 8, 16, SetupSubmitAll},
		{"cq", 8, Options{CQEntries: 100}, 8, 128, SetupSubmitAll | SetupCQSize},
		{"sqe128", 4, Options{SQE128: true}, 4, 8, SetupSubmitAll | SetupSQE128},
		{"coop", 4, Options{CoopTaskrun: true, SingleIssuer: true}, 4, 8,
			SetupSubmitAll | SetupCoopTaskrun | SetupSingleIssuer},
		{"defer", 4, Options{DeferTaskrun: true}, 4, 8,
			SetupSubmitAll | SetupDeferTaskrun | SetupSingleIssuer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRing(t, tc.entries, tc.opt)
			if r.Entries() != tc.sq || r.CQEntries() != tc.cq || r.Flags() != tc.flags {
				t.Errorf("entries %d, completions %d, flags %#x; want %d, %d, %#x",
					r.Entries(), r.CQEntries(), r.Flags(), tc.sq, tc.cq, tc.flags)
			}
			if fl, err := unix.FcntlInt(uintptr(r.Fd()), unix.F_GETFD, 0); err != nil || fl&unix.FD_CLOEXEC == 0 {
				t.Errorf("descriptor flags %#x, %v: not close-on-exec", fl, err)
			}
			for i := range tc.sq {
				r.Get().Nop(uint64(i))
			}
			if r.Get() != nil {
				t.Error("an entry beyond the size of the queue")
			}
			wait(t, r, tc.sq)
		})
	}
}

func TestSetupBadArguments(t *testing.T) {
	for _, tc := range []struct {
		entries, cq uint32
	}{{0, 0}, {maxSQEntries + 1, 0}, {64, 32}, {64, maxCQEntries + 1}} {
		_, err := Setup(tc.entries, Options{CQEntries: tc.cq})
		if !errors.Is(err, unix.EINVAL) || errors.Is(err, ErrUnavailable) {
			t.Errorf("Setup(%d, cq %d): %v", tc.entries, tc.cq, err)
		}
	}
}

func TestLadder(t *testing.T) {
	const all = SetupSubmitAll
	for _, tc := range []struct {
		opt  Options
		want []SetupFlags
	}{
		{Options{}, []SetupFlags{all, 0}},
		{Options{SQE128: true, CQEntries: 8, CoopTaskrun: true}, []SetupFlags{
			all | SetupCoopTaskrun | SetupSQE128 | SetupCQSize,
			all | SetupSQE128 | SetupCQSize,
			SetupSQE128 | SetupCQSize}},
		{Options{DeferTaskrun: true}, []SetupFlags{
			all | SetupSingleIssuer | SetupDeferTaskrun,
			all | SetupSingleIssuer | SetupCoopTaskrun,
			all | SetupCoopTaskrun, all, 0}},
	} {
		if got := ladder(tc.opt); fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%+v: %v, want %v", tc.opt, got, tc.want)
		}
	}
}

func TestSetupErrorWords(t *testing.T) {
	for _, tc := range []struct {
		errno       unix.Errno
		sysctl      string
		word        string
		unavailable bool
	}{
		{unix.EPERM, "2\n", "io_uring_disabled=2", true},
		{unix.EPERM, "1\n", "io_uring_group", true},
		{unix.EPERM, "0\n", "seccomp", true},
		{unix.EACCES, "", "security module", true},
		{unix.ENOSYS, "", "without io_uring", true},
		{unix.EINVAL, "", "too old", true},
		{unix.ENOMEM, "", "memory", false},
		{unix.EMFILE, "", "descriptors", false},
		{unix.EIO, "", "refused", false},
	} {
		err := error(setupError(tc.errno, tc.sysctl))
		if !strings.Contains(err.Error(), tc.word) || errors.Is(err, ErrUnavailable) != tc.unavailable {
			t.Errorf("%v/%q: %v (unavailable: %v)", tc.errno, tc.sysctl, err, errors.Is(err, ErrUnavailable))
		}
		if tc.errno != unix.EINVAL && !errors.Is(err, tc.errno) {
			t.Errorf("%v does not unwrap to %v", err, tc.errno)
		}
	}
}

// deny makes the calling thread, which must be locked and never unlocked, see
// errno for one system call.
func deny(nr uint32, errno unix.Errno) error {
	prog := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
}

func TestRefusedBySeccomp(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nr    uint32
		errno unix.Errno
	}{
		{"setup EPERM", unix.SYS_IO_URING_SETUP, unix.EPERM},
		{"setup ENOSYS", unix.SYS_IO_URING_SETUP, unix.ENOSYS},
		{"register EPERM", unix.SYS_IO_URING_REGISTER, unix.EPERM},
		{"enter EPERM", unix.SYS_IO_URING_ENTER, unix.EPERM},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result := make(chan error)
			go func() {
				runtime.LockOSThread() // for ever: the filter dies with the thread
				if err := deny(tc.nr, tc.errno); err != nil {
					result <- err
					return
				}
				result <- Supported()
			}()
			if err := <-result; !errors.Is(err, ErrUnavailable) || !errors.Is(err, tc.errno) {
				t.Errorf("answer %v", err)
			}
		})
	}
}

func TestSupported(t *testing.T) {
	if err := Supported(); err != nil {
		t.Fatal(err)
	}
}

func TestProbe(t *testing.T) {
	r := newRing(t, 2, Options{})
	set, err := r.Probe()
	if err != nil {
		t.Fatal(err)
	}
	if name := missing(&set); name != "" {
		t.Errorf("kernel lacks %s", name)
	}
	if !set.Has(OpUringCmd) {
		t.Error("kernel lacks uring_cmd")
	}
	if set.Has(255) {
		t.Error("an operation that no kernel has")
	}
	set[0] &^= 1 << OpFsync
	if got := missing(&set); got != "fsync" {
		t.Errorf("missing: %q, want fsync", got)
	}
}
