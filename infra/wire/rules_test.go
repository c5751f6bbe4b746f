package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNegotiate(t *testing.T) {
	for _, tc := range []struct{ aMin, aMax, bMin, bMax, want uint16 }{
		{1, 1, 1, 1, 1}, {1, 2, 1, 1, 1}, {1, 2, 2, 3, 2}, {1, 3, 2, 4, 3}, {2, 5, 3, 4, 4},
		{1, 1, 2, 2, 0}, {3, 4, 1, 2, 0}, {0, 0, 0, 0, 0},
	} {
		for range 2 { // both sides compute the same
			got, err := Negotiate(tc.aMin, tc.aMax, tc.bMin, tc.bMax)
			if got != tc.want || (tc.want == 0) != errors.Is(err, &Error{Code: CodeVersion}) {
				t.Errorf("%v: %d, %v", tc, got, err)
			}
			tc.aMin, tc.aMax, tc.bMin, tc.bMax = tc.bMin, tc.bMax, tc.aMin, tc.aMax
		}
	}
}

func TestAccept(t *testing.T) {
	own := &Hello{ProtoMin: 1, ProtoMax: 2, ClusterUUID: "u", Host: "alpha", Purpose: ForLog}
	for _, tc := range []struct {
		name   string
		peer   Hello
		proved string
		want   Code
	}{
		{"fine", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "u", Host: "beta", Purpose: ForLog}, "beta", 0},
		{"insecure", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "u", Host: "beta", Purpose: ForLog}, "", 0},
		{"another cluster", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "w", Host: "beta", Purpose: ForLog}, "beta", CodeCluster},
		{"no cluster", Hello{ProtoMin: 2, ProtoMax: 3, Host: "beta", Purpose: ForLog}, "beta", CodeCluster},
		{"a stolen name", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "u", Host: "gamma", Purpose: ForLog}, "beta", CodeCluster},
		{"my own name", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "u", Host: "alpha", Purpose: ForLog}, "alpha", CodeCluster},
		{"another port", Hello{ProtoMin: 2, ProtoMax: 3, ClusterUUID: "u", Host: "beta", Purpose: ForTree}, "beta", CodeVersion},
		{"too new", Hello{ProtoMin: 3, ProtoMax: 3, ClusterUUID: "u", Host: "beta", Purpose: ForLog}, "beta", CodeVersion},
	} {
		version, err := tc.peer.Accept(own, tc.proved)
		if tc.want == 0 && (err != nil || version != 2) {
			t.Errorf("%s: %d, %v", tc.name, version, err)
		}
		if tc.want != 0 && !errors.Is(err, &Error{Code: tc.want}) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestMay(t *testing.T) {
	member := func(resource, host string) bool { return resource == "r" && (host == "alpha" || host == "beta") }
	for n := range 256 {
		verb := Type(n)
		for _, peer := range []string{"", "alpha", "beta", "gamma"} {
			for _, resource := range []string{"", "r", "s"} {
				want := CodeVersion
				switch verb {
				case TypeSubscribeTree, TypeNotify:
					want = 0
				case TypeFetchLog, TypeReadBlocks, TypeDigest, TypeSyncInfo:
					want = CodeNotMember
					if resource == "r" && peer != "gamma" {
						want = 0
					}
				}
				if peer == "" {
					want = CodeCluster
				}
				err := May(peer, verb, resource, member)
				if (want == 0) != (err == nil) || want != 0 && !errors.Is(err, &Error{Code: want}) {
					t.Errorf("%q %v %q: %v, want %v", peer, verb, resource, err, want)
				}
			}
		}
	}
	if May("alpha", TypeFetchLog, "", func(string, string) bool { return true }) == nil {
		t.Error("no resource at all was allowed")
	}
}

func TestPurposeAllows(t *testing.T) {
	want := map[Purpose]map[Type]bool{
		ForTree: {TypeNotify: true, TypeSubscribeTree: true, TypeTreeBegin: true, TypeTreeLinks: true, TypeTreeEnd: true},
		ForLog:  {TypeFetchLog: true, TypeLogData: true},
		ForSync: {TypeReadBlocks: true, TypeBlocks: true, TypeDigest: true, TypeDigests: true, TypeSyncInfo: true, TypeSyncState: true},
		4:       {},
	}
	for p, types := range want {
		for n := range 256 {
			typ := Type(n)
			general := !typ.Known() || typ == TypeHello || typ == TypeError || typ == TypeInfo || typ == TypeHeartbeat
			if p.Allows(typ) != (general || types[typ]) {
				t.Errorf("%v allows %v: %v", p, typ, p.Allows(typ))
			}
		}
	}
}

func TestError(t *testing.T) {
	var err error = &Error{ID: 5, Code: CodeBusy, Text: "syncing"}
	if !errors.Is(err, &Error{Code: CodeBusy}) || errors.Is(err, &Error{Code: CodeIO}) || errors.Is(err, ErrShort) {
		t.Error("errors.Is must compare codes")
	}
	if err.Error() != "busy: syncing" || (&Error{Code: CodeIO}).Error() != "IO error" {
		t.Errorf("%q", err.Error())
	}
	seen := map[string]bool{}
	for c := range CodeCluster + 2 {
		seen[c.String()] = true
	}
	if len(seen) != int(CodeCluster)+2 || !seen["code 10"] {
		t.Errorf("two codes have one name: %v", seen)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		ForTree.String(): "tree", ForLog.String(): "log", ForSync.String(): "sync", Purpose(9).String(): "purpose 9",
		KindLink.String(): "link", KindDir.String(): "dir", KindGone.String(): "gone", LinkKind(9).String(): "kind 9",
		Type(0x7e).String(): "type 0x7e",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if TypeOf(nil).Known() {
		t.Error("an empty frame has a known type")
	}
}

func TestUUID(t *testing.T) {
	got, err := NewUUID(bytes.NewReader([]byte("0123456789abcdef")))
	if want := "30313233-3435-4637-b839-616263646566"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := NewUUID(strings.NewReader("too short")); err == nil {
		t.Error("made of too few bytes")
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "random")
		id, err := NewUUID(bytes.NewReader(b))
		if err != nil || !ValidUUID(id) || id[14] != '4' || !strings.Contains("89ab", id[19:20]) {
			t.Fatalf("%q, %v", id, err)
		}
	})
	for _, bad := range []string{"", "x", got[:35], got + "0", strings.ToUpper(got), strings.ReplaceAll(got, "-", "0"), got[:8] + "0" + got[9:], "g" + got[1:]} {
		if ValidUUID(bad) {
			t.Errorf("ValidUUID(%q)", bad)
		}
	}
}
