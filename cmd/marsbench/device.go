package main

import (
	"fmt"
	"path/filepath"
	"time"

	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/env/osenv/fuseloop"
)

// frontEnds tells how devices are made here, or why they are not.
func frontEnds(dir string) (func(*osenv.Executor) env.Devices, error) {
	h, err := fuseloop.New(fuseloop.Config{RunDir: filepath.Join(dir, "run"), DevDir: filepath.Join(dir, "dev"), Logger: quietLogger()})
	if err != nil {
		return nil, err
	}
	return func(e *osenv.Executor) env.Devices { return h.For(e.Post) }, nil
}

// deviceTime is how long the client writes to the device.
const deviceTime = 1200 * time.Millisecond

// measureDevice writes to the logger through a block device.
func measureDevice(r *rig, rep *report) (err error) {
	if err := r.drain(); err != nil {
		return err
	}
	var f *front
	err = r.do(func() (err error) {
		if f, err = newFront(&r.g, "front"); err != nil {
			return err
		}
		return brick.Connect(f.Input(0), r.lg.Output(0))
	})
	if err != nil {
		return err
	}
	if err := r.press(f.Brick, true); err != nil {
		return err
	}
	if f.dev, err = r.createDevice(f); err != nil {
		return err
	}
	for _, depth := range []int{1, 16} {
		if err = r.rotate(); err != nil {
			break
		}
		var o clientOutcome
		o, err = runClient(r.ctx, clientTask{Path: f.dev.Path(), Depth: depth, Span: r.size, Time: deviceTime})
		if err != nil {
			break
		}
		rep.add(fmt.Sprintf("FUSE and loop, 4 KiB, depth %d", depth), perSecond(o.Ops, o.Time), "writes/s",
			fmt.Sprintf("p50 %v, p99 %v", o.P50, o.P99))
	}
	if cerr := r.closeDevice(f.dev); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return r.press(f.Brick, false)
}

func (r *rig) createDevice(h *front) (env.Device, error) {
	type made struct {
		d   env.Device
		err error
	}
	c := make(chan made, 1)
	r.e.Post(func() {
		r.e.Devices().Create(env.DeviceConfig{Name: "bench", Size: r.size, BlockSize: 4096}, h,
			func(d env.Device, err error) {
				h.dev = d
				c <- made{d, err}
			})
	})
	m := <-c
	return m.d, m.err
}

// closeDevice removes the device, by force if it is not free.
func (r *rig) closeDevice(d env.Device) error {
	c := make(chan error, 1)
	d.Close(false, func(err error) { c <- err })
	err := <-c
	if err != nil {
		d.Close(true, func(err error) { c <- err })
		err = <-c
	}
	return err
}
