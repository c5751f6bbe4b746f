package wire

import (
	"fmt"

	"mars/infra/lamport"
)

// The versions of the protocol that this release speaks.
const (
	ProtoMin = 1
	ProtoMax = 1
)

// magic begins every Hello, so that another protocol is recognised as such.
const magic = "MARS"

// Purpose is what a connection is for; each has a port of its own.
type Purpose uint8

// The purposes in the order of their ports, starting at mars_port.
const (
	ForTree Purpose = 1
	ForLog  Purpose = 2
	ForSync Purpose = 3
)

// String returns "tree", "log", "sync", or the number of another purpose.
func (p Purpose) String() string {
	switch p {
	case ForTree:
		return "tree"
	case ForLog:
		return "log"
	case ForSync:
		return "sync"
	}
	return fmt.Sprintf("purpose %d", uint8(p))
}

// Allows reports whether frames of type t belong on a connection of this
// purpose. Unknown types belong everywhere, for they are skipped.
func (p Purpose) Allows(t Type) bool {
	switch t {
	case TypeHello, TypeError, TypeInfo, TypeHeartbeat:
		return true
	case TypeNotify, TypeSubscribeTree, TypeTreeBegin, TypeTreeLinks, TypeTreeEnd:
		return p == ForTree
	case TypeFetchLog, TypeLogData:
		return p == ForLog
	case TypeReadBlocks, TypeBlocks, TypeDigest, TypeDigests, TypeSyncInfo, TypeSyncState:
		return p == ForSync
	}
	return true
}

// Hello is the first message in both directions.
type Hello struct {
	ProtoMin, ProtoMax uint16 // versions of the protocol, 1 <= min <= max
	ClusterUUID        string // at most MaxUUID, may be empty
	Host               string // the sender's name, at most MaxName
	Stamp              lamport.Stamp
	SystemTime         lamport.Stamp // the sender's system clock
	Purpose            Purpose
	Version            string // of the release, for people; cut to MaxVersion
	// Life is another number after each start of the sender, or 0 if it does not
	// tell: by it a peer knows that connections to an earlier life are dead.
	Life uint64
}

// Type returns TypeHello.
func (m *Hello) Type() Type { return TypeHello }

// Append appends the frame to dst.
func (m *Hello) Append(dst []byte) []byte {
	dst = append(append(dst, byte(TypeHello)), magic...)
	dst = appendU16(appendU16(dst, m.ProtoMin), m.ProtoMax)
	dst = appendText(dst, "cluster uuid", m.ClusterUUID, 0, MaxUUID)
	dst = appendText(dst, "host", m.Host, 1, MaxName)
	dst = appendStamp(appendStamp(dst, m.Stamp), m.SystemTime)
	dst = append(dst, byte(m.Purpose))
	return appendU64(appendText(dst, "version", cut(m.Version, MaxVersion), 0, MaxVersion), m.Life)
}

// Decode reads the frame.
func (m *Hello) Decode(frame []byte) error {
	r := open(frame, TypeHello)
	if b := r.take("magic", len(magic)); string(b) != magic {
		r.fail("magic", ErrValue)
	}
	m.ProtoMin = r.u16("lowest version")
	m.ProtoMax = r.u16("highest version")
	if m.ProtoMin < 1 || m.ProtoMin > m.ProtoMax {
		r.fail("versions", ErrValue)
	}
	m.ClusterUUID = r.text("cluster uuid", m.ClusterUUID, 0, MaxUUID)
	m.Host = r.text("host", m.Host, 1, MaxName)
	m.Stamp = r.stamp("stamp")
	m.SystemTime = r.stamp("system time")
	m.Purpose = Purpose(r.u8("purpose"))
	m.Version = r.text("version", m.Version, 0, MaxVersion)
	m.Life = r.u64("life")
	return r.err
}

// Negotiate returns the highest version that both ranges hold, which both
// sides compute alike. The error is an *Error with CodeVersion.
func Negotiate(aMin, aMax, bMin, bMax uint16) (uint16, error) {
	best := min(aMax, bMax)
	if best < max(aMin, bMin) || best == 0 {
		return 0, &Error{Code: CodeVersion, Text: fmt.Sprintf("no common protocol version: %d-%d here, %d-%d there", aMin, aMax, bMin, bMax)}
	}
	return best, nil
}

// Accept checks the peer's greeting m against our own on the same connection
// and against the host name that the peer has proved by its certificate (empty
// on an insecure network: then it is believed). It returns the version to be
// spoken. The error is an *Error to be sent before closing.
func (m *Hello) Accept(own *Hello, proved string) (version uint16, err error) {
	switch {
	case m.ClusterUUID != own.ClusterUUID:
		return 0, &Error{Code: CodeCluster, Text: "another cluster"}
	case proved != "" && m.Host != proved:
		return 0, &Error{Code: CodeCluster, Text: "the name is not the certificate's"}
	case m.Host == own.Host:
		return 0, &Error{Code: CodeCluster, Text: "the name is this host's own"}
	case m.Purpose != own.Purpose:
		return 0, &Error{Code: CodeVersion, Text: "this port is for " + own.Purpose.String()}
	}
	return Negotiate(own.ProtoMin, own.ProtoMax, m.ProtoMin, m.ProtoMax)
}
