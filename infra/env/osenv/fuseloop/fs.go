// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"log"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mars/infra/env"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Bounds of a FUSE connection.
const (
	maxWrite    = 256 << 10 // bytes of one request: each device holds several such buffers
	maxInFlight = 128       // asynchronous requests
	maxBuffers  = 64 << 20  // bytes of buffers for requests from the kernel
)

// attrTimeout is how long the kernel may trust the file's attributes.
const attrTimeout = 10 * 365 * 24 * time.Hour

// Node numbers of the two inodes.
const (
	rootNode = fuse.FUSE_ROOT_ID
	fileNode = 2
)

// fileSystem serves one directory with one file: the device's content. Its
// methods are called by goroutines of the FUSE server.
type fileSystem struct {
	fuse.RawFileSystem // refuses all the rest
	file               string
	block              int64
	size               atomic.Int64
	handler            env.DeviceHandler
	dev                env.Device // that this is the content of
	post               func(func())
	reqs               sync.Pool

	openable atomic.Bool   // while the device is being made
	ready    chan struct{} // closed when the handler may be called
	dead     atomic.Bool   // torn down by force: everything fails
	active   atomic.Bool   // there were requests since the last look
	served   chan struct{} // closed when the server has ended
}

func newFileSystem(cfg env.DeviceConfig, h env.DeviceHandler, post func(func())) *fileSystem {
	f := &fileSystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		file:          cfg.Name, block: int64(cfg.BlockSize), handler: h, post: post,
		ready: make(chan struct{}), served: make(chan struct{}),
	}
	f.size.Store(cfg.Size)
	f.openable.Store(true)
	f.reqs.New = func() any {
		r := &request{fs: f, done: make(chan error, 1)}
		r.Impl = r
		r.fire = func() { f.handler.Request(&r.DevRequest) }
		return r
	}
	return f
}

// serve runs the FUSE server on the descriptor of a fresh mount, which it owns
// from here on.
func (f *fileSystem) serve(fd int, l *slog.Logger) error {
	srv, err := fuse.NewServer(f, devFD(fd), &fuse.MountOptions{
		Name:                    "mars",
		MaxBackground:           maxInFlight,
		MaxWrite:                maxWrite,
		MaxInflightRequestBytes: maxBuffers,
		ExtraCapabilities:       fuse.CAP_ASYNC_DIO,
		DisableXAttrs:           true,
		DisableReadDirPlus:      true,
		DisableSplice:           true,
		Logger:                  debugLog(l),
	})
	if err != nil {
		return err
	}
	go func() {
		srv.Serve()
		close(f.served)
	}()
	return nil
}

func debugLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }

// begin lets requests through to the handler.
func (f *fileSystem) begin() { close(f.ready) }

// request is one request on its way through the executor. It is also the
// result of a read: the FUSE server is done with it when it says so.
type request struct {
	env.DevRequest
	fs   *fileSystem
	fire func()
	done chan error
}

func (r *request) Bytes([]byte) ([]byte, fuse.Status) { return r.Buf, fuse.OK }
func (r *request) Size() int                          { return len(r.Buf) }
func (r *request) Done()                              { r.recycle() }

func (r *request) recycle() {
	r.Buf = nil
	r.fs.reqs.Put(r)
}

// do has the handler serve a request and waits for it. The request is to be
// recycled by the caller if the status is OK.
func (f *fileSystem) do(op env.DevOp, pos, n uint64, buf []byte) (*request, fuse.Status) {
	<-f.ready
	if f.dead.Load() {
		return nil, fuse.EIO
	}
	if end := uint64(f.size.Load()); pos > end || n > end-pos || pos%uint64(f.block) != 0 || n%uint64(f.block) != 0 {
		return nil, fuse.EINVAL
	}
	if !f.active.Load() {
		f.active.Store(true)
	}
	r := f.reqs.Get().(*request)
	r.Dev, r.Op, r.FUA, r.Pos, r.Len, r.Buf = f.dev, op, false, int64(pos), int64(n), buf
	f.post(r.fire)
	err := <-r.done
	if err != nil {
		r.recycle()
		return nil, status(op, err)
	}
	return r, fuse.OK
}

// status finds the errno for an error. It is never one by which the kernel
// would take the operation for missing.
func status(op env.DevOp, err error) fuse.Status {
	switch {
	case op == env.DevFlush:
		return fuse.EIO
	case errors.Is(err, env.ErrNoSpace), errors.Is(err, unix.ENOSPC):
		return fuse.Status(syscall.ENOSPC)
	case errors.Is(err, unix.EOPNOTSUPP) && (op == env.DevDiscard || op == env.DevWriteZeroes):
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	return fuse.EIO
}

func (f *fileSystem) finish(r *request, st fuse.Status) fuse.Status {
	if st.Ok() {
		r.recycle()
	}
	return st
}

func (f *fileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if len(buf) < int(in.Size) {
		return nil, fuse.EIO
	}
	r, st := f.do(env.DevRead, in.Offset, uint64(in.Size), buf[:in.Size])
	if !st.Ok() {
		return nil, st
	}
	return r, fuse.OK
}

func (f *fileSystem) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if st := f.finish(f.do(env.DevWrite, in.Offset, uint64(len(data)), data)); !st.Ok() {
		return 0, st
	}
	return uint32(len(data)), fuse.OK
}

// Fsync is also called while the loop device is being configured: there is
// nothing to be flushed then, and nobody to do it.
func (f *fileSystem) Fsync(<-chan struct{}, *fuse.FsyncIn) fuse.Status {
	if f.openable.Load() {
		return fuse.OK
	}
	return f.finish(f.do(env.DevFlush, 0, 0, nil))
}

func (f *fileSystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	switch in.Mode &^ unix.FALLOC_FL_KEEP_SIZE {
	case unix.FALLOC_FL_PUNCH_HOLE:
		return f.finish(f.do(env.DevDiscard, in.Offset, in.Length, nil))
	case unix.FALLOC_FL_ZERO_RANGE:
		return f.finish(f.do(env.DevWriteZeroes, in.Offset, in.Length, nil))
	}
	return fuse.Status(syscall.EOPNOTSUPP)
}

func (f *fileSystem) Lookup(_ <-chan struct{}, dir *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if dir.NodeId != rootNode || name != f.file {
		return fuse.ENOENT
	}
	out.NodeId, out.Generation = fileNode, 1
	out.SetAttrTimeout(attrTimeout)
	f.attr(fileNode, &out.Attr)
	return fuse.OK
}

// GetAttr tells the present size. The answer is valid for ever: the status of
// the loop device, by which Cleanup finds it, contains attributes of the file,
// and after our death the kernel has only those that it remembers. A resize
// therefore forces the kernel to ask again.
func (f *fileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	out.SetTimeout(attrTimeout)
	f.attr(in.NodeId, &out.Attr)
	return fuse.OK
}

func (f *fileSystem) attr(node uint64, a *fuse.Attr) {
	a.Ino, a.Nlink, a.Blksize = node, 1, 4096
	if node == rootNode {
		a.Mode, a.Nlink = unix.S_IFDIR|0o700, 2
		return
	}
	a.Mode = unix.S_IFREG | 0o600
	a.Size = uint64(f.size.Load())
	a.Blocks = a.Size / 512
}

func (f *fileSystem) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if !f.openable.Load() {
		return fuse.EBUSY
	}
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_PARALLEL_DIRECT_WRITES | fuse.FOPEN_NOFLUSH
	return fuse.OK
}

// StatFs: the block size becomes the granularity of discards.
func (f *fileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks = uint64(f.size.Load()) / 4096
	return fuse.OK
}

// SetAttr is asked by nobody but people who look into the directory.
func (f *fileSystem) SetAttr(<-chan struct{}, *fuse.SetAttrIn, *fuse.AttrOut) fuse.Status {
	return fuse.EPERM
}

func (f *fileSystem) String() string { return "mars" }
