package lamport

import (
	"errors"
	"math"
	"testing"
)

func TestFormat(t *testing.T) {
	for _, tc := range []struct {
		s    Stamp
		want string
	}{
		{0, "0.000000000"},
		{1, "0.000000001"},
		{1_234_567_890_000_000_042, "1234567890.000000042"},
		{Second - 1, "0.999999999"},
		{-1, "-0.000000001"},
		{-3 * Second / 2, "-1.500000000"},
		{math.MaxInt64, "9223372036.854775807"},
		{math.MinInt64, "-9223372036.854775808"},
	} {
		if got := tc.s.Format(); got != tc.want {
			t.Errorf("Format(%d) = %q, want %q", int64(tc.s), got, tc.want)
		}
		back, err := Parse(tc.want)
		if err != nil || back != tc.s {
			t.Errorf("Parse(%q) = %d, %v, want %d", tc.want, back, err, int64(tc.s))
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", ".", "1", "1.", "1.5", "1.00000000", "1.0000000000", ".000000000",
		"-.000000000", "-0.000000000", "+1.000000000", "01.000000000",
		"1.00000000x", "1.+00000000", "1.-00000000", "x.000000000",
		" 1.000000000", "1.000000000\n", "1_0.000000000", "1.000_00000",
		"9223372036.854775808", "-9223372036.854775809", "9223372037.000000000",
		"99999999999999999999.000000000", "--1.000000000", "1.000000000.000000000",
	} {
		if got, err := Parse(text); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, %v, want ErrSyntax", text, got, err)
		}
	}
}

func TestFormatFile(t *testing.T) {
	const want = "CURRENT_TIME=1.000000002\nlamport_now=3.000000004\n"
	if got := FormatFile(Second+2, 3*Second+4); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0.000000000", "-1.500000000", "1234567890.000000042", "1.5", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if got := s.Format(); got != text {
			t.Errorf("Parse(%q) = %d, which is written %q", text, int64(s), got)
		}
	})
}

func TestAppendDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 32)
	if n := testing.AllocsPerRun(100, func() { buf = Stamp(math.MaxInt64).Append(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
