package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// make install puts all that a host needs below DESTDIR, and nothing elsewhere.
func TestMakeInstall(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("make", "-C", "../..", "install", "DESTDIR="+dir, "PREFIX=/usr", "BIN="+filepath.Join(t.TempDir(), "bin"))
	// Not what a make that runs this test has set.
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=", "MFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := map[string]os.FileMode{}
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() {
			found[strings.TrimPrefix(path, dir)] = fi.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]os.FileMode{
		"/usr/sbin/marsd": 0o755, "/usr/sbin/marsadm": 0o755,
		"/usr/lib/systemd/system/marsd.service": 0o644, "/usr/lib/udev/rules.d/90-mars.rules": 0o644,
		"/usr/share/man/man8/marsd.8": 0o644, "/usr/share/man/man8/marsadm.8": 0o644,
		"/usr/share/man/man7/mars-symlinks.7": 0o644, "/usr/share/man/man7/mars-json.7": 0o644, "/usr/share/man/man5/mars-log.5": 0o644,
		"/usr/share/bash-completion/completions/marsadm": 0o644, "/usr/share/zsh/site-functions/_marsadm": 0o644,
		"/usr/share/fish/vendor_completions.d/marsadm.fish": 0o644,
	}
	for name, mode := range want {
		if found[name] != mode {
			t.Errorf("%s has mode %v, expected %v", name, found[name], mode)
		}
		delete(found, name)
	}
	if len(found) > 0 {
		t.Errorf("unexpected: %v", found)
	}
	out, err := exec.Command(filepath.Join(dir, "usr/sbin/marsd"), "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "marsd version") {
		t.Errorf("marsd --version: %v, %s", err, out)
	}
	unit, err := os.ReadFile(filepath.Join(dir, "usr/lib/systemd/system/marsd.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/sbin/marsd run\n") || strings.Contains(string(unit), "@") {
		t.Errorf("the unit: %v\n%s", err, unit)
	}
}
