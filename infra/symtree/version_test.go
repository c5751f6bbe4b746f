// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestVersionValue(t *testing.T) {
	const (
		v1 = "45e936a8536b7e73ac232f41b0dec54a,log-000000001-A,12345:"
		v2 = "90c644cd309847abb63145a3277b5110,log-000000002-A,500:45e936a8536b7e73ac232f41b0dec54a,log-000000001-A,12345"
		v3 = "b8394abe7e7b3c221154d6369b541d87,log-000000003-B,0:90c644cd309847abb63145a3277b5110,log-000000002-A,500"
	)
	prev := ""
	for _, c := range []struct {
		number int
		origin string
		pos    int64
		want   string
	}{{1, "A", 12345, v1}, {2, "A", 500, v2}, {3, "B", 0, v3}} {
		got := VersionValue(c.number, c.origin, c.pos, prev)
		if got != c.want {
			t.Errorf("VersionValue(%d) = %s, want %s", c.number, got, c.want)
		}
		v, err := ParseVersion(got)
		if err != nil {
			t.Fatal(err)
		}
		if v.Number != c.number || v.Origin != c.origin || v.Pos != c.pos || v.String() != got {
			t.Errorf("ParseVersion(%s) = %+v", got, v)
		}
		if !v.Genuine(prev) || v.Genuine(prev+"x") {
			t.Errorf("Genuine does not tell %s", got)
		}
		if prev != "" {
			p, _ := ParseVersion(prev)
			if !v.Follows(p) || v.Follows(v) || p.Follows(v) {
				t.Errorf("Follows is wrong for %s", got)
			}
			if p.Compare(v.VersionHead) >= 0 || v.Compare(p.VersionHead) <= 0 {
				t.Errorf("Compare is wrong for %s", got)
			}
		}
		prev = got
	}
	if got := InitialVersion(1, "A"); got != ZeroDigest+",log-000000001-A,0:" {
		t.Errorf("InitialVersion = %s", got)
	}
}

func TestParseVersion(t *testing.T) {
	const head = "45e936a8536b7e73ac232f41b0dec54a,log-000000001-A,12345"
	if v, err := ParseVersion(head); err != nil || v.Prev != nil || v.Pos != 12345 {
		t.Errorf("head alone: %+v, %v", v, err)
	}
	for _, bad := range []string{
		"", ":", "x", head[1:], "45E936a8536b7e73ac232f41b0dec54a,log-000000001-A,1:", head + "4294967296000000000000:",
		head + ",1:", head + ":x", head + ":" + head + ":", ZeroDigest + ",log-00000001-A,0:", ZeroDigest + ",log-000000000-A,0:",
		ZeroDigest + ",log-000000001-,0:", ZeroDigest + ",log-000000001-A,-1:", ZeroDigest + ",log-000000001-A,01:",
		ZeroDigest + ",log-000000001-A/b,0:",
	} {
		if v, err := ParseVersion(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseVersion(%q) = %+v, %v; want ErrValue", bad, v, err)
		}
	}
}

func TestVersionCompareIsNumeric(t *testing.T) {
	a, b := VersionHead{Number: 9, Pos: 1000}, VersionHead{Number: 10, Pos: 99}
	c := VersionHead{Number: 10, Pos: 100}
	if a.Compare(b) >= 0 || b.Compare(c) >= 0 || c.Compare(c) != 0 {
		t.Error("heads are not compared as numbers")
	}
	r, s := ReplayLink{Number: 2, Pos: 9}, ReplayLink{Number: 2, Pos: 10}
	if r.Compare(s) >= 0 || s.Compare(ReplayLink{Number: 10}) >= 0 {
		t.Error("replay links are not compared as numbers")
	}
}

// TestVersionChain: the head tells all of the history before.
func TestVersionChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "logs")
		at := rapid.IntRange(1, n).Draw(t, "changed")
		a, b := "", ""
		for i := 1; i <= n; i++ {
			pos := rapid.Int64Range(0, 1<<40).Draw(t, "pos")
			a = VersionValue(i, "h", pos, a)
			if i == at {
				pos++
			}
			b = VersionValue(i, "h", pos, b)
		}
		va, _ := ParseVersion(a)
		vb, _ := ParseVersion(b)
		if va.Digest == vb.Digest {
			t.Errorf("equal digests of different histories: %s, %s", a, b)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	f.Add("90c644cd309847abb63145a3277b5110,log-000000002-A,500:45e936a8536b7e73ac232f41b0dec54a,log-000000001-A,12345")
	f.Add(InitialVersion(1, "a-1.b"))
	f.Add("::,,,")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if got := v.String(); got != s && got != s+":" {
			t.Errorf("%q came back as %q", s, got)
		}
	})
}
