package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"mars/infra/lamport"
)

// kind is what the tests know of one message.
type kind struct {
	empty  func() Message
	sample Message
	draw   func(t *rapid.T) Message
}

func name(t *rapid.T, label string) string {
	return rapid.StringN(1, MaxName/4, MaxName).Draw(t, label)
}

func stamp(t *rapid.T) lamport.Stamp { return lamport.Stamp(rapid.Int64().Draw(t, "stamp")) }

func offset(t *rapid.T) int64 { return rapid.Int64Range(0, MaxOffset).Draw(t, "offset") }

func blob(t *rapid.T) []byte { return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data") }

func text(t *rapid.T) string { return rapid.StringN(0, 60, MaxVersion).Draw(t, "text") }

func id(t *rapid.T) uint64 { return rapid.Uint64().Draw(t, "id") }

func number(t *rapid.T, most uint32) uint32 { return rapid.Uint32Range(1, most).Draw(t, "number") }

var kinds = map[Type]kind{
	TypeHello: {func() Message { return &Hello{} },
		&Hello{1, 3, "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "alpha", 1_700_000_000_000_000_001, 1_700_000_000_000_000_000, ForSync, "0.7", 9},
		func(t *rapid.T) Message {
			lo := rapid.Uint16Min(1).Draw(t, "min")
			return &Hello{lo, rapid.Uint16Min(lo).Draw(t, "max"), rapid.StringN(0, 9, MaxUUID).Draw(t, "uuid"),
				name(t, "host"), stamp(t), stamp(t), Purpose(rapid.Byte().Draw(t, "purpose")), text(t), rapid.Uint64().Draw(t, "life")}
		}},
	TypeError: {func() Message { return &Error{} }, &Error{7, CodeBusy, "wait"},
		func(t *rapid.T) Message { return &Error{id(t), Code(rapid.Uint16().Draw(t, "code")), text(t)} }},
	TypeInfo: {func() Message { return &Info{} }, &Info{7, "rotating"},
		func(t *rapid.T) Message { return &Info{id(t), text(t)} }},
	TypeHeartbeat: {func() Message { return &Heartbeat{} }, &Heartbeat{2, 1},
		func(t *rapid.T) Message { return &Heartbeat{stamp(t), stamp(t)} }},
	TypeNotify: {func() Message { return &Notify{} }, &Notify{2},
		func(t *rapid.T) Message { return &Notify{stamp(t)} }},
	TypeSubscribeTree: {func() Message { return &SubscribeTree{} }, &SubscribeTree{[][SumSize]byte{{1}, {2, 15: 3}}},
		func(t *rapid.T) Message {
			return &SubscribeTree{rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (sum [SumSize]byte) {
				copy(sum[:], rapid.SliceOfN(rapid.Byte(), SumSize, SumSize).Draw(t, "sum"))
				return sum
			}), 0, 20).Draw(t, "sums")}
		}},
	TypeTreeBegin: {func() Message { return &TreeBegin{} }, &TreeBegin{2, 3},
		func(t *rapid.T) Message { return &TreeBegin{stamp(t), number(t, MaxLinks)} }},
	TypeTreeEnd: {func() Message { return &TreeEnd{} }, &TreeEnd{},
		func(*rapid.T) Message { return &TreeEnd{} }},
	TypeTreeLinks: {func() Message { return &TreeLinks{} },
		&TreeLinks{[]Link{{"alive-alpha", "1", 5, KindLink}, {"userspace", "", 6, KindDir}, {"todo-global/delete-000000001", "", 7, KindGone}}},
		func(t *rapid.T) Message {
			return &TreeLinks{rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Link {
				return Link{rapid.StringN(1, 20, 99).Draw(t, "path"), rapid.StringN(0, 20, 99).Draw(t, "value"), stamp(t), LinkKind(rapid.Byte().Draw(t, "kind"))}
			}), 0, 20).Draw(t, "links")}
		}},
	TypeFetchLog: {func() Message { return &FetchLog{} }, &FetchLog{7, "mydata", 12, "alpha", 4096, MaxData, 1000},
		func(t *rapid.T) Message {
			return &FetchLog{id(t), name(t, "resource"), number(t, MaxNumber), name(t, "origin"), offset(t), number(t, MaxData), number(t, MaxWaitMs)}
		}},
	TypeLogData: {func() Message { return &LogData{} }, &LogData{7, 4096, 8192, true, []byte("records")},
		func(t *rapid.T) Message {
			d, from := blob(t), rapid.Int64Range(0, MaxOffset-300).Draw(t, "from")
			return &LogData{id(t), from, rapid.Int64Range(from+int64(len(d)), MaxOffset).Draw(t, "end"), rapid.Bool().Draw(t, "final"), d}
		}},
	TypeReadBlocks: {func() Message { return &ReadBlocks{} }, &ReadBlocks{7, "mydata", 1 << 40, 65536},
		func(t *rapid.T) Message {
			return &ReadBlocks{id(t), name(t, "resource"), offset(t), number(t, MaxData)}
		}},
	TypeBlocks: {func() Message { return &Blocks{} }, &Blocks{7, 1 << 40, []byte("blocks")},
		func(t *rapid.T) Message { return &Blocks{id(t), offset(t), blob(t)} }},
	TypeDigest: {func() Message { return &Digest{} }, &Digest{7, "mydata", 1 << 40, 1 << 24, Coarse},
		func(t *rapid.T) Message {
			g := rapid.SampledFrom([]uint32{Coarse, Fine}).Draw(t, "granularity")
			return &Digest{id(t), name(t, "resource"), offset(t), rapid.Int64Range(1, MaxSums*int64(g)).Draw(t, "len"), g}
		}},
	TypeDigests: {func() Message { return &Digests{} }, &Digests{7, 1 << 40, []byte("0123456789abcdefFEDCBA9876543210")},
		func(t *rapid.T) Message {
			return &Digests{id(t), offset(t), bytes.Repeat([]byte("0123456789abcdef"), rapid.IntRange(0, MaxSums).Draw(t, "sums"))}
		}},
	TypeSyncInfo: {func() Message { return &SyncInfo{} }, &SyncInfo{7, "mydata"},
		func(t *rapid.T) Message { return &SyncInfo{id(t), name(t, "resource")} }},
	TypeSyncState: {func() Message { return &SyncState{} }, &SyncState{7, 1 << 40, 12, "alpha", 8192, true, "fine"},
		func(t *rapid.T) Message {
			return &SyncState{id(t), offset(t), rapid.Uint32Range(0, MaxNumber).Draw(t, "number"), text(t)[:0], offset(t), rapid.Bool().Draw(t, "ready"), text(t)}
		}},
}

// eachKind runs f for all messages in the order of their types.
func eachKind(t *testing.T, f func(t *testing.T, typ Type, k kind)) {
	var types []int
	for typ := range kinds {
		types = append(types, int(typ))
	}
	sort.Ints(types)
	for _, n := range types {
		typ := Type(n)
		t.Run(typ.String(), func(t *testing.T) { f(t, typ, kinds[typ]) })
	}
}

// same compares messages; an empty slice equals none.
func same(a, b Message) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

// TestAllKindsAreTested: every known type is in the table, and no other.
func TestAllKindsAreTested(t *testing.T) {
	for n := range 256 {
		typ := Type(n)
		k, ok := kinds[typ]
		if ok != typ.Known() {
			t.Errorf("%v: known %v, in the table %v", typ, typ.Known(), ok)
		}
		if ok && (k.empty().Type() != typ || k.sample.Type() != typ) {
			t.Errorf("%v: Type() of the message differs", typ)
		}
	}
}

// TestGolden pins the bytes of version 1.
func TestGolden(t *testing.T) {
	var got strings.Builder
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		fmt.Fprintf(&got, "%s %s\n", typ, hex.EncodeToString(k.sample.Append(nil)))
	})
	want, err := os.ReadFile(filepath.Join("testdata", "version1.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the format has changed (-want +got):\n%s", diff)
	}
}

func TestPropertyRoundTrip(t *testing.T) {
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		rapid.Check(t, func(t *rapid.T) {
			m := k.draw(t)
			const before = "before"
			frame := m.Append([]byte(before))
			if string(frame[:len(before)]) != before || TypeOf(frame[len(before):]) != typ {
				t.Fatal("Append does not append")
			}
			frame = frame[len(before):]
			back := k.empty()
			if err := back.Decode(frame); err != nil {
				t.Fatal(err)
			}
			if diff := same(m, back); diff != "" {
				t.Fatalf("-sent +received:\n%s", diff)
			}
			dirty := k.draw(t) // decoding does not depend on what was in the struct
			if err := dirty.Decode(frame); err != nil || same(m, dirty) != "" {
				t.Fatalf("into a used struct: %v\n%s", err, same(m, dirty))
			}
		})
	})
}

// TestTruncations: every frame cut anywhere is refused, but for where it ended in
// the release before.
func TestTruncations(t *testing.T) {
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		frame := k.sample.Append(nil)
		for n := range frame {
			var e *DecodeError
			if err := k.empty().Decode(frame[:n]); n == ended[typ] && n > 0 {
				if err != nil {
					t.Errorf("as the release before sent it: %v", err)
				}
			} else if !errors.As(err, &e) || !errors.Is(err, ErrShort) && !errors.Is(err, ErrLimit) {
				t.Errorf("%d of %d bytes: %v, want ErrShort", n, len(frame), err)
			}
		}
	})
}

// ended is how long those messages were that have grown since.
var ended = map[Type]int{TypeSubscribeTree: 1}

// TestAppendedFields: what a later release appends is ignored.
func TestAppendedFields(t *testing.T) {
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		m := k.empty()
		if err := m.Decode(append(k.sample.Append(nil), "more fields"...)); err != nil {
			t.Fatal(err)
		}
		if diff := same(k.sample, m); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnotherType(t *testing.T) {
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		frame := k.sample.Append(nil)
		frame[0] ^= 0x40
		if err := k.empty().Decode(frame); !errors.Is(err, ErrType) {
			t.Errorf("%v, want ErrType", err)
		}
	})
}

func TestTooLongForItsType(t *testing.T) {
	eachKind(t, func(t *testing.T, typ Type, k kind) {
		frame := append(k.sample.Append(nil), make([]byte, typ.Limit())...)
		if err := k.empty().Decode(frame[:typ.Limit()]); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		if err := k.empty().Decode(frame[:typ.Limit()+1]); !errors.Is(err, ErrLimit) {
			t.Errorf("beyond it: %v, want ErrLimit", err)
		}
	})
}

// TestDecodeDoesNotAllocate: the messages on the paths of data, in a struct
// used again.
func TestDecodeDoesNotAllocate(t *testing.T) {
	for _, m := range []Message{
		&LogData{1, 0, MaxData, false, make([]byte, MaxData)},
		&Blocks{1, 0, make([]byte, MaxData)},
		&FetchLog{1, "mydata", 12, "alpha", 4096, MaxData, 1000},
		&ReadBlocks{1, "mydata", 0, 4096},
		&Digest{1, "mydata", 0, Coarse, Coarse},
		&Digests{1, 0, make([]byte, MaxSums*SumSize)},
		&Heartbeat{1, 2},
	} {
		frame := m.Append(nil)
		back := kinds[m.Type()].empty()
		if err := back.Decode(frame); err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(50, func() { _ = back.Decode(frame) }); n != 0 {
			t.Errorf("%v: decoding makes %v allocations", m.Type(), n)
		}
		if n := testing.AllocsPerRun(50, func() { frame = m.Append(frame[:0]) }); n != 0 {
			t.Errorf("%v: encoding makes %v allocations", m.Type(), n)
		}
	}
}

func TestDataAliasesTheFrame(t *testing.T) {
	frame := (&Blocks{1, 0, []byte("abc")}).Append(nil)
	var m Blocks
	if err := m.Decode(frame); err != nil {
		t.Fatal(err)
	}
	frame[len(frame)-1] = 'X'
	if string(m.Data) != "abX" || cap(m.Data) != 3 {
		t.Errorf("Data = %q with capacity %d, want to alias the frame and no more", m.Data, cap(m.Data))
	}
}

func TestAppendHead(t *testing.T) {
	l := &LogData{7, 10, 20, true, []byte("12345")}
	head := l.AppendHead(nil, 5)
	if len(head) != LogDataHead || !bytes.Equal(append(head, "12345"...), l.Append(nil)) {
		t.Errorf("LogData: head of %d bytes", len(head))
	}
	b := &Blocks{7, 10, []byte("12345")}
	head = b.AppendHead(nil, 5)
	if len(head) != BlocksHead || !bytes.Equal(append(head, "12345"...), b.Append(nil)) {
		t.Errorf("Blocks: head of %d bytes", len(head))
	}
}

// FuzzDecode feeds any frame to the decoder of its type. What is accepted must
// survive being encoded and decoded again.
func FuzzDecode(f *testing.F) {
	for _, k := range kinds {
		f.Add(k.sample.Append(nil))
	}
	f.Add([]byte{})
	for typ, n := range ended {
		f.Add(kinds[typ].sample.Append(nil)[:n])
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		k, ok := kinds[TypeOf(frame)]
		if !ok {
			return
		}
		m := k.empty()
		if err := m.Decode(frame); err != nil {
			var e *DecodeError
			if !errors.As(err, &e) || e.Type != m.Type() || err.Error() == "" {
				t.Fatalf("error %#v is no DecodeError of %v", err, m.Type())
			}
			return
		}
		again := m.Append(nil)
		if len(again) > len(frame) && len(frame) != ended[m.Type()] { // else it was that of the release before
			t.Fatalf("%d bytes became %d", len(frame), len(again))
		}
		back := k.empty()
		if err := back.Decode(again); err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		if diff := same(m, back); diff != "" {
			t.Fatal(diff)
		}
	})
}
