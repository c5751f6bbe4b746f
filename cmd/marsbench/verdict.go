package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// target bounds a figure.
type target struct {
	op    string // ">=" , "<=" or "<"
	limit float64
}

// met tells whether v keeps the target. NaN, the figure of nothing measured,
// keeps none.
func (t target) met(v float64) bool {
	switch {
	case math.IsNaN(v):
		return false
	case t.op == ">=":
		return v >= t.limit
	case t.op == "<=":
		return v <= t.limit
	case t.op == "<":
		return v < t.limit
	}
	panic("marsbench: target with relation " + t.op)
}

// figure is one line of the table.
type figure struct {
	name  string
	value float64
	unit  string
	note  string
	want  *target // nil: reported only
}

// verdict is what the last column says.
func (f figure) verdict() string {
	switch {
	case f.want == nil:
		return ""
	case f.want.met(f.value):
		return "ok"
	}
	return "MISSED"
}

// report gathers figures, in order, and failures.
type report struct {
	figures []figure
	failed  []string
}

func (r *report) add(name string, value float64, unit, note string) {
	r.figures = append(r.figures, figure{name: name, value: value, unit: unit, note: note})
}

// check adds a figure that has a target.
func (r *report) check(name string, value float64, unit, op string, limit float64, note string) {
	r.figures = append(r.figures, figure{name: name, value: value, unit: unit, note: note, want: &target{op, limit}})
}

// fail notes a measurement that could not be made: no verdict is a missed one.
func (r *report) fail(name string, err error) {
	r.failed = append(r.failed, fmt.Sprintf("%s: %v", name, err))
}

// missed lists the targets that were not met, and the failures.
func (r *report) missed() []string {
	var out []string
	for _, f := range r.figures {
		if f.want != nil && !f.want.met(f.value) {
			out = append(out, fmt.Sprintf("%s is %s %s, wanted %s %s",
				f.name, number(f.value), f.unit, f.want.op, number(f.want.limit)))
		}
	}
	return append(out, r.failed...)
}

// number writes a figure with as many digits as mean something.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "none"
	case v == math.Trunc(v) && a < 1e15:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.4f", v)
}

// print writes the table.
func (r *report) print(w io.Writer) error {
	rows := [][]string{{"measurement", "value", "unit", "target", "verdict", "remark"}}
	for _, f := range r.figures {
		want := ""
		if f.want != nil {
			want = f.want.op + " " + number(f.want.limit)
		}
		rows = append(rows, []string{f.name, number(f.value), f.unit, want, f.verdict(), f.note})
	}
	var width [6]int
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len(cell))
			if i == 1 {
				b.WriteString(pad + cell + "  ")
			} else {
				b.WriteString(cell + pad + "  ")
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}
