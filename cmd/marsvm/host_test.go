package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindMirror(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       mirror
		ok         bool
	}{
		{"one line", "deb http://a.example/debian bookworm main contrib\n", mirror{uri: "http://a.example/debian"}, true},
		{"with options", "# x\ndeb [arch=amd64 signed-by=/k.gpg] http://a.example/d bookworm main\n", mirror{"http://a.example/d", "/k.gpg"}, true},
		{"source packages", "deb-src http://a.example/d bookworm main\n", mirror{}, false},
		{"another suite", "deb http://a.example/d bookworm-security main\n", mirror{}, false},
		{"another component", "deb http://a.example/d bookworm contrib\n", mirror{}, false},
		{"switched off", "#deb http://a.example/d bookworm main\n", mirror{}, false},
		{"open bracket", "deb [arch=amd64 http://a.example/d bookworm main\n", mirror{}, false},
		{"deb822", "Types: deb\n# note\nURIs: http://s.example/s\nSuites: bookworm-security\nComponents: main\n\n" +
			"Types: deb deb-src\nURIs: http://a.example/d http://b.example/d\nSuites: bookworm bookworm-updates\nComponents:\n main contrib\nSigned-By: /k.gpg\n",
			mirror{"http://a.example/d", "/k.gpg"}, true},
		{"deb822 with an embedded key", "Types: deb\nURIs: u\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN\n .\n x\n", mirror{uri: "u"}, true},
		{"deb822 switched off", "Enabled: no\nTypes: deb\nURIs: u\nSuites: bookworm\nComponents: main\n", mirror{}, false},
		{"nothing", "", mirror{}, false},
	} {
		got, ok := findMirror([]string{"", c.text}, "bookworm")
		if ok != c.ok || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// What is derived for the private apt is understood again.
func TestSourceText(t *testing.T) {
	want := mirror{"http://a.example/d", "/k.gpg"}
	got, ok := findMirror([]string{want.sourceText("x-backports")}, "x-backports")
	if !ok || got != want {
		t.Errorf("%+v, %v; want %+v", got, ok, want)
	}
}

func FuzzFindMirror(f *testing.F) {
	f.Add("deb [a=b] u bookworm main\n")
	f.Add("Types: deb\nURIs: u\nSuites: bookworm\nComponents: main\n")
	f.Fuzz(func(t *testing.T, text string) {
		if m, ok := findMirror([]string{text}, "bookworm"); ok && (m.uri == "" || strings.ContainsAny(m.uri, " \n")) {
			t.Fatalf("mirror %q", m.uri)
		}
	})
}

func TestKernelPackage(t *testing.T) {
	show := "Package: linux-image-cloud-amd64\nDepends: linux-image-6.19.1-cloud-amd64 (= 6.19.1-1)\n\n" +
		"Package: linux-image-cloud-amd64\nDepends: x, linux-image-6.12.95+deb12-cloud-amd64 (= 6.12.95-1~bpo12+1)\n"
	if got, ok := kernelPackage(show, "6.12."); !ok || got != "linux-image-6.12.95+deb12-cloud-amd64" {
		t.Errorf("%q, %v", got, ok)
	}
	if got, ok := kernelPackage("Depends: linux-image-6.1.0-1-cloud-amd64 (= 1)\n", "6.12."); ok {
		t.Errorf("took %q", got)
	}
	if got, ok := kernelPackage(show, ""); !ok || got != "linux-image-6.19.1-cloud-amd64" {
		t.Errorf("newest: %q, %v", got, ok)
	}
}

func TestVersions(t *testing.T) {
	if got := osCodename("NAME=x\nVERSION_CODENAME=\"trixie\"\n"); got != "trixie" {
		t.Errorf("codename %q", got)
	}
	v, major, err := parseQemuVersion("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright\n")
	if v != "10.0.2" || major != 10 || err != nil {
		t.Errorf("%q %d %v", v, major, err)
	}
	for _, bad := range []string{"", "QEMU emulator version ", "version x.y"} {
		if _, _, err := parseQemuVersion(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}

func TestParseLdd(t *testing.T) {
	got, err := parseLdd("\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n")
	if diff := cmp.Diff([]string{"/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := parseLdd("\tlibx.so => not found\n"); err == nil {
		t.Error("a missing library passed")
	}
}

func TestShebang(t *testing.T) {
	for head, want := range map[string]string{
		"#!/bin/sh\nx": "/bin/sh", "#! /bin/bash -e\n": "/bin/bash", "#!/usr/bin/env python3\n": "python3",
		"\x7fELF": "", "#!": "", "#!\n": "", "": "",
	} {
		if got := shebang([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

// A script brings its shell, the shell its libraries and their loader.
func TestScriptNeeds(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.sh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var a archive
	name, err := a.putProgram(file)
	if err != nil || name != file {
		t.Fatalf("%q, %v", name, err)
	}
	found := 0
	for name := range a.entries {
		if name == "/bin/sh" || strings.Contains(name, "/libc.so") || strings.Contains(name, "/ld-linux") {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d of shell, libc and loader in %v", found, a.entries)
	}
	if _, err := a.putProgram(filepath.Dir(file) + "/none"); err == nil {
		t.Error("a missing program passed")
	}
	if err := a.putTool("no-such-tool-anywhere"); err == nil {
		t.Error("a missing tool passed")
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("MARS_VM_CACHE", "/some/where")
	if dir, err := cacheDir(); dir != "/some/where" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	t.Setenv("MARS_VM_CACHE", "")
	dir, err := cacheDir()
	if err != nil || !strings.HasSuffix(dir, "/.cache/marsvm") {
		t.Fatalf("%q, %v", dir, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "../../go.mod")); err != nil {
		t.Error(err)
	}
}
