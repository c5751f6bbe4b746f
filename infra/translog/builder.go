package translog

import (
	"fmt"
	"hash/crc32"

	"mars/infra/mutant"
)

// Builder packs records into batches of one logfile, from its first byte to its last. It keeps identity and sequence
// number from batch to batch. It belongs to one user and allocates nothing after [NewBuilder].
//
// Calls that no data can justify (a record that does not fit, a batch that does not continue the file) panic: they would
// write a log that nobody can read.
type Builder struct {
	seal     sealer
	identity []byte // payload of the first record
	seq      uint32 // last one used
	stamp    Stamp  // last one seen, for fillers
	next     int64  // where the next batch must start

	buf     []byte // staging buffer of the open batch, nil if none
	used    int
	durable int64
}

// NewBuilder returns a Builder for a new, empty file. created is the stamp of the identity record.
func NewBuilder(id Identity, created Stamp) (*Builder, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	return &Builder{
		seal:     sealer{state: id.crcState()},
		identity: id.append(nil),
		stamp:    created,
	}, nil
}

// Begin opens a batch that will be written at fileOff, the end of the last one (0 for the first). buf is the staging
// buffer; a multiple of the alignment long, it belongs to the Builder until Close. durableEnd is up to where the file
// is known to be durable now; a multiple of [Unit], not beyond fileOff. The first batch starts with the identity record.
func (b *Builder) Begin(buf []byte, fileOff, durableEnd int64) {
	switch {
	case b.buf != nil:
		panic("translog: Begin within a batch")
	case fileOff != b.next:
		panic(fmt.Sprintf("translog: batch at %d does not continue the file at %d", fileOff, b.next))
	case durableEnd < 0 || durableEnd > fileOff || durableEnd%Unit != 0:
		panic(fmt.Sprintf("translog: impossible durable end %d at %d", durableEnd, fileOff))
	case len(buf) == 0 || len(buf)%Unit != 0:
		panic(fmt.Sprintf("translog: staging buffer of %d bytes", len(buf)))
	}
	b.buf, b.used, b.durable = buf, 0, durableEnd
	if b.seq == 0 {
		b.room(len(b.identity))
		copy(buf[HeaderSize:], b.identity)
		b.finish(CodeFiller, 0, len(b.identity))
	}
}

// Fits reports whether a record with a payload of payloadLen bytes (8 for AppendRange) can still be appended to the
// batch, with room to close it.
func (b *Builder) Fits(payloadLen int) bool {
	rest := len(b.buf) - b.used - Overhead - payloadLen
	return rest == 0 || rest >= minFiller
}

// Append adds a record and returns the file offset of its end: it is durable when the durable end has reached that.
// pos is the position on the disk in bytes; payload, a multiple of 4 and 4 to 4096 bytes long, is copied; stamp is when
// the write was issued. The caller asked Fits before.
func (b *Builder) Append(code Code, pos int64, payload []byte, stamp Stamp) (end int64) {
	if code == CodeFiller || code.isRange() || pos < 0 {
		panic(fmt.Sprintf("translog: Append of %v at %d", code, pos))
	}
	b.room(len(payload))
	copy(b.buf[b.used+HeaderSize:], payload)
	b.stamp = stamp
	return b.finish(code, pos, len(payload))
}

// AppendRange is Append for CodeWriteZeroes and CodeDiscard, of length bytes from pos. Its payload takes 8 bytes.
func (b *Builder) AppendRange(code Code, pos, length int64, stamp Stamp) (end int64) {
	if !code.isRange() || pos < 0 || length <= 0 || pos+length < 0 {
		panic(fmt.Sprintf("translog: AppendRange of %v, %d bytes at %d", code, length, pos))
	}
	b.room(rangeLength)
	le.PutUint64(b.buf[b.used+HeaderSize:], uint64(length))
	b.stamp = stamp
	return b.finish(code, pos, rangeLength)
}

// Len returns how many bytes the open batch holds, the identity record included; the closing filler is not.
func (b *Builder) Len() int { return b.used }

// Seq returns the sequence number of the last record.
func (b *Builder) Seq() uint32 { return b.seq }

// Close ends the batch at a multiple of align (a multiple of [Unit] which divides the batch's offset and the length of
// the staging buffer) and returns the bytes to write at the offset given to Begin. Nothing was appended: they are none.
func (b *Builder) Close(align int) []byte {
	if b.buf == nil || align <= 0 || align%Unit != 0 || len(b.buf)%align != 0 || b.next%int64(align) != 0 {
		panic(fmt.Sprintf("translog: Close to %d bytes, batch at %d in a buffer of %d", align, b.next, len(b.buf)))
	}
	gap := (align - b.used%align) % align
	if gap > 0 && gap < minFiller {
		gap += align
	}
	for gap > 0 {
		n := min(gap, MaxRecord)
		if rest := gap - n; rest > 0 && rest < minFiller {
			n -= minFiller
		}
		clear(b.buf[b.used+HeaderSize : b.used+n-TrailerSize])
		b.finish(CodeFiller, 0, n-Overhead)
		gap -= n
	}
	batch := b.buf[:b.used]
	b.next += int64(b.used)
	b.buf = nil
	return batch
}

// room panics unless a record with that payload may be appended.
func (b *Builder) room(payloadLen int) {
	switch {
	case b.buf == nil:
		panic("translog: record outside a batch")
	case payloadLen <= 0 || payloadLen > MaxPayload || payloadLen%recordAlign != 0:
		panic(fmt.Sprintf("translog: payload of %d bytes", payloadLen))
	case !b.Fits(payloadLen):
		panic(fmt.Sprintf("translog: payload of %d bytes does not fit behind %d of %d", payloadLen, b.used, len(b.buf)))
	}
}

// finish puts header and trailer around a payload that is already in its place, and returns the record's end.
func (b *Builder) finish(code Code, pos int64, payloadLen int) int64 {
	b.seq++
	if b.seq == 0 {
		panic("translog: sequence numbers exhausted")
	}
	total := payloadLen + Overhead
	rec := b.buf[b.used : b.used+total : b.used+total]
	off := b.next + int64(b.used)

	le.PutUint64(rec, startMagic)
	rec[offVersion] = formatVersion
	rec[offValid] = 1
	le.PutUint16(rec[offTotal:], uint16(total))
	le.PutUint64(rec[offStampSec:], uint64(b.stamp.Sec))
	le.PutUint64(rec[offStampNsec:], uint64(b.stamp.Nsec))
	le.PutUint64(rec[offPos:], uint64(pos))
	le.PutUint16(rec[offLen:], uint16(payloadLen))
	le.PutUint16(rec[offPlainLen:], 0)
	le.PutUint16(rec[offCode:], uint16(code))
	lag := lagOf(off, b.durable)
	if mutant.Is(mutant.NoDurableDistance) {
		lag = 0
	}
	le.PutUint16(rec[offLag:], lag)

	sum := crc32.Checksum(rec[HeaderSize:HeaderSize+payloadLen], castagnoli)
	le.PutUint32(rec[offCheck:], b.seal.header(rec[:HeaderSize], b.seq, sum, off))

	tr := rec[HeaderSize+payloadLen:]
	clear(tr)
	le.PutUint64(tr, endMagic)
	tr[offValid2] = 1
	le.PutUint16(tr[offFlags:], flagCRC32C)
	le.PutUint32(tr[offSeq:], b.seq)
	le.PutUint32(tr[offDigest:], sum)

	b.used += total
	return off + int64(total)
}
