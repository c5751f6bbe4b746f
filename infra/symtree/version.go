// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// VersionHead is the part of a version link before the colon. It identifies
// the whole history up to this log and length.
type VersionHead struct {
	// Digest is an MD5 over this link's fields and the complete predecessor,
	// in 32 lower-case hexadecimal digits. MD5 is the format's; it protects
	// against accidents, not against members of the cluster.
	Digest string
	Number int    // of the log
	Origin string // host that wrote the log
	Pos    int64  // length of the log known to be durable, 0 or more
}

// VersionLink is the value of version-N-HOST: HEAD:PREV.
type VersionLink struct {
	VersionHead
	Prev *VersionHead // head of the log before; nil for the first log
}

// ZeroDigest is the digest that create-resource writes for the first log.
const ZeroDigest = "00000000000000000000000000000000"

// VersionValue is the value of the version link for log number of origin with
// length pos. prevValue is the complete value of the same host's link for the
// log before, or empty.
func VersionValue(number int, origin string, pos int64, prevValue string) string {
	head := VersionHead{versionDigest(number, origin, pos, prevValue), number, origin, pos}
	prev, _, _ := strings.Cut(prevValue, ":")
	return head.String() + ":" + prev
}

// InitialVersion is the value that create-resource writes for its first log.
func InitialVersion(number int, origin string) string {
	return VersionHead{ZeroDigest, number, origin, 0}.String() + ":"
}

func versionDigest(number int, origin string, pos int64, prevValue string) string {
	b := make([]byte, 0, 256)
	b = append(strconv.AppendInt(b, int64(number), 10), ',')
	b = append(append(b, origin...), ',')
	b = append(strconv.AppendInt(b, pos, 10), ':')
	sum := md5.Sum(append(b, prevValue...))
	return hex.EncodeToString(sum[:])
}

// String is the head as it stands in links.
func (h VersionHead) String() string {
	b := make([]byte, 0, len(h.Digest)+len(h.Origin)+40)
	b = append(append(append(b, h.Digest...), ','), LogName(h.Number, h.Origin)...)
	return string(strconv.AppendInt(append(b, ','), h.Pos, 10))
}

// LogName is the name of the log that the link speaks of.
func (h VersionHead) LogName() string { return LogName(h.Number, h.Origin) }

// Compare orders two heads by log number, then by length, as numbers. Heads of
// different histories can compare as 0: only equal digests mean equality.
func (h VersionHead) Compare(o VersionHead) int {
	return cmp.Or(cmp.Compare(h.Number, o.Number), cmp.Compare(h.Pos, o.Pos))
}

// String is the value as it stands in the link.
func (v VersionLink) String() string {
	if v.Prev == nil {
		return v.VersionHead.String() + ":"
	}
	return v.VersionHead.String() + ":" + v.Prev.String()
}

// Follows reports whether prev is the predecessor that v was built on, by
// comparing heads.
func (v VersionLink) Follows(prev VersionLink) bool {
	return v.Prev != nil && *v.Prev == prev.VersionHead
}

// Genuine reports whether the digest of v is the one that its fields and the
// complete value of its predecessor give. The digest of the first log, which
// create-resource writes as zeros, is accepted.
func (v VersionLink) Genuine(prevValue string) bool {
	if v.Digest == ZeroDigest && v.Prev == nil {
		return true
	}
	return v.Digest == versionDigest(v.Number, v.Origin, v.Pos, prevValue)
}

// ParseVersion reads the value of a version link, or its head alone: then
// there is no Prev. The error wraps ErrValue.
func ParseVersion(value string) (VersionLink, error) {
	text, prev, _ := strings.Cut(value, ":")
	head, err := parseHead(text)
	if err != nil {
		return VersionLink{}, badValue(value, "is no version link: %v", err)
	}
	v := VersionLink{VersionHead: head}
	if prev != "" {
		p, err := parseHead(prev)
		if err != nil {
			return VersionLink{}, badValue(value, "is no version link: predecessor: %v", err)
		}
		v.Prev = &p
	}
	return v, nil
}

func parseHead(text string) (h VersionHead, err error) {
	digest, rest, ok := strings.Cut(text, ",")
	name, pos, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 {
		return h, fmt.Errorf("three fields are needed")
	}
	if !isDigest(digest) {
		return h, fmt.Errorf("bad digest")
	}
	h.Digest = digest
	if h.Number, h.Origin, ok = ParseLogName(name); !ok {
		return h, fmt.Errorf("the second field names no log")
	}
	if h.Pos, err = ParseBytes(pos); err != nil {
		return h, fmt.Errorf("bad length")
	}
	return h, nil
}

func isDigest(s string) bool {
	if len(s) != len(ZeroDigest) {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i] < 'a' || s[i] > 'f') {
			return false
		}
	}
	return true
}
