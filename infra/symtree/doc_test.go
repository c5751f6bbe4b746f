// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCatalogue: the catalogue in doc.go is the grammar, with the same writers.
func TestCatalogue(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "//	path ")
	text2, _, _ = strings.Cut(text2, "//\n// RES and")
	have := map[string]string{} // path: writer
	for _, m := range regexp.MustCompile(`(?m)^//\t(\S+) +([HAD])\b`).FindAllStringSubmatch(text2, -1) {
		have[m[1]] = m[2]
	}
	for k := KindUUID; k < kindEnd; k++ {
		path := strings.NewReplacer("$r", "RES", "$h", "HOST", "$n", "N", "$m", "N[-HOST]", "$k", "KEY", "$*", "ANY").Replace(k.Pattern())
		if k.IsDir() {
			path += "/"
		}
		writer, ok := have[path]
		if !ok {
			t.Errorf("%s is not in the catalogue", path)
		}
		if owned := k.shape()&isOwned != 0; owned != (writer == "H") {
			t.Errorf("the catalogue says that %s is written by %s", path, writer)
		}
		delete(have, path)
	}
	for path := range have {
		t.Errorf("%s is in the catalogue, but not in the grammar", path)
	}
}
