package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/env/osenv/devnode"
	"mars/infra/lamport"
	"mars/infra/tunable"
	"mars/strategy"
	"mars/ublkdev"
)

// closeTimeout is how long the environment may take to end after strategy has.
const closeTimeout = 10 * time.Second

// daemon is everything of one marsd run.
type daemon struct {
	opt     *options
	stderr  io.Writer
	log     *slog.Logger
	level   slog.LevelVar
	notify  notifier
	cluster string
	addr    string // own, without port
	tun     *tunable.Set
	clock   *lamport.Clock
	node    *osenv.Node
	strat   *strategy.Node
	sys     *sysServer
	fronts  fronts
	metrics *metricServer // nil: nobody wants them
	files   atomic.Pointer[messageFiles]

	ready   chan struct{}
	fatal   chan error
	started atomic.Bool // strategy is ready: the clock knows its past
}

// run is marsd run: it returns when all has ended in order, or with the reason
// why it could not start or go on.
func run(o *options, stderr io.Writer, notify notifier, signals <-chan os.Signal) error {
	d := &daemon{opt: o, stderr: stderr, notify: notify, tun: tunable.New(),
		ready: make(chan struct{}, 1), fatal: make(chan error, 1)}
	d.level.Set(o.Level)
	d.log = slog.New(&tee{Handler: newLogger(stderr, &d.level).Handler(), to: &d.files})
	err := d.run(signals)
	if err != nil {
		d.tell("STATUS=" + err.Error())
	}
	return err
}

func (d *daemon) run(signals <-chan os.Signal) error {
	if err := devnode.Protect(); err != nil { // before there are threads that serve devices
		d.log.Info("low memory may be a danger", "err", flat(err))
	}
	if err := ublkdev.CheckNamespace(); err != nil {
		d.log.Warn("file systems on the devices must not be mounted where marsd sees them", "err", err)
	}
	uuid, err := checkTree(d.opt.MarsDir, isMounted)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	d.cluster = uuid
	held, err := lockAll(d.opt.RunDir, d.opt.Lock(), d.opt.MarsDir)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer held.Close()
	if err := d.build(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer d.sys.Close()
	if err := d.buildMessages(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	defer func() { d.files.Swap(nil).Close() }()
	if err := d.buildMetrics(); err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	if d.metrics != nil {
		defer d.metrics.Close()
	}
	err = d.serve(signals)
	if err != nil {
		return err // the process ends: nothing is waited for
	}
	if err := d.node.Close(closeTimeout); err != nil {
		d.log.Warn("not everything has ended in time", "err", err)
	}
	return nil
}

// build makes everything, without starting strategy.
func (d *daemon) build() error {
	if err := fixMode(d.opt.MarsDir, d.log); err != nil {
		return err
	}
	if err := loadTunables(d.tun, "/", d.opt.Sys(), d.opt.Set, d.log); err != nil {
		return err
	}
	if d.opt.PortSet {
		if err := d.tun.Assign(tunable.MarsPort.String(), strconv.Itoa(d.opt.Port)); err != nil {
			return err
		}
	}
	d.tun.Seal()
	if err := checkSpace(d.opt.MarsDir, d.tun); err != nil {
		return err
	}
	d.clock = lamport.New(d.tun.MaxLamportFuture())
	d.adapt()
	if err := d.buildNode(); err != nil {
		return err
	}
	return d.buildSys()
}

// adapt takes over the tunables that nobody asks for again and again.
func (d *daemon) adapt() {
	d.clock.SetWindow(d.tun.MaxLamportFuture())
	level := d.opt.Level
	if d.tun.Bool(tunable.ShowDebugMessages) {
		level = min(level, slog.LevelDebug)
	}
	d.level.Set(level)
}

// buildNode makes the executors with all that they reach.
func (d *daemon) buildNode() error {
	o := d.opt
	var err error
	if d.addr, err = ownAddress(o.MarsDir, o.Host, o.IP); err != nil {
		return err
	}
	tree, err := osenv.NewFS(o.MarsDir)
	if err != nil {
		return err
	}
	sec, err := newSecurity(o.MarsDir, o.PKIDir, env.PeerID{Cluster: d.cluster, Host: o.Host}, tree)
	if err != nil {
		return err
	}
	if sec.insecure() {
		d.log.Warn("the network of this cluster is insecure: no keys, no encryption")
	}
	if err := d.pickDevices(); err != nil {
		return err
	}
	// Executors hold a thread each; two more are for what serves them.
	cores := runtime.NumCPU()
	runtime.GOMAXPROCS(cores + 2)
	d.node, err = osenv.New(osenv.Config{
		MarsDir: o.MarsDir, DevDir: o.DevDir, Host: o.Host, Logger: d.log,
		Executors: cores + 1, // resources have one a core, strategy has its own
		Devices:   d.fronts.make,
		Net:       osenv.NetConfig{Addr: d.addr, Port: d.tun.Port(), Security: sec},
	})
	if err != nil {
		return err
	}
	d.log.Debug("environment", "executors", d.node.Executors(), "io", d.node.IOVariant())
	var workers []env.Env
	for i := 1; i < d.node.Executors(); i++ {
		workers = append(workers, d.node.Executor(i))
	}
	d.strat = strategy.New(strategy.Config{
		Me: o.Host, Env: d.node.Executor(0), Executors: workers, Clock: d.clock, Tunables: d.tun, Devices: d.fronts.note,
		Memory: mainMemory(),
		Fatal:  d.die,
		Ready: func() {
			d.started.Store(true)
			select {
			case d.ready <- struct{}{}:
			default:
			}
		},
	})
	return nil
}

// die ends the daemon like a crash: the next one recovers. From anywhere.
func (d *daemon) die(err error) {
	select {
	case d.fatal <- err:
	default: // one reason is enough
	}
}

// serve starts strategy and waits for the end.
func (d *daemon) serve(signals <-chan os.Signal) error {
	exec := d.node.Executor(0)
	exec.Post(d.strat.Start)
	return d.await(signals, func(done func()) {
		exec.Post(func() { d.strat.Stop(d.opt.Grace, done) })
	})
}

// await waits until a signal has ended everything in order, which is asked for
// by stop, or until something goes wrong.
func (d *daemon) await(signals <-chan os.Signal, stop func(done func())) error {
	var stopped chan struct{} // not nil while stopping
	for {
		select {
		case <-d.ready:
			if stopped == nil {
				d.sayReady()
			}
		case err := <-d.fatal:
			return fmt.Errorf("cannot go on: %w", err)
		case sig := <-signals:
			if stopped != nil {
				return fmt.Errorf("%v while stopping: ending at once", sig)
			}
			d.log.Info("stopping", "signal", sig.String(), "grace", d.opt.Grace)
			d.tell("STOPPING=1", "STATUS=stopping")
			done := make(chan struct{})
			stopped = done
			stop(func() { close(done) })
		case <-stopped:
			d.log.Info("stopped")
			return nil
		}
	}
}

func (d *daemon) sayReady() {
	at := net.JoinHostPort(d.addr, strconv.Itoa(d.tun.Port()))
	what := fmt.Sprintf("host %s, cluster %s, listening on %s", d.opt.Host, d.cluster, at)
	fmt.Fprintf(d.stderr, "marsd: ready (%s)\n", what)
	d.tell("READY=1", "STATUS="+what+d.fronts.status())
}

// tell informs the service manager; that it can not be reached stops nobody.
func (d *daemon) tell(state ...string) {
	if err := d.notify.send(state...); err != nil {
		d.log.Warn("the service manager does not listen", "err", err)
	}
}
