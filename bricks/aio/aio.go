package aio

import (
	"errors"
	"fmt"

	"mars/infra/brick"
	"mars/infra/env"
)

// Type is the brick type.
var Type = brick.Type{Name: "aio", Inputs: 0, Outputs: 1}

// ErrOp refuses an operation that files and disks do not have.
var ErrOp = errors.New("operation not supported here")

// AIO is one brick: a file or a disk. It lives on one executor.
type AIO struct {
	*brick.Brick

	env  env.Env
	name string // of the file below the tree, or the absolute path of the disk
	disk bool
	mode env.OpenMode
	fail func(error)

	file    env.File // nil while not open
	opening bool
	closing bool
	err     error

	size     int64 // bytes
	align    int64
	inFlight int
	free     *request

	written  uint64 // non-durable changes completed
	synced   uint64 // of those, how many a completed sync covers
	syncErr  error  // of the first failed sync; final until reopened or renewed
	requests uint64
}

// NewFile makes a brick for a regular file of the tree's directory. path is
// the brick's identity within g, name the file's. The brick is off.
func NewFile(g *brick.Graph, e env.Env, path, name string, mode env.OpenMode) (*AIO, error) {
	return add(g, path, &AIO{env: e, name: name, mode: mode})
}

// NewDisk makes a brick for the disk at the absolute path diskPath.
func NewDisk(g *brick.Graph, e env.Env, path, diskPath string) (*AIO, error) {
	return add(g, path, &AIO{env: e, name: diskPath, disk: true, mode: env.OpenMode{Write: true}})
}

func add(g *brick.Graph, path string, a *AIO) (*AIO, error) {
	b, err := g.Add(&Type, a.name, path, a)
	if err != nil {
		return nil, err
	}
	a.Brick = b
	b.Output(0).Ops = (*ops)(a)
	return a, nil
}

// OnError sets the function that is told when opening fails. The brick is off
// then; pressing the button again tries again.
func (a *AIO) OnError(fn func(error)) { a.fail = fn }

// Err is why the last opening failed, or nil.
func (a *AIO) Err() error { return a.err }

// Size is the present size in bytes: of a file that was opened and of what
// has been written since. 0 before the first opening.
func (a *AIO) Size() int64 { return a.size }

// Measure looks at the size of an open disk again, which may have been enlarged,
// and tells whether it was.
func (a *AIO) Measure() bool {
	if a.file == nil || !a.disk {
		return false
	}
	old := a.size
	a.size = max(old, a.file.Size())
	return a.size != old
}

// Direct tells whether IO bypasses the page cache; false while not open.
func (a *AIO) Direct() bool { return a.file != nil && a.file.Direct() }

// InFlight is the number of requests that are not completed yet.
func (a *AIO) InFlight() int { return a.inFlight }

// Requests is the number of requests started so far.
func (a *AIO) Requests() uint64 { return a.requests }

// Renew takes back that a failed flush is final. Only who has written everything
// again that was written since the last flush that worked may say so: what a
// failed one has lost stays lost.
func (a *AIO) Renew() {
	if a.syncErr != nil {
		a.syncErr = nil
		a.written++
	}
}

// Switch implements brick.Worker.
func (a *AIO) Switch(on bool) {
	switch {
	case a.opening || a.closing:
		// The end of that looks at the button again.
	case on && a.file == nil:
		a.open()
	case on:
		a.SetOn(true)
	case a.file == nil:
		a.SetOff(true)
	default:
		a.SetOn(false)
		if a.inFlight == 0 {
			a.close()
		}
	}
}

func (a *AIO) open() {
	a.SetOff(false)
	a.opening, a.err = true, nil
	if a.disk {
		a.env.Files().OpenDisk(a.name, a.opened)
	} else {
		a.env.Files().OpenFile(a.name, a.mode, a.opened)
	}
}

func (a *AIO) opened(f env.File, err error) {
	a.opening = false
	if err != nil {
		a.err = fmt.Errorf("open %s: %w", a.name, err)
		a.SetOff(true)
		if a.fail != nil {
			a.fail(a.err)
		}
		return
	}
	a.file, a.size, a.align = f, f.Size(), int64(f.Align())
	// A process that died may have left writes that were never synced: what is
	// read may be gone after a power cut. So the first Flush is a real one.
	a.written, a.synced, a.syncErr = 1, 0, nil
	a.Switch(a.Button())
}

func (a *AIO) close() {
	a.closing = true
	a.file.Close(func() {
		a.closing, a.file = false, nil
		a.SetOff(true)
		if a.Button() {
			a.Switch(true)
		}
	})
}
