package translog

import (
	"errors"
	"fmt"
)

// ErrNeedMore means that the window ends too early: feed one that starts at or before Pos and reaches at least
// [MaxRecord] bytes beyond it (or the limit), and call again.
var ErrNeedMore = errors.New("translog: need more data")

// Reason tells why a position does not hold the next record.
type Reason uint8

// The reasons.
const (
	// ReasonZeros: zeros where a header should be, as in prepared space.
	ReasonZeros Reason = iota + 1
	// ReasonShort: the limit cuts the record, or lies below the published position.
	ReasonShort
	// ReasonMagic: no start magic.
	ReasonMagic
	// ReasonVersion: unknown format version.
	ReasonVersion
	// ReasonInvalid: a valid flag is not 1: the record was never completed.
	ReasonInvalid
	// ReasonLength: the lengths are out of range or contradict each other.
	ReasonLength
	// ReasonEndMagic: no end magic where the length says.
	ReasonEndMagic
	// ReasonTrailer: a field of the trailer has an impossible value.
	ReasonTrailer
	// ReasonPayload: the payload's checksum is wrong.
	ReasonPayload
	// ReasonHeader: the header check is wrong: a flipped bit, or a record of another log or another offset.
	ReasonHeader
	// ReasonSequence: the sequence number is not the successor of the last one.
	ReasonSequence
	// ReasonRange: the range is empty, ill-formed or reaches beyond the device.
	ReasonRange
	// ReasonIdentity: the file is another one than expected.
	ReasonIdentity
	// ReasonNoIdentity: the file's identity is not known, so nothing in it can be verified: it does not start with an
	// identity record (a file of the original?), or a scan starts in the middle without being told the identity.
	ReasonNoIdentity
	// ReasonUnsupported: sound, but made by means that this release does not know.
	ReasonUnsupported
)

var reasonText = [...]string{
	ReasonZeros:       "zeros instead of a record",
	ReasonShort:       "the file is too short",
	ReasonMagic:       "no start magic",
	ReasonVersion:     "unknown format version",
	ReasonInvalid:     "record not marked valid",
	ReasonLength:      "bad record length",
	ReasonEndMagic:    "no end magic",
	ReasonTrailer:     "bad trailer field",
	ReasonPayload:     "bad payload checksum",
	ReasonHeader:      "bad header checksum",
	ReasonSequence:    "bad sequence number",
	ReasonRange:       "range outside the device",
	ReasonIdentity:    "another log's identity",
	ReasonNoIdentity:  "no identity record",
	ReasonUnsupported: "unsupported feature",
}

// String describes r in a few words.
func (r Reason) String() string {
	if int(r) < len(reasonText) && reasonText[r] != "" {
		return reasonText[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// CorruptError reports that there is no sound record at an offset. By itself it does not say damage: an unwritten or
// torn tail looks the same; see [Scanner.Probe].
type CorruptError struct {
	// Off is the offset in the file at which the next record should be.
	Off int64
	// Reason is the first check that failed.
	Reason Reason
	// Want and Got are what the check compared, both 0 where there is no number to show.
	Want, Got uint64

	// proven: the record is genuine by its checks, and refused nevertheless; no torn write does that.
	proven bool
}

// Error describes the failure in one line.
func (e *CorruptError) Error() string {
	if e.Want == e.Got {
		return fmt.Sprintf("translog: offset %d: %v", e.Off, e.Reason)
	}
	return fmt.Sprintf("translog: offset %d: %v: want %#x, got %#x", e.Off, e.Reason, e.Want, e.Got)
}
