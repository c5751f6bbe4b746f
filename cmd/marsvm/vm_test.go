package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hangVar lets the guest's half of the test hang.
const hangVar = "MARS_TEST_HANG"

// rig is a built marsvm.
type rig struct{ binary string }

// outcome is what a run of it left.
type outcome struct {
	out, err string
	code     int
	took     time.Duration
}

// newRig builds marsvm, if the real kernel is wanted.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{binary: filepath.Join(t.TempDir(), "marsvm")}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", r.binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if out, err := exec.Command(r.binary, "probe").CombinedOutput(); err != nil {
		t.Fatalf("MARS_VM=1 without a rig: %s", out)
	}
	return r
}

// run runs marsvm to its end.
func (r *rig) run(t *testing.T, args ...string) outcome {
	t.Helper()
	begin := time.Now()
	cmd := exec.Command(r.binary, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o := outcome{out: out.String(), err: said.String(), code: cmd.ProcessState.ExitCode(), took: time.Since(begin)}
	t.Logf("marsvm %s: exit code %d after %.1f s\n%s%s", strings.Join(args, " "), o.code, o.took.Seconds(), o.err, o.out)
	return o
}

// script writes a shell script for the guest.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestRealKernel(t *testing.T) {
	if os.Getenv("MARS_VM") != "1" {
		text := "=== THE REAL-KERNEL SUITE DID NOT RUN: it wants MARS_VM=1 and a rig (marsvm prepare) ==="
		t.Log(text)
		fmt.Fprintln(os.Stderr, text)
		return
	}
	r := newRig(t)
	t.Run("ublk", r.testUblk)
	t.Run("script", r.testScript)
	t.Run("files", r.testFiles)
	t.Run("quit", r.testQuit)
	t.Run("stuck", r.testStuck)
	t.Run("timeout", r.testTimeout)
	t.Run("panic", r.testPanic)
	t.Run("warning", r.testWarning)
	t.Run("killed", r.testKilled)
}

// testUblk runs this very test binary in the guest, as the go command would.
func (r *rig) testUblk(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := r.run(t, "exec", "-v", "--", self, "-test.run=^TestInGuest$", "-test.v", "-test.testlogfile=/nowhere/log")
	if o.code != 0 || !strings.Contains(o.out, "--- PASS: TestInGuest") || !strings.Contains(o.out, "guest kernel 6.12.") {
		t.Error("the guest's half did not pass")
	}
	m := regexp.MustCompile(`booted (6\.12\.\S+) in ([0-9.]+) s`).FindStringSubmatch(o.err)
	if m == nil {
		t.Fatal("no boot was reported")
	}
	t.Logf("a boot of %s takes %s s", m[1], m[2])
}

// TestInGuest is the half that runs under the real kernel.
func TestInGuest(t *testing.T) {
	mark := os.Getenv(guestMarkVar)
	if mark == "" {
		t.Log("this half runs in the guest, started by TestRealKernel")
		return
	}
	if os.Getenv(hangVar) != "" {
		r, _, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("hanging")
		fmt.Println(r.Read(make([]byte, 1)))
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	t.Logf("guest kernel %s", release)
	if release != mark || !strings.HasPrefix(release, "6.12.") {
		t.Errorf("kernel %s, want %s, a 6.12", release, mark)
	}
	if _, err := os.Stat("/sys/module/ublk_drv"); err != nil {
		t.Error(err)
	}
	f, err := os.OpenFile("/dev/ublk-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if flags, err := os.ReadFile("/sys/class/net/lo/flags"); err != nil || strings.TrimSpace(string(flags)) != "0x9" {
		t.Errorf("lo is not up: %q, %v", flags, err)
	}
	if dir, err := os.Getwd(); err != nil || filepath.Base(dir) != "marsvm" {
		t.Errorf("working directory %q, %v; want the package's", dir, err)
	}
	for _, name := range []string{"drbd", "dm-flakey", "sch_netem", "fuse"} {
		if out, err := exec.Command("modprobe", name).CombinedOutput(); err != nil {
			t.Errorf("modprobe %s: %v %s", name, err, out)
		}
	}
	if err := exec.Command("modprobe", "no_such_module").Run(); err == nil {
		t.Error("modprobe found what is not there")
	}
}

// testScript: exit code, both outputs, a disk with a file system, a module's
// parameter.
func (r *rig) testScript(t *testing.T) {
	file := script(t, `echo out; echo err >&2
set -e
mkfs.ext4 -q /dev/vda; mount -t ext4 /dev/vda /mnt; umount /mnt; e2fsck -fn /dev/vda >&2
cat /sys/block/nullb0/size
exit 7
`)
	o := r.run(t, "run", "--disk", "64M", "--module", "null_blk:gb=2", "--tool", "cat,mkfs.ext4,e2fsck,mount,umount", file)
	if o.code != 7 || o.out != "out\n4194304\n" {
		t.Errorf("code %d, output %q", o.code, o.out)
	}
	if !strings.HasPrefix(o.err, "err\n") || !strings.Contains(o.err, "0.0% non-contiguous") {
		t.Errorf("standard error %q", o.err)
	}
}

// testFiles: files go in, and what is written comes back.
func (r *rig) testFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), bytes.Repeat([]byte("0123456789"), 30_000), 0o644); err != nil {
		t.Fatal(err)
	}
	got := filepath.Join(dir, "got")
	file := script(t, "cat /data/in /data/in >/tmp/both\n")
	o := r.run(t, "run", "--file", dir+":/data", "--tool", "cat", "--fetch", "/tmp/both:"+got, "--fetch", "/none:"+got+"2", file)
	b, err := os.ReadFile(got)
	if o.code != 0 || err != nil || !bytes.Equal(b, bytes.Repeat([]byte("0123456789"), 60_000)) {
		t.Errorf("code %d, %d bytes back, %v", o.code, len(b), err)
	}
	if _, err := os.Stat(got + "2"); err == nil {
		t.Error("a file came back that was not there")
	}
}

// testQuit: near the end of its time a Go program prints its goroutines.
func (r *rig) testQuit(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := r.run(t, "exec", "--timeout", "30s", "--env", hangVar+"=1", "--", self, "-test.run=^TestInGuest$")
	if o.code != codeTimeout || o.took > 35*time.Second {
		t.Errorf("code %d after %v", o.code, o.took)
	}
	if !strings.Contains(o.out, "hanging") || !strings.Contains(o.err, "SIGQUIT: quit") || !strings.Contains(o.err, "TestInGuest") {
		t.Error("no goroutines were printed")
	}
}

// testStuck: a program that leaves a file system whose disk answers no more has
// its exit code soon, and not at the end of its time.
func (r *rig) testStuck(t *testing.T) {
	file := script(t, `set -e
mkfs.ext4 -q /dev/vda
dmsetup create stuck --noudevsync --noudevrules --table "0 131072 linear /dev/vda 0"
dmsetup mknodes
mount -t ext4 /dev/mapper/stuck /mnt
echo unsynced >/mnt/file
dmsetup suspend --noflush --nolockfs stuck
exit 9
`)
	o := r.run(t, "run", "--timeout", "5m", "--disk", "64M", "--tool", "mkfs.ext4,mount,dmsetup", file)
	if o.code != 9 || o.took > 2*time.Minute || !strings.Contains(o.err, "the disks were not synced") {
		t.Errorf("code %d after %v", o.code, o.took)
	}
}

// testTimeout: the end comes even to a guest that does not get up in time.
func (r *rig) testTimeout(t *testing.T) {
	o := r.run(t, "run", "--timeout", "2s", "--tool", "sleep", script(t, "sleep 100\n"))
	if o.code != codeTimeout || o.took > 10*time.Second || !strings.Contains(o.err, "not done after 2s") {
		t.Errorf("code %d after %v", o.code, o.took)
	}
}

// testPanic: a broken kernel fails the run with its words.
func (r *rig) testPanic(t *testing.T) {
	o := r.run(t, "run", "--tool", "sleep", script(t, "echo before; echo c >/proc/sysrq-trigger; sleep 100\n"))
	if o.code != codeKernel || !strings.Contains(o.err, "sysrq triggered crash") || !strings.Contains(o.err, "Call Trace") {
		t.Errorf("code %d", o.code)
	}
}

// testWarning: the kernel's complaint fails a program that succeeds.
func (r *rig) testWarning(t *testing.T) {
	file := script(t, `echo "<4>WARNING: CPU: 0 PID: 1 at made/up.c:1" >/dev/kmsg`+"\n")
	if o := r.run(t, "run", file); o.code != codeKernel || !strings.Contains(o.err, "made/up.c") {
		t.Errorf("code %d", o.code)
	}
	if o := r.run(t, "run", "--allow-warnings", file); o.code != 0 {
		t.Errorf("allowed, but code %d", o.code)
	}
}

// testKilled: QEMU does not outlive marsvm, and nothing is left behind.
func (r *rig) testKilled(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(r.binary, "run", "--disk", "8M", "--tool", "sleep", script(t, "echo up; exec sleep 100\n"))
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 3)
	if _, err := out.Read(line); err != nil || string(line) != "up\n" {
		t.Errorf("guest said %q, %v", line, err)
	}
	qemu := children(t, cmd.Process.Pid)
	if len(qemu) != 1 {
		t.Fatalf("children %v, want QEMU alone", qemu)
	}
	fd, err := unix.PidfdOpen(qemu[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("killed, but successful")
	}
	poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, 10_000)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Poll(poll, 10_000)
	}
	if n != 1 || err != nil {
		t.Errorf("QEMU outlives marsvm: %d, %v", n, err)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// children returns the processes that a process started.
func children(t *testing.T, pid int) []int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}
