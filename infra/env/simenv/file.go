package simenv

import (
	"bytes"
	"fmt"
	"unsafe"

	"mars/infra/env"
)

// simFile is an open file or disk of one executor.
type simFile struct {
	ex       *executor
	node     *Node
	name     string
	st       *store
	med      *Medium
	ino      *inode // nil for disks
	disk     *Disk  // nil for files
	size     int64  // when opened
	align    int64
	direct   bool
	readonly bool
	busy     int // ops in flight through this handle
	closed   bool
	onClose  func()
}

func (f *simFile) Align() int   { return int(f.align) }
func (f *simFile) Direct() bool { return f.direct }

// Size is that at opening; of a disk the present one.
func (f *simFile) Size() int64 {
	if f.disk != nil {
		return f.disk.size
	}
	return f.size
}

// Close waits for the ops in flight.
func (f *simFile) Close(done func()) {
	if f.ex.inc.dead || f.closed {
		return
	}
	f.closed, f.onClose = true, done
	if f.busy == 0 {
		f.finishClose()
	}
}

func (f *simFile) finishClose() {
	w := f.ex.w
	w.push(w.now+w.rng.in(w.opt.Post), f.ex, evClose, funcEvent(func() {
		f.release()
		if f.onClose != nil {
			f.onClose()
		}
	}), 0)
}

// release gives up what the handle holds of the storage.
func (f *simFile) release() {
	f.ex.inc.forget(f)
	switch {
	case f.disk != nil && f.disk.holder == f:
		f.disk.holder = nil
	case f.ino != nil:
		f.ino.opens--
		f.node.fs.reap(f.ino)
	}
}

// ioOp is an IO in flight.
type ioOp struct {
	f    *simFile
	io   *env.IO
	ch   change
	err  error
	mark uint64 // Sync: what it has to reach
	idx  int    // place in store.flight
}

func (op *ioOp) ex() *executor { return op.f.ex }

// changes tells whether the op changes data.
func (op *ioOp) changes() bool { return op.io.Kind == env.Write || op.io.Kind == env.Zero }

func (f *simFile) Submit(io *env.IO) {
	if f.ex.inc.dead {
		return
	}
	w := f.ex.w
	if old, ok := io.Impl.(*ioOp); ok && old.io == io && !old.ex().inc.dead {
		panic(fmt.Sprintf("simenv: %v of %s submitted twice", io.Kind, f.name))
	}
	op := w.getOp()
	op.f, op.io, io.Impl = f, io, op
	io.N, io.Err = 0, nil
	f.busy++
	if op.err = f.validate(io); op.err != nil {
		op.ch.kind = chTrunc // nothing that could survive
	} else {
		op.err = f.med.check(io)
		op.prepare(w)
	}
	op.idx = len(f.st.flight)
	f.st.flight = append(f.st.flight, op)
	w.push(w.now+f.med.latency(io, &f.node.lat), f.ex, evIO, op, 0)
}

// prepare takes what the op needs of its request at submission.
func (op *ioOp) prepare(w *World) {
	io := op.io
	switch io.Kind {
	case env.Write:
		n := 0
		for _, v := range io.Vec {
			n += len(v)
		}
		if len(io.Vec) == 0 {
			n = len(io.Buf)
		}
		b := w.bufs.get(n)[:0]
		if len(io.Vec) == 0 {
			b = append(b, io.Buf...)
		}
		for _, v := range io.Vec {
			b = append(b, v...)
		}
		op.ch = change{kind: chData, must: io.Durable && !op.f.med.lying, off: io.Off, n: int64(n), data: b}
	case env.Zero:
		op.ch = change{kind: chZero, must: io.Durable && !op.f.med.lying, off: io.Off, n: io.Len}
	case env.Truncate:
		op.ch = change{kind: chTrunc, off: io.Off}
	case env.Sync:
		op.mark = op.f.st.mark()
	}
}

func (f *simFile) validate(io *env.IO) error {
	n := int64(len(io.Buf))
	if len(io.Vec) > 0 {
		n = 0
		for _, v := range io.Vec {
			n += int64(len(v))
		}
	}
	if io.Kind == env.Zero {
		n = io.Len
	}
	bad := func(what string) error {
		return fmt.Errorf("%v of %d at %d: %s: invalid argument", io.Kind, n, io.Off, what)
	}
	switch {
	case f.closed:
		return fmt.Errorf("%v: %w", io.Kind, env.ErrClosed)
	case io.Kind > env.Truncate || io.Done == nil:
		return bad("no such request")
	case io.Kind == env.Sync:
		return nil
	case io.Off < 0 || n < 0:
		return bad("negative")
	case f.readonly && io.Kind != env.Read:
		return bad("opened for reading")
	case len(io.Vec) > env.MaxVec || io.Kind == env.Read && len(io.Vec) > 0:
		return bad("gather list")
	case io.Kind == env.Truncate && f.disk != nil:
		return bad("a disk has no size to set")
	case io.Kind == env.Truncate:
		return nil
	case f.direct && (io.Off%f.align != 0 || n%f.align != 0):
		return bad("not aligned")
	case f.disk != nil && io.Off+n > f.disk.size:
		return bad("beyond the end of the disk")
	case f.direct && f.ex.w.opt.CheckMemory:
		return f.checkMemory(io, bad)
	}
	return nil
}

func (f *simFile) checkMemory(io *env.IO, bad func(string) error) error {
	for _, b := range append(io.Vec[:len(io.Vec):len(io.Vec)], io.Buf) {
		if len(b) > 0 && (int64(uintptr(unsafe.Pointer(&b[0])))%f.align != 0 || int64(len(b))%f.align != 0) {
			return bad("memory not aligned")
		}
	}
	return nil
}

// fire completes the op.
func (op *ioOp) fire(w *World, _ uint32) bool {
	f, io := op.f, op.io
	if f.med.stalled {
		f.med.held = append(f.med.held, op)
		return false
	}
	f.st.unflight(op)
	f.busy--
	f.complete(w, op)
	io.Err = op.err
	w.mix(uint64(io.Kind)<<40 | uint64(io.Off)<<48 ^ uint64(io.N))
	if io.Err != nil {
		w.mixString(io.Err.Error())
	}
	if w.opt.Trace != nil {
		w.note("%s: %v at %d: %d, %v", f.name, io.Kind, io.Off, io.N, io.Err)
	}
	io.Impl = nil
	w.putOp(op)
	io.Done(io)
	if f.closed && f.busy == 0 && !f.ex.inc.dead {
		f.finishClose()
	}
	return true
}

// complete carries the op out.
func (f *simFile) complete(w *World, op *ioOp) {
	io := op.io
	switch io.Kind {
	case env.Read:
		if op.err == nil {
			io.N, _ = f.st.readAt(io.Buf, io.Off)
		}
	case env.Write, env.Zero:
		f.completeWrite(w, op)
	case env.Truncate:
		if op.err == nil {
			f.truncate(w, op.ch)
		}
	case env.Sync:
		switch {
		case op.err != nil:
			f.st.lose(w, op.mark)
			return
		case f.med.lying:
			return
		}
		f.ordered(f.st.drain(w, op.mark))
	}
}

func (f *simFile) completeWrite(w *World, op *ioOp) {
	c, io := op.ch, op.io
	op.ch.data = nil
	if c.kind == chData && !w.opt.Unstable && op.err == nil && !same(c.data, io) {
		panic(fmt.Sprintf("simenv: buffer of the write of %d bytes at %d changed while in flight", c.n, c.off))
	}
	if op.err == nil && c.kind == chData && f.ino != nil && !f.node.fs.reserve(f.st, c.off, c.n) {
		op.err = fmt.Errorf("write: %w", env.ErrNoSpace)
		w.bufs.put(c.data)
		return
	}
	if op.err != nil {
		f.completeFailed(w, c, op.err)
		return
	}
	io.N = int(c.n)
	w.mixBytes(c.data)
	f.grow(c)
}

// completeFailed: nobody knows what a failed write did.
func (f *simFile) completeFailed(w *World, c change, err error) {
	defer w.bufs.put(c.data)
	if f.closed || c.kind != chData || c.n == 0 || c.off < 0 || c.off+c.n > f.st.liveSize || w.rng.next()&1 == 0 {
		return
	}
	lead := (sector - c.off%sector) % sector
	if k := lead + w.rng.intn((c.n-lead)/sector+1)*sector; k > 0 && k <= c.n {
		part := c.data[:k]
		if f.ino == nil || f.node.fs.reserve(f.st, c.off, k) {
			f.grow(change{kind: chData, off: c.off, n: k, data: w.bufs.copyOf(part)})
		}
	}
}

// grow adds a change of data, and the growth of the file that comes with it.
func (f *simFile) grow(c change) {
	w, st := f.node.w, f.st
	end := c.off + c.n
	if f.ino == nil || c.kind == chZero || end <= st.liveSize {
		before := st.live.count
		st.add(w, c)
		if f.ino != nil {
			f.node.fs.used += (st.live.count - before) * pageSize
		}
		return
	}
	fs := f.node.fs
	fs.seq++
	c.meta = fs.seq
	before := st.live.count
	must := c.must
	st.add(w, c)
	st.add(w, change{kind: chGrow, must: must, off: end, meta: fs.seq})
	fs.used += (st.live.count - before) * pageSize
	if must {
		f.ordered(fs.seq)
	}
}

func (f *simFile) truncate(w *World, c change) {
	f.node.fs.truncate(f.st, c.off)
}

// ordered notes that the file system's journal was committed up to meta.
func (f *simFile) ordered(meta uint64) {
	if f.ino != nil {
		f.node.fs.ordered = max(f.node.fs.ordered, meta)
	}
}

func same(b []byte, io *env.IO) bool {
	if len(io.Vec) == 0 {
		return bytes.Equal(b, io.Buf)
	}
	for _, v := range io.Vec {
		if len(v) > len(b) || !bytes.Equal(b[:len(v)], v) {
			return false
		}
		b = b[len(v):]
	}
	return len(b) == 0
}

func (s *store) unflight(op *ioOp) {
	last := len(s.flight) - 1
	s.flight[op.idx] = s.flight[last]
	s.flight[op.idx].idx = op.idx
	s.flight[last] = nil
	s.flight = s.flight[:last]
}

func (w *World) getOp() *ioOp {
	if n := len(w.ops); n > 0 {
		op := w.ops[n-1]
		w.ops = w.ops[:n-1]
		return op
	}
	return new(ioOp)
}

func (w *World) putOp(op *ioOp) {
	*op = ioOp{}
	w.ops = append(w.ops, op)
}
