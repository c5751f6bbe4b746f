package translog

import (
	"bytes"
	"testing"
)

// TestZeroSum: a sum of zero is a sum like any other. The original took it for
// none.
func TestZeroSum(t *testing.T) {
	b, err := NewBuilder(Identity{Resource: "r", Number: 1, Origin: "a", Nonce: [16]byte{1}}, Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	b.Begin(make([]byte, 64<<10), 0, 0)
	start := b.Append(CodeWriteNew, 0, make([]byte, 512), Stamp{})
	end := b.Append(CodeWriteNew, 4096, bytes.Repeat([]byte{7}, 512), Stamp{})
	log := b.Close(Unit)
	// The payload is changed, and the record sealed anew with a sum of zero.
	rec := log[start:end]
	rec[HeaderSize] ^= 1
	tr := trailerOf(rec)
	le.PutUint32(tr[offDigest:], 0)
	le.PutUint32(rec[offCheck:], b.seal.header(rec[:HeaderSize], le.Uint32(tr[offSeq:]), 0, start))
	s := NewScanner(Options{Limit: int64(len(log))})
	s.Feed(log, 0)
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err == nil {
		t.Fatal("a changed payload with a sum of zero was accepted")
	}
}
