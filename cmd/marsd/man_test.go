package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"mars/infra/tunable"
)

// TestMan: the page knows every command, flag, tunable and metric.
func TestMan(t *testing.T) {
	var out bytes.Buffer
	app := newApp(func(string) string { return "" }, "h", &out, io.Discard)
	if err := app.Run([]string{"marsd", "man"}); err != nil {
		t.Fatal(err)
	}
	page := strings.NewReplacer(`\-`, "-", `\(aq`, "'").Replace(out.String())
	var words []string
	for _, c := range newApp(func(string) string { return "" }, "h", io.Discard, io.Discard).Commands {
		for _, f := range c.Flags {
			words = append(words, `.B "--`+f.Names()[0])
		}
	}
	for _, d := range tunable.Defs() {
		words = append(words, `.B "`+d.Name+`"`)
	}
	for _, m := range metricDefs() {
		words = append(words, `.B "`+m.name)
	}
	words = append(words, "TUNABLES WITHOUT EFFECT", "aio_sync_mode", ".SH \"START\"", "default 20, 0 to 70 %", "--set=NAME=VALUE")
	for _, w := range words {
		if !strings.Contains(page, w) {
			t.Errorf("marsd(8) lacks %q", w)
		}
	}
	wantError(t, app.Run([]string{"marsd", "man", "x"}), "no arguments")
}
