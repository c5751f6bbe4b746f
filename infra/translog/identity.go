package translog

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Payload of the identity filler:
//
//	 0  8  magic "mars-log"
//	 8  2  version, 1
//	10  1  length of the resource's name
//	11  1  length of the origin's name
//	12  4  number of the logfile
//	16 16  nonce
//	32  n  resource's name, origin's name, zeros up to a multiple of 4
const (
	identityMagic   = "mars-log"
	identityVersion = 1
	identityFixed   = 32
	maxName         = 63
	maxIdentity     = (identityFixed + 2*maxName + recordAlign - 1) / recordAlign * recordAlign
	maxNumber       = 999999999
)

// MaxIdentityRecord bounds the length of a file's first record: that many bytes are enough for [ReadIdentity].
const MaxIdentityRecord = Overhead + maxIdentity

// Identity tells one logfile from all others. Identities are equal when they compare equal by ==.
type Identity struct {
	// Resource is the resource's name, 1 to 63 bytes.
	Resource string
	// Number is the logfile's number, 1 to 999999999.
	Number int
	// Origin is the host that writes the log, 1 to 63 bytes.
	Origin string
	// Nonce is random, drawn when the file is created: it tells two files of one name apart. Never all zero.
	Nonce [16]byte
}

// Name returns the file's name, as [Name] does.
func (id Identity) Name() string { return Name(id.Number, id.Origin) }

// Validate returns an error if a field is out of its range.
func (id Identity) Validate() error {
	switch {
	case !validName(id.Resource):
		return fmt.Errorf("translog: bad resource name %q", id.Resource)
	case !validName(id.Origin):
		return fmt.Errorf("translog: bad origin %q", id.Origin)
	case id.Number < 1 || id.Number > maxNumber:
		return fmt.Errorf("translog: bad log number %d", id.Number)
	case id.Nonce == [16]byte{}:
		return errors.New("translog: no nonce")
	}
	return nil
}

func validName(s string) bool {
	return len(s) >= 1 && len(s) <= maxName && !strings.ContainsAny(s, "/\x00")
}

// append adds the identity payload of a valid id to b.
func (id Identity) append(b []byte) []byte {
	b = append(b, identityMagic...)
	b = le.AppendUint16(b, identityVersion)
	b = append(b, byte(len(id.Resource)), byte(len(id.Origin)))
	b = le.AppendUint32(b, uint32(id.Number))
	b = append(b, id.Nonce[:]...)
	b = append(b, id.Resource...)
	b = append(b, id.Origin...)
	for len(b)%recordAlign != 0 {
		b = append(b, 0)
	}
	return b
}

// crcState returns the CRC32C state in which every header check of the log starts.
func (id Identity) crcState() uint32 {
	return crc32.Checksum(id.append(make([]byte, 0, maxIdentity)), castagnoli)
}

// parseIdentity reads an identity payload. The reason is 0 if it is one.
func parseIdentity(p []byte) (Identity, Reason) {
	if len(p) < identityFixed || string(p[:len(identityMagic)]) != identityMagic {
		return Identity{}, ReasonNoIdentity
	}
	if le.Uint16(p[8:]) != identityVersion {
		return Identity{}, ReasonUnsupported
	}
	resource, origin := int(p[10]), int(p[11])
	if len(p) != (identityFixed+resource+origin+recordAlign-1)/recordAlign*recordAlign {
		return Identity{}, ReasonNoIdentity
	}
	names := p[identityFixed:]
	id := Identity{
		Resource: string(names[:resource]),
		Number:   int(le.Uint32(p[12:])),
		Origin:   string(names[resource : resource+origin]),
		Nonce:    [16]byte(p[16:32]),
	}
	if id.Validate() != nil || !allZero(names[resource+origin:]) {
		return Identity{}, ReasonNoIdentity
	}
	return id, 0
}

// ReadIdentity returns the identity in the first record of a logfile, and that record's length. b starts at file
// offset 0; [MaxIdentityRecord] bytes of it, or the whole file, are enough.
//
// It returns [ErrNeedMore] if b is too short to tell, and a [*CorruptError] if b does not start with a sound identity
// record: the file is damaged, still empty ([ReasonZeros]), or of the original.
func ReadIdentity(b []byte) (Identity, int64, error) {
	s := NewScanner(Options{Limit: MaxRecord, Fillers: true})
	s.Feed(b, 0)
	rec, err := s.Next()
	if err != nil {
		return Identity{}, 0, err
	}
	return s.id, rec.End, nil
}
