// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"fmt"
	"math/bits"
	"time"
)

// Config describes a new device. Zero fields mean the default.
type Config struct {
	// ID is the N of /dev/ublkbN; 0 is an id like others, AutoID lets the kernel
	// choose. Ids of one's own from 1000 up keep out of the way of other programs.
	ID uint32
	// Size is the capacity in bytes, a multiple of BlockSize, above 0.
	Size int64
	// BlockSize is the logical block size, 512 (default) to 4096 bytes;
	// PhysicalBlock, default 4096, the unit the server likes best.
	BlockSize, PhysicalBlock int
	// MaxIO is the largest read or write in bytes, a multiple of 4096, at most
	// 32 MiB; default 512 KiB. Depth is the number of requests at a time, 1 to
	// 4096; default 128. Depth * MaxIO bytes of address space are taken; memory
	// only for what requests touched.
	MaxIO, Depth int
	// MaxDiscard and MaxWriteZeroes bound these requests, in bytes; 0 means not
	// offered: discards fail, zeroes arrive as writes. DiscardGranularity is a
	// multiple of BlockSize; default PhysicalBlock.
	MaxDiscard, MaxWriteZeroes int64
	DiscardGranularity         int
	// ReadOnly devices get no writes. Rotational tells the kernel that seeks cost.
	ReadOnly, Rotational bool
	// Stamp is kept with the device and shows in Info: a mark by which a program
	// knows its devices again. Recover compares it.
	Stamp uint64
	// IOTimeout is the kernel's patience with a request before it looks after
	// the server; it never fails one. 0 leaves the 30 s of the kernel, except on
	// kernels that wait for it when a server died with all its requests in
	// hand (Plan.IOTimeout): there 1 s is set.
	IOTimeout time.Duration
}

const (
	defaultMaxIO = 512 << 10
	defaultDepth = 128
	pageShift    = 12
)

// withDefaults fills in the defaults and checks the rest.
func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.BlockSize, sectorSize}, {&c.PhysicalBlock, max(1<<pageShift, c.BlockSize)}, {&c.MaxIO, defaultMaxIO},
		{&c.Depth, defaultDepth}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.DiscardGranularity == 0 {
		c.DiscardGranularity = c.PhysicalBlock
	}
	bad := func(what string, v any) (Config, error) {
		return c, fmt.Errorf("ublk: bad configuration: %s is %v", what, v)
	}
	switch {
	case !pow2(c.BlockSize) || c.BlockSize < sectorSize || c.BlockSize > 1<<pageShift:
		return bad("BlockSize", c.BlockSize)
	case !pow2(c.PhysicalBlock) || c.PhysicalBlock < c.BlockSize || c.PhysicalBlock > 1<<20:
		return bad("PhysicalBlock", c.PhysicalBlock)
	case c.Size <= 0 || c.Size%int64(c.BlockSize) != 0:
		return bad("Size", c.Size)
	case c.MaxIO < minIOBytes || c.MaxIO > maxIOBytes || c.MaxIO%(1<<pageShift) != 0:
		return bad("MaxIO", c.MaxIO)
	case c.Depth < 1 || c.Depth > maxDepth:
		return bad("Depth", c.Depth)
	case !limitOK(c.MaxDiscard, c.BlockSize):
		return bad("MaxDiscard", c.MaxDiscard)
	case !limitOK(c.MaxWriteZeroes, c.BlockSize):
		return bad("MaxWriteZeroes", c.MaxWriteZeroes)
	case c.DiscardGranularity < 0 || c.DiscardGranularity%c.BlockSize != 0 || c.DiscardGranularity > 1<<30:
		return bad("DiscardGranularity", c.DiscardGranularity)
	case c.IOTimeout < 0:
		return bad("IOTimeout", c.IOTimeout)
	}
	return c, nil
}

func pow2(n int) bool { return n > 0 && n&(n-1) == 0 }

func limitOK(n int64, block int) bool {
	return n >= 0 && n%int64(block) == 0 && n>>sectorShift <= 1<<32-1
}

// devInfo is the argument of ADD.
func (c Config) devInfo(flags Features) devInfo {
	return devInfo{nrHWQueues: 1, queueDepth: uint16(c.Depth), maxIOBufBytes: uint32(c.MaxIO), devID: c.ID,
		flags: uint64(flags), srvFlags: c.Stamp}
}

// params is the argument of SET_PARAMS. The device always has a volatile cache
// and takes FUA: without the first the kernel would send neither flushes nor
// FUA, without the second it would send a flush after each FUA write.
func (c Config) params(maxIO int) params {
	shift := func(n int) uint8 { return uint8(bits.TrailingZeros(uint(n))) }
	p := params{len: paramsSize, types: paramBasic}
	p.basic = paramBasicBlock{
		attrs:           attrCache | attrFUA,
		logicalBSShift:  shift(c.BlockSize),
		physicalBSShift: shift(c.PhysicalBlock),
		ioOptShift:      shift(c.PhysicalBlock),
		ioMinShift:      shift(c.PhysicalBlock),
		maxSectors:      uint32(maxIO >> sectorShift),
		devSectors:      uint64(c.Size >> sectorShift),
	}
	if c.ReadOnly {
		p.basic.attrs |= attrReadOnly
	}
	if c.Rotational {
		p.basic.attrs |= attrRotating
	}
	if c.MaxDiscard > 0 || c.MaxWriteZeroes > 0 {
		p.types |= paramDiscard
		p.discard = paramDiscardBlock{
			granularity:           uint32(c.DiscardGranularity),
			maxDiscardSectors:     uint32(c.MaxDiscard >> sectorShift),
			maxWriteZeroesSectors: uint32(c.MaxWriteZeroes >> sectorShift),
			maxDiscardSegments:    1,
		}
	}
	return p
}

// configOf reads back how a device was made.
func configOf(info Info, p params) Config {
	c := Config{ID: info.ID, Size: int64(p.basic.devSectors) << sectorShift,
		BlockSize: 1 << p.basic.logicalBSShift, PhysicalBlock: 1 << p.basic.physicalBSShift,
		MaxIO: info.MaxIO, Depth: info.Depth, Stamp: info.Stamp,
		ReadOnly: p.basic.attrs&attrReadOnly != 0, Rotational: p.basic.attrs&attrRotating != 0}
	if p.types&paramDiscard != 0 {
		c.MaxDiscard = int64(p.discard.maxDiscardSectors) << sectorShift
		c.MaxWriteZeroes = int64(p.discard.maxWriteZeroesSectors) << sectorShift
		c.DiscardGranularity = int(p.discard.granularity)
	}
	return c
}
