// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// AutoID lets the kernel choose the id of a new device.
const AutoID = ^uint32(0)

// State is what the kernel tells about a device.
type State uint16

// The states. Live may still be told for a moment after the server died.
const (
	Dead      State = 0 // made, or stopped
	Live      State = 1
	Quiesced  State = 2 // no server, requests wait for one
	FailingIO State = 3 // no server, requests fail until there is one
)

// String is the state as a word.
func (s State) String() string {
	switch s {
	case Dead:
		return "dead"
	case Live:
		return "live"
	case Quiesced:
		return "quiesced"
	case FailingIO:
		return "failing"
	}
	return fmt.Sprintf("state %d", uint16(s))
}

// Info describes a device as the kernel knows it.
type Info struct {
	ID     uint32
	State  State
	Queues int
	Depth  int // requests a queue
	MaxIO  int // bytes of the largest read or write
	PID    int // of the server, in the kernel's view
	Flags  Features
	Stamp  uint64 // Config.Stamp
}

func infoOf(d *devInfo) Info {
	return Info{ID: d.devID, State: State(d.state), Queues: int(d.nrHWQueues), Depth: int(d.queueDepth),
		MaxIO: int(d.maxIOBufBytes), PID: int(d.srvPID), Flags: Features(d.flags), Stamp: d.srvFlags}
}

// DefaultTimeout bounds a control command unless ControlOptions say otherwise.
const DefaultTimeout = 10 * time.Second

// queueFactor times the time-out of a command is how long it may wait for those
// before it.
const queueFactor = 10

// ControlOptions tune a Control. The zero value is fine.
type ControlOptions struct {
	// Timeout bounds every command, from the moment that it is given to the
	// driver, whatever its context allows; 0 is DefaultTimeout.
	Timeout time.Duration
	// AllowBadKernel lets kernels pass that Probe refuses.
	AllowBadKernel bool
}

// Control is the control plane: one thread that gives one command at a time to
// the driver (some kernels lose concurrent ones). All methods may be called
// from any goroutine, block until the command ended or its time was up, and
// must not be called on the thread that serves a device: several commands wait
// for requests to be served.
type Control struct {
	p       port
	fd      int
	caps    Caps
	plan    Plan
	timeout time.Duration

	calls chan *call
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
	lost  int // of the thread
}

// call is one command on its way through the thread.
type call struct {
	ctx   context.Context
	op    ctrlOp
	id    uint32
	data  uint64
	buf   []byte // in and out; copied to and from memory the kernel sees
	reply chan error
}

// Open probes the kernel and makes a control plane. Errors are those of Probe.
func Open(opt ControlOptions) (*Control, error) { return openControl(newSystem(), opt) }

func openControl(p port, opt ControlOptions) (*Control, error) {
	fd, err := p.openControl()
	if err != nil {
		return nil, controlOpenError(p, err)
	}
	c := &Control{p: p, fd: fd, timeout: opt.Timeout,
		calls: make(chan *call), quit: make(chan struct{}), done: make(chan struct{})}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	started := make(chan error, 1)
	go c.run(started)
	if err := <-started; err != nil {
		p.close(fd)
		return nil, fmt.Errorf("%w: %w", ErrNoUring, err)
	}
	if err := c.negotiate(opt); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the thread after the command under way, if any.
func (c *Control) Close() {
	c.once.Do(func() {
		close(c.quit)
		<-c.done
		c.p.close(c.fd)
	})
}

// Caps tells what the kernel offers.
func (c *Control) Caps() Caps { return c.caps }

// Plan tells how this package works with the kernel.
func (c *Control) Plan() Plan { return c.plan }

func (c *Control) do(ctx context.Context, op ctrlOp, id uint32, data uint64, buf []byte) error {
	turn, cancel := context.WithTimeout(ctx, queueFactor*c.timeout)
	defer cancel()
	k := &call{ctx: ctx, op: op, id: id, data: data, buf: buf, reply: make(chan error, 1)}
	select {
	case c.calls <- k:
	case <-turn.Done():
		return &CmdError{Cmd: op.String(), ID: id, Kind: ErrTimeout, Hint: "never sent: another command is under way"}
	case <-c.done:
		return ErrClosed
	}
	return <-k.reply // the thread answers every call that it took, soon after ctx ended
}

// Info asks for one device; ErrGone if there is none.
func (c *Control) Info(ctx context.Context, id uint32) (Info, error) {
	var d devInfo
	if err := c.do(ctx, opGetDevInfo, id, 0, bytesOf(&d)); err != nil {
		return Info{}, err
	}
	return infoOf(&d), nil
}

// List describes all devices, by id, whoever made them.
func (c *Control) List(ctx context.Context) ([]Info, error) {
	ids, err := c.p.listIDs()
	if err != nil {
		return nil, fmt.Errorf("ublk: list: %w", err)
	}
	var out []Info
	for _, id := range ids {
		info, err := c.Info(ctx, id)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// add makes a device; the answer holds what the kernel made of the wishes.
func (c *Control) add(ctx context.Context, d devInfo) (Info, error) {
	if err := c.do(ctx, opAddDev, d.devID, 0, bytesOf(&d)); err != nil {
		return Info{}, err
	}
	return infoOf(&d), nil
}

func (c *Control) setParams(ctx context.Context, id uint32, p params) error {
	return c.do(ctx, opSetParams, id, 0, bytesOf(&p))
}

func (c *Control) getParams(ctx context.Context, id uint32) (params, error) {
	p := params{len: paramsSize}
	err := c.do(ctx, opGetParams, id, 0, bytesOf(&p))
	return p, err
}

// start makes the block device appear. It waits for all tags to be fetched and
// for the partition table to be read through the server.
func (c *Control) start(ctx context.Context, id uint32) error {
	return c.do(ctx, opStartDev, id, uint64(c.p.pid()), nil)
}

// Stop makes the block device disappear, whoever uses it and without writing
// back what the page cache holds: what was not synced is lost. It waits for the
// requests that the server owns. Device.Stop is the careful way.
func (c *Control) Stop(ctx context.Context, id uint32) error {
	return c.do(ctx, opStopDev, id, 0, nil)
}

// TryStop is Stop unless somebody has the device open, in one step: ErrInUse.
// ErrUnsupported where Plan.TryStop is not set.
func (c *Control) TryStop(ctx context.Context, id uint32) error {
	return c.do(ctx, opTryStopDev, id, 0, nil)
}

// Delete removes a device and waits until its id is free: until the server has
// let go of it and every opener of the block device too. When that takes too
// long the error matches ErrTimeout; the device is removed all the same, and
// the id becomes free later.
func (c *Control) Delete(ctx context.Context, id uint32) error {
	return c.do(ctx, opDelDev, id, 0, nil)
}

// DeleteAsync removes a device without waiting for its id to become free. On
// kernels without that command it is a Delete that does not mind a time-out.
func (c *Control) DeleteAsync(ctx context.Context, id uint32) error {
	err := c.do(ctx, opDelDevAsync, id, 0, nil)
	if !errors.Is(err, ErrUnsupported) {
		return err
	}
	if err = c.Delete(ctx, id); cancelled(err) {
		return nil
	}
	return err
}

// cancelled tells whether a command ran and was interrupted in its wait.
func cancelled(err error) bool {
	var ce *CmdError
	return errors.As(err, &ce) && ce.Errno == unix.EINTR && !ce.Lost
}

// Remove stops and deletes a device that nobody serves, an orphan. Who uses it
// gets IO errors.
func (c *Control) Remove(ctx context.Context, id uint32) error {
	if err := c.Stop(ctx, id); err != nil {
		return err
	}
	return c.DeleteAsync(ctx, id)
}

// Quiesce asks the server of a device to let go of it: idle tags are aborted,
// requests wait for a successor. Returns when that was asked for; the server may
// still own requests. ErrUnsupported without FQuiesce.
func (c *Control) Quiesce(ctx context.Context, id uint32) error {
	timeout := c.timeout
	if t, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(t))
	}
	// The kernel's own limit is below ours; 0 would be none.
	ms := max(timeout.Milliseconds()*9/10, 1)
	return c.do(ctx, opQuiesceDev, id, uint64(ms), nil)
}

// updateSize changes the capacity. Some kernels crash when the device is not
// started, so that is asked first; the caller keeps it from being stopped
// meanwhile.
func (c *Control) updateSize(ctx context.Context, id uint32, size int64) error {
	if !c.plan.Resize {
		return &CmdError{Cmd: opUpdateSize.String(), ID: id, Kind: ErrUnsupported, Hint: "kernel 6.16 or later is needed"}
	}
	info, err := c.Info(ctx, id)
	if err != nil {
		return err
	}
	if info.State != Live {
		return &CmdError{Cmd: opUpdateSize.String(), ID: id, Kind: ErrBusy, Hint: "the device is " + info.State.String()}
	}
	return c.do(ctx, opUpdateSize, id, uint64(size>>sectorShift), nil)
}

func (c *Control) startRecovery(ctx context.Context, id uint32) error {
	return c.do(ctx, opStartRecovery, id, 0, nil)
}

func (c *Control) endRecovery(ctx context.Context, id uint32) error {
	return c.do(ctx, opEndRecovery, id, uint64(c.p.pid()), nil)
}

// Size is the capacity of a device in bytes.
func (c *Control) Size(ctx context.Context, id uint32) (int64, error) {
	p, err := c.getParams(ctx, id)
	if err != nil {
		return 0, err
	}
	return int64(p.basic.devSectors) << sectorShift, nil
}
