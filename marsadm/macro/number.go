// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// number is a whole number as long as it can be, else a floating one.
type number struct {
	i     int64 // also of a floating one, cut off
	f     float64
	whole bool
}

// toNumber reads the number that a text begins with, 0 if there is none.
func toNumber(s string) number {
	s = strings.TrimSpace(s)
	end, dot := 0, false
	for end < len(s) {
		c := s[end]
		if c == '.' && !dot {
			dot = true
		} else if !(c >= '0' && c <= '9' || end == 0 && (c == '-' || c == '+')) {
			break
		}
		end++
	}
	if !dot {
		if i, err := strconv.ParseInt(strings.TrimPrefix(s[:end], "+"), 10, 64); err == nil {
			return number{i: i, f: float64(i), whole: true}
		}
	}
	f, err := strconv.ParseFloat(s[:end], 64)
	if err != nil && !math.IsInf(f, 0) {
		return number{whole: true}
	}
	return floating(f)
}

// floating is a number of f, whole again if it can be.
func floating(f float64) number {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return number{i: int64(f), f: f, whole: true}
	}
	n := number{f: f}
	switch {
	case f >= math.MaxInt64:
		n.i = math.MaxInt64
	case f <= math.MinInt64:
		n.i = math.MinInt64
	case !math.IsNaN(f):
		n.i = int64(f)
	}
	return n
}

// String is the shortest form.
func (n number) String() string {
	if n.whole {
		return strconv.FormatInt(n.i, 10)
	}
	return strconv.FormatFloat(n.f, 'g', 15, 64)
}

func (n number) float() float64 {
	if n.whole {
		return float64(n.i)
	}
	return n.f
}

func add(a, b number) number {
	if sum := a.i + b.i; a.whole && b.whole && (sum > a.i) == (b.i > 0) {
		return number{i: sum, whole: true}
	}
	return floating(a.float() + b.float())
}

func sub(a, b number) number {
	if d := a.i - b.i; a.whole && b.whole && (d < a.i) == (b.i > 0) {
		return number{i: d, whole: true}
	}
	return floating(a.float() - b.float())
}

func mul(a, b number) number {
	if a.whole && b.whole && math.Abs(float64(a.i)*float64(b.i)) < 1<<62 {
		return number{i: a.i * b.i, whole: true}
	}
	return floating(a.float() * b.float())
}

// arithmetic applies a binary operator.
func arithmetic(op string, a, b number) (number, error) {
	switch op {
	case "+":
		return add(a, b), nil
	case "-":
		return sub(a, b), nil
	case "*":
		return mul(a, b), nil
	case "/", "%":
		if b.float() == 0 || op == "%" && b.i == 0 {
			return number{}, fmt.Errorf("division by zero")
		}
		if op == "/" {
			return floating(a.float() / b.float()), nil
		}
		if b.i == -1 { // the smallest number has no counterpart
			return number{whole: true}, nil
		}
		return number{i: a.i % b.i, whole: true}, nil
	case "&":
		return number{i: a.i & b.i, whole: true}, nil
	case "|":
		return number{i: a.i | b.i, whole: true}, nil
	case "^":
		return number{i: a.i ^ b.i, whole: true}, nil
	case "<<", ">>":
		if b.i < 0 || b.i > 63 {
			return number{}, fmt.Errorf("shift by %d", b.i)
		}
		if op == "<<" {
			return number{i: a.i << uint(b.i), whole: true}, nil
		}
		return number{i: int64(uint64(a.i) >> uint(b.i)), whole: true}, nil
	case "min":
		if b.float() < a.float() {
			return b, nil
		}
	case "max":
		if b.float() > a.float() {
			return b, nil
		}
	}
	return a, nil
}

// compare is a numeric comparison.
func compare(op string, a, b number) bool {
	x, y := a.float(), b.float()
	if a.whole && b.whole {
		switch op {
		case "<":
			return a.i < b.i
		case ">":
			return a.i > b.i
		case "<=":
			return a.i <= b.i
		case ">=":
			return a.i >= b.i
		case "==":
			return a.i == b.i
		}
		return a.i != b.i
	}
	switch op {
	case "<":
		return x < y
	case ">":
		return x > y
	case "<=":
		return x <= y
	case ">=":
		return x >= y
	case "==":
		return x == y
	}
	return x != y
}

func truth(s string) bool { return s != "" && s != "0" }

// Bool is a truth value as a text: 1 or 0.
func Bool(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
