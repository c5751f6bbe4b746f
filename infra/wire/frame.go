package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of frames, in bytes.
const (
	// MaxControl is the largest control frame, type byte included.
	MaxControl = 64 << 10
	// MaxData is the most payload that a data frame carries.
	MaxData = 1 << 20
	// MaxFrame is the largest data frame, type byte included.
	MaxFrame = MaxData + 4096
	// PrefixSize is the size of the length in front of a frame.
	PrefixSize = 4
	// HeadSize is the size of prefix and type byte: what FrameSize needs.
	HeadSize = PrefixSize + 1
)

// Type is the first byte of a frame.
type Type uint8

// The types of messages. Numbers are never used again for something else.
const (
	TypeHello     Type = 0x01
	TypeError     Type = 0x02
	TypeHeartbeat Type = 0x03
	TypeNotify    Type = 0x04
	TypeInfo      Type = 0x05

	TypeSubscribeTree Type = 0x10
	TypeTreeBegin     Type = 0x11
	TypeTreeLinks     Type = 0x12
	TypeTreeEnd       Type = 0x13

	TypeFetchLog Type = 0x20

	TypeReadBlocks Type = 0x30
	TypeDigest     Type = 0x31
	TypeDigests    Type = 0x32
	TypeSyncInfo   Type = 0x33
	TypeSyncState  Type = 0x34

	TypeLogData Type = firstData | 0x20
	TypeBlocks  Type = firstData | 0x30
)

// firstData is the first type of data frames.
const firstData = 0x80

// Known reports whether this release knows the type. A frame of another type
// is to be skipped.
func (t Type) Known() bool { return t.name() != "" }

// Limit returns the largest frame of this type, also for unknown types.
func (t Type) Limit() int {
	if t >= firstData {
		return MaxFrame
	}
	return MaxControl
}

// String returns the name of the message.
func (t Type) String() string {
	if name := t.name(); name != "" {
		return name
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

func (t Type) name() string {
	switch t {
	case TypeHello:
		return "Hello"
	case TypeError:
		return "Error"
	case TypeHeartbeat:
		return "Heartbeat"
	case TypeNotify:
		return "Notify"
	case TypeInfo:
		return "Info"
	case TypeSubscribeTree:
		return "SubscribeTree"
	case TypeTreeBegin:
		return "TreeBegin"
	case TypeTreeLinks:
		return "TreeLinks"
	case TypeTreeEnd:
		return "TreeEnd"
	case TypeFetchLog:
		return "FetchLog"
	case TypeReadBlocks:
		return "ReadBlocks"
	case TypeDigest:
		return "Digest"
	case TypeDigests:
		return "Digests"
	case TypeSyncInfo:
		return "SyncInfo"
	case TypeSyncState:
		return "SyncState"
	case TypeLogData:
		return "LogData"
	case TypeBlocks:
		return "Blocks"
	}
	return ""
}

// Message is what all messages have in common.
type Message interface {
	// Type returns the type byte.
	Type() Type
	// Append appends the frame, without a prefix, to dst.
	Append(dst []byte) []byte
	// Decode reads a frame, without its prefix. The error is a *DecodeError.
	Decode(frame []byte) error
}

// The reasons for which a frame is refused. A *DecodeError wraps one of them.
var (
	// ErrShort: the frame ends within a field.
	ErrShort = errors.New("frame is too short")
	// ErrLimit: a length or number is beyond its limit.
	ErrLimit = errors.New("beyond its limit")
	// ErrValue: a value that makes no sense.
	ErrValue = errors.New("not a possible value")
	// ErrType: the frame holds another message.
	ErrType = errors.New("frame of another type")
	// ErrFrame: the length in front of a frame is empty or beyond the limit.
	ErrFrame = errors.New("not a possible frame length")
)

// DecodeError tells which field of which message was refused. A connection
// that brought it is to be closed: the peer is broken or hostile.
type DecodeError struct {
	Type  Type
	Field string // empty: the frame as a whole
	Err   error  // one of the Err values of this package
}

// Error names message, field and reason.
func (e *DecodeError) Error() string {
	if e.Field == "" {
		return "wire: " + e.Type.String() + ": " + e.Err.Error()
	}
	return "wire: " + e.Type.String() + ": " + e.Field + ": " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// TypeOf returns the type of a frame (without its prefix); an empty frame
// gives type 0, which is not known.
func TypeOf(frame []byte) Type {
	if len(frame) == 0 {
		return 0
	}
	return Type(frame[0])
}

// AppendPrefix appends the prefix for a frame of size bytes, which must be
// within the limits of its type.
func AppendPrefix(dst []byte, size int) []byte {
	if size < 1 || size > MaxFrame {
		panic(fmt.Sprintf("wire: a frame of %d bytes", size))
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(size))
}

// FrameSize reads the first HeadSize bytes of a frame on a stream and returns
// its length (the type byte, the last of these bytes, included). The error is
// a *DecodeError with ErrFrame if that is beyond the limit of its type.
func FrameSize(head [HeadSize]byte) (int, error) {
	size, t := binary.LittleEndian.Uint32(head[:]), Type(head[PrefixSize])
	if size < 1 || int64(size) > int64(t.Limit()) {
		return 0, &DecodeError{Type: t, Err: ErrFrame}
	}
	return int(size), nil
}
