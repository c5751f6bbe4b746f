// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// realKernel tells whether tests with the real driver run, and says loudly when
// they do not.
func realKernel(t *testing.T) bool {
	t.Helper()
	_, err := os.Stat("/dev/ublk-control")
	if err == nil && (os.Getenv("MARS_VM") == "1" || os.Getenv("MARS_VM_GUEST") != "") {
		return true
	}
	t.Logf("NOT RUN: %s needs a kernel with ublk and the emulated machine, or MARS_VM=1 (MARS_VM=%q, /dev/ublk-control: %v)",
		t.Name(), os.Getenv("MARS_VM"), err)
	return false
}

// vm is what a test under a kernel needs: control plane and loop.
type vm struct {
	t    *testing.T
	ctl  *Control
	loop *Reactor
	ctx  context.Context
}

func newVM(t *testing.T) *vm {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	ctl, err := Open(ControlOptions{Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ctl.Close)
	loop, err := NewReactor(ReactorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := loop.Close(); err != nil {
			t.Error(err)
		}
	})
	return &vm{t: t, ctl: ctl, loop: loop, ctx: ctx}
}

func (v *vm) create(id uint32, h Handler) *Device {
	v.t.Helper()
	d, err := Create(v.ctx, v.ctl, v.loop, vmConfig(id), h)
	if err != nil {
		v.t.Fatal(err)
	}
	return d
}

// stop stops a device, waiting for openers of a moment.
func (v *vm) stop(d *Device) {
	v.t.Helper()
	for {
		err := d.Stop(v.ctx, false)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrInUse) || pause(v.ctx, retryEvery) != nil {
			v.t.Fatal(err)
		}
	}
	if _, err := v.ctl.Info(v.ctx, d.ID()); !errors.Is(err, ErrGone) {
		v.t.Errorf("after the stop: %v", err)
	}
}

// remove gets rid of a device, whatever its state.
func (v *vm) remove(id uint32) {
	if err := v.ctl.Remove(v.ctx, id); err != nil && !errors.Is(err, ErrGone) {
		v.t.Error(err)
	}
}

func openDev(t testing.TB, path string, flags int) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatalf("open %s: %v", path, err)
	}
	return fd
}

// aligned is memory for O_DIRECT; it stays until the process ends.
func aligned(t testing.TB, n int) []byte {
	t.Helper()
	buf, err := uring.Map(n)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}

func ioctl(fd int, req uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(req), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

func deviceSize(t testing.TB, fd int) int64 {
	t.Helper()
	var n uint64
	if err := ioctl(fd, unix.BLKGETSIZE64, unsafe.Pointer(&n)); err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

// server is a process that serves a device and can be killed.
type server struct {
	cmd  *exec.Cmd
	line chan string
}

func startServer(t testing.TB, args ...any) *server {
	t.Helper()
	var words []string
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	s := &server{cmd: exec.Command(os.Args[0], words...), line: make(chan string, 16)}
	s.cmd.Env = append(os.Environ(), serveEnv+"=1")
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.line)
		for in := bufio.NewScanner(out); in.Scan(); {
			s.line <- in.Text()
		}
	}()
	return s
}

// ready waits until the server serves.
func (s *server) ready(t testing.TB) {
	t.Helper()
	select {
	case line := <-s.line:
		if line != "ready" {
			s.kill()
			t.Fatalf("server said %q", line)
		}
	case <-time.After(60 * time.Second):
		s.kill()
		t.Fatal("server says nothing")
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// died waits for a server that kills itself.
func (s *server) died(t testing.TB) {
	t.Helper()
	if line, more := <-s.line; more {
		t.Errorf("it said %q", line)
	}
	_ = s.cmd.Wait()
}

// load writes and verifies a device from several goroutines.
type load struct {
	mu    sync.Mutex
	moved sync.Cond
	ops   int
	err   error
	stop  bool
	wait  sync.WaitGroup
}

const loadWriters = 4

func startLoad(t testing.TB, path string) *load {
	t.Helper()
	l := &load{}
	l.moved.L = &l.mu
	for i := range loadWriters {
		fd := openDev(t, path, unix.O_DIRECT)
		l.wait.Add(1)
		go func() {
			defer l.wait.Done()
			defer unix.Close(fd)
			l.fail(l.write(fd, i))
		}()
	}
	return l
}

// write keeps a region of its own full of blocks that tell which write they are.
func (l *load) write(fd, worker int) error {
	const block, blocks = 4096, 64
	rng := rand.New(rand.NewPCG(uint64(worker), 1))
	buf, err := uring.Map(block)
	if err != nil {
		return err
	}
	defer func() { _ = uring.Unmap(buf) }()
	last := make([]uint64, blocks) // acknowledged
	words := unsafe.Slice((*uint64)(unsafe.Pointer(&buf[0])), block/8)
	for seq := uint64(1); l.step(); seq++ {
		i := rng.IntN(blocks)
		pos := int64(worker*blocks+i) * block
		if last[i] != 0 {
			if n, err := unix.Pread(fd, buf, pos); err != nil || n != block {
				return fmt.Errorf("read at %d: %d, %w", pos, n, err)
			}
			if words[0] != last[i] || words[len(words)-1] != last[i] {
				return fmt.Errorf("block %d of writer %d: is %d/%d, was written as %d", i, worker,
					words[0], words[len(words)-1], last[i])
			}
		}
		for w := range words {
			words[w] = seq
		}
		if n, err := unix.Pwrite(fd, buf, pos); err != nil || n != block {
			return fmt.Errorf("write at %d: %d, %w", pos, n, err)
		}
		last[i] = seq
	}
	return nil
}

// step counts, and tells whether to go on.
func (l *load) step() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops++
	l.moved.Broadcast()
	return !l.stop && l.err == nil
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.moved.Broadcast()
}

// progress waits for n more operations.
func (l *load) progress(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for goal := l.ops + n; l.ops < goal && l.err == nil; {
		l.moved.Wait()
	}
	return l.err
}

func (l *load) end() error {
	l.mu.Lock()
	l.stop = true
	l.mu.Unlock()
	l.wait.Wait()
	return l.err
}

// inflight are the reads and writes that the block device waits for.
func inflight(t testing.TB, id uint32) (reads, writes int) {
	t.Helper()
	b, err := os.ReadFile("/sys/block/" + blockName(id) + "/inflight")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(b), &reads, &writes); err != nil {
		t.Fatal(err)
	}
	return reads, writes
}

// ownFds counts the descriptors of this process.
func ownFds(t testing.TB) int {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}
