// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import "strings"

// VerifyValue is the value of verifystatus-HOST: how many blocks a sync found
// equal, and how many it copied.
func VerifyValue(equal, copied int64) string { return FormatInt(equal) + "," + FormatInt(copied) }

// ParseVerify is the inverse of VerifyValue. The error wraps ErrValue.
func ParseVerify(value string) (n [2]int64, err error) {
	parts := strings.Split(value, ",")
	if len(parts) != len(n) {
		return n, badValue(value, "is not two numbers")
	}
	for i, p := range parts {
		x, err := ParseInt(p)
		if err != nil {
			return [2]int64{}, err
		}
		if x < 0 {
			return [2]int64{}, badValue(value, "is negative")
		}
		n[i] = x
	}
	return n, nil
}
