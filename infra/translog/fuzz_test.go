package translog_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"mars/infra/translog"
)

// FuzzScan: no input makes a reader panic, hand out what does not lie in the input, or depend on the windows.
func FuzzScan(f *testing.F) {
	l := smallLog(f)
	f.Add(l.data, byte(0), int64(0))
	f.Add(l.data[:5000], byte(1), int64(1<<20))
	f.Add(l.data[l.batches[3]:], byte(3), int64(1<<20))
	f.Add(append(bytes.Clone(l.data[:2048]), make([]byte, 9000)...), byte(5), int64(0))
	f.Add(foreignRecord(1, 1, 512, testPayload(512), sumOldMD5(0)), byte(1), int64(0))
	f.Add(foreignRecord(1, 1, 512, testPayload(4096), sumCRC32C), byte(1), int64(0))
	f.Add(foreignRecord(1, 1, 512, testPayload(600), sumMD5), byte(1), int64(0))
	f.Add(foreignRecord(5, 1, 1<<63, nil, nil), byte(3), int64(4096))
	f.Fuzz(func(t *testing.T, data []byte, mode byte, size int64) {
		opt := translog.Options{Foreign: mode&1 != 0, Size: size}
		if mode&2 != 0 {
			opt.Start = int64(len(data) / 3)
		}
		if mode&4 != 0 {
			opt.Identity = testIdentity()
		}
		if mode&8 != 0 {
			opt.Published = int64(len(data) / 2)
		}
		whole, sum, err := scan(data, opt)
		pos := opt.Start
		for _, r := range whole {
			if r.Off != pos || r.End != pos+translog.Overhead+int64(len(r.Payload)) || r.End > int64(len(data)) ||
				!bytes.Equal(r.Payload, data[r.Off+translog.HeaderSize:r.End-translog.TrailerSize]) {
				t.Fatalf("record at %d: %+v", pos, r)
			}
			if size > 0 && r.Code == translog.CodeWriteNew && (r.Pos < 0 || r.Pos+r.Len > size) {
				t.Fatalf("record beyond the device: %+v", r)
			}
			pos = r.End
		}
		if sum.End != pos || sum.Verdict == 0 || err == nil == (sum.Verdict == translog.VerdictDamage) {
			t.Fatalf("%+v, %v", sum, err)
		}
		if sum.End < opt.Published && sum.Verdict != translog.VerdictDamage {
			t.Fatalf("published %d: %+v", opt.Published, sum)
		}
		n, end, verdict := inPieces(t, data, opt)
		if n != len(whole) || end != pos || verdict != sum.Verdict {
			t.Fatalf("in pieces: %d records, end %d, %v; at once: %d, %d, %v", n, end, verdict, len(whole), pos, sum.Verdict)
		}
	})
}

// inPieces scans data by the smallest windows that are allowed.
func inPieces(t *testing.T, data []byte, opt translog.Options) (records int, end int64, verdict translog.Verdict) {
	opt.Limit, opt.Fillers = int64(len(data)), true
	s := translog.NewScanner(opt)
	window := func(pos int64) ([]byte, int64) {
		return data[pos:min(int64(len(data)), pos+translog.MaxRecord)], pos
	}
	for {
		_, err := s.Next()
		var bad *translog.CorruptError
		switch {
		case err == nil:
			records++
		case err == translog.ErrNeedMore:
			s.Feed(window(s.Pos()))
		case err == io.EOF:
			return records, s.Pos(), translog.VerdictEnd
		case errors.As(err, &bad):
			p := s.Probe(bad)
			verdict, err := p.Verdict()
			for ; err != nil; verdict, err = p.Verdict() {
				p.Feed(window(p.Pos()))
			}
			return records, s.Pos(), verdict
		default:
			t.Fatal(err)
		}
	}
}

// FuzzReadIdentity: what is read is valid and is what a Builder would write.
func FuzzReadIdentity(f *testing.F) {
	l := smallLog(f)
	f.Add(l.data[:512])
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, end, err := translog.ReadIdentity(data)
		if err != nil {
			return
		}
		if err := id.Validate(); err != nil || end > int64(len(data)) {
			t.Fatalf("%+v: %v", id, err)
		}
	})
}

// FuzzParseName: a name that is accepted is exactly what Name makes.
func FuzzParseName(f *testing.F) {
	f.Add("log-000000001-host")
	f.Add("log-000000001--")
	f.Fuzz(func(t *testing.T, name string) {
		if number, origin, ok := translog.ParseName(name); ok && translog.Name(number, origin) != name {
			t.Fatalf("%q: %d, %q", name, number, origin)
		}
	})
}
