// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// patience is for waits on state; lack of progress fails the test.
const patience = 60 * time.Second

// role tells a child process of the test what to be.
const role = "FUSELOOP_TEST_ROLE"

// TestMain runs the tests in a mount namespace of their own, so that nothing
// of what they mount is seen, or survives, outside.
func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "opener":
		beOpener(os.Args[1], true)
	case "idler":
		beOpener(os.Args[1], false)
	case "server":
		beServer(os.Args[1], false)
	case "stuck":
		beServer(os.Args[1], true)
	case "inside":
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, "make mounts private:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"=inside")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case err != nil: // no namespaces here: the tests say what they lack
		os.Exit(m.Run())
	}
}

// rig is one executor with one RAM disk behind its devices.
type rig struct {
	t    testing.TB
	host *Host
	dir  string
	devs env.Devices
	exec *testExec
	disk *ramDisk
}

// newRig returns nil where the machine cannot do it; the caller returns then.
func newRig(t testing.TB, size int64) *rig {
	t.Helper()
	dir := t.TempDir()
	h, err := New(testConfig(dir))
	if errors.Is(err, ErrUnsupported) {
		if os.Getenv("MARS_NEED_ROOT") == "1" {
			t.Fatalf("MARS_NEED_ROOT=1, but: %v", err)
		}
		t.Logf("NOT TESTED: %v (MARS_NEED_ROOT=1 makes this a failure)", err)
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, host: h, dir: dir, exec: newTestExec(), disk: newRAMDisk(size)}
	r.devs = h.For(r.exec.post)
	t.Cleanup(r.exec.stop)
	return r
}

func testConfig(dir string) Config {
	return Config{
		RunDir: filepath.Join(dir, "run"), DevDir: filepath.Join(dir, "dev"),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func wait[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no progress: %s", what)
		panic("not reached")
	}
}

func (r *rig) create(name string, blockSize int) env.Device {
	r.t.Helper()
	d, err := r.tryCreate(name, blockSize)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := r.close(d, true); err != nil && !errors.Is(err, env.ErrClosed) {
			r.t.Error(err)
		}
	})
	return d
}

func (r *rig) tryCreate(name string, blockSize int) (env.Device, error) {
	r.t.Helper()
	type result struct {
		d   env.Device
		err error
	}
	c := make(chan result, 1)
	cfg := env.DeviceConfig{Name: name, Size: r.disk.size(), BlockSize: blockSize}
	r.exec.post(func() {
		r.devs.Create(cfg, r.disk, func(d env.Device, err error) {
			r.disk.setDev(d)
			c <- result{d, err}
		})
	})
	got := wait(r.t, "create", c)
	return got.d, got.err
}

func (r *rig) close(d env.Device, force bool) error {
	r.t.Helper()
	return r.ask("close", func(done func(error)) { d.Close(force, done) })
}

func (r *rig) cleanup(name string) error {
	r.t.Helper()
	return r.ask("cleanup", func(done func(error)) { r.devs.Cleanup(name, true, done) })
}

func (r *rig) ask(what string, fn func(done func(error))) error {
	r.t.Helper()
	c := make(chan error, 1)
	r.exec.post(func() { fn(func(err error) { c <- err }) })
	return wait(r.t, what, c)
}

func (r *rig) probe(d env.Device) int {
	r.t.Helper()
	c := make(chan int, 1)
	r.exec.post(func() {
		d.Probe(func(n int, err error) {
			if err != nil {
				r.t.Errorf("probe: %v", err)
			}
			c <- n
		})
	})
	return wait(r.t, "probe", c)
}

// testExec delivers posts in order, on one goroutine.
type testExec struct {
	mu   sync.Mutex
	cond *sync.Cond
	q    []func()
	end  bool
}

func newTestExec() *testExec {
	e := &testExec{}
	e.cond = sync.NewCond(&e.mu)
	go e.run()
	return e
}

func (e *testExec) run() {
	for {
		e.mu.Lock()
		for len(e.q) == 0 && !e.end {
			e.cond.Wait()
		}
		if e.end {
			e.mu.Unlock()
			return
		}
		list := e.q
		e.q = nil
		e.mu.Unlock()
		for _, fn := range list {
			fn()
		}
	}
}

func (e *testExec) post(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.q = append(e.q, fn)
	e.cond.Signal()
}

func (e *testExec) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end = true
	e.cond.Signal()
}

// ramDisk serves requests at once from memory.
type ramDisk struct {
	dev    env.Device // executor's
	counts chan int   // reported open counts

	mu    sync.Mutex
	data  []byte
	ops   [env.DevWriteZeroes + 1]int
	fails map[env.DevOp]error
	held  []*env.DevRequest
	hold  bool

	noFlush bool // flushes are announced on stdout and never answered
}

func newRAMDisk(size int64) *ramDisk {
	return &ramDisk{data: make([]byte, size), counts: make(chan int, 100), fails: map[env.DevOp]error{}}
}

func (k *ramDisk) OpenCount(n int) { k.counts <- n }

func (k *ramDisk) size() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return int64(len(k.data))
}

func (k *ramDisk) setDev(d env.Device) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dev = d
}

func (k *ramDisk) setSize(n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = k.data[:n]
}

func (k *ramDisk) Request(r *env.DevRequest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.dev == nil {
		panic("request before the device was made known")
	}
	k.ops[r.Op]++
	if k.noFlush && r.Op == env.DevFlush {
		fmt.Println("stuck")
		return
	}
	if k.hold && r.Op == env.DevWrite {
		k.held = append(k.held, r)
		return
	}
	if err := k.fails[r.Op]; err != nil {
		k.dev.Complete(r, err)
		return
	}
	switch part := k.data[r.Pos : r.Pos+r.Len]; r.Op {
	case env.DevRead:
		copy(r.Buf, part)
	case env.DevWrite:
		copy(part, r.Buf)
	case env.DevDiscard, env.DevWriteZeroes:
		clear(part)
	}
	k.dev.Complete(r, nil)
}

// with gives access to the content.
func (k *ramDisk) with(fn func(data []byte)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fn(k.data)
}

func (k *ramDisk) fail(op env.DevOp, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails[op] = err
}

func (k *ramDisk) done(op env.DevOp) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ops[op]
}

// aligned returns memory for direct IO.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	return b[4096-int(uintptr(unsafe.Pointer(&b[0]))%4096):][:n]
}

// child starts this test as another process in the given role and waits for
// its first line, which is returned.
func child(t testing.TB, as, arg string) (*exec.Cmd, io.Closer, string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", arg)
	cmd.Env = append(os.Environ(), role+"="+as)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		c <- strings.TrimSpace(line)
	}()
	return cmd, in, wait(t, as+" starts", c)
}

// beOpener opens a device, perhaps reads a block, and keeps it open until stdin ends;
// then it reads again and says how that went by its exit code.
func beOpener(path string, reads bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT, 0)
	if err == nil && reads {
		_, err = unix.Pread(fd, aligned(4096), 0)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	if reads {
		if _, err := unix.Pread(fd, aligned(4096), 8192); err != nil {
			os.Exit(3)
		}
	}
	os.Exit(0)
}

// beServer makes a device, and waits to be killed: at rest, or within a system
// call that waits for an answer of this very process.
func beServer(dir string, stuck bool) {
	h, err := New(testConfig(dir))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	e, disk := newTestExec(), newRAMDisk(32<<20)
	e.post(func() {
		cfg := env.DeviceConfig{Name: "lv", Size: disk.size(), BlockSize: 4096}
		h.For(e.post).Create(cfg, disk, func(d env.Device, err error) {
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			disk.setDev(d)
			if stuck {
				disk.noFlush = true
				d.Close(false, func(error) { os.Exit(1) })
				return
			}
			fmt.Println(d.Path())
		})
	})
	<-context.Background().Done() // for ever
}
