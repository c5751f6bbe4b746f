package lamport

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Stamp is a point in time: nanoseconds since the Unix epoch. Times before the
// epoch are negative. The zero Stamp is the epoch itself and serves as "never".
type Stamp int64

// Second is one second as a difference of two Stamps.
const Second Stamp = 1_000_000_000

// MaxStamp is the latest stamp the clock adopts (in the year 2255). The room
// above it is left for the crawl of 1 ns a call, so that the clock can not
// overflow.
const MaxStamp Stamp = 9_000_000_000 * Second

// ErrSyntax is returned by Parse for a text that is not a stamp. Test with
// errors.Is.
var ErrSyntax = errors.New("not a time stamp of the form sec.nnnnnnnnn")

// fracDigits is the number of digits behind the point, always all of them.
const fracDigits = 9

// Format returns the stamp as "sec.nnnnnnnnn", with a leading minus before the
// epoch. Parse reverses it exactly.
func (s Stamp) Format() string {
	return string(s.Append(make([]byte, 0, 24)))
}

// String is Format.
func (s Stamp) String() string { return s.Format() }

// Append appends Format to dst without allocating when dst has room.
func (s Stamp) Append(dst []byte) []byte {
	abs := uint64(s)
	if s < 0 {
		dst = append(dst, '-')
		abs = -abs // exact for the smallest int64 too
	}
	sec, ns := abs/uint64(Second), abs%uint64(Second)
	dst = strconv.AppendUint(dst, sec, 10)
	dst = append(dst, '.')
	for div := uint64(Second) / 10; div > 0; div /= 10 {
		dst = append(dst, byte('0'+ns/div%10))
	}
	return dst
}

// Parse reads the text that Format writes: an optional minus, decimal seconds
// without superfluous leading zeros, a point and exactly nine digits. Anything
// else, and a time that does not fit into a Stamp, is an error that wraps
// ErrSyntax.
func Parse(text string) (Stamp, error) {
	rest, neg := strings.CutPrefix(text, "-")
	secText, nsText, found := strings.Cut(rest, ".")
	if !found || len(nsText) != fracDigits || !canonical(secText) {
		return 0, syntaxError(text)
	}
	sec, err := strconv.ParseUint(secText, 10, 63)
	if err != nil || sec > math.MaxInt64/uint64(Second) {
		return 0, syntaxError(text)
	}
	ns, err := strconv.ParseUint(nsText, 10, 32)
	if err != nil || !digits(nsText) {
		return 0, syntaxError(text)
	}
	abs := sec*uint64(Second) + ns
	switch {
	case neg && abs == 0, !neg && abs > math.MaxInt64, neg && abs > 1<<63:
		return 0, syntaxError(text)
	case neg:
		return Stamp(-abs), nil
	}
	return Stamp(abs), nil
}

func syntaxError(text string) error {
	const most = 40
	if len(text) > most {
		text = text[:most] + "..."
	}
	return fmt.Errorf("%w: %q", ErrSyntax, text)
}

// canonical reports whether text is a decimal number as Format writes it.
func canonical(text string) bool {
	return digits(text) && (text[0] != '0' || len(text) == 1)
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// FormatFile returns the two lines of the file lamport_clock: both clocks in
// parallel, seconds since the epoch with nanosecond resolution (manual 2.2).
func FormatFile(system, now Stamp) string {
	return "CURRENT_TIME=" + system.Format() + "\nlamport_now=" + now.Format() + "\n"
}
