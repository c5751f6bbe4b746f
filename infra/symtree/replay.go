// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"mars/infra/mutant"
)

// ReplayLink is the value of replay-HOST and syncpos-HOST:
// log-%09d-ORIGIN,POS,LEN.
type ReplayLink struct {
	Number int    // of the log, 1 to MaxNumber
	Origin string // host that wrote the log
	Pos    int64  // bytes of the log that are applied (written back), 0 or more
	Len    int64  // bytes behind Pos that may be applied in part; may be negative in links of the original
}

// LogName is the name of a transaction logfile: log-%09d-ORIGIN.
func LogName(number int, origin string) string { return "log-" + nineDigits(number) + "-" + origin }

// nineDigits is %09d, which is needed often.
func nineDigits(n int) string {
	if n < 0 || n > MaxNumber {
		return fmt.Sprintf("%09d", n)
	}
	b := []byte("000000000")
	for i := len(b) - 1; n > 0; i-- {
		b[i] += byte(n % 10)
		n /= 10
	}
	return string(b)
}

// ParseLogName is the inverse of LogName. It goes by columns, since an origin
// may itself contain hyphens and digits.
func ParseLogName(name string) (number int, origin string, ok bool) {
	rest, ok := strings.CutPrefix(name, "log-")
	if !ok {
		return 0, "", false
	}
	var n Name
	if !n.take("n-$h", rest) {
		return 0, "", false
	}
	return n.Number, n.Host, true
}

// LogName is the name of the log that the link stands in.
func (r ReplayLink) LogName() string { return LogName(r.Number, r.Origin) }

// String is the value as it stands in the link.
func (r ReplayLink) String() string { return fmt.Sprintf("%s,%d,%d", r.LogName(), r.Pos, r.Len) }

// ParseReplay reads the value of a replay link. The error wraps ErrValue.
func ParseReplay(value string) (ReplayLink, error) {
	bad := func(why string) (ReplayLink, error) {
		return ReplayLink{}, badValue(value, "is no replay link: %s", why)
	}
	name, rest, ok := strings.Cut(value, ",")
	pos, length, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 {
		return bad("three fields are needed")
	}
	var r ReplayLink
	if r.Number, r.Origin, ok = ParseLogName(name); !ok {
		return bad("the first field names no log")
	}
	var err error
	if r.Pos, err = ParseInt(pos); err != nil || r.Pos < 0 {
		return bad("bad position")
	}
	if r.Len, err = ParseInt(length); err != nil {
		return bad("bad length")
	}
	return r, nil
}

// Compare orders two replay links by log number, then by position, as numbers.
// It says nothing about whether they belong to one history.
func (r ReplayLink) Compare(o ReplayLink) int {
	if mutant.Is(mutant.StringPositions) {
		return strings.Compare(r.String(), o.String())
	}
	return cmp.Or(cmp.Compare(r.Number, o.Number), cmp.Compare(r.Pos, o.Pos))
}

// ParseInt reads a decimal integer as it is written in links: an optional
// minus, no other sign, no leading zeros, no blanks. The error wraps ErrValue.
func ParseInt(value string) (int64, error) {
	digits := strings.TrimPrefix(value, "-")
	if digits == "" || len(digits) > 1 && digits[0] == '0' || value == "-0" {
		return 0, badValue(value, "is no number")
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return 0, badValue(value, "is no number")
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, badValue(value, "is out of range")
	}
	return n, nil
}

// FormatInt writes what ParseInt reads.
func FormatInt(n int64) string { return strconv.FormatInt(n, 10) }

// ParseBytes reads a size in bytes: a number that is not negative. The error
// wraps ErrValue.
func ParseBytes(value string) (int64, error) {
	n, err := ParseInt(value)
	if err == nil && n < 0 {
		err = badValue(value, "is negative")
	}
	return n, err
}

// ParseBool reads a switch: "0" or "1". The error wraps ErrValue.
func ParseBool(value string) (bool, error) {
	switch value {
	case "0":
		return false, nil
	case "1":
		return true, nil
	}
	return false, badValue(value, "is neither 0 nor 1")
}

// FormatBool writes what ParseBool reads.
func FormatBool(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// ParseSkipCheck reads the log number at the start of skip-check-HOST; later
// releases of the original write a warning behind it. The error wraps ErrValue.
func ParseSkipCheck(value string) (int, error) {
	first, _, _ := strings.Cut(value, " ")
	n, err := ParseInt(first)
	if err != nil || n < 1 || n > MaxNumber {
		return 0, badValue(value, "begins with no log number")
	}
	return int(n), nil
}

// ParsePrimary reads the link primary: a host, or "" for "(none)". The error
// wraps ErrValue.
func ParsePrimary(value string) (string, error) {
	if value == None {
		return "", nil
	}
	if !goodHost(value) {
		return "", badValue(value, "is no host")
	}
	return value, nil
}

// FormatPrimary writes what ParsePrimary reads.
func FormatPrimary(host string) string {
	if host == "" {
		return None
	}
	return host
}
