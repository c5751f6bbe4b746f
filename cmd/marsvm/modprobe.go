package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// modprobeMain is /sbin/modprobe in the guest, for the kernel and for tests:
// "modprobe NAME [PARAM=VALUE]..." and "modprobe -r NAME".
func modprobeMain(args []string) int {
	remove, quiet := false, false
	var rest []string
	for _, a := range args {
		switch {
		case a == "-r":
			remove = true
		case a == "-q":
			quiet = true
		case !strings.HasPrefix(a, "-"):
			rest = append(rest, a)
		}
	}
	if len(rest) == 0 {
		fmt.Fprintln(os.Stderr, "modprobe: no module named")
		return 2
	}
	var err error
	if remove {
		err = unix.DeleteModule(moduleName(rest[0]), unix.O_NONBLOCK)
	} else {
		err = loadModule(module{Name: rest[0], Params: strings.Join(rest[1:], " ")})
	}
	if err == nil {
		return 0
	}
	if !quiet {
		fmt.Fprintf(os.Stderr, "modprobe: %s: %v\n", rest[0], err)
	}
	return 1
}

// loadModule loads a module of the running kernel after all it needs; the
// parameters are for it alone. One that is loaded stays as it is.
func loadModule(m module) error {
	release, _, err := identity()
	if err != nil {
		return err
	}
	dir := moduleDir + release
	var texts [3]string
	for i, name := range []string{"modules.dep", "modules.builtin", "modules.alias"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		texts[i] = string(text)
	}
	index, err := parseModules(texts[0], texts[1], texts[2])
	if err != nil {
		return err
	}
	order, err := index.loadOrder(m.Name)
	if err != nil {
		return err
	}
	for i, name := range order {
		if _, err := os.Stat("/sys/module/" + name + "/initstate"); err == nil {
			continue
		}
		params := ""
		if i == len(order)-1 {
			params = m.Params
		}
		if err := insert(filepath.Join(dir, index.files[name]), params); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	return nil
}

// insert hands a module file to the kernel, which unpacks it.
func insert(file, params string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	err = unix.FinitModule(int(f.Fd()), params, flags)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
