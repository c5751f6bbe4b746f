package wire

import "fmt"

// Code is the reason in an Error message.
type Code uint16

// The codes. A code that is not known (of a later release) is a failure like
// CodeIO.
const (
	CodeNotMember  Code = 1 // the peer is not a member of the resource
	CodeNotPrimary Code = 2 // the server is not primary of the resource
	CodeNoSuchLog  Code = 3 // the server does not have that log
	CodeOutOfRange Code = 4 // behind the log's durable end, or the device's
	CodeBusy       Code = 5 // try again later
	CodeEmergency  Code = 6 // the server is in emergency mode
	CodeIO         Code = 7 // the server could not read it
	CodeVersion    Code = 8 // no common version, or a request of another one
	CodeCluster    Code = 9 // another cluster, or not who it claims to be
)

// String returns the code in words.
func (c Code) String() string {
	switch c {
	case CodeNotMember:
		return "not a member"
	case CodeNotPrimary:
		return "not primary"
	case CodeNoSuchLog:
		return "no such log"
	case CodeOutOfRange:
		return "out of range"
	case CodeBusy:
		return "busy"
	case CodeEmergency:
		return "emergency mode"
	case CodeIO:
		return "IO error"
	case CodeVersion:
		return "version mismatch"
	case CodeCluster:
		return "wrong cluster or host"
	}
	return fmt.Sprintf("code %d", uint16(c))
}

// Error is the reply to a request that can not be served. It also is a Go
// error, so that a client can hand it on and a caller decide by Code.
type Error struct {
	ID   uint64 // of the request; 0: the connection as a whole
	Code Code
	Text string // for people, cut to MaxText; no paths, no data
}

// Error returns code and text.
func (m *Error) Error() string {
	if m.Text == "" {
		return m.Code.String()
	}
	return m.Code.String() + ": " + m.Text
}

// Is makes errors.Is(err, &Error{Code: c}) compare codes only.
func (m *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == m.Code
}

// Type returns TypeError.
func (m *Error) Type() Type { return TypeError }

// Append appends the frame to dst.
func (m *Error) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeError)), m.ID)
	dst = appendU16(dst, uint16(m.Code))
	return appendText(dst, "text", cut(m.Text, MaxText), 0, MaxText)
}

// Decode reads the frame.
func (m *Error) Decode(frame []byte) error {
	r := open(frame, TypeError)
	m.ID = r.u64("id")
	m.Code = Code(r.u16("code"))
	m.Text = r.text("text", m.Text, 0, MaxText)
	return r.err
}

// Info is a remark for the receiver's log, like why a request takes long. It
// has no reply.
type Info struct {
	ID   uint64 // of the request it is about; 0: the connection
	Text string // for people, cut to MaxText
}

// Type returns TypeInfo.
func (m *Info) Type() Type { return TypeInfo }

// Append appends the frame to dst.
func (m *Info) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeInfo)), m.ID)
	return appendText(dst, "text", cut(m.Text, MaxText), 0, MaxText)
}

// Decode reads the frame.
func (m *Info) Decode(frame []byte) error {
	r := open(frame, TypeInfo)
	m.ID = r.u64("id")
	m.Text = r.text("text", m.Text, 0, MaxText)
	return r.err
}
