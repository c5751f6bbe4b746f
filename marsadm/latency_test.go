// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"testing"
	"time"

	"mars/infra/symtree"

	"golang.org/x/sys/unix"
)

// newBig is host A in a cluster of four hosts with 100 resources.
func newBig(tb testing.TB) *fakeSys {
	tb.Helper()
	s := newSysIn(tb, "A", tb.TempDir())
	s.loaded = true
	fillMember(s, "A")
	var b symtree.Batch
	b.Set("ips/ip-D", "192.0.2.4")
	for i := range 100 {
		res := fmt.Sprintf("r%d", i)
		b.Set(symtree.SizePath(res), "65536000")
		b.Set(symtree.PrimaryPath(res), "A")
		for _, h := range []string{"A", "B", "C", "D"} {
			fillReplica(&b, res, h)
		}
	}
	s.commit(&b)
	for i := range 100 {
		for n := 3; n <= 4; n++ {
			s.file(symtree.LogPath(fmt.Sprintf("r%d", i), n, "A"), 500)
		}
	}
	return s
}

// fillReplica are the links of a member as marsd keeps them.
func fillReplica(b *symtree.Batch, res, h string) {
	v := ""
	for n := 3; n <= 4; n++ {
		v = symtree.VersionValue(n, "A", 500, v)
		b.Set(symtree.VersionPath(res, n, h), v)
	}
	b.Set(symtree.DataPath(res, h), "/dev/disk")
	b.Set(symtree.DevicePath(res, h), res)
	b.Set(symtree.ActSizePath(res, h), "65536000")
	b.Set(symtree.ReplayPath(res, h), "log-000000003-A,500,0")
	b.Set(symtree.SyncStatusPath(res, h), "65536000")
	b.Set(symtree.SyncPosPath(res, h), "log-000000001-A,500,0")
	b.Set(symtree.SyncFromPath(res, h), "A")
	b.Set(symtree.ConnectPath(res, h), "A")
	for _, key := range []string{symtree.TodoAttach, symtree.TodoConnect, symtree.TodoSync, symtree.TodoAllowReplay} {
		b.Set(symtree.TodoPath(res, h, key), "1")
	}
	for _, key := range []string{
		symtree.ActualIsPrimary, symtree.ActualIsReplaying, symtree.ActualIsCopying, symtree.ActualIsSyncing, symtree.ActualOpenCount,
		symtree.ActualReplayRate, symtree.ActualFileRate, symtree.ActualSyncRate, symtree.ActualReplayCode, actualWhy, actualSplit, "device-" + res,
	} {
		b.Set(symtree.ActualPath(res, h, key), "0")
	}
	b.Set(symtree.ActualPath(res, h, symtree.ActualIsAttached), "1")
}

// cpuTime is what this process has used of all cores: unlike the time it takes,
// that does not depend on what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// benchLines are commands of every group, about one resource and about all.
func benchLines() []string {
	return []string{
		"show r7", "status r7", "view r7", "explain r7", "pause-sync-global r7", "get-link /mars/resource-r7/size", "set-link x /mars/userspace/y",
		"role all", "show-state all", "dstate all", "cstate all", "show all", "show-errors all", "status", "status --json", "view all", "view-replstate all",
		"pause-sync all", "resume-sync all", "pause-sync-global all", "set-emergency-limit all 10", "log-delete-all all", "log-purge-all all",
	}
}

// BenchmarkCommand is one command without a wait on a tree of 100 resources
// and four hosts. It shall stay below 30 ms: in a directory in memory
// (TMPDIR=/dev/shm), which leaves the disk out of it, all do on one core but
// those that show everything about all resources, which take two.
func BenchmarkCommand(b *testing.B) {
	s := newBig(b)
	for _, line := range benchLines() {
		b.Run(line, func(b *testing.B) {
			before := cpuTime(b)
			for b.Loop() {
				s.must(line)
			}
			b.ReportMetric((cpuTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
		})
	}
}
