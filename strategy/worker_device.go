package strategy

import (
	"errors"
	"time"

	"mars/bricks/ifbrick"
	"mars/infra/brick"
	"mars/infra/env"
)

// Times of a device: between attempts to make it, and between looks at one that
// shall go but is open, in case its closing is not heard of.
const (
	retryDevice = 2 * time.Second
	probeDevice = 2 * time.Second
)

// stepDevice makes the device appear, keeps its size, or lets it go.
func (w *worker) stepDevice() {
	if w.dev == nil && w.want.Device && !w.want.Leave && !w.newDevice() {
		return
	}
	switch {
	case w.dev == nil:
	case w.want.Leave:
		if err := w.dev.Leave(); err != nil {
			w.env.Log().Error("leave the device", "resource", w.res, "err", err)
		}
	case w.devErr != nil && w.dev.Off() && w.env.Mono() < w.devUntil:
	default:
		if err := w.dev.Press(w.want.Device); err != nil {
			w.env.Log().Error("switch the device", "resource", w.res, "err", err)
		}
		w.resizeDevice()
		w.probeDevice()
	}
}

func (w *worker) newDevice() bool {
	d, err := ifbrick.New(&w.graph, w.env, "if", ifbrick.Params{DeviceName: w.want.DeviceName, Size: w.want.Size})
	if err == nil {
		err = brick.Connect(d.Input(0), w.logger.Output(0))
	}
	if err != nil {
		w.env.Log().Error("make the device", "resource", w.res, "err", err)
		return false
	}
	d.OnLED(w.kick)
	d.OnOpenCount(func(int) { w.kick() })
	d.OnError(w.deviceFails)
	w.dev, w.devErr, w.held = d, nil, 0
	return true
}

// deviceFails is told why the device can not be made, or not be removed.
func (w *worker) deviceFails(err error) {
	w.env.Log().Error("the device fails", "resource", w.res, "device", w.want.DeviceName, "err", err)
	if w.dev != nil && w.dev.Off() {
		w.devErr = err
		w.devUntil = w.env.Mono() + retryDevice
		w.retry.Reset(retryDevice)
	}
	w.kick()
}

// resizeDevice lets the device follow the size of the resource.
func (w *worker) resizeDevice() {
	size := w.want.Size
	if !w.dev.On() || size <= max(w.dev.Size(), w.dev.Waiting()) || w.disk.Size() < size {
		return
	}
	w.dev.Resize(size, func(err error) {
		if err != nil && !errors.Is(err, ifbrick.ErrTransition) && !errors.Is(err, env.ErrClosed) {
			w.env.Log().Error("resize the device", "resource", w.res, "size", size, "err", err)
			w.retry.Reset(retryDevice)
			return
		}
		w.kick()
	})
}

// measure looks whether the disk was enlarged.
func (w *worker) measure() {
	if w.disk != nil && w.disk.Measure() {
		w.kick()
	}
}

// probeDevice asks again and again who has the device open when it shall go:
// not every environment tells of a close.
func (w *worker) probeDevice() {
	if !w.want.Release || w.probing || !w.dev.On() {
		return
	}
	w.probing = true
	w.dev.Probe(func(int, error) {
		w.env.NewTimer(func() {
			w.probing = false
			w.kick()
		}).Reset(probeDevice)
	})
}

// endDevice takes the device away; it stays while somebody has it open, unless
// it can be left to the next daemon.
func (w *worker) endDevice() bool {
	if w.dev == nil {
		return true
	}
	press := func() error { return w.dev.Press(false) }
	if w.want.Leave {
		press = w.dev.Leave
	}
	if w.force {
		w.dev.ForceOff()
	} else if err := press(); err != nil {
		w.env.Log().Error("switch the device off", "resource", w.res, "err", err)
	}
	if !w.dev.Off() {
		return false
	}
	w.held = w.dev.Held()
	return w.remove(w.dev.Brick) && w.gone(func() { w.dev, w.devErr = nil, nil })
}

// fillDevice tells of the device.
func (w *worker) fillDevice(s *State) {
	s.Held = w.held
	if w.dev == nil {
		return
	}
	s.DeviceOn = !w.dev.Off()
	s.OpenCount = w.dev.OpenCount()
	s.Held = max(s.Held, w.dev.Held())
	s.Leaving = w.dev.Leaving()
	s.SizeWaits = w.dev.Waiting()
	if w.dev.Off() && w.devErr != nil {
		s.DeviceErr = w.devErr.Error()
	}
}
