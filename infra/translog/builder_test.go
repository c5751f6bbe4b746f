package translog_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mars/infra/translog"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenLog is a log with a record of each kind, in batches of different alignment.
func goldenLog(t *testing.T) []byte {
	t.Helper()
	b, err := translog.NewBuilder(testIdentity(), translog.Stamp{Sec: 1385200000, Nsec: 1})
	if err != nil {
		t.Fatal(err)
	}
	stamp := func(n int64) translog.Stamp { return translog.Stamp{Sec: 1385200000 + n, Nsec: 123456789} }
	buf := make([]byte, 16384)
	b.Begin(buf, 0, 0)
	b.Append(translog.CodeWriteNew, 0x3333000, []byte("ABCDEFGH"), stamp(1))
	b.Append(translog.CodeWriteOld, 4096, testPayload(512), stamp(2))
	b.AppendRange(translog.CodeWriteZeroes, 1<<40, 1<<20, stamp(3))
	data := bytes.Clone(b.Close(4096))
	b.Begin(buf, int64(len(data)), 0)
	b.AppendRange(translog.CodeDiscard, 8192, 4096, stamp(4))
	b.Append(translog.CodeWriteNew, 0, testPayload(4096), stamp(5))
	data = append(data, b.Close(512)...)
	b.Begin(buf, int64(len(data)), 4096)
	b.Append(translog.CodeWriteNew, 512, testPayload(1024), stamp(6))
	return append(data, b.Close(512)...)
}

// TestGolden pins the format: old logs must stay readable, and a change of the writer must be seen.
func TestGolden(t *testing.T) {
	data := goldenLog(t)
	golden(t, "golden.log", data)
	var dump strings.Builder
	got, sum, err := scan(data, translog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got {
		fmt.Fprintf(&dump, "%d-%d durable %d: %d %v pos %d len %d stamp %d.%09d payload %d\n", r.Off, r.End, r.DurableEnd,
			r.Seq, r.Code, r.Pos, r.Len, r.Stamp.Sec, r.Stamp.Nsec, len(r.Payload))
	}
	fmt.Fprintf(&dump, "%s of %s, nonce %x: %d records, %d fillers, end %d, %v\n", sum.Identity.Name(),
		sum.Identity.Resource, sum.Identity.Nonce, sum.Records, sum.Fillers, sum.End, sum.Verdict)
	golden(t, "golden.txt", []byte(dump.String()))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update rewrites it); got:\n%s", name, got)
	}
}

// TestLayout checks our records as a reader of the original sees them: fields at their offsets, no gap between records.
func TestLayout(t *testing.T) {
	le := binary.LittleEndian
	data := goldenLog(t)
	if len(data)%512 != 0 {
		t.Errorf("%d bytes", len(data))
	}
	seq := uint32(0)
	for off := 0; off < len(data); seq++ {
		r := data[off:]
		payload := int(int16(le.Uint16(r[36:])))
		if le.Uint64(r) != 0xa8f7e908d9177957 || r[8] != 1 || r[9] != 1 || payload < 1 || payload > 4096 ||
			int(int16(le.Uint16(r[10:]))) != payload+translog.Overhead || le.Uint16(r[38:]) != 0 {
			t.Fatalf("header at %d: %x", off, r[:48])
		}
		tr := r[48+payload:]
		if le.Uint64(tr) != 0x74941fb74ab5726d || le.Uint32(tr[8:]) != 0 || tr[12] != 1 || tr[13] != 0 ||
			le.Uint16(tr[14:]) != 4 || le.Uint32(tr[16:]) != seq+1 {
			t.Fatalf("trailer at %d: %x", off, tr[:36])
		}
		off += payload + translog.Overhead
	}
}

// TestClose tries every fill level: a batch always ends on the alignment, whatever is in it.
func TestClose(t *testing.T) {
	id := testIdentity()
	for _, align := range []int{512, 4096, 16384} {
		buf := make([]byte, 32768)
		for n := 4; n <= translog.MaxPayload; n += 4 {
			b, err := translog.NewBuilder(id, translog.Stamp{})
			if err != nil {
				t.Fatal(err)
			}
			b.Begin(buf, 0, 0)
			b.Append(translog.CodeWriteNew, 0, testPayload(n), translog.Stamp{Sec: 1})
			used := b.Len()
			batch := b.Close(align)
			if len(batch)%align != 0 || len(batch)-used > align+87 {
				t.Fatalf("align %d, used %d: batch of %d", align, used, len(batch))
			}
			got, sum, err := scan(batch, translog.Options{})
			for _, r := range got {
				if len(r.Payload) == 0 { // the original's later releases refuse that
					t.Fatalf("align %d, used %d: empty filler", align, used)
				}
			}
			if err != nil || sum.End != int64(len(batch)) || sum.Records != 1 || sum.LastStamp.Sec != 1 {
				t.Fatalf("align %d, used %d: %+v, %v", align, used, sum, err)
			}
		}
	}
}

// TestFits: whatever Fits allows can be appended and closed; what it refuses cannot.
func TestFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		align := rapid.SampledFrom([]int{512, 4096}).Draw(t, "align")
		size := align * rapid.IntRange(1, 8).Draw(t, "size")
		b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
		if err != nil {
			t.Fatal(err)
		}
		b.Begin(make([]byte, size), 0, 0)
		for range rapid.IntRange(0, 200).Draw(t, "records") {
			n := 4 * rapid.IntRange(1, 1024).Draw(t, "payload")
			if rapid.Bool().Draw(t, "exact") { // aim at the end of the buffer
				n = max(4, min(translog.MaxPayload, size-b.Len()-translog.Overhead))
			}
			fits := b.Fits(n)
			end, ok := tryAppend(b, n)
			if ok != fits || ok && end != int64(b.Len()) {
				t.Fatalf("payload of %d behind %d of %d: Fits %v, appended %v", n, b.Len(), size, fits, ok)
			}
		}
		batch := b.Close(align)
		if len(batch)%align != 0 {
			t.Fatalf("batch of %d", len(batch))
		}
		if _, sum, err := scan(batch, translog.Options{}); err != nil || sum.End != int64(len(batch)) {
			t.Fatalf("%+v, %v", sum, err)
		}
	})
}

func tryAppend(b *translog.Builder, n int) (end int64, ok bool) {
	defer func() { ok = recover() == nil }()
	return b.Append(translog.CodeWriteNew, 0, make([]byte, n), translog.Stamp{}), true
}

func TestEmptyBatch(t *testing.T) {
	b, err := translog.NewBuilder(testIdentity(), translog.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	b.Begin(buf, 0, 0)
	first := bytes.Clone(b.Close(512))
	if _, sum, err := scan(first, translog.Options{}); err != nil || sum.Records != 0 || sum.Identity != testIdentity() {
		t.Errorf("%+v, %v", sum, err)
	}
	b.Begin(buf, int64(len(first)), 0)
	if batch := b.Close(512); len(batch) != 0 || b.Seq() != 2 {
		t.Errorf("%d bytes, number %d", len(batch), b.Seq())
	}
}

// TestBuilderPanics: wrong calls must not get into a log.
func TestBuilderPanics(t *testing.T) {
	stamp := translog.Stamp{}
	for name, wrong := range map[string]func(b *translog.Builder, buf []byte){
		"begin twice":         func(b *translog.Builder, buf []byte) { b.Begin(buf, 0, 0) },
		"close to nothing":    func(b *translog.Builder, buf []byte) { b.Close(0) },
		"close to odd":        func(b *translog.Builder, buf []byte) { b.Close(520) },
		"close beyond buffer": func(b *translog.Builder, buf []byte) { b.Close(8192) },
		"gap":                 func(b *translog.Builder, buf []byte) { b.Close(512); b.Begin(buf, 4096, 0) },
		"rewrite":             func(b *translog.Builder, buf []byte) { b.Close(512); b.Begin(buf, 0, 0) },
		"durable beyond":      func(b *translog.Builder, buf []byte) { b.Close(512); b.Begin(buf, 512, 1024) },
		"durable odd":         func(b *translog.Builder, buf []byte) { b.Close(512); b.Begin(buf, 512, 100) },
		"no buffer":           func(b *translog.Builder, buf []byte) { b.Close(512); b.Begin(nil, 512, 0) },
		"outside a batch": func(b *translog.Builder, buf []byte) {
			b.Close(512)
			b.Append(translog.CodeWriteNew, 0, buf[:4], stamp)
		},
		"empty payload":     func(b *translog.Builder, buf []byte) { b.Append(translog.CodeWriteNew, 0, nil, stamp) },
		"odd payload":       func(b *translog.Builder, buf []byte) { b.Append(translog.CodeWriteNew, 0, buf[:5], stamp) },
		"large payload":     func(b *translog.Builder, _ []byte) { b.Append(translog.CodeWriteNew, 0, make([]byte, 4100), stamp) },
		"negative position": func(b *translog.Builder, buf []byte) { b.Append(translog.CodeWriteNew, -1, buf[:4], stamp) },
		"filler":            func(b *translog.Builder, buf []byte) { b.Append(translog.CodeFiller, 0, buf[:4], stamp) },
		"range as write":    func(b *translog.Builder, buf []byte) { b.Append(translog.CodeDiscard, 0, buf[:8], stamp) },
		"write as range":    func(b *translog.Builder, _ []byte) { b.AppendRange(translog.CodeWriteNew, 0, 512, stamp) },
		"empty range":       func(b *translog.Builder, _ []byte) { b.AppendRange(translog.CodeDiscard, 0, 0, stamp) },
		"endless range":     func(b *translog.Builder, _ []byte) { b.AppendRange(translog.CodeDiscard, 512, 1<<63-1, stamp) },
	} {
		t.Run(name, func(t *testing.T) {
			b, err := translog.NewBuilder(testIdentity(), stamp)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			b.Begin(buf, 0, 0)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			wrong(b, buf)
		})
	}
}
