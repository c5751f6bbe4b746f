package translog_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"mars/infra/translog"
)

func TestNames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		number int
		origin string
	}{
		{"log-000000001-host", 1, "host"},
		{"log-000000007-a-b-000000008-c", 7, "a-b-000000008-c"},
		{"log-999999999-1.2", 999999999, "1.2"},
		{"log-000000012-" + strings.Repeat("h", 63), 12, strings.Repeat("h", 63)},
	} {
		if got := translog.Name(tc.number, tc.origin); got != tc.name {
			t.Errorf("Name(%d, %q) = %q", tc.number, tc.origin, got)
		}
		number, origin, ok := translog.ParseName(tc.name)
		if !ok || number != tc.number || origin != tc.origin {
			t.Errorf("ParseName(%q) = %d, %q, %v", tc.name, number, origin, ok)
		}
	}
	for _, bad := range []string{
		"", "log-", "log-000000001", "log-000000001-", "log-000000000-host", "log-00000001-host", "log-0000000001-host",
		"log-00000000x-host", "log-+00000001-host", "log--00000001-host", "log-000000001_host", "Log-000000001-host",
		"log-000000001-a/b", "log-000000001-a\x00", "log-000000001-" + strings.Repeat("h", 64),
		"version-000000001-host", " log-000000001-host",
	} {
		if number, origin, ok := translog.ParseName(bad); ok {
			t.Errorf("ParseName(%q) = %d, %q", bad, number, origin)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, spoil := range map[string]func(id *translog.Identity){
		"no resource":   func(id *translog.Identity) { id.Resource = "" },
		"long resource": func(id *translog.Identity) { id.Resource = strings.Repeat("r", 64) },
		"path":          func(id *translog.Identity) { id.Resource = "../x" },
		"no origin":     func(id *translog.Identity) { id.Origin = "" },
		"number 0":      func(id *translog.Identity) { id.Number = 0 },
		"large number":  func(id *translog.Identity) { id.Number = 1000000000 },
		"no nonce":      func(id *translog.Identity) { id.Nonce = [16]byte{} },
	} {
		id := testIdentity()
		if err := id.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&id)
		if id.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
		if _, err := translog.NewBuilder(id, translog.Stamp{}); err == nil {
			t.Errorf("%s: built", name)
		}
	}
}

func TestReadIdentity(t *testing.T) {
	l := smallLog(t)
	first := l.records[0]
	for n := range l.data {
		id, end, err := translog.ReadIdentity(l.data[:n])
		if int64(n) < first.End {
			if err != translog.ErrNeedMore {
				t.Fatalf("%d bytes: %v", n, err)
			}
			continue
		}
		if err != nil || id != l.id || end != first.End {
			t.Fatalf("%d bytes: %+v, %d, %v", n, id, end, err)
		}
	}
	long := translog.Identity{
		Resource: strings.Repeat("r", 63), Number: 999999999, Origin: strings.Repeat("o", 63), Nonce: [16]byte{1},
	}
	longLog := buildLog(t, logShape{id: long, batches: 1, perBatch: 1, payload: 8, align: 512})
	id, end, err := translog.ReadIdentity(longLog.data[:translog.MaxIdentityRecord])
	if err != nil || id != long || end > translog.MaxIdentityRecord {
		t.Errorf("longest: %+v, %d, %v", id, end, err)
	}

	reason := func(b []byte) translog.Reason {
		var bad *translog.CorruptError
		_, _, err := translog.ReadIdentity(b)
		if !errors.As(err, &bad) {
			t.Errorf("error %v", err)
			return 0
		}
		if bad.Off != 0 || !strings.Contains(err.Error(), bad.Reason.String()) {
			t.Errorf("error %v", err)
		}
		return bad.Reason
	}
	if r := reason(make([]byte, 512)); r != translog.ReasonZeros {
		t.Errorf("zeros: %v", r)
	}
	if r := reason(sample(t)); r != translog.ReasonNoIdentity {
		t.Errorf("foreign: %v", r)
	}
	for off := range int(first.End) {
		data := bytes.Clone(l.data)
		for bit := range 8 {
			data[off] ^= 1 << bit
			if id, _, err := translog.ReadIdentity(data); err == nil {
				t.Fatalf("flipped bit %d of byte %d: %+v", bit, off, id)
			}
			data[off] ^= 1 << bit
		}
	}
}

// TestIdentityPayload: a first record whose payload is sound by its CRC but not an identity is refused for good.
func TestIdentityPayload(t *testing.T) {
	id := testIdentity()
	id.Resource = "mydata1" // makes padding
	sound := buildLog(t, logShape{id: id, batches: 1, align: 512}).records[0].Payload
	plainCRC := func(tr, p []byte) {
		tr[14] = 4
		binary.LittleEndian.PutUint32(tr[20:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	}
	edit := func(off int, v byte) []byte {
		p := bytes.Clone(sound)
		p[off] = v
		return p
	}
	for _, tc := range []struct {
		name    string
		payload []byte
		want    translog.Reason
	}{
		{"sound, but its header is not", sound, translog.ReasonHeader},
		{"later version", edit(8, 2), translog.ReasonUnsupported},
		{"long resource", edit(10, 200), translog.ReasonNoIdentity},
		{"no origin", edit(11, 0), translog.ReasonNoIdentity},
		{"number 0", edit(12, 0), translog.ReasonNoIdentity},
		{"slash", edit(33, '/'), translog.ReasonNoIdentity},
		{"padding", edit(len(sound)-1, 1), translog.ReasonNoIdentity},
		{"too long", append(bytes.Clone(sound), 0, 0, 0, 0), translog.ReasonNoIdentity},
		{"too short", sound[:28], translog.ReasonNoIdentity},
		{"odd", append(bytes.Clone(sound), 0), translog.ReasonLength},
	} {
		data := foreignRecord(1, 0, 0, tc.payload, plainCRC)
		got, sum, _ := scan(data, translog.Options{Foreign: true})
		if len(got) != 0 || sum.Bad == nil || sum.Bad.Reason != tc.want {
			t.Errorf("%s: %d records, %v", tc.name, len(got), sum.Bad)
		}
	}
}
