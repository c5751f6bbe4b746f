package translog_test

import (
	"testing"

	"mars/infra/translog"
)

// TestNoAllocations: neither packing nor reading allocates per record.
func TestNoAllocations(t *testing.T) {
	b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	buf, payload := make([]byte, 128<<10), testPayload(4096)
	off := int64(0)
	var log []byte
	batch := func() []byte {
		b.Begin(buf, off, off)
		for b.Fits(len(payload)) {
			b.Append(translog.CodeWriteNew, 8192, payload, translog.Stamp{Sec: 1})
			b.AppendRange(translog.CodeDiscard, 0, 512, translog.Stamp{Sec: 2})
		}
		out := b.Close(4096)
		off += int64(len(out))
		return out
	}
	if n := testing.AllocsPerRun(100, func() { batch() }); n != 0 {
		t.Errorf("Builder: %v allocations a batch", n)
	}

	if b, err = translog.NewBuilder(testIdentity(), translog.Stamp{}); err != nil {
		t.Fatal(err)
	}
	for off = 0; off < 8<<20; {
		log = append(log, batch()...)
	}
	s := translog.NewScanner(translog.Options{Limit: int64(len(log))})
	s.Feed(log, 0)
	if _, err := s.Next(); err != nil { // learns the identity
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := s.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Scanner: %v allocations a record", n)
	}
}

// benchLog packs about 4 MiB of records with that payload into out, in batches of 128 KiB.
func benchLog(b *testing.B, out, payload []byte) ([]byte, int) {
	w, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
	if err != nil {
		b.Fatal(err)
	}
	const staging = 128 << 10
	off, records := 0, 0
	for off+staging <= len(out) {
		w.Begin(out[off:off+staging], int64(off), int64(off))
		for ; w.Fits(len(payload)); records++ {
			w.Append(translog.CodeWriteNew, 8192, payload, translog.Stamp{Sec: 1})
		}
		off += len(w.Close(4096))
	}
	return out[:off], records
}

func BenchmarkBuild4K(b *testing.B) {
	out, payload := make([]byte, 4<<20), testPayload(4096)
	records := 0
	b.ReportAllocs()
	for b.Loop() {
		_, records = benchLog(b, out, payload)
	}
	b.SetBytes(int64(records * len(payload)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}

func BenchmarkScan4K(b *testing.B) {
	log, records := benchLog(b, make([]byte, 4<<20), testPayload(4096))
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		s := translog.NewScanner(translog.Options{Limit: int64(len(log))})
		s.Feed(log, 0)
		n := 0
		for ; ; n++ {
			if _, err := s.Next(); err != nil {
				break
			}
		}
		if n != records {
			b.Fatalf("%d of %d records", n, records)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}

// BenchmarkProbeZeros is the cost of making sure that prepared space is the end, 32 MiB of it.
func BenchmarkProbeZeros(b *testing.B) {
	zeros := make([]byte, translog.MaxInFlight)
	b.SetBytes(int64(len(zeros)))
	for b.Loop() {
		s := translog.NewScanner(translog.Options{Limit: int64(len(zeros))})
		s.Feed(zeros, 0)
		_, err := s.Next()
		bad, ok := err.(*translog.CorruptError)
		if !ok {
			b.Fatal(err)
		}
		if v, err := s.Probe(bad).Verdict(); v != translog.VerdictEnd {
			b.Fatal(v, err)
		}
	}
}
