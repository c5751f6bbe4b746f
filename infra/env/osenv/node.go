// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"mars/infra/env"
	"mars/ublkdev/uring"

	"golang.org/x/sys/unix"
)

// Config describes a node.
type Config struct {
	MarsDir string       // directory of the symlink tree; must exist
	DevDir  string       // where device names appear, for Devices factories
	Host    string       // this node's name, for messages and the default identity
	Logger  *slog.Logger // nil: slog.Default()

	Executors    int  // how many; 0: as many as cores
	ForceWorkers bool // do not use io_uring even where it works
	Workers      int  // most goroutines for blocking IO; 0: 32

	// Devices makes the block-device front ends of one executor. It is called
	// by New, before the executor runs. nil: Devices().Create fails.
	Devices func(e *Executor) env.Devices

	Net NetConfig
}

// defaultWorkers bounds the IO in flight of the worker variant.
const defaultWorkers = 32

// ErrTimeout is what Close returns when something would not end.
var ErrTimeout = errors.New("node did not end in time")

// Node is everything of one process. Its methods are safe for concurrent use,
// but none may be called on an executor, except Executor, Config and IOVariant.
type Node struct {
	cfg     Config
	log     *slog.Logger
	start   time.Time
	tree    *tree
	execs   []*Executor
	workers *pool
	offload *pool
	compute *pool
	net     *network
	watches watchSet
	useRing bool
	closed  atomic.Bool
}

// New starts a node.
func New(cfg Config) (*Node, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Executors <= 0 {
		cfg.Executors = runtime.NumCPU()
	}
	if cfg.Workers <= 0 {
		cfg.Workers = defaultWorkers
	}
	n := &Node{cfg: cfg, log: cfg.Logger.With("host", cfg.Host), start: time.Now()}
	if !cfg.ForceWorkers {
		if err := uring.Supported(); err != nil {
			n.log.Warn("falling back to worker threads for IO", "err", err)
		} else {
			n.useRing = true
		}
	}
	var err error
	if n.tree, err = openTree(cfg.MarsDir); err != nil {
		return nil, err
	}
	n.workers = newPool(cfg.Workers, nil)
	n.offload = newPool(max(minOffload, runtime.NumCPU()), nil)
	n.compute = newPool(runtime.NumCPU(), lowPriority)
	n.net = newNetwork(n, cfg.Net)
	for i := range cfg.Executors {
		if err := n.startExecutor(i); err != nil {
			return nil, errors.Join(fmt.Errorf("executor %d: %w", i, err), n.Close(time.Second))
		}
	}
	return n, nil
}

func (n *Node) startExecutor(i int) error {
	var seed [32]byte
	// It never fails: crypto/rand ends the process instead.
	_, _ = crand.Read(seed[:])
	e := &Executor{node: n, index: i, log: n.log, rng: rand.NewChaCha8(seed),
		files: make(map[*file]struct{}), done: make(chan struct{})}
	e.dev = noDevices{e}
	if n.cfg.Devices != nil {
		if d := n.cfg.Devices(e); d != nil {
			e.dev = d
		}
	}
	started := make(chan error, 1)
	go e.run(started)
	if err := <-started; err != nil {
		return err
	}
	n.execs = append(n.execs, e)
	return nil
}

// minOffload is how many pieces of off-loaded work may run at least: they wait
// for disks more than they compute.
const minOffload = 2

// computeNice is the priority of computations: where no processor is idle they get a
// tenth of what others get. With the lowest one it is a seventieth, and a sync stands
// still; so do, in a process that may use one processor, all goroutines that wait for
// the one which computes.
const computeNice = 10

// lowPriority makes the calling goroutine one for computations: on a thread of
// its own that gives way to others.
func lowPriority() {
	runtime.LockOSThread()
	// Lowering one's priority is always allowed.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), computeNice)
}

func (n *Node) mono() time.Duration { return time.Since(n.start) }

// Executor returns the environment of executor i, 0 to Executors()-1.
func (n *Node) Executor(i int) env.Env { return n.execs[i] }

// Executors is how many executors there are.
func (n *Node) Executors() int { return len(n.execs) }

// MemHeld is how many bytes of memory outside the Go heap the executors hold,
// in use or kept ready. It may be called from anywhere.
func (n *Node) MemHeld() int64 {
	var sum int64
	for _, e := range n.execs {
		sum += e.mem.held.Load()
	}
	return sum
}

// Config is what the node was made from, with defaults filled in.
func (n *Node) Config() Config { return n.cfg }

// IOVariant is "io_uring" or "workers".
func (n *Node) IOVariant() string {
	if n.useRing {
		return "io_uring"
	}
	return "workers"
}

// Close ends the node: connections are closed (their handlers still hear of
// it), off-loaded work and IO in flight are waited for and completed, then the
// executors end. Bricks should have been shut down before. After timeout it
// gives up, leaves what hangs behind and returns an error that wraps ErrTimeout.
// A second call does nothing.
func (n *Node) Close(timeout time.Duration) error {
	if !n.closed.CompareAndSwap(false, true) {
		return nil
	}
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	expired := false
	await := func(what string, done <-chan struct{}) error {
		if expired {
			select {
			case <-done:
				return nil
			default:
				return fmt.Errorf("%w: %s", ErrTimeout, what)
			}
		}
		select {
		case <-done:
			return nil
		case <-limit.C:
			expired = true
			return fmt.Errorf("%w: %s", ErrTimeout, what)
		}
	}
	n.watches.close()
	errs := []error{
		await("network", n.net.close()),
		await("off-loaded work", n.offload.close()),
		await("computations", n.compute.close()),
	}
	for _, e := range n.execs {
		e.stop()
	}
	for _, e := range n.execs {
		errs = append(errs, await(fmt.Sprintf("executor %d", e.index), e.done))
	}
	if expired {
		for _, e := range n.execs {
			e.giveUp()
		}
	}
	errs = append(errs, await("workers", n.workers.close()))
	err := errors.Join(errs...)
	if err == nil {
		err = n.tree.close()
	}
	return err
}

// noDevices stands where no front ends were configured.
type noDevices struct{ e *Executor }

// ErrNoDevices is the answer of Create without a factory in Config.
var ErrNoDevices = errors.New("no block-device front end configured")

func (d noDevices) Create(cfg env.DeviceConfig, h env.DeviceHandler, done func(env.Device, error)) {
	d.e.Post(func() { done(nil, fmt.Errorf("device %s: %w", cfg.Name, ErrNoDevices)) })
}

func (d noDevices) Cleanup(_ string, _ bool, done func(error)) {
	d.e.Post(func() { done(nil) })
}

func (noDevices) Left(string) bool { return false }
