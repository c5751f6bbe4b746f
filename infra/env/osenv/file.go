// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"sync/atomic"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// file is an open log file or disk. All but the fields that workers read (fd,
// name, align, direct, disk, noPunch) belongs to the executor.
type file struct {
	e      *Executor
	fd     int
	name   string
	align  int
	direct bool
	write  bool
	disk   bool
	size   int64

	pending int  // IOs not completed
	closing bool // Close was called
	gone    bool // the descriptor is on its way out
	closed  func()

	noPunch atomic.Bool // holes cannot be punched here
}

func (f *file) Align() int   { return f.align }
func (f *file) Direct() bool { return f.direct }

// Size asks the kernel again for a disk, which may have been enlarged.
func (f *file) Size() int64 {
	if f.disk {
		if n, err := capacity(f.fd); err == nil {
			return n
		}
	}
	return f.size
}

// Submit starts io; its Done comes in a later turn.
func (f *file) Submit(io *env.IO) {
	if io.Impl != nil {
		panic("osenv: IO submitted before it was done")
	}
	e := f.e
	o := e.getOp()
	o.f, o.io, io.Impl = f, io, o
	io.N, io.Err = 0, nil
	f.pending++
	if o.err = f.invalid(io); o.err == nil && (f.closing || e.draining) {
		o.err = env.ErrClosed
	}
	moves := io.Kind == env.Read || io.Kind == env.Write
	if o.err != nil || moves && size(io) == 0 {
		e.fin.push(o)
		return
	}
	e.inflight++
	if moves || io.Kind == env.Sync {
		e.io.submit(o)
		return
	}
	e.node.workers.runOp(o)
}

// Close waits for what was submitted, closes and calls done.
func (f *file) Close(done func()) {
	if f.closing {
		panic("osenv: file closed twice")
	}
	f.closing, f.closed = true, done
	f.mayClose()
}

// mayClose lets a worker close the file when nothing is pending any more: the
// last close of a file can take as long as any IO.
func (f *file) mayClose() {
	if !f.closing || f.gone || f.pending > 0 {
		return
	}
	f.gone = true
	e := f.e
	delete(e.files, f)
	e.inflight++
	e.node.workers.run(func() {
		f.shut()
		e.Post(func() {
			e.inflight--
			f.closed()
		})
	})
}

// shut closes the descriptor. Data that matters was made durable by Sync or
// durable writes, so an error of close tells nothing new; it is logged.
func (f *file) shut() {
	if err := unix.Close(f.fd); err != nil {
		f.e.log.Error("close failed", "file", f.name, "err", err)
	}
}

// zeroPiece is the size in which zeroes are written where no hole can be made.
const zeroPiece = 1 << 20

// zero makes a range read as zeroes, without changing a file's size. It blocks.
func (f *file) zero(off, length int64) error {
	if length == 0 {
		return nil
	}
	if !f.noPunch.Load() {
		err := retry(func() error {
			return unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, length)
		})
		if err != unix.EOPNOTSUPP && err != unix.ENOSYS && err != unix.ENODEV {
			return err
		}
		f.noPunch.Store(true)
	}
	end := off + length
	if !f.disk {
		var st unix.Stat_t
		if err := unix.Fstat(f.fd, &st); err != nil {
			return err
		}
		end = min(end, st.Size)
	}
	zeroes := mapMemory(zeroPiece)
	defer unmap(zeroes)
	for off < end {
		n, err := unix.Pwrite(f.fd, zeroes[:min(zeroPiece, end-off)], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return env.ErrShort
		}
		off += int64(n)
	}
	return nil
}
