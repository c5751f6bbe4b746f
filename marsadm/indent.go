// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// indentStep is what each level of JSON stands further to the right.
const indentStep = "  "

// indentChunk is how much of indented JSON is made before it is passed on, bytes:
// the status of a large cluster has most of a megabyte, and memory that was never
// used before costs as much as to fill it.
const indentChunk = 16 << 10

// margins are the ends of lines with what indents the next one, but for lines that are deeper.
var margins = "\n" + strings.Repeat(indentStep, 16)

// indenter makes of JSON what json.Indent makes of it, and visibleJSON. What
// comes is from json.Marshal and needs not be checked again: that takes longer
// than to encode it. It may come in pieces that end between two tokens.
type indenter struct {
	w      io.Writer // nil: all of it stays in out
	out    []byte
	depth  int
	opened bool // the last one was an opening bracket
}

func newIndenter(w io.Writer) *indenter {
	return &indenter{w: w, out: make([]byte, 0, indentChunk+indentChunk/4)}
}

func (p *indenter) print(compact []byte) error {
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		closes := c == '}' || c == ']'
		if closes {
			p.depth--
		}
		if p.opened != closes { // else it is empty, or in the middle
			p.newLine()
		}
		switch c {
		case '"':
			end, plain := endOfString(compact, i)
			text := compact[i:end]
			if !plain {
				text = visibleJSON(text)
			}
			p.out, i = append(p.out, text...), end-1
		case '{', '[':
			p.out = append(p.out, c)
			p.depth++
		case ',':
			p.out = append(p.out, c)
			p.newLine()
			if err := p.spill(); err != nil {
				return err
			}
		case ':':
			p.out = append(p.out, ':', ' ')
		default:
			p.out = append(p.out, c)
		}
		p.opened = c == '{' || c == '['
	}
	return nil
}

// inner is the form of a value that is to be inserted. It only reads what p is.
func (p *indenter) inner(compact []byte) []byte {
	q := indenter{depth: p.depth, out: make([]byte, 0, 2*len(compact))}
	_ = q.print(compact) // nothing is passed on
	return q.out
}

// insert is print of a value whose inner form is known.
func (p *indenter) insert(inner []byte) error {
	if p.opened {
		p.newLine()
		p.opened = false
	}
	p.out = append(p.out, inner...)
	return p.spill()
}

// spill passes on what is enough to be passed on.
func (p *indenter) spill() error {
	if p.w == nil || len(p.out) < indentChunk {
		return nil
	}
	return p.flush()
}

// end is behind all: it ends the line.
func (p *indenter) end() error {
	p.out = append(p.out, '\n')
	return p.flush()
}

func (p *indenter) flush() error {
	_, err := p.w.Write(p.out)
	p.out = p.out[:0]
	return err
}

func (p *indenter) newLine() {
	n := 1 + p.depth*len(indentStep)
	if n <= len(margins) {
		p.out = append(p.out, margins[:n]...)
		return
	}
	p.out = append(p.out, '\n')
	p.out = append(p.out, strings.Repeat(indentStep, p.depth)...)
}

// endOfString is behind the string that begins at i. It is plain if there is
// nothing in it that may have to be made visible.
func endOfString(text []byte, i int) (end int, plain bool) {
	plain = true
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] >= 0x7f {
			plain = false
		}
	}
	return min(i+1, len(text)), plain
}

// visibleJSON writes with escapes what may stand in JSON as it is and yet steers a
// terminal: the control characters from DEL up, and such as change the direction of
// writing. It means the same to programs; what visible makes of those is no JSON.
func visibleJSON(text []byte) []byte {
	if bytes.IndexFunc(text, hides) < 0 {
		return text
	}
	var out []byte
	for i, r := range string(text) {
		if !hides(r) {
			_, n := utf8.DecodeRune(text[i:])
			out = append(out, text[i:i+n]...)
			continue
		}
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			continue
		}
		out = fmt.Appendf(out, `\u%04x`, r)
	}
	return out
}
