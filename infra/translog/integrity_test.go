package translog_test

import (
	"bytes"
	"testing"

	"mars/infra/translog"
)

// verdictAt is what must be said when the record at bad is not sound and all others are.
func (l *testLog) verdictAt(bad int64) translog.Verdict {
	if l.provable(bad, int64(len(l.data))) {
		return translog.VerdictDamage
	}
	return translog.VerdictTorn
}

// TestEveryBitFlip flips each bit of a log: the reader must deliver the records before it and nothing else, and call it
// damage wherever a later record proves that.
func TestEveryBitFlip(t *testing.T) {
	l := smallLog(t)
	if n := len(l.records); n < 90 || n > 120 {
		t.Fatalf("%d records, not about 100", n)
	}
	data := bytes.Clone(l.data)
	seen := map[translog.Verdict]int{}
	reasons := map[translog.Reason]int{}
	for off := range data {
		if testing.Short() && off%8 != 0 {
			continue
		}
		n := l.recordAt(int64(off))
		want := l.verdictAt(l.records[n].Off)
		for bit := range 8 {
			data[off] ^= 1 << bit
			sum := l.mustPrefix(t, data, translog.Options{}, n, want)
			seen[want]++
			reasons[sum.Bad.Reason]++
			data[off] ^= 1 << bit
		}
	}
	if seen[translog.VerdictDamage] == 0 || seen[translog.VerdictTorn] == 0 {
		t.Errorf("verdicts not both seen: %v", seen)
	}
	for _, r := range []translog.Reason{translog.ReasonMagic, translog.ReasonVersion, translog.ReasonInvalid, translog.ReasonLength,
		translog.ReasonEndMagic, translog.ReasonTrailer, translog.ReasonPayload, translog.ReasonHeader} {
		if reasons[r] == 0 {
			t.Errorf("no flip was found by %v", r)
		}
	}
}

// TestEveryBitFlipForeignAllowed does the same with foreign files allowed and the first batch only: no flip may make a
// file of ours pass for one of the original, where less is checked.
func TestEveryBitFlipForeignAllowed(t *testing.T) {
	l := smallLog(t)
	data := bytes.Clone(l.data)
	for off := range l.batches[1] {
		n := l.recordAt(off)
		for bit := range 8 {
			data[off] ^= 1 << bit
			got, sum, _ := scan(data, translog.Options{Foreign: true})
			if len(got) != n || sum.Verdict != translog.VerdictDamage {
				t.Fatalf("bit %d of byte %d: %d records, want %d; %v", bit, off, len(got), n, sum.Verdict)
			}
			data[off] ^= 1 << bit
		}
	}
}

// TestPublished: what lies below a published position is damage even if nothing behind it proves that.
func TestPublished(t *testing.T) {
	l := smallLog(t)
	last := l.records[len(l.records)-1]
	data := bytes.Clone(l.data)
	data[last.Off+60] ^= 1
	n := len(l.records) - 1
	l.mustPrefix(t, data, translog.Options{}, n, translog.VerdictTorn)
	l.mustPrefix(t, data, translog.Options{Published: last.Off}, n, translog.VerdictTorn)
	l.mustPrefix(t, data, translog.Options{Published: last.End}, n, translog.VerdictDamage)
	// A file that is cleanly cut below it, or prepared space there.
	l.mustPrefix(t, l.data[:last.Off], translog.Options{Published: last.Off}, n, translog.VerdictEnd)
	l.mustPrefix(t, l.data[:last.Off], translog.Options{Published: last.End}, n, translog.VerdictDamage)
	clear(data[last.Off:])
	l.mustPrefix(t, data, translog.Options{Published: last.Off}, n, translog.VerdictEnd)
	l.mustPrefix(t, data, translog.Options{Published: last.End}, n, translog.VerdictDamage)
	l.mustPrefix(t, nil, translog.Options{Published: 512}, 0, translog.VerdictDamage)
}

// TestEveryTruncation cuts the log at each byte, with nothing, zeros and garbage behind.
func TestEveryTruncation(t *testing.T) {
	l := smallLog(t)
	garbage := bytes.Repeat([]byte{0x57, 0x79, 0x17, 0xd9, 0x08, 0xe9, 0xf7, 0xa8, 1, 1, 0xAA}, 700)
	ends := map[int64]bool{0: true}
	for _, r := range l.records {
		ends[r.End] = true
	}
	for cut := range int64(len(l.data)) {
		if testing.Short() && cut%8 != 0 {
			continue
		}
		n := l.recordAt(cut)
		want := translog.VerdictTorn
		if ends[cut] {
			want = translog.VerdictEnd
		}
		l.mustPrefix(t, l.data[:cut], translog.Options{}, n, want)

		zeroed := append(bytes.Clone(l.data[:cut]), make([]byte, 9000)...)
		whole := l.changed(zeroed) // may be n+1: a trailer ends with zeros
		l.mustPrefix(t, zeroed, translog.Options{}, whole, l.zeroedVerdict(whole, cut))

		if cut%5 == 0 {
			dirty := append(bytes.Clone(l.data[:cut]), garbage...)
			l.mustPrefix(t, dirty, translog.Options{}, n, translog.VerdictTorn)
		}
	}
}

// zeroedVerdict is the verdict on record n when all from cut on is zero.
func (l *testLog) zeroedVerdict(n int, cut int64) translog.Verdict {
	if n == len(l.records) || l.records[n].Off >= cut {
		return translog.VerdictEnd
	}
	return translog.VerdictTorn
}

// TestLostBlock zeroes or replaces each 512-byte block: data that was durable must not be taken for the end.
func TestLostBlock(t *testing.T) {
	l := smallLog(t)
	last := l.batches[len(l.batches)-4] // in the last three batches nothing proves that it was durable
	for off := int64(0); off < last; off += 512 {
		data := bytes.Clone(l.data)
		clear(data[off : off+512])
		l.mustPrefix(t, data, translog.Options{}, l.changed(data), translog.VerdictDamage)
		copy(data[off:off+512], l.data[(off+512)%last:])
		l.mustPrefix(t, data, translog.Options{}, l.changed(data), translog.VerdictDamage)
	}
}

// changed returns the index of the first record that differs in data.
func (l *testLog) changed(data []byte) int {
	for i, r := range l.records {
		if !bytes.Equal(data[r.Off:r.End], l.data[r.Off:r.End]) {
			return i
		}
	}
	return len(l.records)
}

// TestBeheaded: with the first record the identity is lost. Then only what has a sound payload proves anything.
func TestBeheaded(t *testing.T) {
	l := smallLog(t)
	data := bytes.Clone(l.data)
	clear(data[:l.records[0].End])
	l.mustPrefix(t, data, translog.Options{}, 0, translog.VerdictDamage)
	l.mustPrefix(t, data, translog.Options{Identity: l.id}, 0, translog.VerdictDamage)
	l.mustPrefix(t, data[:l.batches[2]], translog.Options{}, 0, translog.VerdictTorn)
	for _, r := range l.records[1:] {
		data[r.Off+translog.HeaderSize] ^= 1
	}
	l.mustPrefix(t, data, translog.Options{}, 0, translog.VerdictTorn)
	// Who knows the identity can tell a genuine header.
	l.mustPrefix(t, data, translog.Options{Identity: l.id}, 0, translog.VerdictDamage)
}

// TestMisplacedRecords moves genuine records and batches around, within a log and between logs.
func TestMisplacedRecords(t *testing.T) {
	shape := logShape{id: testIdentity(), batches: 12, perBatch: 7, payload: 200, align: 512, inFlight: 2, seed: 1}
	l := buildLog(t, shape)
	if !bytes.Equal(l.data, smallLog(t).data) {
		t.Fatal("a log is not reproducible")
	}
	splice := func(name string, other translog.Identity) {
		t.Helper()
		sh := shape
		sh.id = other
		from := buildLog(t, sh)
		if from.batches[3] != l.batches[3] {
			t.Fatalf("%s: the batches of both logs differ in length", name)
		}
		for _, r := range l.records[1:] {
			data := bytes.Clone(l.data)
			copy(data[r.Off:r.End], from.data[r.Off:r.End])
			if bytes.Equal(data, l.data) {
				t.Fatalf("%s: record %d is the same in both logs", name, r.Seq)
			}
			l.mustPrefix(t, data, translog.Options{}, l.recordAt(r.Off), l.verdictAt(r.Off))
		}
		data := bytes.Clone(l.data) // the rest of another log behind the beginning of this one
		copy(data[l.batches[5]:], from.data[l.batches[5]:])
		l.mustPrefix(t, data, translog.Options{}, l.recordAt(l.batches[5]), translog.VerdictTorn)
	}
	id := testIdentity()
	id.Nonce[3] ^= 1
	splice("nonce", id)
	id = testIdentity()
	id.Number++
	splice("number", id)
	id = testIdentity()
	id.Resource = "mydatb"
	splice("resource", id)
	id = testIdentity()
	id.Origin = "host-b.example"
	splice("origin", id)

	batch := func(i int) []byte { return l.data[l.batches[i]:l.batches[i+1]] }
	whole := func(order ...int) (data []byte) {
		for _, i := range order {
			data = append(data, batch(i)...)
		}
		return data
	}
	for _, tc := range []struct {
		name  string
		order []int
		good  int
		want  translog.Verdict
	}{
		{"duplicated", []int{0, 1, 2, 2, 3, 4}, 3, translog.VerdictTorn},
		{"swapped", []int{0, 1, 2, 4, 3, 5, 6}, 3, translog.VerdictTorn},
		{"left out", []int{0, 1, 2, 4, 5, 6}, 3, translog.VerdictTorn},
		{"no start", []int{1, 2, 3}, 0, translog.VerdictDamage},
		{"started again", []int{0, 0, 1, 2}, 1, translog.VerdictTorn},
	} {
		data := whole(tc.order...)
		if tc.name == "swapped" && len(batch(3)) == len(batch(4)) {
			tc.want = translog.VerdictDamage // what follows is in its place
		}
		t.Run(tc.name, func(t *testing.T) {
			l.mustPrefix(t, data, translog.Options{}, l.recordAt(l.batches[tc.good]), tc.want)
		})
	}
}

// TestExpectedIdentity: a whole, sound log of another identity is refused from its first record on.
func TestExpectedIdentity(t *testing.T) {
	l := smallLog(t)
	l.mustPrefix(t, l.data, translog.Options{Identity: l.id}, len(l.records), translog.VerdictEnd)
	other := l.id
	other.Nonce[0]++
	for _, foreign := range []bool{false, true} {
		sum := l.mustPrefix(t, l.data, translog.Options{Identity: other, Foreign: foreign}, 0, translog.VerdictDamage)
		if sum.Bad.Reason != translog.ReasonIdentity {
			t.Errorf("reason %v", sum.Bad.Reason)
		}
	}
	// In the middle, nobody can verify a record without the identity.
	mid := translog.Options{Start: l.batches[2]}
	_, sum, err := scan(l.data, mid)
	if err == nil || sum.Bad.Reason != translog.ReasonNoIdentity {
		t.Errorf("scan without identity: %v", err)
	}
	mid.Identity, mid.LastSeq = l.id, 999
	_, sum, err = scan(l.data, mid)
	if err == nil || sum.Bad.Reason != translog.ReasonSequence {
		t.Errorf("scan with a wrong last number: %v", err)
	}
	mid.LastSeq = 0
	got, sum, err := scan(l.data, mid)
	if err != nil || len(got) != len(l.records)-l.recordAt(l.batches[2]) || sum.Verdict != translog.VerdictEnd {
		t.Errorf("scan from the middle: %d records, %v", len(got), err)
	}
}
