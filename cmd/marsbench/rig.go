package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"mars/bricks/aio"
	"mars/bricks/translogger"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/translog"
)

// patience is how long a change of state may take.
const patience = 20 * time.Second

// rotateAt is the length in bytes from which on a log is given up between two
// slices.
const rotateAt = 160 << 20

// errNoProgress is the end of a wait for something that did not happen.
var errNoProgress = errors.New("no progress")

// rig is a node with a disk, a logger, its log and a source above it. Its
// methods are called outside of the executor.
type rig struct {
	ctx  context.Context
	dir  string
	node *osenv.Node
	e    env.Env
	g    brick.Graph
	size int64 // of the disk
	tune translogger.Tuning

	disk *aio.AIO
	lg   *translogger.Logger
	src  *source
	logs map[int]*logBricks // by input
	last translog.Identity

	released int // input of the log that was released last, 0 if none
	trouble  error
	replayed *translogger.ReplayResult
}

// logBricks is what stands behind a log input.
type logBricks struct {
	id    translog.Identity
	file  *aio.AIO
	gauge *gauge
}

// newRig makes everything below dir and switches it on.
func newRig(ctx context.Context, dir string, size int64, devices func(*osenv.Executor) env.Devices) (*rig, error) {
	tree, disk := filepath.Join(dir, "mars"), filepath.Join(dir, "disk")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		return nil, err
	}
	if err := layOut(disk, size); err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	n, err := osenv.New(osenv.Config{MarsDir: tree, Host: "bench", Executors: 1, Logger: quietLogger(), Devices: devices})
	if err != nil {
		return nil, err
	}
	r := &rig{ctx: ctx, dir: dir, node: n, e: n.Executor(0), size: size, tune: translogger.DefaultTuning(), logs: map[int]*logBricks{}}
	err = r.do(func() error { return r.build(disk) })
	for _, step := range []func() error{
		func() error { return r.press(r.disk.Brick, true) },
		func() error { return r.openLog(translogger.InputLog1) },
		func() error {
			return r.do(func() error { return r.lg.StartLog(translogger.InputLog1, r.last) })
		},
		func() error { return r.press(r.lg.Brick, true) },
		func() error { return r.press(r.src.Brick, true) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return nil, errors.Join(err, n.Close(patience))
	}
	return r, nil
}

func quietLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// build makes the bricks that stay; on the executor.
func (r *rig) build(disk string) (err error) {
	if r.disk, err = aio.NewDisk(&r.g, r.e, "disk", disk); err != nil {
		return err
	}
	r.lg, err = translogger.New(&r.g, r.e, "logger", translogger.Config{Now: r.stamp, Tuning: r.tune, Events: translogger.Events{
		OnPosition:    func(i translogger.Info) { r.lg.PositionDurable(i.Serial) },
		OnLogReleased: func(input int) { r.released = input },
		OnLogError:    func(e translogger.LogError) { r.trouble = fmt.Errorf("log %s failed: %w", e.ID.Name(), e.Err) },
		OnDiskError:   func(err error, _ bool) { r.trouble = fmt.Errorf("disk failed: %w", err) },
		OnReplayEnd:   func(res translogger.ReplayResult) { r.replayed = &res },
	}})
	if err != nil {
		return err
	}
	if r.src, err = newSource(&r.g, r.e, "source"); err != nil {
		return err
	}
	return errors.Join(
		brick.Connect(r.lg.Input(translogger.InputDisk), r.disk.Output(0)),
		brick.Connect(r.src.Input(0), r.lg.Output(0)))
}

func (r *rig) stamp() translog.Stamp {
	now := r.e.Wall()
	return translog.Stamp{Sec: now / 1e9, Nsec: now % 1e9}
}

// do runs fn on the executor and waits for it.
func (r *rig) do(fn func() error) error { return call(r.e, fn) }

func call(e env.Env, fn func() error) error {
	c := make(chan error, 1)
	e.Post(func() { c <- fn() })
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case err := <-c:
		return err
	case <-limit.C:
		return fmt.Errorf("executor: %w", errNoProgress)
	}
}

// await looks at a condition on the executor each millisecond until it holds.
func (r *rig) await(what string, cond func() bool) error { return await(r.ctx, r.e, what, cond) }

func await(ctx context.Context, e env.Env, what string, cond func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < patience; {
		ok := false
		if err := call(e, func() error { ok = cond(); return nil }); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return fmt.Errorf("%s: %w", what, errNoProgress)
}

// press switches a brick and waits for its LED.
func (r *rig) press(b *brick.Brick, on bool) error { return press(r.ctx, r.e, b, on) }

func press(ctx context.Context, e env.Env, b *brick.Brick, on bool) error {
	if err := call(e, func() error { return b.Press(on) }); err != nil {
		return err
	}
	return await(ctx, e, fmt.Sprintf("switch %v to %v", b, on), func() bool { return on && b.On() || !on && b.Off() })
}

// openLog makes the next log behind an input, switched on.
func (r *rig) openLog(input int) error {
	id := translog.Identity{Resource: "bench", Number: r.last.Number + 1, Origin: "bench", Nonce: [16]byte{1}}
	b := &logBricks{id: id}
	err := r.do(func() (err error) {
		if b.file, err = aio.NewFile(&r.g, r.e, id.Name(), id.Name(), env.OpenMode{Create: true, Write: true}); err != nil {
			return err
		}
		if b.gauge, err = newGauge(&r.g, id.Name()+"-gauge", r.tune.LargeBatch); err != nil {
			return err
		}
		return brick.Connect(b.gauge.Input(0), b.file.Output(0))
	})
	if err != nil {
		return err
	}
	if err := r.press(b.file.Brick, true); err != nil {
		return err
	}
	if err := r.press(b.gauge.Brick, true); err != nil {
		return err
	}
	r.logs[input], r.last = b, id
	return r.do(func() error { return brick.Connect(r.lg.Input(input), b.gauge.Output(0)) })
}

// dropLog takes the log behind an input away, and with remove its file.
func (r *rig) dropLog(input int, remove bool) error {
	b := r.logs[input]
	delete(r.logs, input)
	if err := r.do(func() error { brick.Disconnect(r.lg.Input(input)); return nil }); err != nil {
		return err
	}
	err := errors.Join(r.press(b.gauge.Brick, false), r.press(b.file.Brick, false))
	if err != nil {
		return err
	}
	err = r.do(func() error { return errors.Join(r.g.Remove(b.gauge.Brick), r.g.Remove(b.file.Brick)) })
	if err != nil || !remove {
		return err
	}
	return os.Remove(filepath.Join(r.dir, "mars", b.id.Name()))
}

// current is the input of the log that is appended to.
func (r *rig) current() int {
	for _, input := range []int{translogger.InputLog1, translogger.InputLog2} {
		if b := r.logs[input]; b != nil && b.id == r.last {
			return input
		}
	}
	panic("marsbench: no log")
}

// gauge is that of the current log.
func (r *rig) gauge() *gauge { return r.logs[r.current()].gauge }

// rotate goes on with a new log when the current one has become long.
func (r *rig) rotate() error {
	long := false
	if err := r.do(func() error { long = r.lg.AppendPos() >= rotateAt; return nil }); err != nil || !long {
		return err
	}
	old := r.current()
	next := translogger.InputLog1 + translogger.InputLog2 - old
	if err := r.openLog(next); err != nil {
		return err
	}
	err := r.do(func() error { r.released = 0; return r.lg.SetNextLog(next, r.last) })
	if err != nil {
		return err
	}
	if err := r.await("release of a log", func() bool { return r.released == old }); err != nil {
		return err
	}
	return r.dropLog(old, true)
}

// close ends everything. The logger is switched off if it is at rest; if not,
// something failed and the node ends as in a crash.
func (r *rig) close() error {
	if r.press(r.src.Brick, false) == nil {
		_ = r.press(r.lg.Brick, false)
	}
	return r.node.Close(patience)
}

// align is the alignment of the log's batches in bytes.
func (r *rig) align() (n int64, err error) {
	err = r.do(func() error {
		n = int64(max(block.OpsOf(r.lg.Input(r.current())).Info().Align, translog.Unit))
		return nil
	})
	return n, err
}
