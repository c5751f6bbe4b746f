// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzIndent: indented JSON is what json.Indent makes of it.
func FuzzIndent(f *testing.F) {
	for _, text := range []string{
		`null`, `-1.5e3`, `""`, `{}`, `[]`, `[[]]`, `[{}]`, `{"a":[]}`, `{"a":{"b":[1,2,{"c":null}],"d":"x"}}`, `[true,false,"\\\"{,:["]`, `{"\"":"\\"}`, `["é\u2028\u0007"]`,
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
		if got := indentJSON(compact); !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s:\n%s\nwant\n%s", compact, got, want.Bytes())
		}
	})
}
