// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// FuzzIndent: indented JSON is what json.Indent makes of it, means the same, and
// steers no terminal.
func FuzzIndent(f *testing.F) {
	for _, text := range []string{
		`null`, `-1.5e3`, `""`, `{}`, `[]`, `[[]]`, `[{}]`, `{"a":[]}`, `{"a":{"b":[1,2,{"c":null}],"d":"x"}}`, `[true,false,"\\\"{,:["]`, `{"\"":"\\"}`, `["é\u2028\u0007"]`, `["\u007f", "\u009b2J", "\u202e\udb40\udc01é\ud83d\ude00"]`, `[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var v any
		if json.Unmarshal(text, &v) != nil {
			return
		}
		compact, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Indent(&want, compact, "", indentStep); err != nil {
			t.Fatal(err)
		}
		want.WriteByte('\n')
		var got bytes.Buffer
		if p := newIndenter(&got); p.print(compact) != nil || p.end() != nil {
			t.Fatal("a buffer takes everything")
		}
		if bytes.ContainsFunc(got.Bytes(), func(r rune) bool { return r != '\n' && hides(r) }) {
			t.Errorf("%q steers the terminal", got.Bytes())
		}
		if !bytes.ContainsFunc(compact, hides) && !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s:\n%s\nwant\n%s", compact, got.Bytes(), want.Bytes())
		}
		var back any
		if err := json.Unmarshal(got.Bytes(), &back); err != nil || !reflect.DeepEqual(back, v) {
			t.Errorf("%q is read as %#v, %v", got.Bytes(), back, err)
		}
	})
}

// TestHostileValuesInJSON: what steers a terminal is neither printed nor makes
// something else than JSON.
func TestHostileValuesInJSON(t *testing.T) {
	const hostile = "a\x7fb\u009b2J\u202e\U000e0001é"
	s := newBystander(t, "B")
	s.set("resource-r/actual-B/split-brain", hostile)
	for _, line := range []string{"status r --json", "explain r --json", "watch r --timeout=0"} {
		s.must(line)
		out := s.out.Bytes()
		if bytes.ContainsFunc(out, func(r rune) bool { return r != '\n' && hides(r) }) {
			t.Errorf("%s: %q steers the terminal", line, out)
		}
		told := false
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var v any
			if err := d.Decode(&v); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v in %q", line, err, out)
			}
			told = told || strings.Contains(fmt.Sprint(v), hostile)
		}
		if !told {
			t.Errorf("%s does not tell %q: %q", line, hostile, out)
		}
	}
}
