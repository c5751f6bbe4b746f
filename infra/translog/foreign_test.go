package translog_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"

	"mars/infra/translog"
)

// sampleDump is a record as the original writes it: payload "ABCDEFGH", no checksum.
const sampleDump = `
57 79 17 d9 08 e9 f7 a8 01 01 5c 00 11 11 00 00
00 00 00 00 22 22 00 00 00 00 00 00 33 33 00 00
00 00 00 00 08 00 00 00 00 00 00 00 01 00 00 00
41 42 43 44 45 46 47 48 6d 72 b5 4a b7 1f 94 74
00 00 00 00 01 00 00 00 01 00 00 00 11 11 00 00
00 00 00 00 22 22 00 00 00 00 00 00`

func sample(t *testing.T) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(sampleDump), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSampleDump(t *testing.T) {
	want := translog.Record{
		Code: translog.CodeWriteNew, Seq: 1, Pos: 0x3333, Len: 8, Payload: []byte("ABCDEFGH"),
		Stamp: translog.Stamp{Sec: 0x1111, Nsec: 0x2222}, Off: 0, End: 92, DurableEnd: -1,
	}
	got, sum, err := scan(sample(t), translog.Options{Foreign: true})
	if err != nil || len(got) != 1 || !sameRecord(got[0], want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if sum.Verdict != translog.VerdictEnd || sum.End != 92 || sum.Identity != (translog.Identity{}) {
		t.Errorf("summary %+v", sum)
	}
	// Without leave it is refused, and never called something that may be cut.
	_, sum, err = scan(sample(t), translog.Options{})
	if err == nil || sum.Bad.Reason != translog.ReasonNoIdentity || sum.Verdict != translog.VerdictDamage {
		t.Errorf("native scan: %v, %v", err, sum.Verdict)
	}
}

// foreignRecord is a record of the original, made independently of the package. sum fills the trailer's check fields.
func foreignRecord(seq uint32, code uint16, pos uint64, payload []byte, sum func(trailer, payload []byte)) []byte {
	le := binary.LittleEndian
	b := make([]byte, 48, 84+len(payload))
	le.PutUint64(b, 0xa8f7e908d9177957)
	b[8], b[9] = 1, 1
	le.PutUint16(b[10:], uint16(84+len(payload)))
	le.PutUint64(b[12:], 5)
	le.PutUint64(b[28:], pos)
	le.PutUint16(b[36:], uint16(len(payload)))
	le.PutUint16(b[44:], code)
	b = append(b, payload...)
	tr := make([]byte, 36)
	le.PutUint64(tr, 0x74941fb74ab5726d)
	tr[12] = 1
	le.PutUint32(tr[16:], seq)
	if sum != nil {
		sum(tr, payload)
	}
	return append(b, tr...)
}

func sumOldMD5(flags uint16) func(tr, p []byte) {
	return func(tr, p []byte) {
		s := md5.Sum(p)
		copy(tr[8:12], s[:])
		binary.LittleEndian.PutUint16(tr[14:], flags)
	}
}

// fold adds the 32 bytes of a digest of the later releases onto 16.
func fold(tr []byte, flags uint16, digest []byte) {
	binary.LittleEndian.PutUint16(tr[14:], flags)
	for i := range 16 {
		tr[20+i] = digest[i] ^ digest[16+i]
	}
}

func sumMD5(tr, p []byte) {
	a, b := md5.Sum(p[:len(p)/2]), md5.Sum(p[len(p)/2:len(p)/2*2])
	fold(tr, 2, append(a[:], b[:]...))
}

func sumCRC32C(tr, p []byte) {
	var digest []byte
	n := len(p) / 8
	for i := range 8 {
		end := (i + 1) * n
		if i == 7 {
			end = len(p)
		}
		c := crc32.Checksum(p[i*n:end], crc32.MakeTable(crc32.Castagnoli))
		digest = binary.LittleEndian.AppendUint32(digest, c)
	}
	fold(tr, 4, digest)
}

func testPayload(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i/256)
	}
	return p
}

func TestForeignChecksums(t *testing.T) {
	for _, tc := range []struct {
		name    string
		sum     func(tr, p []byte)
		checked bool
	}{
		{"none", nil, false},
		{"old MD5 without flag", sumOldMD5(0), true},
		{"old MD5", sumOldMD5(1), true},
		{"MD5", sumMD5, true},
		{"CRC32C", sumCRC32C, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var data []byte
			ends := []int{0}
			for i, n := range []int{512, 4096, 1, 9, 8, 100} {
				data = append(data, foreignRecord(uint32(i+1), uint16(1+i%2), 4096, testPayload(n), tc.sum)...)
				ends = append(ends, len(data))
			}
			got, sum, err := scan(data, translog.Options{Foreign: true})
			if err != nil || len(got) != 6 || sum.Verdict != translog.VerdictEnd || sum.Records != 6 {
				t.Fatalf("%d records, %v", len(got), err)
			}
			if !bytes.Equal(got[1].Payload, testPayload(4096)) || got[1].Code != translog.CodeWriteOld {
				t.Errorf("record 2 differs")
			}
			// A flipped bit in a payload.
			data[ends[1]+48+77] ^= 4
			got, sum, err = scan(data, translog.Options{Foreign: true})
			if tc.checked != (err != nil) || tc.checked != (len(got) == 1) {
				t.Errorf("flipped payload: %d records, %v", len(got), err)
			}
			if tc.checked && (sum.Verdict != translog.VerdictDamage || sum.Evidence != int64(ends[2])) {
				t.Errorf("flipped payload: %v by %d, not by %d", sum.Verdict, sum.Evidence, ends[2])
			}
		})
	}
}

func TestForeignEnds(t *testing.T) {
	rec := func(seq uint32) []byte { return foreignRecord(seq, 1, 512, testPayload(512), sumCRC32C) }
	three := bytes.Join([][]byte{rec(1), rec(2), rec(3)}, nil)
	size := len(rec(1))
	edit := func(off int, v ...byte) []byte {
		b := bytes.Clone(three)
		copy(b[off:], v)
		return b
	}
	for _, tc := range []struct {
		name    string
		data    []byte
		opt     translog.Options
		records int
		want    translog.Verdict
		reason  translog.Reason
	}{
		{"whole", three, translog.Options{}, 3, translog.VerdictEnd, 0},
		{"zeros", append(bytes.Clone(three), make([]byte, 5000)...), translog.Options{}, 3,
			translog.VerdictEnd, translog.ReasonZeros},
		{"cut", three[:len(three)-1], translog.Options{}, 2, translog.VerdictTorn, translog.ReasonShort},
		{"cut but published", three[:len(three)-1], translog.Options{Published: int64(3 * size)}, 2,
			translog.VerdictDamage, translog.ReasonShort},
		{"from the middle", three, translog.Options{Start: int64(size)}, 2, translog.VerdictEnd, 0},
		{"wrong number", edit(2*size-20, 9), translog.Options{}, 1, translog.VerdictDamage, translog.ReasonSequence},
		{"wrong last number", edit(3*size-20, 9), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonSequence},
		{"not valid", edit(2*size+9, 0), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonInvalid},
		{"trailer not valid", edit(3*size-24, 0), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonInvalid},
		{"negative length", edit(2*size+36, 0xfc, 0xff), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonLength},
		{"hole", edit(size, make([]byte, size)...), translog.Options{}, 1, translog.VerdictDamage, translog.ReasonZeros},
		{"header word in use", edit(2*size+40, 1), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonHeader},
		{"compressed", edit(2*size+38, 0, 4), translog.Options{}, 2, translog.VerdictDamage, translog.ReasonUnsupported},
		{"SHA1", edit(3*size-22, 0x10), translog.Options{}, 2, translog.VerdictDamage, translog.ReasonUnsupported},
		{"behind the device", three, translog.Options{Size: 1023}, 0, translog.VerdictDamage, translog.ReasonRange},
		{"negative position", edit(2*size+35, 0x80), translog.Options{}, 2, translog.VerdictTorn, translog.ReasonRange},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.opt.Foreign = true
			got, sum, _ := scan(tc.data, tc.opt)
			if len(got) != tc.records || sum.Verdict != tc.want {
				t.Fatalf("%d records, %v; %v", len(got), sum.Verdict, sum.Bad)
			}
			if tc.reason == 0 != (sum.Bad == nil) || sum.Bad != nil && sum.Bad.Reason != tc.reason {
				t.Errorf("reason: %v", sum.Bad)
			}
		})
	}
}

// TestForeignBeheaded: a file of the original whose first record is lost must not be cut at 0, whatever is known of it.
func TestForeignBeheaded(t *testing.T) {
	data := append(make([]byte, 700), foreignRecord(2, 1, 0, testPayload(512), nil)...)
	for _, foreign := range []bool{false, true} {
		_, sum, err := scan(data, translog.Options{Foreign: foreign})
		if err == nil || sum.Verdict != translog.VerdictDamage || sum.Evidence != 700 {
			t.Errorf("foreign=%v: %v, %v", foreign, sum.Verdict, err)
		}
	}
}
