package translog

import (
	"bytes"
	"crypto/md5"
	"hash/crc32"

	"mars/infra/mutant"
)

// fault is a failed check; the zero value is none.
type fault struct {
	reason    Reason
	want, got uint64
	proven    bool // as in CorruptError
}

// needMore is the fault of a window that ends too early.
const needMore Reason = 255

// magicBytes is the start magic as it lies in the file; read only.
var magicBytes = le.AppendUint64(nil, startMagic)

// allZero reports whether b holds nothing but zeros.
func allZero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}

// windowAt returns the part of buf, which holds the file from bufOff on, from pos up to limit, and whether it reaches
// the limit. It is empty if buf does not hold pos.
func windowAt(buf []byte, bufOff, pos, limit int64) (b []byte, atEnd bool) {
	if pos < bufOff || pos-bufOff >= int64(len(buf)) {
		return nil, pos >= limit
	}
	b = buf[pos-bufOff:]
	if rest := limit - pos; int64(len(b)) >= rest {
		return b[:max(rest, 0)], true
	}
	return b, false
}

// cutFrame returns the record at the start of b if its layout is sound: magics, lengths, valid flags. Nothing in it is
// verified yet. atEnd says that no more bytes exist behind b.
func cutFrame(b []byte, atEnd bool) ([]byte, fault) {
	if len(b) < HeaderSize {
		switch {
		case !atEnd:
			return nil, fault{reason: needMore}
		case allZero(b):
			return nil, fault{reason: ReasonZeros}
		}
		return nil, fault{reason: ReasonShort, want: HeaderSize, got: uint64(len(b))}
	}
	if magic := le.Uint64(b); magic != startMagic {
		if allZero(b[:HeaderSize]) {
			return nil, fault{reason: ReasonZeros}
		}
		return nil, fault{reason: ReasonMagic, want: startMagic, got: magic}
	}
	if v := b[offVersion]; v != formatVersion {
		return nil, fault{reason: ReasonVersion, want: formatVersion, got: uint64(v)}
	}
	if b[offValid] != 1 {
		return nil, fault{reason: ReasonInvalid, want: 1, got: uint64(b[offValid])}
	}
	payload := int(int16(le.Uint16(b[offLen:])))
	total := int(int16(le.Uint16(b[offTotal:])))
	// A compressed payload is padded, so that only the total length counts there.
	if packed := le.Uint16(b[offPlainLen:]) != 0; packed && payload >= 0 && payload <= total-Overhead {
		payload = total - Overhead
	}
	if payload < 0 || payload > MaxPayload || total != payload+Overhead {
		return nil, fault{reason: ReasonLength, want: uint64(payload + Overhead), got: uint64(total)}
	}
	if total > len(b) {
		if atEnd {
			return nil, fault{reason: ReasonShort, want: uint64(total), got: uint64(len(b))}
		}
		return nil, fault{reason: needMore}
	}
	tr := b[HeaderSize+payload:]
	if magic := le.Uint64(tr); magic != endMagic {
		return nil, fault{reason: ReasonEndMagic, want: endMagic, got: magic}
	}
	if tr[offValid2] != 1 {
		return nil, fault{reason: ReasonInvalid, want: 1, got: uint64(tr[offValid2])}
	}
	return b[:total:total], fault{}
}

// payloadOf and trailerOf are the parts of a record from cutFrame.
func payloadOf(rec []byte) []byte { return rec[HeaderSize : len(rec)-TrailerSize] }
func trailerOf(rec []byte) []byte { return rec[len(rec)-TrailerSize:] }

// checkPayload verifies the trailer and the payload of a record of ours.
func checkPayload(rec []byte) fault {
	tr := trailerOf(rec)
	if flags := le.Uint16(tr[offFlags:]); flags != flagCRC32C {
		return fault{reason: ReasonTrailer, want: flagCRC32C, got: uint64(flags)}
	}
	if old := le.Uint32(tr[offOldSum:]); old != 0 {
		return fault{reason: ReasonTrailer, got: uint64(old)}
	}
	if tr[offSpare] != 0 || !allZero(tr[offDigest+sumSize:]) {
		return fault{reason: ReasonTrailer}
	}
	if len(rec)%recordAlign != 0 {
		return fault{reason: ReasonLength}
	}
	want := le.Uint32(tr[offDigest:])
	if got := crc32.Checksum(payloadOf(rec), castagnoli); got != want && !(want == 0 && mutant.Is(mutant.ZeroSumAccepted)) {
		return fault{reason: ReasonPayload, want: uint64(want), got: uint64(got)}
	}
	return fault{}
}

// checkHeader verifies the header check of a record of ours at file offset off, given the stored payload CRC.
func (s *sealer) checkHeader(rec []byte, off int64) fault {
	tr := trailerOf(rec)
	want := le.Uint32(rec[offCheck:])
	got := s.header(rec[:HeaderSize], le.Uint32(tr[offSeq:]), le.Uint32(tr[offDigest:]), off)
	if got != want && !mutant.Is(mutant.PayloadSumOnly) {
		return fault{reason: ReasonHeader, want: uint64(want), got: uint64(got)}
	}
	return fault{}
}

// checkForeign verifies a record of the original as far as it can be verified.
func checkForeign(rec []byte) fault {
	tr, payload := trailerOf(rec), payloadOf(rec)
	if word := le.Uint32(rec[offCheck:]); word != 0 {
		return fault{reason: ReasonHeader, got: uint64(word)}
	}
	if le.Uint16(rec[offPlainLen:]) != 0 {
		return fault{reason: ReasonUnsupported, proven: true}
	}
	var want [digestSize]byte
	switch flags := le.Uint16(tr[offFlags:]); {
	case flags&flagCRC32C != 0:
		want = foldedCRC32C(payload)
	case flags&flagMD5 != 0:
		want = foldedMD5(payload)
	case flags == 0 || flags == flagOldMD5:
		stored := le.Uint32(tr[offOldSum:])
		if stored == 0 {
			return fault{}
		}
		sum := md5.Sum(payload)
		if got := le.Uint32(sum[:]); got != stored {
			return fault{reason: ReasonPayload, want: uint64(stored), got: uint64(got)}
		}
		return fault{}
	default:
		return fault{reason: ReasonUnsupported, got: uint64(flags), proven: true}
	}
	if got := tr[offDigest : offDigest+digestSize]; !bytes.Equal(got, want[:]) {
		return fault{reason: ReasonPayload, want: le.Uint64(got), got: le.Uint64(want[:])}
	}
	return fault{}
}

// foldedCRC32C is the original's digest for the CRC32C flag: eight pieces, the last one takes the remainder; the second
// half of the sums is added onto the first.
func foldedCRC32C(payload []byte) (d [digestSize]byte) {
	const pieces = 8
	size := len(payload) / pieces
	for i := range pieces {
		piece := payload[i*size:]
		if i < pieces-1 {
			piece = piece[:size]
		}
		at := d[i%4*4:]
		le.PutUint32(at, le.Uint32(at)^crc32.Checksum(piece, castagnoli))
	}
	return d
}

// foldedMD5 is the original's digest for the MD5 flag: the sums of both halves, added. An odd last byte is left out.
func foldedMD5(payload []byte) (d [digestSize]byte) {
	half := len(payload) / 2
	first, second := md5.Sum(payload[:half]), md5.Sum(payload[half:2*half])
	for i := range d {
		d[i] = first[i] ^ second[i]
	}
	return d
}
