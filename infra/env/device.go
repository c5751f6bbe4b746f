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

	Dev  Device // that it came from and that gets the answer
	User any    // for the handler: kept across reuse of the request
	Impl any    // for the environment
}

// DeviceHandler takes the requests of one device, on its executor. Requests may
// come before Create has called done: a kernel reads the partition table of a
// device before it is there for others.
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
	// Size is the capacity in bytes. Of a device that was taken over it may
	// be another than the DeviceConfig asked for: Resize then.
	Size() int64
	// Resize changes the capacity. ErrUnsupported where that can be done only
	// by making the device anew, when nobody has it open.
	Resize(size int64, done func(error))
	// Close removes the device. ErrInUse, and nothing changed, while it is
	// open; with force it goes anyway and users get IO errors.
	Close(force bool, done func(error))
	// Hold stops serving and leaves the device, open as it is, to a successor
	// in another process, which Create makes of it; its users wait meanwhile.
	// What the handler has is completed as usual before done is called; what
	// it was not given, the successor gets. Afterwards the device counts as
	// closed. ErrUnsupported, and nothing changed, where users can not outlive
	// their server.
	Hold(done func(error))
	// Path is where it appears.
	Path() string
}

// Devices makes front ends: ublk, or FUSE and loop, or the simulator's.
type Devices interface {
	// Create makes a front end, or takes over the one that a predecessor of
	// this daemon left, where that can be done (ublk); ErrExist when there is
	// one that can not be taken over, until Cleanup removed it. After another
	// error what is there is left as it was, and trying again may help.
	Create(cfg DeviceConfig, h DeviceHandler, done func(Device, error))
	// Cleanup removes what a dead predecessor of this daemon left behind for
	// the named device (dead mounts, loop devices, symlinks). With keep, a
	// device that Create can take over stays, with its users; what only looks
	// alive goes.
	Cleanup(name string, keep bool, done func(error))
	// Left tells whether a device of that name, with users who wait, was left
	// by a predecessor and still waits for Create or Cleanup.
	Left(name string) bool
}
