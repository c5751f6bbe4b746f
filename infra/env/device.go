package env

// DevOp is what a request to a block-device front end asks.
type DevOp uint8

// The operations of a block device.
const (
	DevRead DevOp = iota
	DevWrite
	DevFlush
	DevDiscard
	DevWriteZeroes
)

// DevRequest is one request of the kernel (or another user) to a front end.
// It is owned by the handler from Request until Device.Complete.
type DevRequest struct {
	Op  DevOp
	FUA bool  // DevWrite: durable before completion, whatever the semantics
	Pos int64 // bytes, multiple of the device's block size
	Len int64 // bytes
	Buf []byte

	User any // for the handler: kept across reuse of the request
	Impl any // for the environment
}

// DeviceHandler takes the requests of one device, on its executor.
type DeviceHandler interface {
	Request(r *DevRequest)
	// OpenCount reports a change of the open count; see Device.Probe.
	OpenCount(n int)
}

// DeviceConfig describes a front end.
type DeviceConfig struct {
	Name      string // appears as <dev-dir>/Name
	Size      int64  // bytes, a multiple of BlockSize
	BlockSize int    // logical block size: 512 or 4096
}

// Device is a live block device.
type Device interface {
	// Complete answers a request; the request may be reused at once. After a
	// forced Close it may still be called, and does nothing; Buf of a request
	// stays valid until then.
	Complete(r *DevRequest, err error)
	// Probe counts the openers now; the result comes in done, and as
	// OpenCount if it changed.
	Probe(done func(n int, err error))
	// Resize changes the capacity.
	Resize(size int64, done func(error))
	// Close removes the device. ErrInUse, and nothing changed, while it is
	// open; with force it goes anyway and users get IO errors.
	Close(force bool, done func(error))
	// Path is where it appears.
	Path() string
}

// Devices makes front ends: ublk, or FUSE and loop, or the simulator's.
type Devices interface {
	// Create makes a front end, or takes over the one that a predecessor of
	// this daemon left, where that can be done (ublk); otherwise it fails with
	// ErrExist until Cleanup removed that.
	Create(cfg DeviceConfig, h DeviceHandler, done func(Device, error))
	// Cleanup removes what a dead predecessor of this daemon left behind for
	// the named device (dead mounts, loop devices, symlinks). With keep, a
	// device that Create can take over stays, with its users; what only looks
	// alive goes.
	Cleanup(name string, keep bool, done func(error))
}
