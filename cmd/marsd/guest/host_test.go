// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	binDir   = "/opt/mars"
	spare    = "/dev/vda"
	mnt      = "/mnt/spare"
	patience = 90 * time.Second // the machine is emulated, and shared
	poll     = 20 * time.Millisecond
)

// inGuest tells whether the tests can run, and says loudly when they do not.
func inGuest(t *testing.T) bool {
	t.Helper()
	if os.Getenv("MARS_VM_GUEST") == "" {
		t.Logf("NOT RUN: %s needs the emulated machine: make test-vm", t.Name())
		return false
	}
	return true
}

// TestMain makes the file system on the spare disk, once.
func TestMain(m *testing.M) {
	if os.Getenv("MARS_VM_GUEST") != "" {
		for _, args := range [][]string{{"mkdir", "-p", mnt}, {"mkfs.ext4", "-q", "-F", spare}, {"mount", "-t", "ext4", spare, mnt}} {
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", args, err, out)
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

// host is one node of a cluster of its own.
type host struct {
	t    *testing.T
	dir  string
	port int
	cmd  *exec.Cmd
	done chan error
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, dir: filepath.Join(mnt, t.Name()), port: freePorts(t)}
	for _, sub := range []string{"mars", "run", "dev", "pki", "fs"} {
		if err := os.MkdirAll(h.path(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(h.path("marsd.log"))
			t.Logf("marsd's log:\n%s", text)
		}
		h.kill()
		if t.Failed() { // the next test shall not suffer
			out, _ := h.program("marsd", "cleanup", "--force")
			t.Logf("cleanup: %s", out)
		}
	})
	h.ok("create-cluster")
	h.start()
	return h
}

func freePorts(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (h *host) path(rel string) string { return filepath.Join(h.dir, rel) }

// device is where the device of a resource appears.
func (h *host) device(res string) string { return h.path("dev/" + res) }

func (h *host) env() []string {
	return append(os.Environ(), "MARS_DIR="+h.path("mars"), "MARS_RUN_DIR="+h.path("run"), "MARS_DEV_DIR="+h.path("dev"),
		"MARS_PKI_DIR="+h.path("pki"), "MARS_HOST=a", "MARS_IP=127.0.0.1", fmt.Sprintf("MARS_PORT=%d", h.port), "MARS_DEVICE=ublk",
		"MARS_SET=required_total_space_0_gb=0,required_free_space_1_gb=0,required_free_space_2_gb=0,required_free_space_3_gb=0,required_free_space_4_gb=0")
}

// start runs marsd and waits until it is ready.
func (h *host) start() {
	h.t.Helper()
	log, err := os.OpenFile(h.path("marsd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer log.Close()
	said, err := log.Seek(0, 2)
	if err != nil {
		h.t.Fatal(err)
	}
	h.cmd = exec.Command(filepath.Join(binDir, "marsd"), "run")
	h.cmd.Env, h.cmd.Stdout, h.cmd.Stderr = h.env(), log, log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(h.cmd, h.done)
	h.until("marsd to be ready", func() bool {
		text, _ := os.ReadFile(h.path("marsd.log"))
		return len(text) > int(said) && strings.Contains(string(text[said:]), "marsd: ready (")
	})
}

func (h *host) kill() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		<-h.done
		h.cmd = nil
	}
}

// stop ends marsd in order.
func (h *host) stop() {
	h.t.Helper()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		h.t.Fatal(err)
	}
	select {
	case err := <-h.done:
		h.cmd = nil
		if err != nil {
			h.t.Fatalf("marsd after SIGTERM: %v", err)
		}
	case <-time.After(patience):
		h.t.Fatal("marsd does not stop")
	}
}

// adm runs marsadm; its output and whether it succeeded.
func (h *host) adm(args ...string) (string, bool) {
	return h.program("marsadm", args...)
}

func (h *host) program(name string, args ...string) (string, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(binDir, name), args...)
	cmd.Env = h.env()
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func (h *host) ok(args ...string) string {
	h.t.Helper()
	out, ok := h.adm(args...)
	if !ok {
		h.t.Fatalf("marsadm %v:\n%s", args, out)
	}
	return out
}

func (h *host) refused(why string, args ...string) {
	h.t.Helper()
	if out, ok := h.adm(args...); ok || !strings.Contains(out, why) {
		h.t.Fatalf("marsadm %v is not refused with %q:\n%s", args, why, out)
	}
}

// disk makes a data disk of so many MiB: a loop device.
func (h *host) disk(name string, mib int) string {
	h.t.Helper()
	img := h.path(name + ".img")
	f, err := os.Create(img)
	if err == nil {
		err = f.Truncate(int64(mib) << 20)
		f.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	dev := strings.TrimSpace(run(h.t, "losetup", "--find", "--show", "--direct-io=on", img))
	h.t.Cleanup(func() { _ = exec.Command("losetup", "-d", dev).Run() })
	return dev
}

// resource makes a resource of so many MiB and waits for its device.
func (h *host) resource(res string, mib int) (disk string) {
	h.t.Helper()
	disk = h.disk(res, mib)
	h.ok("create-resource", res, disk)
	h.ok("wait-resource", res, "is-device", "--timeout=60")
	return disk
}

// until waits for something to become true.
func (h *host) until(what string, cond func() bool) {
	h.t.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for end := time.Now().Add(patience); !cond(); <-tick.C {
		if time.Now().After(end) {
			h.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// openCount is what the tree says.
func (h *host) openCount(res string) string {
	v, _ := os.Readlink(h.path("mars/resource-" + res + "/actual-a/open-count"))
	return v
}

// mount makes an ext4 file system on the device and mounts it.
func (h *host) mount(res string) string {
	h.t.Helper()
	run(h.t, "mkfs.ext4", "-q", "-F", h.device(res))
	run(h.t, "mount", "-t", "ext4", h.device(res), h.path("fs"))
	return h.path("fs")
}

func (h *host) umount() { run(h.t, "umount", h.path("fs")) }

// run runs a program that must succeed within a time.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(bytes.TrimSpace(out))
}

// ublkDevices lists what the kernel has.
func ublkDevices(t *testing.T) (list []string) {
	t.Helper()
	for _, pattern := range []string{"/dev/ublkb*", "/dev/ublkc*", "/sys/block/ublkb*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

// holdOpen opens a device in another process.
func holdOpen(t *testing.T, path string) (release func()) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = unix.Close(fd) }
}
