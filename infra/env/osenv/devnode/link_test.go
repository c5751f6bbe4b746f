// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/env"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"lv-1": true, "a.b_c": true, "": false, ".": false, "..": false, ".x": false, "a/b": false, "a b": false,
		"a\nb": false, "a,b": false, `a\b`: false, strings.Repeat("x", 200): true, strings.Repeat("x", 201): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v, want ok %v", name, err, ok)
		}
	}
}

func TestLinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	path := filepath.Join(dir, "lv")
	for _, target := range []string{"/dev/loop1", "/dev/loop2"} {
		if err := MakeLink(target, path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(path); got != target {
			t.Fatalf("link is %q, %v", got, err)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Fatalf("left over: %v", list)
	}
	for range 2 {
		if err := RemoveLink(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := MakeLink("/dev/loop1", path); !errors.Is(err, env.ErrExist) {
		t.Errorf("replacing a file: %v", err)
	}
	if err := RemoveLink(path); !errors.Is(err, env.ErrExist) {
		t.Errorf("removing a file: %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Error("the file is gone")
	}
}
