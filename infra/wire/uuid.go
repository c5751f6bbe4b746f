package wire

import (
	"encoding/hex"
	"fmt"
	"io"
)

// NewUUID makes the identity of a new cluster: a random (version 4) UUID as
// RFC 4122 text in lower case. It takes 16 bytes off random.
func NewUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("no randomness for a uuid: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40 // version 4
	b[8] = b[8]&0x3f | 0x80 // variant of RFC 4122
	text := make([]byte, 0, MaxUUID)
	for i, n := 0, 0; i < len(b); i += n {
		if i > 0 {
			text = append(text, '-')
		}
		n = 2
		if i == 0 {
			n = 4
		} else if i == 10 {
			n = 6
		}
		text = hex.AppendEncode(text, b[i:i+n])
	}
	return string(text), nil
}

// ValidUUID reports whether text is a UUID as NewUUID writes it, of whatever
// version.
func ValidUUID(text string) bool {
	if len(text) != MaxUUID {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
