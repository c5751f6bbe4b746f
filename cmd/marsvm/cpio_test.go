package main

import (
	"bytes"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// unpacked is a file as the kernel would see it.
type unpacked struct {
	mode         uint64
	major, minor uint64
	data         string
}

// unpack reads a newc archive the way the kernel does: by fixed fields and
// padding, independently of the writer.
func unpack(t interface{ Fatalf(string, ...any) }, b []byte) (names []string, files map[string]unpacked) {
	files = make(map[string]unpacked)
	round := func(n int) int { return (n + 3) / 4 * 4 }
	for at := 0; ; {
		if len(b) < at+110 || string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d", at)
		}
		var f [13]uint64
		for i := range f {
			n, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatalf("field %d at %d: %v", i, at, err)
			}
			f[i] = n
		}
		size, nameLen := int(f[6]), int(f[11])
		name := string(b[at+110 : at+110+nameLen-1])
		data := round(at + 110 + nameLen)
		if name == "TRAILER!!!" {
			if data != len(b) {
				t.Fatalf("%d bytes after the trailer", len(b)-data)
			}
			return names, files
		}
		names = append(names, name)
		files[name] = unpacked{mode: f[1], major: f[9], minor: f[10], data: string(b[data : data+size])}
		at = round(data + size)
	}
}

func TestArchive(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "tool")
	if err := os.WriteFile(script, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	var a archive
	a.putBytes("/etc/a/b", 0o600, "12345")
	a.putDir("/tmp", 0o1777)
	a.putBytes("/tmp/x", 0o644, "")
	a.putDir("/tmp", 0o755) // must not take the sticky bit away
	a.putLink("/bin/sh", "/usr/bin/dash")
	a.put("/dev/console", entry{mode: typeChar | 0o600, major: 5, minor: 1})
	if err := a.putTree("/t", dir); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := a.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	names, files := unpack(t, b.Bytes())
	want := map[string]unpacked{
		"etc": {mode: 0o40755}, "etc/a": {mode: 0o40755}, "etc/a/b": {mode: 0o100600, data: "12345"},
		"tmp": {mode: 0o41777}, "tmp/x": {mode: 0o100644}, "bin": {mode: 0o40755},
		"bin/sh": {mode: 0o120777, data: "/usr/bin/dash"}, "dev": {mode: 0o40755},
		"dev/console": {mode: 0o20600, major: 5, minor: 1}, "t": {mode: 0o40755},
		"t/tool": {mode: 0o100644, data: "no program"},
	}
	if len(names) != len(want) {
		t.Errorf("%d entries %v, want %d", len(names), names, len(want))
	}
	for name, w := range want {
		if files[name] != w {
			t.Errorf("%s: %+v, want %+v", name, files[name], w)
		}
	}
	if !sort.StringsAreSorted(names) {
		t.Errorf("directories may come after what is in them: %v", names)
	}
}

func TestArchiveRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := make(map[string]string)
		var a archive
		for i := range rapid.IntRange(0, 6).Draw(t, "files") {
			name := fmt.Sprintf("/%s%d", rapid.StringMatching(`([a-z]{1,3}/){0,2}f`).Draw(t, "name"), i)
			want[name[1:]] = rapid.StringN(0, 9, 20).Draw(t, "data")
			a.putBytes(name, 0o644, want[name[1:]])
		}
		var b bytes.Buffer
		if err := a.writeTo(&b); err != nil {
			t.Fatalf("write: %v", err)
		}
		_, files := unpack(t, b.Bytes())
		for name, data := range want {
			if files[name].data != data {
				t.Fatalf("%s: %q, want %q", name, files[name].data, data)
			}
			for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
				if files[dir].mode != typeDir|0o755 {
					t.Fatalf("parent %s: mode %o", dir, files[dir].mode)
				}
			}
		}
	})
}

func TestArchiveShortFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shrinks")
	if err := os.WriteFile(file, []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	var a archive
	if err := a.putHostFile("/f", file); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 3); err != nil {
		t.Fatal(err)
	}
	if err := a.writeTo(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "/f") {
		t.Errorf("a file that shrank gave %v", err)
	}
}
