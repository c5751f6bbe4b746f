package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// cacheDir returns where the kernel is kept; see the package comment.
func cacheDir() (string, error) {
	if dir := os.Getenv("MARS_VM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return filepath.Join(d, ".cache", "marsvm"), nil
		}
		if d == filepath.Dir(d) {
			break
		}
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "marsvm"), nil
}

// kernel is an unpacked kernel package.
type kernel struct {
	version string // as in uname -r
	image   string
	modules string // directory with modules.dep
}

// findKernel returns the kernel at a place in the cache.
func findKernel(cache, place string) (kernel, error) {
	images, err := filepath.Glob(filepath.Join(cache, place, "boot", "vmlinuz-*"))
	if err != nil {
		return kernel{}, err
	}
	if len(images) != 1 {
		return kernel{}, errors.New("no kernel in " + filepath.Join(cache, place))
	}
	k := kernel{image: images[0]}
	_, k.version, _ = strings.Cut(filepath.Base(k.image), "vmlinuz-")
	k.modules = filepath.Join(cache, place, "lib", "modules", k.version)
	if _, err := os.Stat(filepath.Join(k.modules, "modules.dep")); err != nil {
		return kernel{}, fmt.Errorf("kernel in %s is not complete: %w", cache, err)
	}
	return k, nil
}

// index reads what depmod wrote.
func (k kernel) index() (*moduleIndex, error) {
	var texts [3]string
	for i, name := range []string{"modules.dep", "modules.builtin", "modules.alias"} {
		text, err := os.ReadFile(filepath.Join(k.modules, name))
		if err != nil {
			return nil, err
		}
		texts[i] = string(text)
	}
	return parseModules(texts[0], texts[1], texts[2])
}

// cx16Major is the first QEMU that emulates CMPXCHG16B well. Before, the flags
// are garbage if an interrupt comes right behind it, and one boot in three ends
// in a double fault; a kernel that is told there is no such instruction does
// without.
const cx16Major = 8

// emulator is a usable QEMU.
type emulator struct {
	path    string
	version string
	major   int
}

// errNoQemu says that there is no QEMU at all.
var errNoQemu = errors.New("no qemu-system-x86_64")

// findQemu returns the QEMU installed.
func findQemu() (emulator, error) {
	path, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return emulator{}, errNoQemu
	}
	e := emulator{path: path}
	return e, e.identify()
}

// identify runs it for its version.
func (e *emulator) identify() error {
	out, err := exec.Command(e.path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s: %w", e.path, err)
	}
	e.version, e.major, err = parseQemuVersion(string(out))
	return err
}

// parseQemuVersion reads "QEMU emulator version 7.2.22 (Debian ...)".
func parseQemuVersion(text string) (version string, major int, err error) {
	_, rest, ok := strings.Cut(text, "version ")
	if f := strings.Fields(rest); ok && len(f) > 0 {
		version = f[0]
		number, _, _ := strings.Cut(version, ".")
		if major, err = strconv.Atoi(number); err == nil {
			return version, major, nil
		}
	}
	return "", 0, fmt.Errorf("no version in %q", text)
}

// probe prints one line: ready with what, or what is missing.
func probe() error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	var missing []string
	place, err := chosenKernel()
	if err != nil {
		return err
	}
	k, err := findKernel(cache, place)
	if err != nil {
		missing = append(missing, err.Error())
	}
	e, err := findQemu()
	if err != nil {
		missing = append(missing, err.Error())
	}
	if missing != nil {
		return &exitError{code: 1, text: "missing: " + strings.Join(missing, "; ") + `; run "marsvm prepare" (Debian 12 or 13, as root)`}
	}
	fmt.Printf("marsvm: ready: kernel %s, QEMU %s\n", k.version, e.version)
	return nil
}
