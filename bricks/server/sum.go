package server

import (
	"github.com/zeebo/blake3"

	"mars/infra/wire"
)

// Sum appends the digest of one piece of data to dst: the first wire.SumSize
// bytes of its BLAKE3. bricks/copy computes the same of its own disk.
func Sum(dst, data []byte) []byte {
	h := blake3.Sum256(data)
	return append(dst, h[:wire.SumSize]...)
}
