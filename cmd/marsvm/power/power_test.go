// SPDX-License-Identifier: GPL-2.0-or-later

package power

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// patience is how long the guest may make no progress.
	patience = 3 * time.Minute
	// enough is the work after which the power goes.
	enoughWrites, enoughFiles, enoughRotations = 1500, 40, 2
)

// wanted tells whether the suite runs: with MARS_VM=1 only, as all that need
// the guest.
func wanted(t *testing.T) bool {
	t.Helper()
	if os.Getenv("MARS_VM") == "1" {
		return true
	}
	text := "=== THE SUITE OF POWER CUTS DID NOT RUN: it wants MARS_VM=1 and a rig (make test-vm) ==="
	t.Log(text)
	fmt.Fprintln(os.Stderr, text)
	return false
}

// number is a setting from the environment.
func number(t *testing.T, name string, def int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no positive number", name, text)
	}
	return n
}

// TestPowerCuts is the suite.
func TestPowerCuts(t *testing.T) {
	if !wanted(t) {
		return
	}
	log := work(t, "")
	r := newReview(t, log)
	cuts := number(t, "MARS_POWER_CUTS", 1000)
	bad := r.cuts(cuts, number(t, "MARS_POWER_SEED", 1), cuts)
	for _, err := range bad {
		t.Error(err)
	}
	if r.fates.lost == 0 || r.fates.torn == 0 || r.fates.kept == 0 {
		t.Errorf("not every fate of a write has happened: %+v", r.fates)
	}
	if r.least == r.most || r.synced == 0 {
		t.Errorf("the cuts are not spread: %d to %d acknowledged writes, %d files", r.least, r.most, r.synced)
	}
	if !t.Failed() {
		fmt.Printf("result: power: %d power cuts among %d writes and flushes, %d to %d acknowledged writes and up to %d files all there, file systems clean (unflushed writes: %d kept, %d torn, %d lost); %.0f ms a cut\n",
			cuts, r.entries, r.least, r.most, r.synced, r.fates.kept, r.fates.torn, r.fates.lost, float64(r.took.Milliseconds())/float64(cuts))
	}
}

// TestPowerControl: what acknowledges before its log is durable is found.
func TestPowerControl(t *testing.T) {
	if !wanted(t) {
		return
	}
	log := work(t, "logger_completion_semantics=0")
	r := newReview(t, log)
	bad := r.cuts(400, 2, 1)
	if len(bad) == 0 {
		t.Fatal("400 power cuts, and no acknowledged write was missed, although they were acknowledged too early")
	}
	if !strings.Contains(bad[0].Error(), "must hold write") {
		t.Errorf("found something else: %v", bad[0])
	}
	if !t.Failed() {
		first, _, _ := strings.Cut(bad[0].Error(), "\n")
		fmt.Printf("result: power: with logger_completion_semantics=0 the loss is found after %d cuts: %s\n", r.done, first)
	}
}

// repository is the top of the source, seen from here.
const repository = "../../.."

// vmDir has the programs, built without cgo.
func vmDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(repository, "bin", "vm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"marsd", "marsadm", "guest.test"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatalf("%v: cmd/marsvm/suites.sh builds it", err)
		}
	}
	return dir
}

// tools go into the guest.
const tools = "sh,ip,nsenter,mkfs.ext4,mount,umount,losetup,dmesg,sync"

var progress = regexp.MustCompile(`progress: (\d+) writes, (\d+) files, (\d+) rotations`)

// work lets the guest work until the power goes, and returns the log of what it
// wrote.
func work(t *testing.T, set string) string {
	t.Helper()
	dir, bin := t.TempDir(), vmDir(t)
	disk, log := filepath.Join(dir, "disk"), filepath.Join(dir, "log")
	if kept := os.Getenv("MARS_POWER_LOG"); kept != "" && set == "" {
		if _, err := os.Stat(kept); err == nil {
			return kept
		}
		log = kept
	}
	if err := os.WriteFile(disk, partitionTable(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Truncate(disk, diskSize), os.WriteFile(log, nil, 0o600), os.Truncate(log, 8<<30)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(repository, "bin", "marsvm"), "exec", "--timeout", "15m", "--mem", "1G", "--tool", tools,
		"--file", bin+":/opt/mars", "--logged-disk", disk+":"+log, "--env", "MARS_GUEST_SUITE=power", "--env", "MARS_GUEST_SET="+set,
		"--", filepath.Join(bin, "guest.test"), "-test.run", "^TestPowerLoad$", "-test.timeout", "15m")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	err = awaitWork(out)
	_ = cmd.Process.Kill() // and QEMU with it: the power cut
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return log
}

// awaitWork reads the guest's words until it has done enough.
func awaitWork(out io.Reader) error {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	drain := func() {
		for range lines {
		}
	}
	defer func() { go drain() }()
	last, lost := "", time.NewTimer(patience)
	defer lost.Stop()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return fmt.Errorf("the guest ended before the power went; its last word: %s", last)
			}
			if line != last {
				lost.Reset(patience)
			}
			last = line
			if m := progress.FindStringSubmatch(line); m != nil && atLeast(m[1], enoughWrites) && atLeast(m[2], enoughFiles) && atLeast(m[3], enoughRotations) {
				return nil
			}
		case <-lost.C:
			return fmt.Errorf("the guest makes no progress; its last word: %s", last)
		}
	}
}

func atLeast(text string, n int) bool {
	got, err := strconv.Atoi(text)
	return err == nil && got >= n
}

// review makes power cuts of a log and judges what is left.
type review struct {
	t       *testing.T
	list    []entry
	log     *os.File
	dir     string // in memory
	marsd   string
	entries int // in which cuts may be
	begin   int // the first of them

	open sync.RWMutex // for reading: files of a mount are open; for writing: a program starts

	done        int
	fates       fate
	least, most uint64
	synced      uint64
	took        time.Duration
}

func newReview(t *testing.T, name string) *review {
	t.Helper()
	log, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	r := &review{t: t, log: log, dir: t.TempDir(), marsd: filepath.Join(vmDir(t), "marsd")}
	if r.list, err = readLog(log, diskSize); err != nil {
		t.Fatal(err)
	}
	r.run("mount", "-t", "tmpfs", "-o", "size=4g", "tmpfs", r.dir)
	t.Cleanup(func() { r.run("umount", r.dir) })
	return r
}

func (r *review) run(name string, args ...string) {
	r.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// cuts makes n power cuts, spread over the time of the load, and returns what
// was wrong; it ends after so many wrong ones. Disks are made one after the
// other, and judged side by side.
func (r *review) cuts(n, seed, enough int) (bad []error) {
	r.t.Helper()
	start := time.Now()
	defer func() { r.took = time.Since(start) }()
	s, err := newState(r.dir, r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.close()
	for !s.begun && s.next < len(r.list) {
		if err := s.step(r.list[s.next]); err != nil {
			r.t.Fatal(err)
		}
	}
	r.begin, r.entries = s.next, len(r.list)-s.next
	if r.entries < n/2 {
		r.t.Fatalf("only %d entries after the beginning of the load", r.entries)
	}
	r.least = s.judge.Acked()
	b := newBench(r, runtime.NumCPU())
	for i := 0; i < n && b.found() < enough; i++ {
		for until := r.begin + int(int64(r.entries)*int64(i)/int64(n)); s.next < until; {
			if err := s.step(r.list[s.next]); err != nil {
				r.t.Fatal(err)
			}
		}
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
		b.take(s, rng, fmt.Sprintf("power cut %d, after entry %d (MARS_POWER_SEED=%d)", i, s.next, seed))
		if r.done++; r.done%100 == 0 {
			r.t.Logf("%d power cuts after %.0f s", r.done, time.Since(start).Seconds())
		}
	}
	r.most, r.synced = s.judge.Acked(), s.synced
	return b.close()
}
