package translog_test

import (
	"bytes"
	"errors"
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mars/infra/translog"
)

// testIdentity is the identity of most logs in these tests.
func testIdentity() translog.Identity {
	return translog.Identity{
		Resource: "mydata",
		Number:   7,
		Origin:   "host-a.example",
		Nonce:    [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	}
}

// testLog is a log as built, with what a reader should find.
type testLog struct {
	id      translog.Identity
	data    []byte
	records []translog.Record // fillers included; payloads are copies
	batches []int64           // offsets of batch starts, and the end
}

// logShape says what buildLog makes.
type logShape struct {
	id       translog.Identity
	batches  int
	perBatch int
	payload  int // largest payload
	align    int
	inFlight int // batches between the durable end and the batch being built
	seed     int64
}

// buildLog makes a log of random records.
func buildLog(t testing.TB, sh logShape) *testLog {
	t.Helper()
	b, err := translog.NewBuilder(sh.id, translog.Stamp{Sec: 1000, Nsec: 1})
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(sh.seed))
	l := &testLog{id: sh.id, batches: []int64{0}}
	buf := make([]byte, 1<<20)
	for n := range sh.batches {
		off := int64(len(l.data))
		durable := l.batches[max(0, n-sh.inFlight)]
		for i := range buf {
			buf[i] = 0xEE // stale content of the staging buffer must never show
		}
		b.Begin(buf, off, durable)
		for range sh.perBatch {
			stamp := translog.Stamp{Sec: 1001 + int64(b.Seq()), Nsec: rnd.Int63n(1e9)}
			if rnd.Intn(8) == 0 {
				code := []translog.Code{translog.CodeWriteZeroes, translog.CodeDiscard}[rnd.Intn(2)]
				b.AppendRange(code, rnd.Int63n(1<<20)*512, 512*(1+rnd.Int63n(1<<12)), stamp)
				continue
			}
			p := make([]byte, 4+4*rnd.Intn(sh.payload/4))
			rnd.Read(p)
			b.Append(translog.CodeWriteNew, rnd.Int63n(1<<20)*512, p, stamp)
		}
		l.data = append(l.data, b.Close(sh.align)...)
		l.batches = append(l.batches, int64(len(l.data)))
	}
	_, err = translog.ScanAll(bytes.NewReader(l.data), int64(len(l.data)), translog.Options{Fillers: true},
		func(r translog.Record) error {
			r.Payload = bytes.Clone(r.Payload)
			l.records = append(l.records, r)
			return nil
		})
	if err != nil {
		t.Fatalf("fresh log does not scan: %v", err)
	}
	if end := l.records[len(l.records)-1].End; end != int64(len(l.data)) {
		t.Fatalf("fresh log scans up to %d of %d", end, len(l.data))
	}
	return l
}

// smallLog is a log of about 100 records, small enough for exhaustive tests, two batches in flight.
func smallLog(t testing.TB) *testLog {
	return buildLog(t, logShape{id: testIdentity(), batches: 12, perBatch: 7, payload: 200, align: 512, inFlight: 2, seed: 1})
}

// recordAt returns the index of the record that contains offset off.
func (l *testLog) recordAt(off int64) int {
	for i, r := range l.records {
		if off < r.End {
			return i
		}
	}
	return len(l.records)
}

// provable reports whether a record of the log behind bad proves that bad was durable. Records at or beyond limit are
// not there.
func (l *testLog) provable(bad, limit int64) bool {
	for _, r := range l.records {
		if r.Off > bad && r.End <= limit && r.DurableEnd > bad {
			return true
		}
	}
	return false
}

// scan is ScanAll on bytes, with all records collected. The records' payloads are not copied.
func scan(data []byte, opt translog.Options) ([]translog.Record, translog.Summary, error) {
	var out []translog.Record
	opt.Fillers = true
	sum, err := translog.ScanAll(bytes.NewReader(data), int64(len(data)), opt, func(r translog.Record) error {
		r.Payload = bytes.Clone(r.Payload)
		out = append(out, r)
		return nil
	})
	return out, sum, err
}

// mustPrefix fails unless data scans to exactly the first n records of l and the given verdict.
func (l *testLog) mustPrefix(t testing.TB, data []byte, opt translog.Options, n int, want translog.Verdict) translog.Summary {
	t.Helper()
	got, sum, err := scan(data, opt)
	if len(got) != n {
		t.Fatalf("%d records, want %d; %v", len(got), n, sum.Bad)
	}
	for i := range got {
		if !sameRecord(got[i], l.records[i]) {
			t.Fatalf("record %d differs: %s", i, cmp.Diff(l.records[i], got[i]))
		}
	}
	end := int64(0)
	if n > 0 {
		end = l.records[n-1].End
	}
	if sum.End != end {
		t.Fatalf("end %d, want %d", sum.End, end)
	}
	if sum.Verdict != want {
		t.Fatalf("verdict %v at %d, want %v; %v", sum.Verdict, sum.End, want, sum.Bad)
	}
	var bad *translog.CorruptError
	if isDamage := errors.As(err, &bad); isDamage != (want == translog.VerdictDamage) {
		t.Fatalf("error %v with verdict %v", err, want)
	}
	if bad != nil && bad.Off != end {
		t.Fatalf("error at %d, want %d", bad.Off, end)
	}
	return sum
}

func sameRecord(a, b translog.Record) bool {
	return a.Code == b.Code && a.Seq == b.Seq && a.Pos == b.Pos && a.Len == b.Len && a.Stamp == b.Stamp &&
		a.Off == b.Off && a.End == b.End && a.DurableEnd == b.DurableEnd && bytes.Equal(a.Payload, b.Payload)
}
