// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"errors"
	"fmt"
	"io"

	"encoding/binary"

	"mars/infra/env"
)

// The hello is the first frame in each direction, the caller's first. After
// the frame's length:
//
//	0  4  "MARS"
//	4  1  version, 1
//	5  1  offset of the port that was called
//	6  1  length of the cluster's uuid, then so many bytes
//	   1  length of the host name, then so many bytes
//
// On TLS the names must be those of the certificate; on plain TCP they are all
// there is. The answer tells the caller that its certificate was accepted.
const (
	helloMagic   = "MARS"
	helloVersion = 1
	helloMin     = len(helloMagic) + 4
	helloMax     = helloMin + 2*255
)

type hello struct {
	port byte
	id   env.PeerID
}

var errHello = errors.New("not a hello of this protocol")

func (h hello) encode() ([]byte, error) {
	if len(h.id.Cluster) > 255 || len(h.id.Host) > 255 {
		return nil, fmt.Errorf("%w: name too long", errHello)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(helloMin+len(h.id.Cluster)+len(h.id.Host)))
	b = append(b, helloMagic...)
	b = append(b, helloVersion, h.port, byte(len(h.id.Cluster)))
	b = append(b, h.id.Cluster...)
	b = append(b, byte(len(h.id.Host)))
	return append(b, h.id.Host...), nil
}

// decodeHello takes the frame without its length.
func decodeHello(b []byte) (hello, error) {
	if len(b) < helloMin || string(b[:4]) != helloMagic {
		return hello{}, errHello
	}
	if b[4] != helloVersion {
		return hello{}, fmt.Errorf("%w: version %d", errHello, b[4])
	}
	h := hello{port: b[5]}
	text := func(b []byte) (string, []byte, bool) {
		if len(b) < 1 || len(b)-1 < int(b[0]) {
			return "", nil, false
		}
		n := int(b[0])
		return string(b[1 : 1+n]), b[1+n:], true
	}
	var ok1, ok2 bool
	h.id.Cluster, b, ok1 = text(b[6:])
	h.id.Host, b, ok2 = text(b)
	if !ok1 || !ok2 || len(b) > 0 {
		return hello{}, errHello
	}
	return h, nil
}

// readHello reads no byte beyond the hello.
func readHello(r io.Reader) (hello, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return hello{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < uint32(helloMin) || n > uint32(helloMax) {
		return hello{}, errHello
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return hello{}, err
	}
	return decodeHello(b)
}
