// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import "unsafe"

// The driver's structures and command codes, as in its header ublk_cmd.h. Sizes
// and offsets are pinned by a test. Padding is explicit, so that they are the
// same on every platform.

// Command codes are _IOC(direction, 'u', number, size of the argument).
const (
	iocRead  = 2
	iocWrite = 1

	ctrlCmdSize = 32
	ioCmdSize   = 16
	ioDescSize  = 24
	devInfoSize = 64
	paramsSize  = 152
)

func ioc(dir, nr, size uint32) uint32 { return dir<<30 | size<<16 | 'u'<<8 | nr }

// ctrlOp is a control command.
type ctrlOp uint8

const (
	opGetDevInfo    ctrlOp = 0x02
	opAddDev        ctrlOp = 0x04
	opDelDev        ctrlOp = 0x05
	opStartDev      ctrlOp = 0x06
	opStopDev       ctrlOp = 0x07
	opSetParams     ctrlOp = 0x08
	opGetParams     ctrlOp = 0x09
	opStartRecovery ctrlOp = 0x10
	opEndRecovery   ctrlOp = 0x11
	opGetFeatures   ctrlOp = 0x13
	opDelDevAsync   ctrlOp = 0x14
	opUpdateSize    ctrlOp = 0x15
	opQuiesceDev    ctrlOp = 0x16
	opTryStopDev    ctrlOp = 0x17
)

var ctrlNames = map[ctrlOp]string{
	opGetDevInfo: "GET_DEV_INFO", opAddDev: "ADD_DEV", opDelDev: "DEL_DEV", opStartDev: "START_DEV",
	opStopDev: "STOP_DEV", opSetParams: "SET_PARAMS", opGetParams: "GET_PARAMS",
	opStartRecovery: "START_USER_RECOVERY", opEndRecovery: "END_USER_RECOVERY",
	opGetFeatures: "GET_FEATURES", opDelDevAsync: "DEL_DEV_ASYNC", opUpdateSize: "UPDATE_SIZE",
	opQuiesceDev: "QUIESCE_DEV", opTryStopDev: "TRY_STOP_DEV",
}

func (op ctrlOp) String() string { return ctrlNames[op] }

// code is the command as the kernel takes it.
func (op ctrlOp) code() uint32 {
	dir := uint32(iocRead | iocWrite)
	switch op {
	case opGetDevInfo, opGetParams, opGetFeatures, opDelDevAsync:
		dir = iocRead
	}
	return ioc(dir, uint32(op), ctrlCmdSize)
}

// Data commands, on the character device.
const (
	cmdFetch          = (iocRead|iocWrite)<<30 | ioCmdSize<<16 | 'u'<<8 | 0x20
	cmdCommitAndFetch = (iocRead|iocWrite)<<30 | ioCmdSize<<16 | 'u'<<8 | 0x21
)

// noQueue stands for "no queue" in a control command; AutoID for "any free id".
const noQueue = 0xffff

// Limits of the driver.
const (
	maxDepth     = 4096
	maxIOBytes   = 32 << 20
	minIOBytes   = 4096
	sectorShift  = 9
	sectorSize   = 1 << sectorShift
	attrReadOnly = 1 << 0
	attrRotating = 1 << 1
	attrCache    = 1 << 2
	attrFUA      = 1 << 3
	paramBasic   = 1 << 0
	paramDiscard = 1 << 1
)

// ctrlCmd is the argument of a control command, in the entry itself.
type ctrlCmd struct {
	devID      uint32
	queueID    uint16
	len        uint16 // bytes at addr
	addr       uint64
	data       uint64 // the inline argument
	devPathLen uint16 // unprivileged devices only
	pad        uint16
	reserved   uint32
}

// devInfo describes a device, in both directions.
type devInfo struct {
	nrHWQueues    uint16
	queueDepth    uint16
	state         uint16
	pad0          uint16
	maxIOBufBytes uint32
	devID         uint32
	srvPID        int32
	pad1          uint32
	flags         uint64
	srvFlags      uint64 // not interpreted by the kernel
	ownerUID      uint32
	ownerGID      uint32
	reserved      [2]uint64
}

type paramBasicBlock struct {
	attrs           uint32
	logicalBSShift  uint8
	physicalBSShift uint8
	ioOptShift      uint8
	ioMinShift      uint8
	maxSectors      uint32
	chunkSectors    uint32
	devSectors      uint64
	virtBoundary    uint64
}

type paramDiscardBlock struct {
	alignment             uint32
	granularity           uint32
	maxDiscardSectors     uint32
	maxWriteZeroesSectors uint32
	maxDiscardSegments    uint16
	reserved              uint16
}

// params are the properties of the block device. Kernels copy as much as they
// know, so the largest form is always sent.
type params struct {
	len       uint32
	types     uint32
	basic     paramBasicBlock
	discard   paramDiscardBlock
	devt      [4]uint32
	zoned     [8]uint32
	dmaAlign  [2]uint32
	pad       uint32
	segment   [2]uint64
	integrity [16]uint8
}

// ioDesc is one request of the kernel, in the descriptor map at index tag.
type ioDesc struct {
	opFlags     uint32 // operation in the low 8 bits
	nrSectors   uint32 // of 512 bytes, whatever the block size
	startSector uint64
	addr        uint64
}

// ioCmd is the argument of a data command.
type ioCmd struct {
	qID    uint16
	tag    uint16
	result int32
	addr   uint64 // where the data of the next request goes to or comes from
}

// Operations of requests as the driver numbers them, and their flags.
const (
	rawRead        = 0
	rawWrite       = 1
	rawFlush       = 2
	rawDiscard     = 3
	rawWriteZeroes = 5

	rawMeta    = 1 << 10
	rawFUA     = 1 << 13
	rawNoUnmap = 1 << 15
)

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// descMapSize is the length of the descriptor map of one queue.
func descMapSize(depth, page int) int { return roundUp(depth*ioDescSize, page) }

// descMapOffset is where the map of a queue begins. The stride is made of the
// largest depth there can be, not of the device's.
func descMapOffset(queue, page int) int64 {
	return int64(queue) * int64(roundUp(maxDepth*ioDescSize, page))
}

// bytesOf views a structure as bytes, to copy it to and from shared memory.
func bytesOf[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
