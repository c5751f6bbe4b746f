// SPDX-License-Identifier: GPL-2.0-or-later

package ifbrick

import (
	"errors"
	"fmt"
	"time"

	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
)

// Type is the brick type.
var Type = brick.Type{Name: "if", Inputs: 1, Outputs: 0}

// ErrTransition refuses what cannot be done while the device is being made or
// removed; ask again later.
var ErrTransition = errors.New("device is being made or removed")

// ErrShrink refuses to make a device smaller.
var ErrShrink = errors.New("a device cannot shrink")

// Times between attempts to close a device that is open. The open count is
// usually reported; the second time is for environments that do not.
const (
	retryClose = time.Second
	retryProbe = 5 * time.Second
)

// Params describe the device.
type Params struct {
	DeviceName string // appears as <dev-dir>/DeviceName
	Size       int64  // bytes; 0: what is behind the input
	BlockSize  int    // bytes, 512 or 4096; 0: 512, or more if the input needs it
}

type state uint8

const (
	gone     state = iota // no device
	making                // it is being made, or cleaned up before
	live                  // it is there
	closing               // Close is under way
	draining              // closed by force, requests are in flight
)

// Brick is one instance. It lives on one executor.
type Brick struct {
	*brick.Brick

	env   env.Env
	par   Params
	state state
	dev   env.Device
	err   error
	retry env.Timer

	onError func(error)
	onCount func(int)
	count   int
	leave   bool // what is open is left to a successor
	holding bool // that is under way
	held    int  // the open count of what was left

	size  int64 // as asked for, bytes
	grow  int64 // the size that waits for the device to be closed; 0: none
	bound int64 // requests end here at most
	align int64
	pool  block.Pool
	stats Stats
}

// New makes a brick, off. path is its identity within g.
func New(g *brick.Graph, e env.Env, path string, p Params) (*Brick, error) {
	b := &Brick{env: e, par: p, size: p.Size, stats: newStats()}
	gb, err := g.Add(&Type, p.DeviceName, path, b)
	if err != nil {
		return nil, err
	}
	b.Brick = gb
	b.retry = e.NewTimer(b.again)
	return b, nil
}

// OpenCount is how often the device is open, as far as reported: 0 is unused,
// 1 or more is used. It is 0 while there is no device.
func (b *Brick) OpenCount() int { return b.count }

// OnOpenCount sets the function that is told each change of OpenCount.
func (b *Brick) OnOpenCount(fn func(n int)) { b.onCount = fn }

// OnError sets the function that is told when the device cannot be made (the
// brick is off then) or removed (it goes on trying; ErrInUse is no error).
func (b *Brick) OnError(fn func(error)) { b.onError = fn }

// Err is why the device could not be made or removed lately: for a device in
// use it wraps env.ErrInUse and names the users. nil when all is well.
func (b *Brick) Err() error { return b.err }

// Device is the live device's path, or "".
func (b *Brick) Device() string {
	if b.dev == nil {
		return ""
	}
	return b.dev.Path()
}

// Size is the device's size in bytes; before the first switching on it is 0 if
// the Params did not tell.
func (b *Brick) Size() int64 { return b.size }

// Probe counts the openers now. Without a device the count is 0.
func (b *Brick) Probe(done func(n int, err error)) {
	if b.dev == nil {
		b.env.Post(func() { done(0, nil) })
		return
	}
	b.dev.Probe(func(n int, err error) {
		if err == nil {
			b.setCount(n)
		}
		done(n, err)
	})
}

// Switch implements brick.Worker.
func (b *Brick) Switch(bool) { b.step() }

// step does what the button asks for, as far as it can be done now.
func (b *Brick) step() {
	switch {
	case b.state == gone && b.Button():
		b.start()
	case b.state == gone:
		b.SetOff(true)
	case b.state == live && b.Button():
		b.retry.Stop()
		b.err, b.leave = nil, false
		b.SetOn(true)
		b.tryGrow()
	case b.state == live:
		b.SetOn(false)
		b.tryClose()
	}
	// making, closing, draining: their end comes here again.
}

func (b *Brick) start() {
	b.SetOff(false)
	b.err = nil
	b.state = making
	cfg, err := b.config()
	if err != nil {
		b.failed(err)
		return
	}
	b.env.Devices().Create(cfg, (*handler)(b), func(d env.Device, err error) {
		switch {
		case errors.Is(err, env.ErrExist):
			b.cleanup(cfg, err)
		case err != nil:
			b.failed(err)
		default:
			b.made(d)
		}
	})
}

// config finds out the device's shape.
func (b *Brick) config() (env.DeviceConfig, error) {
	info := block.OpsOf(b.Input(0)).Info()
	bs := b.par.BlockSize
	if bs == 0 {
		bs = max(512, info.Align)
	}
	switch {
	case bs != 512 && bs != 4096:
		return env.DeviceConfig{}, fmt.Errorf("%s: block size %d is neither 512 nor 4096", b.Name, bs)
	case info.Align > bs:
		return env.DeviceConfig{}, fmt.Errorf("%s: block size %d, but the input needs %d", b.Name, bs, info.Align)
	}
	b.align = int64(bs)
	if b.size == 0 {
		b.size = info.Size - info.Size%b.align
	}
	if b.size <= 0 || b.size%b.align != 0 || b.size > info.Size {
		return env.DeviceConfig{}, fmt.Errorf("%s: size %d, block size %d, input has %d: %w", b.Name, b.size, bs, info.Size, block.ErrRange)
	}
	b.bound = b.size
	return env.DeviceConfig{Name: b.par.DeviceName, Size: b.size, BlockSize: bs}, nil
}

// cleanup removes what a predecessor left and nobody can take over, after which
// the device is made if it is still wanted.
func (b *Brick) cleanup(cfg env.DeviceConfig, why error) {
	b.env.Devices().Cleanup(cfg.Name, true, func(err error) {
		switch {
		case !b.Button():
			b.ended()
			return
		case err != nil:
			b.failed(errors.Join(why, err))
			return
		}
		b.env.Devices().Create(cfg, (*handler)(b), func(d env.Device, err error) {
			if err != nil {
				b.failed(err)
				return
			}
			b.made(d)
		})
	})
}

// made goes on with a new device, or with one that was taken over and may have
// the size of former times.
func (b *Brick) made(d env.Device) {
	b.dev, b.state = d, live
	if want := b.size; d.Size() < want {
		b.size = d.Size()
		b.Resize(want, func(err error) {
			if err != nil {
				b.tell(err)
			}
		})
	}
	b.step()
}

// failed gives up making the device until the button is pressed again.
// Requests may have come already, and have failed for their users.
func (b *Brick) failed(err error) {
	b.err = err
	if b.stats.InFlight > 0 {
		b.state = draining
		return
	}
	b.state = gone
	b.SetOff(true)
	b.tell(err)
}

func (b *Brick) tell(err error) {
	if b.onError != nil {
		b.onError(err)
	}
}

// tryClose begins to remove the device if nothing speaks against it.
func (b *Brick) tryClose() {
	force := b.ForcedOff()
	if !force && !b.leave {
		if b.count > 0 {
			b.retry.Reset(retryProbe)
			return
		}
		if b.stats.InFlight > 0 {
			return // the last one comes here again
		}
	}
	b.retry.Stop()
	b.state = closing
	b.dev.Close(force, b.closed)
}

// closed is the end of Close.
func (b *Brick) closed(err error) {
	if err != nil && !errors.Is(err, env.ErrClosed) {
		b.state, b.err = live, err
		if !errors.Is(err, env.ErrInUse) {
			b.tell(err)
		} else if b.leave && !b.Button() {
			b.env.Log().Info("the device is left to the next daemon", "device", b.par.DeviceName, "why", err)
			b.hold()
			return
		}
		if b.Button() || b.ForcedOff() && errors.Is(err, env.ErrInUse) {
			b.step()
			return
		}
		b.SetOn(false)
		b.retry.Reset(retryClose)
		return
	}
	b.away()
}

// away is the end of the device here.
func (b *Brick) away() {
	b.dev = nil
	b.setCount(0)
	if b.stats.InFlight > 0 {
		b.state = draining
		return
	}
	b.ended()
}

// again is the timer: the device may have been closed by its users unheard.
func (b *Brick) again() {
	if b.state != live || b.Button() && b.grow == 0 {
		return
	}
	if b.count == 0 || b.ForcedOff() {
		b.step()
		return
	}
	b.dev.Probe(func(n int, err error) {
		if err == nil {
			b.setCount(n)
		}
		if b.state == live && !b.retry.Armed() {
			b.step()
		}
	})
}

// ended is the state without device and requests.
func (b *Brick) ended() {
	failed := b.err != nil && b.state == draining
	b.state = gone
	if failed {
		b.failed(b.err)
		return
	}
	b.err = nil
	if b.grow > 0 {
		b.size, b.grow = b.grow, 0
	}
	b.SetOff(true)
	if b.Button() {
		b.step()
	}
}

func (b *Brick) setCount(n int) {
	if n == b.count || n > 0 && b.dev == nil {
		return
	}
	b.count = n
	if b.onCount != nil {
		b.onCount(n)
	}
	if n == 0 && b.state == live && (!b.Button() || b.grow > 0) {
		b.step()
	}
}

var _ brick.Worker = (*Brick)(nil)
