// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Limits of a run.
const (
	maxSteps = 1 << 20 // calls
	maxDepth = 200     // calls within calls
	maxOut   = 16 << 20
)

// ErrLimit is behind the error of a text that takes too long or too much.
var ErrLimit = errors.New("limit reached")

// Func is a function of the language. Arguments are evaluated by Args.Get.
type Func func(a *Args) (string, error)

// Machine runs texts. It keeps its variables from one run to the next.
type Machine struct {
	lookup func(name string) Func
	vars   map[string]string
	order  []string // names of vars, as they came up
	steps  int
	depth  int
	stack  []string
}

// New returns a machine. lookup finds the caller's functions by their names
// without - and _; nil where there is none, or for lookup itself.
func New(lookup func(name string) Func) *Machine {
	return &Machine{lookup: lookup, vars: map[string]string{}}
}

// Set sets a variable.
func (m *Machine) Set(name, value string) {
	if _, had := m.vars[name]; !had {
		m.order = append(m.order, name)
	}
	m.vars[name] = value
}

// Get is the value of a variable, empty if it has none.
func (m *Machine) Get(name string) string { return m.vars[name] }

// Variables are the names of all variables, as they came up.
func (m *Machine) Variables() []string { return slices.Clone(m.order) }

// Run evaluates a text.
func (m *Machine) Run(source string) (string, error) {
	t, err := Parse(source)
	if err != nil {
		return "", err
	}
	return m.RunText(t)
}

// RunText evaluates a text that was taken apart before. "return" and "abort"
// in it end it.
func (m *Machine) RunText(t *Text) (string, error) {
	m.steps = 0
	out, err := m.eval(t)
	var j *jump
	if errors.As(err, &j) {
		if j.what == "next" || j.what == "last" {
			return "", fmt.Errorf("%%%s{} outside of a loop", j.what)
		}
		return out, nil
	}
	return out, err
}

// Call evaluates a text with arguments in the variables 0, 1, ..., which get
// their former values back: how one macro calls another.
func (m *Machine) Call(name string, t *Text, args []string) (string, error) {
	saved := map[string]string{}
	for i, arg := range append([]string{name}, args...) {
		key := fmt.Sprint(i)
		saved[key] = m.vars[key]
		m.Set(key, arg)
	}
	m.stack = append(m.stack, name)
	out, err := m.eval(t)
	m.stack = m.stack[:len(m.stack)-1]
	for i := range len(args) + 1 {
		m.Set(fmt.Sprint(i), saved[fmt.Sprint(i)])
	}
	var j *jump
	if errors.As(err, &j) && j.what == "return" {
		err = nil
	}
	return out, err
}

// jump leaves what is being evaluated: next, last, return, abort, stopeval.
type jump struct{ what string }

func (j *jump) Error() string { return j.what }

// eval returns what was put out up to a jump along with it.
func (m *Machine) eval(t *Text) (string, error) {
	if m.depth++; m.depth > maxDepth {
		m.depth--
		return "", fmt.Errorf("macros are nested more than %d deep: %w", maxDepth, ErrLimit)
	}
	defer func() { m.depth-- }()
	if len(t.parts) == 1 && t.parts[0].args == nil {
		return t.parts[0].lit, nil
	}
	var b strings.Builder
	for _, p := range t.parts {
		text := p.lit
		var err error
		if p.args != nil {
			text, err = m.call(p)
		}
		b.WriteString(text)
		if err != nil {
			return b.String(), err
		}
		if b.Len() > maxOut {
			return "", fmt.Errorf("more than %d bytes: %w", maxOut, ErrLimit)
		}
	}
	return b.String(), nil
}

func (m *Machine) call(p part) (string, error) {
	if m.steps++; m.steps > maxSteps {
		return "", fmt.Errorf("more than %d steps: %w", maxSteps, ErrLimit)
	}
	a := &Args{m: m, name: p.name, list: p.args}
	if p.name == "" {
		return variable(a)
	}
	fn := m.find(plainName(p.name))
	if fn == nil {
		return "", fmt.Errorf("cannot find macro '%s'", p.name)
	}
	text, err := fn(a)
	var j *jump
	if err != nil && !errors.As(err, &j) && !errors.Is(err, ErrLimit) {
		err = fmt.Errorf("%%%s: %w", p.name, err)
	}
	return text, err
}

func (m *Machine) find(name string) Func {
	if m.lookup != nil {
		if fn := m.lookup(name); fn != nil {
			return fn
		}
	}
	return builtin(strings.TrimPrefix(name, "primitive"))
}

// Args are the arguments of a call.
type Args struct {
	m    *Machine
	name string
	list []*Text
}

// Len is their number; %name{} has one, which is empty.
func (a *Args) Len() int { return len(a.list) }

// Machine is who makes the call.
func (a *Args) Machine() *Machine { return a.m }

// Get evaluates the argument at i, each time anew; there is none behind the
// last: empty.
func (a *Args) Get(i int) (string, error) {
	if i >= len(a.list) {
		return "", nil
	}
	return a.m.eval(a.list[i])
}

// All evaluates all arguments, in order.
func (a *Args) All() ([]string, error) {
	out := make([]string, len(a.list))
	for i := range a.list {
		var err error
		if out[i], err = a.Get(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// variable is %{...}.
func variable(a *Args) (string, error) {
	list, err := a.All()
	if err != nil {
		return "", err
	}
	name := list[0]
	if len(list) > 1 {
		switch {
		case name == "++" || name == "--":
			return a.m.count(list[1], name, true), nil
		case list[1] == "++" || list[1] == "--":
			return a.m.count(name, list[1], false), nil
		}
		index := ""
		if len(list) > 2 {
			index = list[2]
		}
		return field(a.m.Get(name), list[1], index), nil
	}
	return a.m.Get(name), nil
}

// count adds one to a variable, or takes one away; the result is its value
// after (first) or before.
func (m *Machine) count(name, op string, first bool) string {
	old := m.Get(name)
	by := number{i: 1, whole: true}
	if op == "--" {
		by.i = -1
	}
	now := add(toNumber(old), by).String()
	m.Set(name, now)
	if first {
		return now
	}
	return toNumber(old).String()
}

// field is one part of a text between delimiters.
func field(text, delim, index string) string {
	if delim == "" {
		return text
	}
	parts := strings.Split(text, delim)
	if index == "" || index == "*" {
		return parts[len(parts)-1]
	}
	if i := toNumber(index).i; i >= 0 && i < int64(len(parts)) {
		return parts[i]
	}
	return ""
}
