package simenv

import (
	"fmt"

	"mars/infra/env"
)

type devices struct{ ex *executor }

// devServer is a process's side of a device: its env.Device.
type devServer struct {
	ex      *executor
	d       *SimDevice
	h       env.DeviceHandler
	closed  bool
	holding bool        // nothing new is delivered
	held    func(error) // done of Hold
}

var _ env.Device = (*devServer)(nil)

// soon calls fn in a later event of the executor.
func (ex *executor) soon(fn func()) {
	if !ex.inc.dead {
		ex.w.push(ex.w.now+ex.w.rng.in(ex.w.opt.Work), ex, evDevice, funcEvent(fn), 0)
	}
}

// Create makes a device, or takes over the one that a dead predecessor left,
// with its unanswered requests.
func (dv *devices) Create(cfg env.DeviceConfig, h env.DeviceHandler, done func(env.Device, error)) {
	ex := dv.ex
	ex.soon(func() {
		n := ex.inc.node
		d := n.Device(cfg.Name)
		switch {
		case cfg.BlockSize != 512 && cfg.BlockSize != 4096 || cfg.Size <= 0 || cfg.Size%int64(cfg.BlockSize) != 0:
			done(nil, fmt.Errorf("create device %s: size %d, block size %d: invalid argument", cfg.Name, cfg.Size, cfg.BlockSize))
			return
		case d != nil && d.srv != nil:
			done(nil, fmt.Errorf("create device %s: %w", cfg.Name, env.ErrExist))
			return
		case d == nil:
			d = &SimDevice{node: n, name: cfg.Name, size: cfg.Size, bs: cfg.BlockSize}
			n.devices = append(n.devices, d)
		}
		d.reported = 0
		d.srv = &devServer{ex: ex, d: d, h: h}
		done(d.srv, nil)
		if d.srv == nil {
			return // the handler closed it at once
		}
		if d.opens > 0 {
			d.notify()
		}
		for _, r := range d.reqs {
			d.deliver(r)
		}
	})
}

// Cleanup removes what a dead predecessor left; every device that is left can
// be taken over.
func (dv *devices) Cleanup(name string, keep bool, done func(error)) {
	ex := dv.ex
	ex.soon(func() {
		if d := ex.inc.node.Device(name); d != nil && d.srv == nil && !keep {
			d.remove(false)
		}
		done(nil)
	})
}

// Left tells of a device that a dead predecessor left.
func (dv *devices) Left(name string) bool {
	d := dv.ex.inc.node.Device(name)
	return d != nil && d.srv == nil
}

func (s *devServer) Path() string { return "/dev/mars/" + s.d.name }

// Complete answers a request. Answering one twice is a bug of the handler.
func (s *devServer) Complete(q *env.DevRequest, err error) {
	if s.ex.inc.dead || s.closed {
		return
	}
	r := q.Impl.(*devReq)
	if !r.busy || r.srv != s {
		panic(fmt.Sprintf("simenv: device %s: request answered that is not open", s.d.name))
	}
	w := s.ex.w
	r.busy = false
	if r.Op == env.DevRead && err == nil {
		copy(r.dst, r.Buf)
		w.mixBytes(r.Buf)
	}
	s.ex.inc.mem.release(r.Buf)
	r.Buf = nil
	s.d.forget(r)
	r.answerUser(err)
	s.checkHeld()
}

func (s *devServer) report() {
	if !s.closed && s.d.reported != s.d.opens {
		s.d.reported = s.d.opens
		s.h.OpenCount(s.d.opens)
	}
}

func (s *devServer) Probe(done func(n int, err error)) {
	s.ex.soon(func() {
		if s.closed {
			done(0, env.ErrClosed)
			return
		}
		n := s.d.opens
		s.report()
		done(n, nil)
	})
}

func (s *devServer) Resize(size int64, done func(error)) {
	s.ex.soon(func() {
		switch {
		case s.closed:
			done(env.ErrClosed)
		case size <= 0 || size%int64(s.d.bs) != 0:
			done(fmt.Errorf("resize %s to %d: invalid argument", s.d.name, size))
		case s.d.node.opt.FixedDevices:
			done(fmt.Errorf("resize %s: %w", s.d.name, env.ErrUnsupported))
		default:
			s.d.size = size
			done(nil)
		}
	})
}

func (s *devServer) Size() int64 { return s.d.size }

// Hold leaves the device to the next process: what waits for a handler waits on.
func (s *devServer) Hold(done func(error)) {
	s.ex.soon(func() {
		switch {
		case s.closed:
			done(env.ErrClosed)
		case s.d.node.opt.FuseDevices:
			done(fmt.Errorf("hold %s: %w", s.d.name, env.ErrUnsupported))
		default:
			s.holding, s.held = true, done
			s.checkHeld()
		}
	})
}

// checkHeld ends a Hold when the handler has answered everything.
func (s *devServer) checkHeld() {
	if !s.holding || s.held == nil {
		return
	}
	for _, r := range s.d.reqs {
		if r.busy {
			return
		}
	}
	s.closed = true
	s.d.detach()
	done := s.held
	s.held = nil
	s.ex.soon(func() { done(nil) })
}

func (s *devServer) Close(force bool, done func(error)) {
	s.ex.soon(func() {
		switch {
		case s.closed:
			done(env.ErrClosed)
		case !force && (s.d.opens > 0 || len(s.d.reqs) > 0):
			done(fmt.Errorf("close %s: %w", s.d.name, env.ErrInUse))
		default:
			for _, r := range s.d.reqs {
				if r.busy {
					s.ex.inc.mem.release(r.Buf)
				}
			}
			s.d.remove(false)
			done(nil)
		}
	})
}
