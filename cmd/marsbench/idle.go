package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"mars/bricks/aio"
	"mars/bricks/translogger"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/translog"

	"golang.org/x/sys/unix"
)

// The bounds of what idle resources may cost.
const (
	idleResources = 50
	idleTime      = 5 * time.Second
	idleShare     = 1   // per cent of a core
	idleMemory    = 150 // MiB resident
	idleDisk      = 16 << 20
)

// idleTask is to keep resources that have nothing to do.
type idleTask struct {
	Dir       string
	Resources int
	Executors int // 0: as many as cores
	Time      time.Duration
}

type idleOutcome struct {
	CPU       time.Duration
	Time      time.Duration
	RSS       int64 // bytes
	Executors int
}

// share is the CPU used in per cent of a core.
func (o idleOutcome) share() float64 { return 100 * o.CPU.Seconds() / o.Time.Seconds() }

// measureIdle asks children what idle resources cost: on the executors that
// production has, and with an executor for each. They idle at the same time.
func measureIdle(ctx context.Context, dir string, rep *report) error {
	executors := [2]int{0, idleResources}
	var outs [2]idleOutcome
	var errs [2]error
	var wg sync.WaitGroup
	for i := range executors {
		t := idleTask{Dir: filepath.Join(dir, fmt.Sprintf("idle%d", i)), Resources: idleResources, Executors: executors[i], Time: idleTime}
		wg.Go(func() {
			errs[i] = errors.Join(spawn(ctx, task{Idle: &t}, &outs[i]), os.RemoveAll(t.Dir))
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	for _, o := range outs {
		name := fmt.Sprintf("%d idle resources, %d executors", idleResources, o.Executors)
		note := fmt.Sprintf("%v of CPU time in %v", o.CPU, o.Time.Round(time.Millisecond))
		rep.check(name+", CPU", o.share(), "% of a core", "<", idleShare, note)
		rep.check(name+", memory", float64(o.RSS)/(1<<20), "MiB", "<", idleMemory, "resident")
	}
	return nil
}

// run switches everything on, writes once to each resource, waits until all is
// written back and then does nothing.
func (t *idleTask) run(ctx context.Context) (o idleOutcome, err error) {
	tree := filepath.Join(t.Dir, "mars")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return o, err
	}
	n, err := osenv.New(osenv.Config{MarsDir: tree, Host: "bench", Executors: t.Executors, Logger: quietLogger()})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, n.Close(patience)) }()
	for i := range t.Resources {
		if err := t.resource(ctx, n.Executor(i%n.Executors()), i); err != nil {
			return o, fmt.Errorf("resource %d: %w", i, err)
		}
	}
	// The last positions are published a second after the last write.
	if err := sleep(ctx, 1500*time.Millisecond); err != nil {
		return o, err
	}
	begin, used := time.Now(), cpuTime()
	if err := sleep(ctx, t.Time); err != nil {
		return o, err
	}
	o.CPU, o.Time, o.Executors = cpuTime()-used, time.Since(begin), n.Executors()
	o.RSS, err = resident()
	return o, err
}

// resource makes one resource's graph, writes 64 KiB and waits for the end.
func (t *idleTask) resource(ctx context.Context, e env.Env, i int) error {
	path := filepath.Join(t.Dir, fmt.Sprintf("disk%d", i))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(path, idleDisk); err != nil {
		return err
	}
	var g brick.Graph
	var disk, log *aio.AIO
	var lg *translogger.Logger
	var src *source
	id := translog.Identity{Resource: fmt.Sprintf("r%d", i), Number: 1 + i, Origin: "bench", Nonce: [16]byte{1}}
	now := func() translog.Stamp { return translog.Stamp{Sec: e.Wall() / 1e9} }
	err := call(e, func() (err error) {
		if disk, err = aio.NewDisk(&g, e, "disk", path); err != nil {
			return err
		}
		if log, err = aio.NewFile(&g, e, "log", id.Name(), env.OpenMode{Create: true, Write: true}); err != nil {
			return err
		}
		if lg, err = translogger.New(&g, e, "logger", translogger.Config{Now: now, Tuning: translogger.DefaultTuning()}); err != nil {
			return err
		}
		if src, err = newSource(&g, e, "source"); err != nil {
			return err
		}
		return errors.Join(brick.Connect(lg.Input(translogger.InputDisk), disk.Output(0)),
			brick.Connect(lg.Input(translogger.InputLog1), log.Output(0)),
			brick.Connect(src.Input(0), lg.Output(0)))
	})
	for _, b := range []func() error{
		func() error { return press(ctx, e, disk.Brick, true) },
		func() error { return press(ctx, e, log.Brick, true) },
		func() error {
			return call(e, func() error { return lg.StartLog(translogger.InputLog1, id) })
		},
		func() error { return press(ctx, e, lg.Brick, true) },
		func() error { return press(ctx, e, src.Brick, true) },
	} {
		if err == nil {
			err = b()
		}
	}
	if err != nil {
		return err
	}
	var o outcome
	ended := false
	e.Post(func() {
		src.run(pattern{op: block.Write, size: 4096, depth: 1, span: idleDisk, count: 16, time: patience},
			func(x outcome) { o, ended = x, true })
	})
	err = await(ctx, e, "first writes", func() bool { return ended && lg.MemUsed() == 0 })
	return errors.Join(err, o.err)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var u unix.Rusage
	// It fails only for a bad pointer.
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is this process's resident memory in bytes.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	return residentOf(string(text))
}

func residentOf(status string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("resident memory: %w", err)
		}
		return kib << 10, nil
	}
	return 0, errors.New("resident memory is not told")
}
