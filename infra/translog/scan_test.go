package translog_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"mars/infra/translog"
)

// TestRoundTrip: what random batches put in comes out, in windows of any size, with a limit that grows by any steps.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := buildLog(t, logShape{
			id:       testIdentity(),
			batches:  rapid.IntRange(1, 6).Draw(rt, "batches"),
			perBatch: rapid.IntRange(0, 20).Draw(rt, "records"),
			payload:  rapid.SampledFrom([]int{4, 64, 4096}).Draw(rt, "payload"),
			align:    rapid.SampledFrom([]int{512, 4096}).Draw(rt, "align"),
			inFlight: rapid.IntRange(0, 3).Draw(rt, "inFlight"),
			seed:     rapid.Int64().Draw(rt, "seed"),
		})
		size := int64(len(l.data))
		limit := int64(0)
		s := translog.NewScanner(translog.Options{Fillers: true})
		var got []translog.Record
		for {
			rec, err := s.Next()
			var bad *translog.CorruptError
			switch {
			case err == nil:
				rec.Payload = bytes.Clone(rec.Payload)
				got = append(got, rec)
				if s.Pos() != rec.End || s.Seq() != rec.Seq || rec.End > limit {
					rt.Fatalf("at %d, number %d, limit %d: %+v", s.Pos(), s.Seq(), limit, rec)
				}
				continue
			case err == translog.ErrNeedMore:
				pos := s.Pos()
				from := max(0, pos-int64(rapid.IntRange(0, 600).Draw(rt, "before")))
				to := min(size, pos+translog.MaxRecord+int64(rapid.IntRange(0, 9000).Draw(rt, "behind")))
				s.Feed(l.data[from:to], from)
				continue
			case err == io.EOF && limit == size:
			case err == io.EOF, errors.As(err, &bad) && bad.Reason == translog.ReasonShort && bad.Off == s.Pos():
				limit = min(size, limit+int64(rapid.IntRange(1, 20000).Draw(rt, "step")))
				s.SetLimit(limit)
				continue
			default:
				rt.Fatalf("at %d: %v", s.Pos(), err)
			}
			break
		}
		if len(got) != len(l.records) {
			rt.Fatalf("%d records, want %d", len(got), len(l.records))
		}
		for i, r := range got {
			if !sameRecord(r, l.records[i]) {
				rt.Fatalf("record %d: %+v, want %+v", i, r, l.records[i])
			}
		}
	})
}

// TestDurableEnd: a reader gets back what the writer was told, exactly, and -1 where it was too far away.
func TestDurableEnd(t *testing.T) {
	l := smallLog(t)
	for _, r := range l.records {
		batch := 0
		for l.batches[batch+1] <= r.Off {
			batch++
		}
		if want := l.batches[max(0, batch-2)]; r.DurableEnd != want {
			t.Errorf("record at %d: %d, want %d", r.Off, r.DurableEnd, want)
		}
	}

	b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	var log bytes.Buffer
	for log.Len() <= translog.MaxInFlight {
		b.Begin(buf, int64(log.Len()), 0)
		for b.Fits(4096) {
			b.Append(translog.CodeWriteNew, 0, buf[:4096], translog.Stamp{})
		}
		log.Write(b.Close(4096))
	}
	lost := 0
	_, err = translog.ScanAll(bytes.NewReader(log.Bytes()), int64(log.Len()), translog.Options{}, func(r translog.Record) error {
		switch far := r.Off > 65534*512; {
		case far && r.DurableEnd == -1:
			lost++
		case far || r.DurableEnd != 0:
			t.Fatalf("record at %d: %d", r.Off, r.DurableEnd)
		}
		return nil
	})
	if err != nil || lost == 0 {
		t.Errorf("%d records without durable end, %v", lost, err)
	}
}

// TestPowerCut keeps any blocks of the batches that were in flight. The log must end within them, be a prefix, and never
// be called damaged.
func TestPowerCut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		inFlight := rapid.IntRange(0, 3).Draw(rt, "inFlight")
		batches := rapid.IntRange(1, 8).Draw(rt, "batches")
		l := buildLog(t, logShape{id: testIdentity(), batches: batches, perBatch: 6, payload: 1500, align: 512,
			inFlight: inFlight, seed: rapid.Int64().Draw(rt, "seed")})
		durable := l.batches[max(0, batches-1-inFlight)]
		data := bytes.Clone(l.data)
		keep := rapid.IntRange(0, 10).Draw(rt, "keep")
		for off := durable; off < int64(len(data)); off += 512 {
			if rapid.IntRange(0, 9).Draw(rt, "block") >= keep {
				clear(data[off : off+512])
			}
		}
		switch rapid.IntRange(0, 2).Draw(rt, "tail") {
		case 0:
			data = append(data, make([]byte, 8192)...)
		case 1:
			data = data[:rapid.Int64Range(durable, int64(len(data))).Draw(rt, "size")]
		}
		got, sum, err := scan(data, translog.Options{Published: durable})
		if err != nil || sum.Verdict == translog.VerdictDamage {
			rt.Fatalf("%v: %v", sum.Verdict, err)
		}
		if sum.End < durable {
			rt.Fatalf("ends at %d, durable were %d", sum.End, durable)
		}
		for i, r := range got {
			if !sameRecord(r, l.records[i]) {
				rt.Fatalf("record %d differs", i)
			}
		}
		// Cut there, it is a sound log.
		if again, sum2, err := scan(data[:sum.End], translog.Options{}); err != nil || len(again) != len(got) || sum2.Bad != nil {
			rt.Fatalf("after the cut: %+v, %v", sum2, err)
		}
	})
}

// TestHalfHeader: of a first batch that was never durable, the sector with the identity is lost, and one that begins
// within the header of a later record. What is left of that header must prove nothing, whatever the payload.
func TestHalfHeader(t *testing.T) {
	for _, kept := range []int64{12, 20, 36, 40, 44, 48, 52} {
		b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		b.Begin(make([]byte, 8192), 0, 0)
		b.Append(translog.CodeWriteNew, 0, make([]byte, 4), translog.Stamp{})
		pad := 1024 - kept - int64(b.Len()) - translog.Overhead
		b.Append(translog.CodeWriteNew, 0, make([]byte, pad), translog.Stamp{})
		if int64(b.Len()) != 1024-kept {
			t.Fatalf("the record starts at %d", b.Len())
		}
		b.Append(translog.CodeWriteNew, 0, make([]byte, 1000), translog.Stamp{Sec: 1 << 40})
		data := b.Close(512)
		clear(data[:512])
		clear(data[1024:1536])
		if _, sum, err := scan(data, translog.Options{}); err != nil || sum.Verdict != translog.VerdictTorn {
			t.Errorf("%d bytes of the header kept: %v, %v", kept, sum.Verdict, err)
		}
	}
}

// TestProberReach: proof is found at the far end of the look-ahead, over windows of any alignment, and not beyond.
func TestProberReach(t *testing.T) {
	l := smallLog(t)
	bad := l.batches[2]
	proof := l.records[l.recordAt(l.batches[5])]
	if proof.DurableEnd <= bad {
		t.Fatal("no proof")
	}
	data := bytes.Clone(l.data)
	clear(data[bad:proof.Off])
	// The first window ends in the middle of the proof's magic, or nearby.
	gap := proof.Off - bad
	if gap < translog.MaxRecord {
		t.Fatalf("gap of %d", gap)
	}
	for window := gap - 1; window < gap+9; window++ {
		s := translog.NewScanner(translog.Options{Limit: int64(len(data))})
		s.Feed(data, 0)
		var e *translog.CorruptError
		for err := error(nil); e == nil; {
			if _, err = s.Next(); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
		}
		p := s.Probe(e)
		p.Feed(nil, 0)
		verdict, err := p.Verdict()
		for err == translog.ErrNeedMore {
			p.Feed(data[p.Pos():min(int64(len(data)), p.Pos()+window)], p.Pos())
			verdict, err = p.Verdict()
		}
		if verdict != translog.VerdictDamage || p.Evidence() != proof.Off {
			t.Errorf("window %d: %v by %d, %v", window, verdict, p.Evidence(), err)
		}
	}
	if sum := l.mustPrefix(t, data, translog.Options{}, l.recordAt(bad), translog.VerdictDamage); sum.Evidence != proof.Off {
		t.Errorf("evidence at %d", sum.Evidence)
	}
	// 32 MiB of zeros are the end, whatever follows.
	far := append(bytes.Clone(data[:bad]), make([]byte, translog.MaxInFlight)...)
	far = append(far, sample(t)...)
	l.mustPrefix(t, far, translog.Options{}, l.recordAt(bad), translog.VerdictEnd)
	far[len(far)-len(sample(t))-1] = 1
	l.mustPrefix(t, far, translog.Options{}, l.recordAt(bad), translog.VerdictTorn)
}

// TestRanges: a sound record that speaks of what the device has not is damage, not a tail.
func TestRanges(t *testing.T) {
	build := func(add func(b *translog.Builder)) []byte {
		b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		b.Begin(make([]byte, 8192), 0, 0)
		add(b)
		return b.Close(512)
	}
	for _, tc := range []struct {
		name string
		add  func(b *translog.Builder)
		want int64 // smallest device that takes it
	}{
		{"write", func(b *translog.Builder) {
			b.Append(translog.CodeWriteNew, 4096, make([]byte, 512), translog.Stamp{})
		}, 4608},
		{"discard", func(b *translog.Builder) {
			b.AppendRange(translog.CodeDiscard, 512, 1<<40, translog.Stamp{})
		}, 512 + 1<<40},
		{"zeroes", func(b *translog.Builder) {
			b.AppendRange(translog.CodeWriteZeroes, 1<<62, 1<<62-1, translog.Stamp{})
		}, 1<<63 - 1},
	} {
		data := build(tc.add)
		got, sum, err := scan(data, translog.Options{Size: tc.want})
		if err != nil || sum.Records != 1 || got[1].Pos+got[1].Len != tc.want {
			t.Errorf("%s: %+v, %v", tc.name, sum, err)
		}
		_, sum, err = scan(data, translog.Options{Size: tc.want - 1})
		if err == nil || sum.Verdict != translog.VerdictDamage || sum.Bad.Reason != translog.ReasonRange {
			t.Errorf("%s on a smaller device: %+v, %v", tc.name, sum, err)
		}
	}
	// A code of a later release is handed out as it is.
	data := build(func(b *translog.Builder) { b.Append(99, 0, make([]byte, 12), translog.Stamp{}) })
	if got, _, err := scan(data, translog.Options{Size: 1}); err != nil || got[1].Code != 99 || got[1].Code.String() != "code 99" {
		t.Errorf("unknown code: %+v, %v", got, err)
	}
}

// brokenReader fails from an offset on.
type brokenReader struct {
	data []byte
	from int64
}

var errBroken = errors.New("broken")

func (r brokenReader) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > r.from {
		return 0, errBroken
	}
	return copy(b, r.data[off:]), nil
}

func TestScanAllErrors(t *testing.T) {
	l := smallLog(t)
	size := int64(len(l.data))
	if _, err := translog.ScanAll(brokenReader{l.data, 100}, size, translog.Options{}, nil); !errors.Is(err, errBroken) {
		t.Errorf("read error: %v", err)
	}
	if _, err := translog.ScanAll(bytes.NewReader(l.data), size+1, translog.Options{}, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short file: %v", err)
	}
	calls := 0
	sum, err := translog.ScanAll(bytes.NewReader(l.data), size, translog.Options{}, func(r translog.Record) error {
		if r.Code == translog.CodeFiller {
			t.Error("filler handed out")
		}
		if calls++; calls == 3 {
			return &translog.CorruptError{Off: r.End, Reason: translog.ReasonRange}
		}
		return nil
	})
	if calls != 3 || err == nil || sum.Verdict != 0 || sum.Bad != nil || sum.Records != 3 {
		t.Errorf("error of the callback: %d calls, %+v, %v", calls, sum, err)
	}
	for _, empty := range []int{0, 512, 10000} {
		sum, err := translog.ScanAll(bytes.NewReader(make([]byte, empty)), int64(empty), translog.Options{}, nil)
		if err != nil || sum.Verdict != translog.VerdictEnd || sum.End != 0 {
			t.Errorf("empty, %d bytes: %+v, %v", empty, sum, err)
		}
	}
}

func TestStrings(t *testing.T) {
	e := translog.CorruptError{Off: 77, Reason: translog.ReasonHeader, Want: 16, Got: 17}
	if got := e.Error(); got != "translog: offset 77: bad header checksum: want 0x10, got 0x11" {
		t.Error(got)
	}
	e = translog.CorruptError{Off: 77, Reason: translog.ReasonZeros}
	if got := e.Error(); got != "translog: offset 77: zeros instead of a record" {
		t.Error(got)
	}
	for _, r := range []translog.Reason{0, 77, 255} {
		if r.String() == "" {
			t.Errorf("reason %d has no text", uint8(r))
		}
	}
	seen := map[string]bool{}
	for r := translog.ReasonZeros; r <= translog.ReasonUnsupported; r++ {
		if seen[r.String()] {
			t.Errorf("reason %d: %q again", r, r)
		}
		seen[r.String()] = true
	}
	for v, want := range map[translog.Verdict]string{0: "no verdict", translog.VerdictEnd: "end",
		translog.VerdictTorn: "torn tail", translog.VerdictDamage: "damage"} {
		if v.String() != want {
			t.Errorf("verdict %d: %q", v, v)
		}
	}
}
