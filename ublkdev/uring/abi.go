// SPDX-License-Identifier: GPL-2.0-or-later

package uring

// The kernel's structures, as in its header io_uring.h. Sizes and offsets are
// pinned by a test; every field keeps its natural alignment on all platforms.

// Op is the operation code of a submission entry.
type Op uint8

// The operations this package prepares.
const (
	OpNop           Op = 0
	OpReadv         Op = 1
	OpWritev        Op = 2
	OpFsync         Op = 3
	OpPollAdd       Op = 6
	OpTimeout       Op = 11
	OpTimeoutRemove Op = 12
	OpAsyncCancel   Op = 14
	OpFallocate     Op = 17
	OpRead          Op = 22
	OpWrite         Op = 23
	OpUringCmd      Op = 46
)

// SQEFlags modify how one entry is run; set them after a helper filled it.
type SQEFlags uint8

// Flags of an entry. The flag that suppresses completions is left out on
// purpose: InFlight relies on one final completion for each entry.
const (
	SQEDrain    SQEFlags = 1 << 1 // start after all earlier entries completed
	SQELink     SQEFlags = 1 << 2 // the next entry starts after this succeeded
	SQEHardlink SQEFlags = 1 << 3 // the next entry starts after this completed
	SQEAsync    SQEFlags = 1 << 4 // run on a kernel worker at once
)

// RWFlags are the per-request flags of reads and writes, as of pwritev2(2).
type RWFlags uint32

// Flags of reads and writes.
const (
	RWFHipri  RWFlags = 0x01 // high priority
	RWFDsync  RWFlags = 0x02 // write as if the file were opened with O_DSYNC
	RWFSync   RWFlags = 0x04 // write as if the file were opened with O_SYNC
	RWFNowait RWFlags = 0x08 // answer EAGAIN instead of blocking
	RWFAppend RWFlags = 0x10 // append, whatever the offset
)

// CQEFlags tell about a completion.
type CQEFlags uint32

// CQEMore says that the same entry will yield further completions (multishot).
const CQEMore CQEFlags = 1 << 1

// CancelFlags choose what AsyncCancel matches; zero matches by user data.
type CancelFlags uint32

// Flags of AsyncCancel.
const (
	CancelAll CancelFlags = 1 << 0 // every match, not only the first
	CancelFd  CancelFlags = 1 << 1 // match by file descriptor
	CancelAny CancelFlags = 1 << 2 // match everything
)

// TimeoutFlags choose the clock of a timeout; zero is relative, monotonic.
type TimeoutFlags uint32

// Flags of timeouts.
const (
	TimeoutAbs      TimeoutFlags = 1 << 0 // an absolute time of the clock
	TimeoutBoottime TimeoutFlags = 1 << 2 // the clock that counts suspension
	TimeoutRealtime TimeoutFlags = 1 << 3 // the wall clock
	TimeoutSuccess  TimeoutFlags = 1 << 5 // expiry is no failure for a link
)

// SetupFlags are the properties of a ring that the kernel granted.
type SetupFlags uint32

// Properties of a ring.
const (
	SetupCQSize       SetupFlags = 1 << 3
	SetupSubmitAll    SetupFlags = 1 << 7
	SetupCoopTaskrun  SetupFlags = 1 << 8
	SetupSQE128       SetupFlags = 1 << 10
	SetupSingleIssuer SetupFlags = 1 << 12
	SetupDeferTaskrun SetupFlags = 1 << 13
)

const (
	fsyncDatasync = 1 << 0
	pollAddMulti  = 1 << 0

	enterGetEvents = 1 << 0
	enterExtArg    = 1 << 3

	sqCQOverflow = 1 << 1

	featSingleMmap   = 1 << 0
	featNodrop       = 1 << 1
	featSubmitStable = 1 << 2
	featExtArg       = 1 << 8
	// featNeeded is what the binding cannot do without; all of it is older
	// than the oldest supported kernel.
	featNeeded = featSingleMmap | featNodrop | featSubmitStable | featExtArg

	registerProbe      = 8
	registerSyncCancel = 24

	opSupported = 1 << 0

	offSQRing = 0
	offSQEs   = 0x10000000

	maxSQEntries = 32768
	maxCQEntries = 2 * maxSQEntries

	// maxRWCount is the most bytes that one read or write moves.
	maxRWCount = 0x7ffff000

	sqeSize    = 64
	sqe128Size = 128
	cqeSize    = 16
)

// SQE is one submission entry, in memory shared with the kernel. Use the
// helpers; the fields are for operations and flags that have none.
type SQE struct {
	Opcode      Op
	Flags       SQEFlags
	IoPrio      uint16
	Fd          int32
	Off         uint64 // file offset; UringCmd: command code in the first 4 bytes
	Addr        uint64
	Len         uint32
	OpFlags     uint32
	UserData    uint64 // handed back in CQE.UserData
	BufIndex    uint16
	Personality uint16
	FileIndex   int32
	Cmd         [16]byte // UringCmd: the command; 80 bytes on an SQE128 ring, see Ring.Cmd
}

// CQE is one completion.
type CQE struct {
	UserData uint64 // of the entry
	Res      int32  // result, or a negative errno
	Flags    CQEFlags
}

// Iovec is one piece of a vectored read or write: address and length in bytes.
// Set fills it.
type Iovec struct {
	Base uintptr
	Len  uintptr
}

type sqOffsets struct {
	head, tail, ringMask, ringEntries, flags, dropped, array, resv1 uint32
	userAddr                                                        uint64
}

type cqOffsets struct {
	head, tail, ringMask, ringEntries, overflow, cqes, flags, resv1 uint32
	userAddr                                                        uint64
}

type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	resv                                                                   [3]uint32
	sqOff                                                                  sqOffsets
	cqOff                                                                  cqOffsets
}

type timespec struct {
	sec, nsec int64
}

type getEventsArg struct {
	sigmask     uint64
	sigmaskSize uint32
	minWaitUsec uint32
	ts          uint64
}

type syncCancelReg struct {
	addr    uint64
	fd      int32
	flags   uint32
	timeout timespec
	opcode  uint8
	pad     [7]uint8
	pad2    [3]uint64
}

type probeOp struct {
	op    uint8
	resv  uint8
	flags uint16
	resv2 uint32
}

type probe struct {
	lastOp uint8
	opsLen uint8
	resv   uint16
	resv2  [3]uint32
	ops    [256]probeOp
}
