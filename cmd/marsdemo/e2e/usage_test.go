// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxRSS is what a marsd may need at most, in bytes.
const maxRSS = 150 << 20

// usage is what a process has used.
type usage struct {
	cpu time.Duration // of all its threads so far, in clock ticks of 10 ms
	rss int64         // bytes
}

// tick is the kernel's unit of CPU time (USER_HZ, 100 on all platforms of Go).
const tick = 10 * time.Millisecond

// usage reads /proc/PID/stat of the node's daemon.
func (n *node) usage() usage {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	// Field 2 is the name in parentheses; utime, stime and rss are 14, 15, 24.
	_, rest, _ := strings.Cut(string(text), ") ")
	f := strings.Fields(rest)
	if len(f) < 22 {
		n.t.Fatalf("/proc/PID/stat has only %d fields: %s", len(f), text)
	}
	num := func(field int) int64 {
		v, err := strconv.ParseInt(f[field-3], 10, 64)
		if err != nil {
			n.t.Fatal(err)
		}
		return v
	}
	return usage{cpu: time.Duration(num(14)+num(15)) * tick, rss: num(24) * int64(os.Getpagesize())}
}
