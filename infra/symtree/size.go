// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"fmt"
	"math/big"
	"strings"
)

// SizeError tells why a size argument is refused. It wraps ErrValue.
type SizeError struct {
	Arg string
	Why string
}

// Error is one line for the administrator.
func (e *SizeError) Error() string { return e.Why }

// Unwrap returns ErrValue.
func (e *SizeError) Unwrap() error { return ErrValue }

// maxSizeArg bounds the text of a size argument: every size has a shorter one.
const maxSizeArg = 64

// ParseSizeArg reads a size as the administrator writes it: a decimal number,
// perhaps with a fraction, perhaps followed by one of k m g t p in either case
// (powers of 1024). The result is in bytes and a multiple of 4096. The error is
// a SizeError.
func ParseSizeArg(arg string) (int64, error) {
	bad := func() (int64, error) {
		return 0, &SizeError{arg, fmt.Sprintf("size argument '%s' must be a number, optionally followed by suffix k or m or g or t or p", arg)}
	}
	if arg == "" || len(arg) > maxSizeArg {
		return bad()
	}
	text, shift := arg, uint(0)
	if i := strings.IndexByte("kmgtp", arg[len(arg)-1]|0x20); i >= 0 {
		text, shift = arg[:len(arg)-1], uint(i+1)*10
	}
	whole, frac, point := strings.Cut(text, ".")
	if whole == "" || point && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return bad()
	}
	n, ok := new(big.Int).SetString(whole+frac, 10)
	if !ok {
		return bad()
	}
	n.Lsh(n, shift)
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(frac))), nil)
	n, rest := n.QuoRem(n, ten, new(big.Int))
	if !n.IsInt64() {
		return 0, &SizeError{arg, fmt.Sprintf("size argument '%s' is too large", arg)}
	}
	if rest.Sign() != 0 || n.Int64()%4096 != 0 {
		return 0, &SizeError{arg, fmt.Sprintf("size '%s' is not a multiple of 4k", n)}
	}
	return n.Int64(), nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}
