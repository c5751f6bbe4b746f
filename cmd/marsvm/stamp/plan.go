// SPDX-License-Identifier: GPL-2.0-or-later

package stamp

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
)

// Sector is what a disk writes entirely or not at all, in bytes.
const Sector = 512

// MaxSectors bounds one write.
const MaxSectors = 64

// Plan says who writes what, where. The zero Plan has no workers.
type Plan struct {
	Seed    uint64
	Workers int
	Sectors int64 // of the disk; each worker has an equal share of them
}

// Region returns the first sector of a worker's region and its length.
func (p Plan) Region(worker int) (first, length int64) {
	length = p.Sectors / int64(p.Workers)
	return int64(worker) * length, length
}

// Write returns the range of sectors of a worker's write number n, from 1.
// Every second one is a single sector.
func (p Plan) Write(worker int, n uint64) (first, sectors int64) {
	rng := rand.New(rand.NewPCG(p.Seed+uint64(worker), n))
	base, length := p.Region(worker)
	switch rng.IntN(4) {
	case 0, 1:
		sectors = 1
	case 2:
		sectors = 8
	default:
		sectors = 1 + rng.Int64N(MaxSectors)
	}
	sectors = min(sectors, length)
	return base + rng.Int64N(length-sectors+1), sectors
}

// Fill makes the content of one sector of a write; buf has Sector bytes. No two
// sectors of any writes are equal.
func (p Plan) Fill(buf []byte, worker int, n uint64, sector int64) {
	rng := rand.New(rand.NewPCG(p.Seed^n<<20, uint64(worker)<<48|uint64(sector)))
	for i := 0; i < Sector; i += 8 {
		binary.LittleEndian.PutUint64(buf[i:], rng.Uint64())
	}
}

// journalMagic begins a sector of the journal.
const journalMagic = 0x6c6e6a2d7372616d

// Journal makes the journal's sector that acknowledges a worker's writes up to
// number n; it belongs at sector number worker. buf has Sector bytes.
func Journal(buf []byte, worker int, n uint64) {
	clear(buf[:Sector])
	binary.LittleEndian.PutUint64(buf, journalMagic)
	binary.LittleEndian.PutUint64(buf[8:], uint64(worker))
	binary.LittleEndian.PutUint64(buf[16:], n)
	binary.LittleEndian.PutUint32(buf[24:], crc32.ChecksumIEEE(buf[:24]))
}

// ParseJournal reads what Journal made.
func ParseJournal(buf []byte) (worker int, n uint64, ok bool) {
	if len(buf) < Sector || binary.LittleEndian.Uint64(buf) != journalMagic ||
		binary.LittleEndian.Uint32(buf[24:]) != crc32.ChecksumIEEE(buf[:24]) {
		return 0, 0, false
	}
	return int(binary.LittleEndian.Uint64(buf[8:])), binary.LittleEndian.Uint64(buf[16:]), true
}

// File returns the content of file number n of the file system's load, from 1:
// one byte to 8 KiB.
func (p Plan) File(n uint64) []byte {
	rng := rand.New(rand.NewPCG(p.Seed, n^1<<63))
	data := make([]byte, 1+rng.IntN(8<<10))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}
