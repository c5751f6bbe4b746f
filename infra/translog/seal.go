package translog

import (
	"hash/crc32"

	"mars/infra/mutant"
)

// sealSize is what the header check covers behind the identity: header, sequence number, payload CRC, file offset.
const sealSize = HeaderSize + 4 + sumSize + 8

// sealer computes header checks of one log. The scratch space is a field because a local one would be moved to the heap.
type sealer struct {
	state   uint32 // CRC32C of the identity payload
	scratch [sealSize]byte
}

// header returns the header check of a record at file offset off; the word in hdr that holds it is taken as 0.
func (s *sealer) header(hdr []byte, seq, payloadCRC uint32, off int64) uint32 {
	b := &s.scratch
	copy(b[:HeaderSize], hdr)
	le.PutUint32(b[offCheck:], 0)
	le.PutUint32(b[HeaderSize:], seq)
	le.PutUint32(b[HeaderSize+4:], payloadCRC)
	if mutant.Is(mutant.OffsetUnsealed) {
		off = 0
	}
	le.PutUint64(b[HeaderSize+8:], uint64(off))
	return crc32.Update(s.state, castagnoli, b[:])
}
