package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childVar holds the task of a child process, as JSON.
const childVar = "MARSBENCH_TASK"

// task is what a child does: one of its fields is set.
type task struct {
	Client *clientTask `json:",omitempty"`
	Idle   *idleTask   `json:",omitempty"`
}

// childTask returns this process's task, if it is a child.
func childTask() (t task, ok bool, err error) {
	text := os.Getenv(childVar)
	if text == "" {
		return task{}, false, nil
	}
	err = json.Unmarshal([]byte(text), &t)
	if err == nil && t.Client == nil && t.Idle == nil {
		err = errors.New("no task in it")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", childVar, err)
	}
	return t, true, err
}

// runTask does the work of a child and prints the outcome.
func runTask(ctx context.Context, t task) error {
	var out any
	var err error
	if t.Client != nil {
		out, err = t.Client.run()
	} else {
		out, err = t.Idle.run(ctx)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// spawn lets a child do a task and decodes what it prints.
func spawn(ctx context.Context, t task, out any) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), childVar+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the signal is tied to the thread
	defer runtime.UnlockOSThread()
	answer, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("child process: %w", err)
	}
	return json.Unmarshal(answer, out)
}

// clientTask is to write 4 KiB at random places of a block device.
type clientTask struct {
	Path  string
	Depth int
	Span  int64
	Time  time.Duration
}

type clientOutcome struct {
	Ops      int64
	Time     time.Duration
	P50, P99 time.Duration
}

func runClient(ctx context.Context, t clientTask) (o clientOutcome, err error) {
	err = spawn(ctx, task{Client: &t}, &o)
	return o, err
}

// run writes with one goroutine for each request in flight.
func (t *clientTask) run() (clientOutcome, error) {
	fd, err := unix.Open(t.Path, unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return clientOutcome{}, fmt.Errorf("open %s: %w", t.Path, err)
	}
	defer unix.Close(fd)
	var wg sync.WaitGroup
	lats, errs := make([][]time.Duration, t.Depth), make([]error, t.Depth)
	begin := time.Now()
	for i := range t.Depth {
		wg.Go(func() { lats[i], errs[i] = t.writer(fd, uint64(i+1), begin) })
	}
	wg.Wait()
	o := clientOutcome{Time: time.Since(begin)}
	var all []time.Duration
	for _, l := range lats {
		all = append(all, l...)
	}
	o.Ops, o.P50, o.P99 = int64(len(all)), quantile(all, 0.5), quantile(all, 0.99)
	return o, errors.Join(errs...)
}

func (t *clientTask) writer(fd int, seed uint64, begin time.Time) (lat []time.Duration, err error) {
	buf, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	s := source{seed: seed}
	s.scramble(buf)
	for at := begin; at.Sub(begin) < t.Time; {
		buf[0]++
		if n, err := unix.Pwrite(fd, buf, int64(s.random()%uint64(t.Span/4096))*4096); err != nil || n != 4096 {
			return lat, fmt.Errorf("write to %s: %d bytes: %w", t.Path, n, err)
		}
		now := time.Now()
		lat = append(lat, now.Sub(at))
		at = now
	}
	return lat, nil
}
