// SPDX-License-Identifier: GPL-2.0-or-later

package macro

import (
	"fmt"
	"strings"
)

// Text is a text taken apart: pieces to be put out and calls to be made.
type Text struct {
	parts []part
}

// part is a literal, or a call if it has arguments.
type part struct {
	lit  string
	name string
	args []*Text
}

// Limits of a text.
const (
	maxSource = 64 << 10 // bytes
	maxNest   = 64       // braces within braces
)

// SyntaxError tells what is wrong with a text, and where.
type SyntaxError struct {
	At  int // byte
	Why string
}

// Error is one line for the administrator.
func (e *SyntaxError) Error() string { return fmt.Sprintf("macro text, byte %d: %s", e.At, e.Why) }

// Parse takes a text apart. The error is a SyntaxError.
func Parse(source string) (*Text, error) {
	if len(source) > maxSource {
		return nil, &SyntaxError{maxSource, fmt.Sprintf("it is too long (%d bytes, only %d allowed)", len(source), maxSource)}
	}
	p := &parser{s: source}
	t, err := p.text(0)
	if err == nil && p.i < len(p.s) {
		err = p.fail("'}' without '{'; write \\} for the character")
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

type parser struct {
	s string
	i int
}

func (p *parser) fail(format string, a ...any) error {
	return &SyntaxError{p.i, fmt.Sprintf(format, a...)}
}

// text reads up to the end or to a closing brace that is not its own.
func (p *parser) text(depth int) (*Text, error) {
	if depth > maxNest {
		return nil, p.fail("braces are nested more than %d deep", maxNest)
	}
	t := &Text{}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			t.parts = append(t.parts, part{lit: lit.String()})
			lit.Reset()
		}
	}
	open := 0 // literal braces within
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '\\':
			r, err := p.escape()
			if err != nil {
				return nil, err
			}
			lit.WriteByte(r)
		case c == '%':
			call, err := p.call(depth)
			if err != nil {
				return nil, err
			}
			flush()
			t.parts = append(t.parts, call)
		case c == '}' && open == 0:
			flush()
			return t, nil
		default:
			switch c {
			case '{':
				open++
			case '}':
				open--
			}
			lit.WriteByte(c)
			p.i++
		}
	}
	if open > 0 {
		return nil, p.fail("'{' without '}'; write \\{ for the character")
	}
	flush()
	return t, nil
}

func (p *parser) escape() (byte, error) {
	if p.i+1 >= len(p.s) {
		return 0, p.fail("nothing behind the backslash")
	}
	const from, to = `ntrfbae\{}%`, "\n\t\r\f\b\a\x1b\\{}%"
	i := strings.IndexByte(from, p.s[p.i+1])
	if i < 0 {
		return 0, p.fail("'\\%c' means nothing", p.s[p.i+1])
	}
	p.i += 2
	return to[i], nil
}

// call reads %name{...}{...}; the name may be empty.
func (p *parser) call(depth int) (part, error) {
	start := p.i
	p.i++
	for p.i < len(p.s) && isNameByte(p.s[p.i]) {
		p.i++
	}
	c := part{name: p.s[start+1 : p.i]}
	if p.i >= len(p.s) || p.s[p.i] != '{' {
		p.i = start
		return c, p.fail("expected a call like %%name{...}; write \\%% for the character")
	}
	for p.i < len(p.s) && p.s[p.i] == '{' {
		p.i++
		arg, err := p.argument(c, depth+1)
		if err != nil {
			return c, err
		}
		if p.i >= len(p.s) {
			return c, p.fail("'{' without '}'; write \\{ for the character")
		}
		p.i++
		c.args = append(c.args, arg)
	}
	return c, nil
}

// argument reads one argument of a call. The format of sprintf has conversions
// that look like calls: it is text as it stands, but for escapes.
func (p *parser) argument(c part, depth int) (*Text, error) {
	if len(c.args) > 0 || strings.TrimPrefix(plainName(c.name), "primitive") != "sprintf" {
		return p.text(depth)
	}
	var lit strings.Builder
	for p.i < len(p.s) && p.s[p.i] != '}' {
		r := p.s[p.i]
		if r == '\\' && !strings.HasPrefix(p.s[p.i:], `\%`) {
			var err error
			if r, err = p.escape(); err != nil {
				return nil, err
			}
			p.i--
		} else if r == '\\' { // \% is a percent sign of the result
			lit.WriteByte('%')
			p.i++
			r = '%'
		}
		lit.WriteByte(r)
		p.i++
	}
	return &Text{[]part{{lit: lit.String()}}}, nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-+*/%&|^<>=!~", c) >= 0
}

// plainName is a name as functions are found by: without - and _, unless it is
// an operator.
func plainName(name string) string {
	letters := strings.IndexFunc(name, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }) >= 0
	if !letters {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "-", ""), "_", "") // a Replacer would be made anew each time
}
