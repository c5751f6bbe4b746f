package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseOptions(t *testing.T) {
	t.Setenv("MARS_VM_TIMEOUT", "30s")
	o, err := parseOptions("run", strings.Fields("--mem 1G --cpus 4 --disk 64M --disk a.img --file x:/y --fetch /o:p "+
		"--module scsi_debug:dev_size_mb=8:opts=1 --module drbd --tool sh,cat --tool fio --env A=B --qemu-arg -s -v -- prog -v --mem 2"))
	if err != nil {
		t.Fatal(err)
	}
	want := &options{
		mem: "1G", cpus: 4, timeout: 30 * time.Second, disks: []string{"64M", "a.img"},
		files: []transfer{{"x", "/y"}}, fetch: []transfer{{"/o", "p"}},
		modules: []module{{"scsi_debug", "dev_size_mb=8 opts=1"}, {"drbd", ""}},
		tools:   []string{"sh", "cat", "fio"}, env: []string{"A=B"}, qemuArgs: []string{"-s"}, verbose: true,
		args: []string{"prog", "-v", "--mem", "2"},
	}
	if diff := cmp.Diff(want, o, cmp.AllowUnexported(options{}, transfer{})); diff != "" {
		t.Error(diff)
	}
	if o, err := parseOptions("run", []string{"--icount", "--cpus", "2", "p"}); err != nil || o.cpus != 1 {
		t.Errorf("icount with several CPUs: %+v, %v", o, err)
	}
	for _, bad := range []string{"", "--mem 1T p", "--mem 0M p", "--cpus 0 p", "--cpus 99 p", "--timeout 1s p", "--timeout x p",
		"--file x p", "--file :x p", "--fetch x: p", "--module : p", "--none p"} {
		if o, err := parseOptions("run", strings.Fields(bad)); err == nil {
			t.Errorf("%q passed: %+v", bad, o)
		}
	}
	t.Setenv("MARS_VM_TIMEOUT", "soon")
	if _, err := parseOptions("run", []string{"p"}); err == nil {
		t.Error("a bad MARS_VM_TIMEOUT passed")
	}
}

func TestExecArgs(t *testing.T) {
	o, err := parseOptions("exec", strings.Fields("-- /tmp/x.test -test.testlogfile=/tmp/log -test.paniconexit0 "+
		"-test.coverprofile=/tmp/c.out -test.run=A -test.timeout=10m0s"))
	if err != nil {
		t.Fatal(err)
	}
	want := "/tmp/x.test -test.paniconexit0 -test.coverprofile=/tmp/c.out -test.run=A -test.timeout=10m0s"
	if got := strings.Join(o.args, " "); got != want {
		t.Errorf("args %s, want %s", got, want)
	}
	if diff := cmp.Diff([]transfer{{"/tmp/c.out", "/tmp/c.out"}}, o.fetch, cmp.AllowUnexported(transfer{})); diff != "" {
		t.Error(diff)
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	_, err := parseOptions("run", []string{"--help"})
	var e *exitError
	if !errors.As(err, &e) || e.code != 0 {
		t.Errorf("--help: %v", err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1K": 1 << 10, "64M": 64 << 20, "3G": 3 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	if n, err := parseSize("99999999999999G"); err == nil {
		t.Errorf("a size beyond all disks is %d", n)
	}
}

func TestGuestEnv(t *testing.T) {
	got := guestEnv([]string{"MARS_DIR=/m", "MARS_VM=1", "MARS_VM_CACHE=/c", "SECRET=1", "PATH=/x", "GODEBUG=a=b"}, []string{"X=1"}, "6.12")
	want := []string{"PATH=" + hostPath, "HOME=/root", "TMPDIR=/tmp", "USER=root", "MARS_VM_GUEST=6.12", "MARS_DIR=/m", "MARS_VM=1", "GODEBUG=a=b", "X=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestQemuArgs(t *testing.T) {
	has := func(e emulator, o *options, want string) {
		t.Helper()
		args := strings.Join(qemuArgs(o, e, kernel{image: "/k"}, []string{"/d"}), " ")
		if !strings.Contains(args+" ", want+" ") {
			t.Errorf("no %q in %s", want, args)
		}
	}
	o := &options{cpus: 2, mem: "512M", qemuArgs: []string{"-s"}}
	has(emulator{major: 10}, o, "-cpu max -smp 2")
	has(emulator{major: 7}, o, "-cpu max,-cx16 -smp 2")
	has(emulator{major: 10}, o, "-drive file=/d,if=none,id=disk0,format=raw,cache=unsafe,discard=unmap")
	has(emulator{major: 10}, o, "-s")
	has(emulator{major: 10}, &options{cpus: 1, mem: "512M", icount: true}, "-icount shift=2,sleep=off -rtc clock=vm")
}
