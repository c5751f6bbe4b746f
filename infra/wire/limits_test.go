package wire

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"mars/infra/env"
)

func TestFrameLimitIsTheEnvironments(t *testing.T) {
	if MaxFrame != env.MaxFrame {
		t.Errorf("a frame here has %d bytes, in env %d", MaxFrame, env.MaxFrame)
	}
}

func TestFrameSize(t *testing.T) {
	for _, tc := range []struct {
		size uint32
		typ  Type
		ok   bool
	}{
		{0, TypeHello, false}, {1, TypeTreeEnd, true},
		{MaxControl, TypeTreeLinks, true}, {MaxControl + 1, TypeTreeLinks, false},
		{MaxControl, 0x7f, true}, {MaxControl + 1, 0x7f, false},
		{MaxFrame, TypeLogData, true}, {MaxFrame + 1, TypeLogData, false},
		{MaxFrame, 0xff, true}, {1<<32 - 1, 0xff, false}, {1 << 31, 0xff, false},
	} {
		var head [HeadSize]byte
		binary.LittleEndian.PutUint32(head[:], tc.size)
		head[PrefixSize] = byte(tc.typ)
		n, err := FrameSize(head)
		if tc.ok && (err != nil || n != int(tc.size)) || !tc.ok && !errors.Is(err, ErrFrame) {
			t.Errorf("%d bytes of %v: %d, %v", tc.size, tc.typ, n, err)
		}
	}
}

func TestAppendPrefix(t *testing.T) {
	frame := (&Notify{5}).Append(nil)
	stream := append(AppendPrefix(nil, len(frame)), frame...)
	if n, err := FrameSize([HeadSize]byte(stream)); err != nil || n != len(frame) {
		t.Errorf("%d, %v, want %d", n, err, len(frame))
	}
	for _, bad := range []int{0, -1, MaxFrame + 1} {
		if !panics(func() { AppendPrefix(nil, bad) }) {
			t.Errorf("a prefix for %d bytes was made", bad)
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return
}

// TestOwnMessagesKeepTheLimits: what a peer would refuse is not encoded.
func TestOwnMessagesKeepTheLimits(t *testing.T) {
	long := strings.Repeat("x", MaxName+1)
	for i, m := range []Message{
		&Hello{ProtoMin: 1, ProtoMax: 1, Host: ""},
		&Hello{ProtoMin: 1, ProtoMax: 1, Host: long},
		&Hello{ProtoMin: 1, ProtoMax: 1, Host: "a", ClusterUUID: long},
		&TreeBegin{Count: MaxLinks + 1},
		&SubscribeTree{Have: make([][SumSize]byte, MaxHave+1)},
		&TreeLinks{[]Link{{Path: ""}}},
		&TreeLinks{[]Link{{Path: strings.Repeat("x", MaxPath+1)}}},
		&TreeLinks{[]Link{{Path: "a", Value: strings.Repeat("x", MaxValue+1)}}},
		&TreeLinks{manyLinks(20, MaxValue)},
		&FetchLog{Resource: "r", Number: 0, Origin: "a", MaxLen: 1},
		&FetchLog{Resource: "r", Number: MaxNumber + 1, Origin: "a", MaxLen: 1},
		&FetchLog{Resource: "r", Number: 1, Origin: "a", MaxLen: MaxData + 1},
		&FetchLog{Resource: "r", Number: 1, Origin: "a", MaxLen: 0},
		&FetchLog{Resource: "r", Number: 1, Origin: "a", MaxLen: 1, Offset: -1},
		&FetchLog{Resource: "r", Number: 1, Origin: "a", MaxLen: 1, Offset: MaxOffset + 1},
		&FetchLog{Resource: "r", Number: 1, Origin: "a", MaxLen: 1, WaitMs: MaxWaitMs + 1},
		&LogData{Data: make([]byte, MaxData+1), DurableEnd: MaxOffset},
		&LogData{Data: []byte("a"), DurableEnd: 0},
		&Blocks{Data: make([]byte, MaxData+1)},
		&ReadBlocks{Resource: long, Len: 1},
		&Digest{Resource: "r", Len: 1, Granularity: 512},
		&Digest{Resource: "r", Len: 0, Granularity: Fine},
		&Digest{Resource: "r", Len: MaxSums*Fine + 1, Granularity: Fine},
		&Digests{Sums: make([]byte, SumSize+1)},
		&Digests{Sums: make([]byte, (MaxSums+1)*SumSize)},
		&SyncInfo{},
		&SyncState{LogNumber: MaxNumber + 1},
	} {
		if !panics(func() { m.Append(nil) }) {
			t.Errorf("%d: %v was encoded", i, m.Type())
		}
	}
}

// TestLargestFitTheirFrames: the largest of each message is within the limit.
func TestLargestFitTheirFrames(t *testing.T) {
	long, path, value := strings.Repeat("x", MaxName), strings.Repeat("x", MaxPath), strings.Repeat("x", MaxValue)
	for _, m := range []Message{
		&LogData{Data: make([]byte, MaxData), DurableEnd: MaxOffset},
		&Blocks{Data: make([]byte, MaxData)},
		&Digests{Sums: make([]byte, MaxSums*SumSize)},
		&TreeLinks{[]Link{{Path: path, Value: value}}},
		&SubscribeTree{Have: make([][SumSize]byte, MaxHave)},
		&FetchLog{1, long, MaxNumber, long, MaxOffset, MaxData, MaxWaitMs},
	} {
		frame := m.Append(nil)
		if len(frame) > m.Type().Limit() {
			t.Errorf("%v has %d bytes", m.Type(), len(frame))
		}
		if err := kinds[m.Type()].empty().Decode(frame); err != nil {
			t.Error(err)
		}
	}
}

// TestPeersValuesAreChecked: hostile values in frames that are well formed.
func TestPeersValuesAreChecked(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    Message
		at   int // offset in the frame
		to   []byte
		want error
	}{
		{"magic", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 1, []byte("HTTP"), ErrValue},
		{"lowest version 0", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 5, []byte{0, 0}, ErrValue},
		{"versions the wrong way", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 5, []byte{2, 0}, ErrValue},
		{"uuid's length", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 9, []byte{37, 0}, ErrLimit},
		{"too many sums", &SubscribeTree{make([][SumSize]byte, 2)}, 1, []byte{0xff, 0xff}, ErrLimit},
		{"no host", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 11, []byte{0, 0}, ErrLimit},
		{"host's length", &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a"}, 11, []byte{64, 0}, ErrLimit},
		{"text's length", &Error{1, CodeIO, "x"}, 11, []byte{0xff, 0xff}, ErrLimit},
		{"number of links", &TreeBegin{1, 1}, 9, []byte{0xff, 0xff, 0xff, 0xff}, ErrLimit},
		{"more links than bytes", &TreeLinks{[]Link{{Path: "a"}}}, 1, []byte{0xff, 0xff}, ErrLimit},
		{"link's length", &TreeLinks{[]Link{{Path: "a"}}}, 3, []byte{0xff, 0xff}, ErrShort},
		{"link shorter than its fields", &TreeLinks{[]Link{{Path: "a"}}}, 3, []byte{3, 0}, ErrShort},
		{"path leaves the link", &TreeLinks{[]Link{{Path: "a"}}}, 14, []byte{9, 0}, ErrShort},
		{"path too long", &TreeLinks{[]Link{{Path: "a"}}}, 14, []byte{1, 4}, ErrLimit},
		{"log number 0", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 12, []byte{0, 0, 0, 0}, ErrLimit},
		{"log number of ten digits", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 12, []byte{0, 0xca, 0x9a, 0x3b}, ErrLimit},
		{"negative offset", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 19, []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, ErrLimit},
		{"offset 2^62", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 19, []byte{0, 0, 0, 0, 0, 0, 0, 0x40}, ErrLimit},
		{"length 0", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 27, []byte{0, 0, 0, 0}, ErrLimit},
		{"length above 1 MiB", &FetchLog{1, "r", 1, "a", 0, 1, 0}, 27, []byte{1, 0, 0x10, 0}, ErrLimit},
		{"data beyond the durable end", &LogData{1, 5, 6, false, []byte("x")}, 17, []byte{5}, ErrLimit},
		{"data's length", &LogData{1, 5, 6, false, []byte("x")}, 26, []byte{0xff, 0xff, 0xff, 0xff}, ErrLimit},
		{"data's length beyond the frame", &LogData{1, 5, 600, false, []byte("x")}, 26, []byte{2}, ErrShort},
		{"granularity", &Digest{1, "r", 0, 1, Fine}, 28, []byte{0, 2, 0, 0}, ErrValue},
		{"granularity 0", &Digest{1, "r", 0, 1, Fine}, 28, []byte{0, 0, 0, 0}, ErrValue},
		{"digest of nothing", &Digest{1, "r", 0, 1, Fine}, 20, []byte{0}, ErrLimit},
		{"digest of everything", &Digest{1, "r", 0, 1, Fine}, 20, []byte{1, 0, 0x80, 0}, ErrLimit},
		{"half a sum", &Digests{1, 0, make([]byte, 16)}, 17, []byte{15}, ErrValue},
	} {
		m := kinds[tc.m.Type()].empty()
		frame := tc.m.Append(nil)
		if err := m.Decode(frame); err != nil {
			t.Fatalf("%s: untouched: %v", tc.name, err)
		}
		copy(frame[tc.at:], tc.to)
		if err := m.Decode(frame); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestTextsForPeopleAreCut(t *testing.T) {
	long := strings.Repeat("ä", MaxText)
	for _, m := range []Message{&Error{Text: long}, &Info{Text: long}, &SyncState{Text: long}, &Hello{ProtoMin: 1, ProtoMax: 1, Host: "a", Version: "v" + long}} {
		back := kinds[m.Type()].empty()
		if err := back.Decode(m.Append(nil)); err != nil {
			t.Fatal(err)
		}
		var got string
		switch b := back.(type) {
		case *Error:
			got = b.Text
		case *Info:
			got = b.Text
		case *SyncState:
			got = b.Text
		case *Hello:
			got = b.Version
		}
		if got == "" || !utf8.ValidString(got) {
			t.Errorf("%v: cut to %q", m.Type(), got)
		}
	}
}

func manyLinks(n, value int) []Link {
	links := make([]Link, n)
	for i := range links {
		links[i] = Link{Path: "a", Value: strings.Repeat("v", value), Kind: KindLink}
	}
	return links
}

func TestChunk(t *testing.T) {
	if n := Chunk(nil); n != 0 {
		t.Errorf("nothing is %d", n)
	}
	for _, value := range []int{0, 1, 100, MaxValue} {
		links := manyLinks(10_000, value)
		chunks := 0
		for len(links) > 0 {
			n := Chunk(links)
			if n == 0 {
				t.Fatal("no progress")
			}
			frame := (&TreeLinks{links[:n]}).Append(nil)
			if n < len(links) && len(frame)+links[n].Size() <= MaxControl {
				t.Errorf("values of %d bytes: a chunk of %d bytes has room left", value, len(frame))
			}
			var back TreeLinks
			if err := back.Decode(frame); err != nil || len(back.Links) != n {
				t.Fatalf("%d links: %d, %v", n, len(back.Links), err)
			}
			links = links[n:]
			chunks++
		}
		if chunks < 2 {
			t.Errorf("values of %d bytes: only one chunk", value)
		}
	}
}

func TestLinkFits(t *testing.T) {
	for _, tc := range []struct {
		path, value int
		want        bool
	}{{0, 0, false}, {1, 0, true}, {MaxPath, MaxValue, true}, {MaxPath + 1, 0, false}, {1, MaxValue + 1, false}} {
		l := Link{Path: strings.Repeat("p", tc.path), Value: strings.Repeat("v", tc.value)}
		if l.Fits() != tc.want {
			t.Errorf("path of %d, value of %d bytes: %v", tc.path, tc.value, l.Fits())
		}
	}
}

// TestLinkMayGrow: a later release appends a field to each link.
func TestLinkMayGrow(t *testing.T) {
	frame := (&TreeLinks{[]Link{{"a", "b", 1, KindLink}, {"c", "d", 2, KindLink}}}).Append(nil)
	first := linkFixed + 2
	grown := append([]byte{}, frame[:linksFixed+first]...)
	grown = append(grown, "new"...)
	grown = append(grown, frame[linksFixed+first:]...)
	binary.LittleEndian.PutUint16(grown[linksFixed:], uint16(first-2+3))
	var m TreeLinks
	if err := m.Decode(grown); err != nil || len(m.Links) != 2 || m.Links[1].Path != "c" {
		t.Errorf("%v, %v", m, err)
	}
}

func TestDigestSums(t *testing.T) {
	for _, tc := range []struct {
		length int64
		want   int
	}{{1, 1}, {Fine, 1}, {Fine + 1, 2}, {MaxSums * Fine, MaxSums}} {
		m := Digest{Len: tc.length, Granularity: Fine}
		if got := m.Sums(); got != tc.want {
			t.Errorf("%d bytes: %d sums, want %d", tc.length, got, tc.want)
		}
	}
	d := Digests{Sums: []byte("0123456789abcdefFEDCBA9876543210")}
	if d.Count() != 2 || string(d.Sum(1)) != "FEDCBA9876543210" {
		t.Errorf("%d, %q", d.Count(), d.Sum(1))
	}
}
