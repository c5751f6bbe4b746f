package translog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Sizes of the format, in bytes.
const (
	// HeaderSize is what precedes a record's payload.
	HeaderSize = 48
	// TrailerSize is what follows a record's payload.
	TrailerSize = 36
	// Overhead is the length of a record beyond its payload.
	Overhead = HeaderSize + TrailerSize
	// MaxPayload is the largest payload of a record; larger writes take several records.
	MaxPayload = 4096
	// MaxRecord is the longest record. A reader's window must hold at least that much.
	MaxRecord = Overhead + MaxPayload
	// MaxInFlight bounds how far the written end of a log may run ahead of its durable end, and thereby how far a
	// [Prober] looks. A writer must stay below it, or damage may be taken for a torn tail.
	MaxInFlight = 32 << 20
	// Unit is the granularity of batches and durable ends: no device has smaller sectors.
	Unit = 512
)

// Offsets of fields, from the start of the header and of the trailer.
const (
	offVersion   = 8
	offValid     = 9
	offTotal     = 10
	offStampSec  = 12
	offStampNsec = 20
	offPos       = 28
	offLen       = 36
	offPlainLen  = 38
	offCheck     = 40
	offCode      = 44
	offLag       = 46

	offOldSum   = 8
	offValid2   = 12
	offSpare    = 13
	offFlags    = 14
	offSeq      = 16
	offDigest   = 20
	digestSize  = 16
	sumSize     = 4
	rangeLength = 8 // payload of WRITE_ZEROES and DISCARD
)

const (
	startMagic    uint64 = 0xa8f7e908d9177957
	endMagic      uint64 = 0x74941fb74ab5726d
	formatVersion        = 1

	flagOldMD5 = 1 << 0
	flagMD5    = 1 << 1
	flagCRC32C = 1 << 2

	lagUnknown = 65535
	// recordAlign divides the offset of every record of ours, since it divides every payload length.
	recordAlign = 4
	// minFiller is the shortest filler: later releases of the original refuse an empty payload.
	minFiller = Overhead + recordAlign
)

// castagnoli is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// Code tells what a record does to the disk.
type Code uint16

// The codes. 0 to 15 are the original's.
const (
	// CodeFiller does nothing: it closes a batch, or carries the identity. Readers skip it.
	CodeFiller Code = 0
	// CodeWriteNew holds the new content of the range.
	CodeWriteNew Code = 1
	// CodeWriteOld holds the former content of a range; replay ignores it.
	CodeWriteOld Code = 2
	// CodeWriteZeroes makes the range read as zeros.
	CodeWriteZeroes Code = 16
	// CodeDiscard gives the range up; what it reads as is undefined until it is written.
	CodeDiscard Code = 17
)

// String returns the name of c for messages and dumps.
func (c Code) String() string {
	switch c {
	case CodeFiller:
		return "FILLER"
	case CodeWriteNew:
		return "WRITE_NEW"
	case CodeWriteOld:
		return "WRITE_OLD"
	case CodeWriteZeroes:
		return "WRITE_ZEROES"
	case CodeDiscard:
		return "DISCARD"
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// isRange reports whether c's payload is the length of a range.
func (c Code) isRange() bool { return c == CodeWriteZeroes || c == CodeDiscard }

// isWrite reports whether c's payload is content of the disk.
func (c Code) isWrite() bool { return c == CodeWriteNew || c == CodeWriteOld }

// Stamp is a Lamport time as the record stores it. Nothing here interprets it.
type Stamp struct {
	Sec  int64 // seconds since the epoch
	Nsec int64 // nanoseconds within the second
}

// Record is one record as a reader gets it.
type Record struct {
	// Code tells what the record does. A code that this release does not know is handed out; replay must refuse it.
	Code Code
	// Seq is the record's number in its file, from 1.
	Seq uint32
	// Pos is where on the disk the range starts, in bytes.
	Pos int64
	// Len is how many bytes of the disk the record is about: the payload's length, for WRITE_ZEROES and DISCARD the
	// length of the range, 0 for a filler.
	Len int64
	// Payload is what the record stores. It points into the window that was fed and is good until the next Feed.
	Payload []byte
	// Stamp is when the write was issued.
	Stamp Stamp
	// Off and End are the record's own place in the file: [Off, End), in bytes.
	Off, End int64
	// DurableEnd is the log's durable end when the record was built, -1 if not known.
	DurableEnd int64
}

// lagOf returns the lag field for a record built at off while durable was the durable end.
func lagOf(off, durable int64) uint16 {
	units := (off - durable + Unit - 1) / Unit
	if units >= lagUnknown {
		return lagUnknown
	}
	return uint16(units)
}

// durableEnd is the inverse of lagOf.
func durableEnd(off int64, lag uint16) int64 {
	if lag == lagUnknown {
		return -1
	}
	low := off - int64(lag)*Unit
	return max(0, (low+Unit-1)/Unit*Unit)
}
