// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"

	"golang.org/x/sys/unix"
)

// newBig is host A in a cluster of four hosts with 100 resources.
func newBig(tb testing.TB) *fakeSys {
	tb.Helper()
	s := newSysIn(tb, "A", memDir(tb))
	s.loaded, s.wall = true, time.Now().UnixNano() // stamps of the future make the kernel note every look at a link
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

// lines are the commands without a wait, about one resource and about all.
func lines() []string {
	return []string{
		"version", "help", "show r7", "status r7", "view r7", "explain r7", "complete bash -- status r7", "pause-sync-global r7", "get-link /mars/resource-r7/size", "set-link x /mars/userspace/y",
		"role all", "state all", "show-state all", "dstate all", "cstate all", "show all", "show-info all", "show-errors all", "status", "explain all", "view all", "view-replstate all", "view-flags all",
		"get-gi all", "log-delete all", "log-delete-all all", "log-purge-all all",
	}
}

// everything are commands that read all links: the first one tells of all, and
// macros may ask for anything.
func everything() []string { return []string{"status --json", "view-get-disk all"} }

// writing are commands that write for all resources, on the secondary B (logs on
// the primary A); behind them what is done before, so that there is
// something to write.
func writing() [][]string {
	list := [][]string{
		{"log-rotate all"},
		{"down all --timeout=0", "up all --timeout=0"}, {"up all --timeout=0", "down all --timeout=0"},
		{"detach all --timeout=0", "up all --timeout=0", "pause-sync all", "pause-replay all"}, {"attach all --timeout=0", "down all --timeout=0"},
	}
	for _, pair := range [][2]string{{"pause-sync", "resume-sync"}, {"pause-replay", "resume-replay"}, {"disconnect", "connect"}} {
		for _, form := range []string{"", "-global"} {
			off, on := pair[0]+form+" all", pair[1]+form+" all"
			list = append(list, []string{off, "up all --timeout=0", on}, []string{on, "up all --timeout=0", off})
		}
	}
	return list
}

// mayTake is how long a command without a wait may take on a tree of 100 resources
// and four hosts.
const mayTake = 30 * time.Millisecond

// BenchmarkLatency reports of every command how long it takes at least as a
// process, from its start to its end, and how much processor time (user and system,
// of all threads) it needs, beside a plain reading of the same tree, which no change
// of ours makes faster: on a machine that is busy with other things, look at
// that first. It says which commands miss mayTake. The tree lies in memory: what
// commands that write wait for the disk is not theirs.
func BenchmarkLatency(b *testing.B) {
	s := newBig(b)
	bin := build(b)
	for _, line := range append(lines(), everything()...) {
		latency(b, s, bin, "A", line, func() {})
	}
	for i := range 100 {
		s.set(symtree.ActualPath(fmt.Sprintf("r%d", i), "A", symtree.ActualIsPrimary), "1")
	}
	for _, words := range writing() {
		host := "B"
		if strings.HasPrefix(words[0], "log-") {
			host = "A"
		}
		latency(b, s, bin, host, words[0], func() {
			for _, line := range words[1:] {
				process(b, s, bin, host, line)
			}
			for i := range 100 { // what log-rotate makes, and does not make twice
				if err := os.RemoveAll(filepath.Join(s.place.MarsDir, symtree.LogPath(fmt.Sprintf("r%d", i), 5, "A"))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// latency reports of one command line. What comes before does not count.
func latency(b *testing.B, s *fakeSys, bin, host, line string, before func()) {
	b.Run(strings.ReplaceAll(line, " ", "_"), func(b *testing.B) {
		wall, cpu, plain := time.Hour, time.Hour, time.Hour
		for b.Loop() {
			before()
			plain = min(plain, readPlainly(b, s.place.MarsDir))
			w, c := process(b, s, bin, host, line)
			wall, cpu = min(wall, w), min(cpu, c)
		}
		b.ReportMetric(0, "ns/op") // of all that is done here
		b.ReportMetric(wall.Seconds()*1e3, "ms")
		b.ReportMetric(cpu.Seconds()*1e3, "ms-cpu")
		b.ReportMetric(plain.Seconds()*1e3, "ms-plain-reading")
		if wall >= mayTake {
			b.Logf("marsadm %s: %v, the target is %v", line, wall, mayTake)
		}
	})
}

// build makes the program as it is installed.
func build(t testing.TB) string {
	bin := filepath.Join(t.TempDir(), "marsadm")
	cmd := exec.Command("go", "build", "-o", bin, "../cmd/marsadm")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return bin
}

// process runs a command on a host and returns its time, and its processor time.
func process(t testing.TB, s *fakeSys, bin, host, line string) (wall, cpu time.Duration) {
	run := t.TempDir()
	lock, err := os.Create(filepath.Join(run, "lock")) // as if a marsd were running
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, strings.Fields(line)...)
	cmd.Env = append(os.Environ(), "MARS_HOST="+host, "MARS_DIR="+s.place.MarsDir, "MARS_RUN_DIR="+run, "MARS_DEV_DIR="+run, "MARS_PKI_DIR="+run, "MARS_PATH="+run)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	wall = time.Since(start)
	if err != nil {
		t.Fatalf("marsadm %s: %v\n%.500s", line, err, out)
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// readPlainly is the processor time that it takes to read all names and values,
// and to do nothing with them.
func readPlainly(t testing.TB, dir string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	links := 0
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.Type() != os.ModeSymlink {
			return err
		}
		links++
		_, err = os.Readlink(path)
		return err
	})
	if err != nil || links < 10_000 {
		t.Fatalf("%v, %d links: nothing is measured", err, links)
	}
	return cpu() - before
}
