// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

// TestJSONFieldsExplained: each field of each form has a meaning in the manual
// page, and no meaning is left of a field that is gone.
func TestJSONFieldsExplained(t *testing.T) {
	page := manJSON().String()
	for _, f := range jsonForms() {
		var paths []string
		for _, field := range jsonFields(reflect.TypeOf(f.value), "") {
			paths = append(paths, field.path)
			if f.means[field.path] == "" {
				t.Errorf("%s: nobody knows what %s means", f.title, field.path)
			}
			if !strings.Contains(page, `.B "`+strings.ReplaceAll(field.path, "-", `\-`)+`"`) {
				t.Errorf("%s: the page lacks %s", f.title, field.path)
			}
		}
		for _, path := range slices.Sorted(maps.Keys(f.means)) {
			if !slices.Contains(paths, path) {
				t.Errorf("%s: there is no field %s", f.title, path)
			}
		}
	}
}

// TestJSONFieldsPrinted: what commands print is of the forms, field by field.
func TestJSONFieldsPrinted(t *testing.T) {
	s := newPair(t, "B")
	s.heard()
	s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""), "resource-r/actual-B/split-brain", "two follow", "resource-r/actual-B/msg-err-x", "bad")
	forms := jsonForms()
	for line, form := range map[string]jsonForm{
		"status --json": forms[0], "watch --timeout=0": forms[1], "explain r --json": forms[2], "log check /mars/resource-r/log-000000001-A --json": forms[3],
	} {
		s.adm(line)
		text := s.out.String()
		if form.title == forms[1].title {
			text, _, _ = strings.Cut(text, "\n")
		}
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Errorf("%s: %v in %q", line, err, text)
		}
		if list, ok := value.([]any); ok {
			value = list[0]
		}
		known := map[string]string{}
		for _, f := range jsonFields(reflect.TypeOf(form.value), "") {
			known[f.path] = f.kind
		}
		checkForm(t, line, known, "", value)
	}
	s.must("man mars-json")
}

// checkForm compares a value with the fields that are known, but not within the
// value of an event, which is of any form.
func checkForm(t *testing.T, line string, known map[string]string, path string, value any) {
	object, ok := value.(map[string]any)
	if !ok {
		t.Errorf("%s: %s is no object", line, path)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		kind, there := known[path+name]
		if !there {
			t.Errorf("%s: %s%s is not in the page", line, path, name)
		}
		is := ""
		switch v := object[name].(type) {
		case nil:
			is = "null"
		case bool:
			is = "true or false"
		case float64:
			is = "number"
		case string:
			is = "text"
		case map[string]any:
			is = "object"
			if path+name != "value" {
				checkForm(t, line, known, path+name+".", v)
			}
		case []any:
			is = "list of"
			for _, e := range v {
				if kind == "list of objects" {
					checkForm(t, line, known, path+name+"[].", e)
				}
			}
		}
		if !strings.Contains(kind, is) {
			t.Errorf("%s: %s%s is %s, expected %s", line, path, name, is, kind)
		}
	}
}
