// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"errors"
	"fmt"
	"strings"
)

// controlFunc are the functions that decide what is evaluated.
func controlFunc(name string) Func {
	switch name {
	case "if", "unless":
		return func(a *Args) (string, error) { return branch(a, name == "if") }
	case "elsif", "elsunless":
		return func(a *Args) (string, error) { return branches(a, name == "elsif") }
	case "while", "until":
		return func(a *Args) (string, error) {
			return loop(a, 1, func() (bool, error) {
				s, err := a.Get(0)
				return truth(s) == (name == "while"), err
			})
		}
	case "for":
		return forLoop
	case "foreach":
		return foreach
	case "protect":
		return strict(func(s []string) (string, error) { return escapeText(at(s, 0)), nil })
	case "eval":
		return evalTimes
	case "evaldown":
		return evalDown
	case "tmp":
		return func(a *Args) (string, error) { _, err := a.Get(0); return "", err }
	case "callstack":
		return func(a *Args) (string, error) { return strings.Join(a.m.stack, " -> "), nil }
	case "abort", "return", "next", "last", "stopeval":
		return func(*Args) (string, error) { return "", &jump{name} }
	case "die":
		return strict(func(s []string) (string, error) { return "", errors.New(strings.TrimSpace(strings.Join(s, ""))) })
	}
	return nil
}

func branch(a *Args, want bool) (string, error) {
	s, err := a.Get(0)
	if err != nil {
		return "", err
	}
	if truth(s) == want {
		return a.Get(1)
	}
	return a.Get(2)
}

// branches: condition, text, condition, text, ..., text for otherwise.
func branches(a *Args, want bool) (string, error) {
	i := 0
	for ; i+1 < a.Len(); i += 2 {
		s, err := a.Get(i)
		if err != nil {
			return "", err
		}
		if truth(s) == want {
			return a.Get(i + 1)
		}
	}
	return a.Get(i)
}

// loop evaluates the argument body as long as more says so.
func loop(a *Args, body int, more func() (bool, error)) (string, error) {
	var b strings.Builder
	for {
		if a.m.steps++; a.m.steps > maxSteps {
			return "", fmt.Errorf("more than %d steps: %w", maxSteps, ErrLimit)
		}
		ok, err := more()
		if err != nil || !ok {
			return b.String(), err
		}
		s, err := a.Get(body)
		b.WriteString(s)
		if b.Len() > maxOut {
			return "", fmt.Errorf("more than %d bytes: %w", maxOut, ErrLimit)
		}
		var j *jump
		switch {
		case errors.As(err, &j) && j.what == "next":
		case errors.As(err, &j) && j.what == "last":
			return b.String(), nil
		case err != nil:
			return b.String(), err
		}
	}
}

// forLoop is %for{init}{condition}{step}{body}.
func forLoop(a *Args) (string, error) {
	if _, err := a.Get(0); err != nil {
		return "", err
	}
	first := true
	return loop(a, 3, func() (bool, error) {
		if !first {
			if _, err := a.Get(2); err != nil {
				return false, err
			}
		}
		first = false
		s, err := a.Get(1)
		return truth(s), err
	})
}

// foreach is %foreach{variable}{list}{delimiter}{body}. A delimiter at the end
// of the list makes no further item.
func foreach(a *Args) (string, error) {
	name, err := a.Get(0)
	if err != nil {
		return "", err
	}
	list, err := a.Get(1)
	if err != nil {
		return "", err
	}
	delim, err := a.Get(2)
	if err != nil {
		return "", err
	}
	if delim == "" {
		delim = "\n"
	}
	var items []string
	if list = strings.TrimSuffix(list, delim); list != "" {
		items = strings.Split(list, delim)
	}
	return loop(a, 3, func() (bool, error) {
		if len(items) == 0 {
			return false, nil
		}
		a.m.Set(name, items[0])
		items = items[1:]
		return true, nil
	})
}

// escapeText makes a text that evaluates to s.
func escapeText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "{", `\{`, "}", `\}`, "%", `\%`).Replace(s)
}

// evalTimes is %eval{n}{text}: the result is evaluated again, n times in all.
func evalTimes(a *Args) (string, error) {
	n, err := a.Get(0)
	if err != nil {
		return "", err
	}
	s, err := a.Get(1)
	const maxTimes = 100
	for i := int64(1); err == nil && i < min(toNumber(n).i, maxTimes); i++ {
		s, err = a.m.again(s)
	}
	return s, unjump(err, "stopeval")
}

// evalDown evaluates a result again until that changes nothing any more.
func evalDown(a *Args) (string, error) {
	s, err := a.Get(0)
	for range maxDepth {
		if err != nil {
			return s, unjump(err, "stopeval")
		}
		var next string
		if next, err = a.m.again(s); err == nil && next == s {
			return s, nil
		}
		s = next
	}
	return "", fmt.Errorf("still changing after %d rounds: %w", maxDepth, ErrLimit)
}

func (m *Machine) again(source string) (string, error) {
	t, err := Parse(source)
	if err != nil {
		return "", err
	}
	return m.eval(t)
}

func unjump(err error, what string) error {
	var j *jump
	if errors.As(err, &j) && j.what == what {
		return nil
	}
	return err
}
