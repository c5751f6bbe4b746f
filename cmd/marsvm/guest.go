package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	quitBefore = 6 * time.Second // the program is asked to quit this long before the end
	drainTime  = time.Second     // for output of what the program left running
	portTime   = 20 * time.Second
	syncTime   = 20 * time.Second // for what a program has written and not synced
)

// guestMain is process 1 of the guest: it never returns.
func guestMain() {
	code := codeBroken
	port, err := setUp()
	if err == nil {
		w := &frameWriter{w: port}
		code, err = serve(w)
		if err != nil {
			note(w, err)
		}
		if !syncWithin(syncTime) {
			note(w, fmt.Errorf("the disks were not synced within %v: something waits for a device that nobody serves", syncTime))
		}
		err = w.send(frameExit, []byte(strconv.Itoa(code)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "marsvm:", err)
	}
	err = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	fmt.Fprintln(os.Stderr, "marsvm: cannot reset:", err)
	select {}
}

// syncWithin syncs all disks, unless that takes too long: a program that failed may
// leave a file system on a device that answers nothing any more, and its exit code
// must be known nevertheless.
func syncWithin(limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// note sends a message of the guest's own; when even that fails the console
// gets it.
func note(w *frameWriter, err error) {
	if serr := w.send(frameNote, []byte(err.Error())); serr != nil {
		fmt.Fprintln(os.Stderr, "marsvm:", err, serr)
	}
}

// setUp makes the guest usable and opens the port to the host.
func setUp() (*os.File, error) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	mounts := []struct{ kind, dir, opts string }{
		{"devtmpfs", "/dev", ""}, {"proc", "/proc", ""}, {"sysfs", "/sys", ""},
		{"tmpfs", "/run", "mode=755"}, {"tmpfs", "/dev/shm", ""}, {"devpts", "/dev/pts", ""},
		{"debugfs", "/sys/kernel/debug", ""}, {"configfs", "/sys/kernel/config", ""}, {"cgroup2", "/sys/fs/cgroup", ""},
	}
	for i, m := range mounts {
		if err := os.MkdirAll(m.dir, 0o755); err != nil && i < 4 {
			return nil, err
		}
		// The last ones are a convenience that a kernel may lack.
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, m.opts); err != nil && i < 4 {
			return nil, fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return nil, err
		}
	}
	if err := unix.Sethostname([]byte("marsvm")); err != nil {
		return nil, err
	}
	limit := unix.Rlimit{Cur: 65536, Max: 65536}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if err := loopbackUp(); err != nil {
		return nil, fmt.Errorf("lo: %w", err)
	}
	return openPort()
}

// loopbackUp switches lo on.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// openPort waits for the port to the host: its driver learns of it by and by.
func openPort() (*os.File, error) {
	for begin := time.Now(); time.Since(begin) < portTime; time.Sleep(2 * time.Millisecond) {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || strings.TrimSpace(string(text)) != portName {
				continue
			}
			f, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(name)), os.O_WRONLY, 0)
			if err == nil {
				return f, nil
			}
		}
	}
	return nil, errors.New("no port to the host")
}

// serve does what the spec says and returns the program's exit code.
func serve(w *frameWriter) (int, error) {
	text, err := os.ReadFile(specPath)
	if err != nil {
		return codeBroken, err
	}
	var s spec
	if err := json.Unmarshal(text, &s); err != nil {
		return codeBroken, err
	}
	if err := tune(s); err != nil {
		return codeBroken, err
	}
	release, uptime, err := identity()
	if err != nil {
		return codeBroken, err
	}
	greeting, err := json.Marshal(hello{Release: release, Uptime: uptime})
	if err != nil {
		return codeBroken, err
	}
	if err := w.send(frameHello, greeting); err != nil {
		return codeBroken, err
	}
	code, err := runProgram(w, s)
	if err != nil {
		return codeBroken, err
	}
	for i, name := range s.Fetch {
		if err := sendFile(w, i, name); err != nil {
			return code, err
		}
	}
	return code, nil
}

// tune loads the modules and sets what the checks need.
func tune(s spec) error {
	hung := []byte(strconv.Itoa(s.HungTask))
	if err := os.WriteFile("/proc/sys/kernel/hung_task_timeout_secs", hung, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	want := append([]module(nil), s.Modules...)
	for _, name := range bootModules {
		want = append(want, module{Name: name})
	}
	devices, err := filepath.Glob("/sys/bus/virtio/devices/*/modalias")
	if err != nil {
		return err
	}
	for _, file := range devices {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if name, ok := virtioDriver(string(text)); ok {
			want = append(want, module{Name: name})
		}
	}
	for _, m := range want {
		if err := loadModule(m); err != nil {
			return err
		}
	}
	return nil
}

// virtioDriver names the module for a disk or a network card.
func virtioDriver(modalias string) (string, bool) {
	for id, name := range map[string]string{"virtio:d00000001": "virtio_net", "virtio:d00000002": "virtio_blk"} {
		if strings.HasPrefix(modalias, id) {
			return name, true
		}
	}
	return "", false
}

// identity returns uname -r and the time since the kernel started.
func identity() (string, time.Duration, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", 0, err
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0, err
	}
	return unix.ByteSliceToString(u.Release[:]), time.Duration(ts.Nano()), nil
}

// runProgram starts the program and waits for it, and for all that is left to
// process 1.
func runProgram(w *frameWriter, s spec) (int, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	pid, err := syscall.ForkExec(s.Args[0], s.Args, &syscall.ProcAttr{
		Dir: s.Dir, Env: s.Env, Files: []uintptr{null.Fd(), outW.Fd(), errW.Fd()}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.Args[0], err)
	}
	if err := errors.Join(outW.Close(), errW.Close(), null.Close()); err != nil {
		return 0, err
	}
	drained := make(chan struct{}, 2)
	go pump(w, frameOut, outR, drained)
	go pump(w, frameErr, errR, drained)
	var late atomic.Bool
	if !s.Deadline.IsZero() { // the guest's clock started with the host's, give or take a second
		quit := time.AfterFunc(max(time.Second, time.Until(s.Deadline)-quitBefore), func() {
			late.Store(true)
			note(w, errors.New("time is nearly up: sending SIGQUIT to the program"))
			if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
				note(w, err)
			}
		})
		defer quit.Stop()
	}
	code, err := reap(pid)
	if late.Load() {
		code = codeTimeout
	}
	left := time.After(drainTime)
	for range 2 {
		select {
		case <-drained:
		case <-left:
			return code, err // a daemon holds the pipe
		}
	}
	return code, err
}

// pump passes output on.
func pump(w *frameWriter, kind byte, r io.Reader, done chan<- struct{}) {
	buf := make([]byte, maxPayload)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := w.send(kind, buf[:n]); err != nil {
				fmt.Fprintln(os.Stderr, "marsvm:", err)
			}
		}
		if err != nil {
			done <- struct{}{}
			return
		}
	}
}

// reap waits for the program; other children are orphans that end here.
func reap(pid int) (int, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case got != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// sendFile sends a file the host asked for; one that is not there is left out.
func sendFile(w *frameWriter, index int, name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.send(frameFile, []byte(strconv.Itoa(index))); err != nil {
		return err
	}
	buf := make([]byte, maxPayload)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := w.send(frameData, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
