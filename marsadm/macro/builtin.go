// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"fmt"
	"strings"
)

// Names lists the functions of the language itself.
func Names() []string {
	return strings.Fields("+ - * / % & | ^ << >> min max < > <= >= == != lt gt le ge eq ne && and || or ! not ~ match =~ " +
		"toupper tolower length subst sprintf human-numbers human-seconds progress let append set " +
		"if unless elsif elsunless while until for foreach protect eval eval-down tmp callstack abort return stop-eval next last die")
}

// builtin finds a function of the language itself; nil if there is none.
func builtin(name string) Func {
	switch name {
	case "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "min", "max":
		return fold(name)
	case "<", ">", "<=", ">=", "==", "!=":
		return strict(func(s []string) (string, error) {
			return Bool(compare(name, toNumber(at(s, 0)), toNumber(at(s, 1)))), nil
		})
	case "lt", "gt", "le", "ge", "eq", "ne":
		return strict(func(s []string) (string, error) {
			return Bool(order(name, strings.Compare(at(s, 0), at(s, 1)))), nil
		})
	case "&&", "and":
		return func(a *Args) (string, error) { return logic(a, false) }
	case "||", "or":
		return func(a *Args) (string, error) { return logic(a, true) }
	case "!", "not":
		return strict(func(s []string) (string, error) { return Bool(!truth(s[0])), nil })
	case "~":
		return strict(func(s []string) (string, error) { return number{i: ^toNumber(s[0]).i, whole: true}.String(), nil })
	}
	if fn := controlFunc(name); fn != nil {
		return fn
	}
	if fn := stringFunc(name); fn != nil {
		return fn
	}
	return variableFunc(name)
}

// strict is a function that evaluates all of its arguments.
func strict(fn func(s []string) (string, error)) Func {
	return func(a *Args) (string, error) {
		s, err := a.All()
		if err != nil {
			return "", err
		}
		return fn(s)
	}
}

func at(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return ""
}

// fold applies an operator from left to right. What stands behind a comma in an
// argument does not count.
func fold(op string) Func {
	return strict(func(s []string) (string, error) {
		var sum number
		for i, text := range s {
			text, _, _ = strings.Cut(text, ",")
			n := toNumber(text)
			if i == 0 {
				sum = n
				continue
			}
			var err error
			if sum, err = arithmetic(op, sum, n); err != nil {
				return "", err
			}
		}
		if op == "-" && len(s) == 1 {
			sum = sub(number{whole: true}, sum)
		}
		return sum.String(), nil
	})
}

func order(name string, c int) bool {
	switch name {
	case "lt":
		return c < 0
	case "gt":
		return c > 0
	case "le":
		return c <= 0
	case "ge":
		return c >= 0
	case "eq":
		return c == 0
	}
	return c != 0
}

// logic evaluates up to the first argument that decides.
func logic(a *Args, decides bool) (string, error) {
	for i := range a.Len() {
		s, err := a.Get(i)
		if err != nil || truth(s) == decides {
			return Bool(decides), err
		}
	}
	return Bool(!decides), nil
}

// variableFunc are the functions about variables.
func variableFunc(name string) Func {
	switch name {
	case "let":
		return func(a *Args) (string, error) { return assign(a, false) }
	case "append":
		return func(a *Args) (string, error) { return assign(a, true) }
	case "set":
		return setField
	}
	return nil
}

func assign(a *Args, more bool) (string, error) {
	s, err := a.All()
	if err != nil {
		return "", err
	}
	value := strings.Join(s[1:], "")
	if more {
		value = a.m.Get(s[0]) + value
	}
	if len(value) > maxOut {
		return "", fmt.Errorf("variable '%s': more than %d bytes: %w", s[0], maxOut, ErrLimit)
	}
	a.m.Set(s[0], value)
	return "", nil
}

// setField is %set{variable}{delim}{index}{text}.
func setField(a *Args) (string, error) {
	s, err := a.All()
	if err != nil {
		return "", err
	}
	if len(s) != 4 || s[1] == "" {
		return "", fmt.Errorf("expected {variable}{delimiter}{index}{text}")
	}
	parts := strings.Split(a.m.Get(s[0]), s[1])
	i := int64(len(parts) - 1)
	if s[2] != "" && s[2] != "*" {
		i = toNumber(s[2]).i
	}
	const maxFields = 10_000
	if i < 0 || i >= maxFields {
		return "", fmt.Errorf("field %d", i)
	}
	for int64(len(parts)) <= i {
		parts = append(parts, "")
	}
	parts[i] = s[3]
	a.m.Set(s[0], strings.Join(parts, s[1]))
	return "", nil
}
