package wire

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"mars/infra/lamport"
)

// Limits of fields, in bytes unless said otherwise.
const (
	MaxName    = 63          // names of hosts and resources
	MaxUUID    = 36          // the cluster's uuid
	MaxVersion = 64          // a release's version text
	MaxPath    = 1024        // a path in the symlink tree
	MaxValue   = 4096        // the value of a link
	MaxText    = 512         // texts for people
	MaxOffset  = 1<<62 - 1   // positions and sizes
	MaxNumber  = 999_999_999 // the number of a transaction log: nine digits
	MaxWaitMs  = 600_000     // milliseconds that a server may hold a request
	MaxLinks   = 100_000     // links in a tree
	MaxSums    = 2048        // sums in one Digests
	SumSize    = 16          // one sum
)

// reader takes fields off a frame, one after the other. After the first error
// all others are zero, so that only one check at the end is needed.
type reader struct {
	rest []byte
	typ  Type
	err  error
}

// open starts to read a frame that must be of type t.
func open(frame []byte, t Type) reader {
	switch {
	case len(frame) == 0:
		return reader{typ: t, err: &DecodeError{Type: t, Err: ErrShort}}
	case Type(frame[0]) != t:
		return reader{typ: t, err: &DecodeError{Type: t, Err: ErrType}}
	case len(frame) > t.Limit():
		return reader{typ: t, err: &DecodeError{Type: t, Err: ErrLimit}}
	}
	return reader{rest: frame[1:], typ: t}
}

// fail notes the first error.
func (r *reader) fail(field string, err error) {
	if r.err == nil {
		r.err = &DecodeError{Type: r.typ, Field: field, Err: err}
		r.rest = nil
	}
}

// take returns the next n bytes, aliasing the frame, or nil.
func (r *reader) take(field string, n int) []byte {
	if r.err != nil {
		return nil
	}
	if n > len(r.rest) {
		r.fail(field, ErrShort)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u8(field string) uint8 {
	if b := r.take(field, 1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16(field string) uint16 {
	if b := r.take(field, 2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// u32 returns a number from least to most.
func (r *reader) u32(field string, least, most uint32) uint32 {
	b := r.take(field, 4)
	if b == nil {
		return 0
	}
	v := binary.LittleEndian.Uint32(b)
	if v < least || v > most {
		r.fail(field, ErrLimit)
		return 0
	}
	return v
}

func (r *reader) u64(field string) uint64 {
	if b := r.take(field, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// offset returns a position or size in bytes.
func (r *reader) offset(field string) int64 {
	v := r.u64(field)
	if v > MaxOffset {
		r.fail(field, ErrLimit)
		return 0
	}
	return int64(v)
}

func (r *reader) stamp(field string) lamport.Stamp { return lamport.Stamp(r.u64(field)) }

// text returns a text of least to most bytes; old, if it is the same: then
// nothing is allocated.
func (r *reader) text(field, old string, least, most int) string {
	b := r.bytes(field, least, most)
	if old == string(b) {
		return old
	}
	return string(b)
}

// bytes is text, aliasing the frame.
func (r *reader) bytes(field string, least, most int) []byte {
	n := int(r.u16(field))
	if r.err == nil && (n < least || n > most) {
		r.fail(field, ErrLimit)
	}
	return r.take(field, n)
}

// data returns up to most bytes, aliasing the frame.
func (r *reader) data(field string, most uint32) []byte {
	return r.take(field, int(r.u32(field, 0, most)))
}

func appendU16(dst []byte, v uint16) []byte { return binary.LittleEndian.AppendUint16(dst, v) }
func appendU32(dst []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(dst, v) }
func appendU64(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }

func appendStamp(dst []byte, s lamport.Stamp) []byte { return appendU64(dst, uint64(s)) }

func appendOffset(dst []byte, field string, v int64) []byte {
	must(field, v, 0, MaxOffset)
	return appendU64(dst, uint64(v))
}

func appendNumber(dst []byte, field string, v, least, most uint32) []byte {
	must(field, int64(v), int64(least), int64(most))
	return appendU32(dst, v)
}

func appendText(dst []byte, field, s string, least, most int) []byte {
	must(field, int64(len(s)), int64(least), int64(most))
	return append(appendU16(dst, uint16(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// cut shortens a text for people to most bytes, at a character's border.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// must holds our own messages within the limits that peers will check.
func must(field string, v, least, most int64) {
	if v < least || v > most {
		panic(fmt.Sprintf("wire: %s is %d, allowed is %d to %d", field, v, least, most))
	}
}
