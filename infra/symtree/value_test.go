// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"strings"
	"testing"
)

func TestParseReplay(t *testing.T) {
	r, err := ParseReplay("log-000000012-host-1,12345,0")
	if err != nil || r != (ReplayLink{12, "host-1", 12345, 0}) || r.LogName() != "log-000000012-host-1" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err := ParseReplay("log-000000001-a,5,-3"); err != nil || r.Len != -3 {
		t.Errorf("negative length: %+v, %v", r, err)
	}
	for _, bad := range []string{
		"", "log-000000001-a", "log-000000001-a,1", "log-000000001-a,1,2,3", "log-000000001-a,-1,0", "log-000000001-a,,0", "log-000000001-a,1,",
		"log-000000000-a,1,0", "log-1-a,1,0", "log-000000001-,1,0", "log-000000001-a/b,1,0", "xog-000000001-a,1,0", "log-000000001-a, 1,0",
		"log-000000001-a,01,0", "log-000000001-a,+1,0", "log-000000001-a,9223372036854775808,0", "log-000000001-a,1,0\n", "log-000000001-(none),1,0",
	} {
		if r, err := ParseReplay(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseReplay(%q) = %+v, %v; want ErrValue", bad, r, err)
		}
	}
}

// TestReplayCompareIsNumeric: positions are numbers, not texts.
func TestReplayCompareIsNumeric(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"log-000000001-a,999,0", "log-000000001-a,1000,0", -1},
		{"log-000000001-a,1000,0", "log-000000001-a,999,7", 1},
		{"log-000000002-a,0,0", "log-000000001-a,1000,0", 1},
		{"log-000000001-a,5,0", "log-000000001-b,5,9", 0},
	} {
		a, errA := ParseReplay(c.a)
		b, errB := ParseReplay(c.b)
		if got := a.Compare(b); errA != nil || errB != nil || got != c.want {
			t.Errorf("%s against %s: %d, want %d (%v, %v)", c.a, c.b, got, c.want, errA, errB)
		}
	}
}

func TestScalars(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		if n, err := ParseInt(text); err != nil || n != want || FormatInt(n) != text {
			t.Errorf("ParseInt(%q) = %d, %v", text, n, err)
		}
	}
	for _, bad := range []string{"", "-", "-0", "00", "01", "+1", " 1", "1 ", "0x1", "1_0", "9223372036854775808", "١"} {
		if n, err := ParseInt(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseInt(%q) = %d, %v", bad, n, err)
		}
	}
	if _, err := ParseBytes("-1"); !errors.Is(err, ErrValue) {
		t.Error("ParseBytes takes a negative number")
	}
	for text, want := range map[string]bool{"0": false, "1": true} {
		if b, err := ParseBool(text); err != nil || b != want || FormatBool(b) != text {
			t.Errorf("ParseBool(%q) = %v, %v", text, b, err)
		}
	}
	for _, bad := range []string{"", "2", "true", "01"} {
		if _, err := ParseBool(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseBool takes %q", bad)
		}
	}
	for text, want := range map[string]string{"(none)": "", "a": "a"} {
		if h, err := ParsePrimary(text); err != nil || h != want || FormatPrimary(h) != text {
			t.Errorf("ParsePrimary(%q) = %q, %v", text, h, err)
		}
	}
	for _, bad := range []string{"", "all", "(any)", "a b"} {
		if _, err := ParsePrimary(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParsePrimary takes %q", bad)
		}
	}
	for text, want := range map[string]int{"7": 7, "12 -- THIS IS RISKY": 12} {
		if n, err := ParseSkipCheck(text); err != nil || n != want {
			t.Errorf("ParseSkipCheck(%q) = %d, %v", text, n, err)
		}
	}
	for _, bad := range []string{"", "0", "-1", "1000000000", "x"} {
		if _, err := ParseSkipCheck(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseSkipCheck takes %q", bad)
		}
	}
}

func TestCheckValue(t *testing.T) {
	for value, ok := range map[string]bool{"x": true, "": false, "a\x00": false, strings.Repeat("x", MaxValue): true, strings.Repeat("x", MaxValue+1): false, "\xff": true} {
		if err := CheckValue(value); (err == nil) != ok || err != nil && !errors.Is(err, ErrValue) {
			t.Errorf("CheckValue(%d bytes) = %v, want ok %v", len(value), err, ok)
		}
	}
}

func TestParseSizeArg(t *testing.T) {
	for arg, want := range map[string]int64{
		"4096": 4096, "4k": 4096, "4K": 4096, "1m": 1 << 20, "1.5g": 3 << 29, "2T": 2 << 40, "0.5p": 1 << 49, "0": 0, "0.25m": 1 << 18,
		"8191p": 8191 << 50, "100.00k": 102400, "0000000004k": 4096,
	} {
		if n, err := ParseSizeArg(arg); err != nil || n != want {
			t.Errorf("ParseSizeArg(%q) = %d, %v; want %d", arg, n, err, want)
		}
	}
	for arg, text := range map[string]string{
		"":        "size argument '' must be a number, optionally followed by suffix k or m or g or t or p",
		"10x":     "size argument '10x' must be",
		"4097":    "size '4097' is not a multiple of 4k",
		"0.3g":    "size '322122547' is not a multiple of 4k",
		"8192p":   "size argument '8192p' is too large",
		"k":       "must be a number",
		"-4k":     "must be a number",
		"+4k":     "must be a number",
		".5m":     "must be a number",
		"1.m":     "must be a number",
		"1.2.3m":  "must be a number",
		"4 k":     "must be a number",
		"1e3k":    "must be a number",
		"4kk":     "must be a number",
		"0x1000":  "must be a number",
		"4096.01": "not a multiple",
	} {
		n, err := ParseSizeArg(arg)
		var se *SizeError
		if !errors.As(err, &se) || !errors.Is(err, ErrValue) || !strings.Contains(err.Error(), text) {
			t.Errorf("ParseSizeArg(%q) = %d, %v; want %q", arg, n, err, text)
		}
	}
	if _, err := ParseSizeArg(strings.Repeat("9", 65)); err == nil {
		t.Error("a text without end is taken")
	}
}

func TestAcks(t *testing.T) {
	a, err := ParseAcks("a:1:-5,b-1:20:100")
	if err != nil || a.String() != "a:1:-5,b-1:20:100" {
		t.Errorf("got %v, %v", a, err)
	}
	for _, c := range []struct {
		creator string
		number  int
		stamp   int64
		want    bool
	}{{"b-1", 20, 100, true}, {"b-1", 1, 1, true}, {"b-1", 21, 100, false}, {"b-1", 20, 101, false}, {"b", 1, -9, false}, {"a", 1, -5, true}} {
		if got := a.Has(c.creator, c.number, c.stamp); got != c.want {
			t.Errorf("Has(%s, %d, %d) = %v", c.creator, c.number, c.stamp, got)
		}
	}
	a = a.raise("a", 5, 7).raise("a", 3, 6).raise("aa", 7, 1).raise("z", 1, 1)
	if got := a.String(); got != "a:5:7,aa:7:1,b-1:20:100,z:1:1" {
		t.Errorf("raised to %s", got)
	}
	for _, bad := range []string{"", "a", "a:", "a:1", "a:1:", ":1:1", "a:0:1", "a:-1:1", "a:1:1,", "b:1:1,a:1:1", "a:1:1,a:2:1", "a:1000000000:1", "a:1:2:3", "all:1:1"} {
		if a, err := ParseAcks(bad); !errors.Is(err, ErrValue) {
			t.Errorf("ParseAcks(%q) = %v, %v", bad, a, err)
		}
	}
}

func FuzzParseReplay(f *testing.F) {
	f.Add("log-000000012-host-1,12345,0")
	f.Add("log-000000001-a,5,-3")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseReplay(s); err == nil && r.String() != s {
			t.Errorf("%q came back as %q", s, r)
		}
	})
}

func FuzzParseAcks(f *testing.F) {
	f.Add("a:1:5,b-1:20:-1")
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseAcks(s); err == nil && a.String() != s {
			t.Errorf("%q came back as %q", s, a)
		}
	})
}

func FuzzParseSizeArg(f *testing.F) {
	f.Add("1.5g")
	f.Add("4096")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseSizeArg(s); err == nil && (n < 0 || n%4096 != 0) {
			t.Errorf("%q gave %d", s, n)
		}
	})
}

func FuzzScalars(f *testing.F) {
	f.Add("12")
	f.Add("(none)")
	f.Add("3,4")
	f.Add("log-000000007-a-1")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseInt(s); err == nil && FormatInt(n) != s {
			t.Errorf("%q came back as %d", s, n)
		}
		if h, err := ParsePrimary(s); err == nil && FormatPrimary(h) != s {
			t.Errorf("%q came back as %q", s, h)
		}
		if n, err := ParseVerify(s); err == nil && VerifyValue(n[0], n[1]) != s {
			t.Errorf("%q came back as %d", s, n)
		}
		if number, origin, ok := ParseLogName(s); ok && LogName(number, origin) != s {
			t.Errorf("%q came back as %d of %q", s, number, origin)
		}
		if b, err := ParseBool(s); err == nil && FormatBool(b) != s {
			t.Errorf("%q came back as %v", s, b)
		}
		if n, err := ParseBytes(s); err == nil && (n < 0 || FormatInt(n) != s) {
			t.Errorf("%q came back as %d", s, n)
		}
		if n, err := ParseSkipCheck(s); err == nil && (n < 1 || n > MaxNumber) {
			t.Errorf("%q gave %d", s, n)
		}
	})
}
