package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Places in the guest.
const (
	specPath     = "/marsvm/spec.json"
	moduleDir    = "/lib/modules/"
	portName     = "marsvm"
	guestMarkVar = "MARS_VM_GUEST" // set to the kernel's version inside
)

// spec tells the guest what to do; it lies in its root as JSON.
type spec struct {
	Args     []string
	Env      []string
	Dir      string
	Modules  []module
	Fetch    []string
	Deadline time.Time // the host ends QEMU then; zero is never
	HungTask int       // seconds a task may hang in the kernel
}

// buildSpec says what the guest has to do for the options.
func buildSpec(o *options, k kernel, program string, deadline time.Time) (spec, error) {
	s := spec{
		Args:     append([]string{program}, o.args[1:]...),
		Env:      guestEnv(os.Environ(), o.env, k.version),
		Dir:      "/tmp",
		Modules:  o.modules,
		Deadline: deadline,
		HungTask: 40,
	}
	if o.icount {
		s.Deadline, s.HungTask = time.Time{}, 0 // the guest's clock is no clock then
	}
	for _, t := range o.fetch {
		s.Fetch = append(s.Fetch, t.src)
	}
	if o.gotest {
		dir, err := os.Getwd()
		if err != nil {
			return spec{}, err
		}
		s.Dir = dir
	}
	return s, nil
}

// guestEnv picks what of the environment goes into the guest.
func guestEnv(host, extra []string, version string) []string {
	env := []string{"PATH=" + hostPath, "HOME=/root", "TMPDIR=/tmp", "USER=root", guestMarkVar + "=" + version}
	for _, kv := range host {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "MARS_") && !strings.HasPrefix(name, "MARS_VM_"):
		case name == "GODEBUG" || name == "GOTRACEBACK" || name == "GOMAXPROCS" || name == "GOGC" || name == "GORACE":
		default:
			continue
		}
		env = append(env, kv)
	}
	return append(env, extra...)
}

// buildImage writes the guest's root for a run.
func buildImage(file io.Writer, o *options, k kernel, deadline time.Time) error {
	var a archive
	if err := a.putBase(k, o); err != nil {
		return err
	}
	program, err := a.putProgram(o.args[0])
	if err != nil {
		return err
	}
	for _, name := range o.tools {
		if err := a.putTool(name); err != nil {
			return err
		}
	}
	for _, t := range o.files {
		if err := a.putTree(t.dst, t.src); err != nil {
			return err
		}
	}
	s, err := buildSpec(o, k, program, deadline)
	if err != nil {
		return err
	}
	if o.gotest {
		if err := a.putTestdata(s.Dir); err != nil {
			return err
		}
	}
	for _, name := range s.Fetch {
		a.putDir(filepath.Dir(name), 0o755)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	a.putBytes(specPath, 0o600, string(text))
	w := bufio.NewWriterSize(file, 1<<20)
	if err := a.writeTo(w); err != nil {
		return err
	}
	return w.Flush()
}

// putBase adds what every guest has: init, modprobe, modules, a few files that
// programs look for.
func (a *archive) putBase(k kernel, o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := a.putHostFile("/init", self); err != nil {
		return err
	}
	a.putLink("/sbin/modprobe", "/init")
	for _, dir := range []string{"/proc", "/sys", "/dev", "/run", "/mnt", "/root", "/var/tmp", "/mars"} {
		a.putDir(dir, 0o755)
	}
	a.putDir("/tmp", 0o1777)
	a.put("/dev/console", entry{mode: typeChar | 0o600, major: 5, minor: 1})
	a.put("/dev/null", entry{mode: typeChar | 0o666, major: 1, minor: 3})
	a.putBytes("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	a.putBytes("/etc/group", 0o644, "root:x:0:\ndisk:x:6:\nnogroup:x:65534:\n")
	a.putBytes("/etc/hosts", 0o644, "127.0.0.1 localhost\n")
	a.putLink("/etc/mtab", "/proc/self/mounts")
	return a.putModules(k, o)
}

// putModules adds the modules of the fixed list, those asked for, and their
// needs, packed as they are: the kernel unpacks them.
func (a *archive) putModules(k kernel, o *options) error {
	index, err := k.index()
	if err != nil {
		return err
	}
	names := guestModules[:]
	for _, m := range o.modules {
		names = append(names[:len(names):len(names)], m.Name)
	}
	order, err := index.loadOrder(names...)
	if err != nil {
		return err
	}
	dir := moduleDir + k.version + "/"
	for _, name := range order {
		if err := a.putHostFile(dir+index.files[name], filepath.Join(k.modules, index.files[name])); err != nil {
			return err
		}
	}
	dep, builtin, aliases := index.subset(order)
	a.putBytes(dir+"modules.dep", 0o644, dep)
	a.putBytes(dir+"modules.builtin", 0o644, builtin)
	a.putBytes(dir+"modules.alias", 0o644, aliases)
	return nil
}

// putProgram adds the program to run and returns its name in the guest. One
// without a slash is a tool of the host.
func (a *archive) putProgram(name string) (string, error) {
	if !strings.Contains(name, "/") {
		if _, err := os.Stat(name); err != nil {
			return "/bin/" + name, a.putTool(name)
		}
	}
	file, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("%s is not executable", file)
	}
	return file, a.putHostFile(file, file)
}

// putTestdata adds a package's directory as its tests see it: with testdata,
// without the sources.
func (a *archive) putTestdata(dir string) error {
	a.putDir(dir, 0o755)
	data := filepath.Join(dir, "testdata")
	if _, err := os.Stat(data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return a.putTree(data, data)
}
