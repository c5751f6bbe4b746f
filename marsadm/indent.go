// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

// indentStep is what each level of JSON stands further to the right.
const indentStep = "  "

// indentJSON is json.Indent of what json.Marshal has made, which needs not be
// checked again: that takes longer than to encode it, and the status of a large
// cluster has most of a megabyte.
func indentJSON(compact []byte) []byte {
	out := make([]byte, 0, 2*len(compact)+len(compact)/4)
	depth, opened := 0, false
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		switch c {
		case '"':
			if opened {
				out = newLine(out, depth)
			}
			end := endOfString(compact, i)
			out, i = append(out, compact[i:end]...), end-1
		case '{', '[':
			if opened {
				out = newLine(out, depth)
			}
			out, depth = append(out, c), depth+1
		case '}', ']':
			depth--
			if !opened { // else it is empty
				out = newLine(out, depth)
			}
			out = append(out, c)
		case ',':
			out = newLine(append(out, c), depth)
		case ':':
			out = append(out, c, ' ')
		default:
			if opened {
				out = newLine(out, depth)
			}
			out = append(out, c)
		}
		opened = c == '{' || c == '['
	}
	return out
}

func newLine(out []byte, depth int) []byte {
	out = append(out, '\n')
	for range depth {
		out = append(out, indentStep...)
	}
	return out
}

// endOfString is behind the string that begins at i.
func endOfString(text []byte, i int) int {
	for i++; i < len(text) && text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return min(i+1, len(text))
}
