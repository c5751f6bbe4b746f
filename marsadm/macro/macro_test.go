// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"errors"
	"strings"
	"testing"
)

func TestLanguage(t *testing.T) {
	for source, want := range map[string]string{
		"":                               "",
		"plain {text} here":              "plain {text} here",
		`a\tb\\c\{\}\%`:                  "a\tb\\c{}%",
		"%{res}":                         "mydata",
		"%{none}":                        "",
		"%{path}{/}{1}":                  "b",
		"%{path}{/}{*}":                  "c",
		"%{path}{/}{}":                   "c",
		"%{path}{/}{9}":                  "",
		"%let{x}{5}%{++}{x}%{x}{++}%{x}": "667",
		"%let{x}{5}%{x}{--}%{--}{x}":     "53",
		"%let{x}{a}%append{x}{b}%{x}":    "ab",
		"%set{path}{/}{1}{X}%{path}":     "a/X/c",
		"%set{new}{,}{2}{X}%{new}":       ",,X",
		"%+{1}{2}{3}":                    "6",
		"%-{5}":                          "-5",
		"%-{5}{7}":                       "-2",
		"%*{3}{4}":                       "12",
		"%/{7}{2}":                       "3.5",
		"%/{8}{2}":                       "4",
		"%%{7}{4}":                       "3",
		"%<<{1}{10}":                     "1024",
		"%min{3}{1}{2}":                  "1",
		"%max{3,9}{1}{2}":                "3",
		"%+{9223372036854775807}{1}":     "9.22337203685478e+18",
		"%<{2}{10}%lt{2}{10}":            "10",
		"%=={1.0}{1}%eq{1.0}{1}":         "10",
		"%&&{1}{0}{%die{no}}":            "0",
		"%||{0}{1}{%die{no}}":            "1",
		"%and{}%!{}%not{1}%~{0}":         "010-1",
		"%if{1}{a}{%die{no}}":            "a",
		"%if{0}{%die{no}}":               "",
		"%unless{0}{a}{b}":               "a",
		"%elsif{0}{a}{1}{b}{c}":          "b",
		"%elsif{0}{a}{0}{b}{c}":          "c",
		"%elsunless{1}{a}{0}{b}{c}":      "b",
		"%for{%let{i}{0}}{%<{%{i}}{3}}{%{++}{i}}{%{i},}":                                   "0,1,2,",
		"%let{i}{0}%while{1}{%if{%>{%{++}{i}}{5}}{%last{}}%if{%=={%{i}}{2}}{%next{}}%{i}}": "1345",
		"%let{i}{3}%until{%=={%{i}}{0}}{%{i}%tmp{%{--}{i}}}":                               "321",
		"%foreach{x}{a\\nb\\n}{\\n}{<%{x}>}":                                               "<a><b>",
		"%foreach{x}{a,b}{,}{<%{x}>}":                                                      "<a><b>",
		"%foreach{x}{}{,}{<%{x}>}":                                                         "",
		"%eval{2}{%protect{%{res}}}":                                                       "mydata",
		"%protect{%{res}}":                                                                 "mydata",
		"%eval-down{%protect{a}}":                                                          "a",
		"a%return{}b":                                                                      "a",
		"%toupper{ab}%to_lower{AB}%length{abc}":                                            "ABab3",
		"%match{abc}{B}%match{abc}{B}{i}%=~{ab}{^a}":                                       "011",
		"%subst{aaa}{a}{b}%subst{aaa}{a}{b}{g}":                                            "baabbb",
		"%subst{ab}{(a)(b)}{$2$1}":                                                         "ba",
		"%sprintf{%5.2f|%-3s|%03d|%%}{3.14159}{x}{7}":                                      " 3.14|x  |007|%",
		"%primitive-sprintf{%d}{5}":                                                        "5",
		"%human-numbers{}{/}{ }{1024}{2048}":                                               "1.000/2.000 KiB",
		"%human-numbers{k}{/}{}{1500}":                                                     "1.500KB",
		"%human-numbers{}{/}{ }{0}":                                                        "0 B",
		"%human-seconds{3723}%human-seconds{}":                                             "01:02:03--:--:--",
		"%progress{10}{3}{6}{10}":                                                          "[===>::....]",
		"%progress{4}{4}{4}{4}":                                                            "[====]",
		"%progress{4}{0}{0}{4}":                                                            "[>...]",
		"%double{x}%Double{y}":                                                             "xxyy",
	} {
		m := New(testFuncs)
		m.Set("res", "mydata")
		m.Set("path", "a/b/c")
		if got, err := m.Run(source); err != nil || got != want {
			t.Errorf("%s\ngives    %q, %v\nexpected %q", source, got, err, want)
		}
	}
}

func testFuncs(name string) Func {
	switch name {
	case "double", "Double":
		return func(a *Args) (string, error) { s, err := a.Get(0); return s + s, err }
	case "self":
		return func(a *Args) (string, error) {
			t, err := Parse("%self{}")
			if err != nil {
				return "", err
			}
			return a.Machine().Call("self", t, nil)
		}
	case "greet":
		return func(a *Args) (string, error) {
			t, err := Parse("%{1} %{2}%return{} not this")
			if err != nil {
				return "", err
			}
			s, err := a.All()
			if err != nil {
				return "", err
			}
			return a.Machine().Call("greet", t, s)
		}
	}
	return nil
}

func TestNames(t *testing.T) {
	for _, name := range Names() {
		if builtin(plainName(name)) == nil {
			t.Errorf("%s is listed, but not there", name)
		}
	}
}

func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		"%":                        "expected a call",
		"100 % sure":               "expected a call",
		"%x":                       "expected a call",
		"%if{a":                    "'{' without '}'",
		"a}b":                      "'}' without '{'",
		"a{b":                      "'{' without '}'",
		`\q`:                       "means nothing",
		`a\`:                       "nothing behind the backslash",
		"%nonsense{}":              "cannot find macro 'nonsense'",
		"%/{1}{0}":                 "division by zero",
		"%%{1}{0}":                 "division by zero",
		"%<<{1}{64}":               "shift by 64",
		"%die{enough}":             "enough",
		"%next{}":                  "outside of a loop",
		"%match{a}{(}":             "missing closing",
		"%match{a}{b}{q}":          "unknown option 'q'",
		"%sprintf{%z}{1}":          "unknown conversion",
		"%human-numbers{Q}{}{}{1}": "unknown unit",
		"%set{x}{,}{-1}{y}":        "field -1",
		"%progress{100000}":        "a bar of length",
		strings.Repeat("%tmp{", 100) + strings.Repeat("}", 100): "nested more than",
		strings.Repeat("x", 1<<17):                              "too long",
	} {
		_, err := New(testFuncs).Run(source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, expected %q", source, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, source := range []string{
		"%while{1}{}", "%self{}", "%let{x}{ab}%while{1}{%append{x}{%{x}}}",
		"%let{x}{" + strings.Repeat("a", 60000) + "}%while{1}{%{x}}", "%let{x}{" + strings.Repeat("a", 60000) + "}%subst{%{x}}{a}{%{x}}{g}",
	} {
		if _, err := New(testFuncs).Run(source); !errors.Is(err, ErrLimit) {
			t.Errorf("%.40s: %v, expected %v", source, err, ErrLimit)
		}
	}
}

func TestCall(t *testing.T) {
	m := New(testFuncs)
	m.Set("1", "kept")
	if got, err := m.Run("%greet{hello}{world}, %{1}"); err != nil || got != "hello world, kept" {
		t.Errorf("%q, %v", got, err)
	}
}

// No text whatever makes it crash, hang or put out more than is allowed.
func FuzzRun(f *testing.F) {
	for _, s := range []string{"%if{%{a}}{b}{c}", "%for{%let{i}{0}}{%<{%{i}}{3}}{%{++}{i}}{%{i}}", `\%\{\}`, "%sprintf{%5.2f}{1}", "%subst{a}{b}{c}{g}", "%set{x}{,}{3}{y}", "%progress{20}{1}{2}{3}", "%eval{3}{%protect{%{x}}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		m := New(testFuncs)
		m.steps = 0
		out, err := m.Run(source)
		if len(out) > 2*maxOut {
			t.Errorf("%d bytes", len(out))
		}
		if _, perr := Parse(source); perr == nil && err == nil && !strings.Contains(source, "%") && !strings.Contains(source, `\`) && out != source {
			t.Errorf("%q gives %q", source, out)
		}
		if again, err := New(nil).Run(escapeText(source)); len(source) < 1000 && (err != nil || again != source) {
			t.Errorf("escaped, %q gives %q, %v", source, again, err)
		}
	})
}
