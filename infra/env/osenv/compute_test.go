// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestComputeOnABusyMachine: what is to be computed gets on where no processor is
// idle, though others get more. Both share one processor here, and what either gets
// of it is compared: so it does not matter what else there is to do.
func TestComputeOnABusyMachine(t *testing.T) {
	var one, all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			one.Set(cpu)
			break
		}
	}
	busy := exec.Command("sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = busy.Process.Kill()
		_ = busy.Wait() // it was killed
	}()
	if err := unix.SchedSetaffinity(busy.Process.Pid, &one); err != nil {
		t.Fatal(err)
	}
	const (
		enough = 60 * time.Millisecond
		most   = 30 // times as much for the other one, at which it ends
		least  = 3  // it does give way
	)
	var got, others time.Duration
	e := newNode(t, Config{Executors: 1}).Executor(0)
	on(t, e, func(done func()) {
		e.Compute(func() {
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				t.Error(err)
				return
			}
			mine, theirs := threadWork(t), processWork(t, busy.Process.Pid)
			for got < enough && others < most*enough {
				for i := range 1 << 16 {
					runtime.KeepAlive(i)
				}
				got, others = threadWork(t)-mine, processWork(t, busy.Process.Pid)-theirs
			}
		}, done)
	})
	switch {
	case others >= most*enough:
		t.Errorf("it got %v of a processor while another process got %v", got, others)
	case others < least*got:
		t.Errorf("it got %v of a processor while another process got %v: it does not give way", got, others)
	}
}

// threadWork is how long the calling thread has worked.
func threadWork(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Error(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// processWork is how long a process has worked, in the kernel's ticks.
func processWork(t *testing.T, pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		t.Error(err)
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind its name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		t.Errorf("/proc/%d/stat: %q", pid, text)
		return 0
	}
	var ticks int64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Error(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
