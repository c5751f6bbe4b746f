package main

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hostPath is where tools are looked for beside $PATH, and the guest's $PATH.
const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// putHostFile adds a file of the host; links are followed. Programs bring
// their shared libraries along, scripts their interpreter.
func (a *archive) putHostFile(dst, src string) error {
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", src)
	}
	a.put(dst, entry{mode: typeFile | uint32(info.Mode().Perm()), size: info.Size(), open: func() (io.ReadCloser, error) {
		return os.Open(src)
	}})
	if info.Mode().Perm()&0o111 == 0 {
		return nil
	}
	if err := a.putNeeds(src); err != nil {
		return fmt.Errorf("%s: %w", src, err)
	}
	return nil
}

// putNeeds adds what a program needs to start.
func (a *archive) putNeeds(src string) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := bufio.NewReader(f).Peek(256)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if interp := shebang(head); interp != "" {
		return a.putTool(interp)
	}
	if !bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		return nil
	}
	dynamic, err := isDynamic(f)
	if err != nil || !dynamic {
		return err
	}
	out, err := exec.Command("ldd", src).Output()
	if err != nil {
		return fmt.Errorf("ldd: %w", err)
	}
	libs, err := parseLdd(string(out))
	if err != nil {
		return err
	}
	for _, lib := range libs {
		info, err := os.Stat(lib)
		if err != nil {
			return err
		}
		a.put(lib, entry{mode: typeFile | 0o755, size: info.Size(), open: func() (io.ReadCloser, error) { return os.Open(lib) }})
	}
	return nil
}

// shebang returns the program named in a script's first line, for
// "#!/usr/bin/env sh" that is sh; empty if it is no script.
func shebang(head []byte) string {
	rest, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(string(rest), "\n")
	f := strings.Fields(line)
	if len(f) > 1 && filepath.Base(f[0]) == "env" {
		return f[1]
	}
	if len(f) == 0 {
		return ""
	}
	return f[0]
}

// isDynamic tells whether an ELF program wants a dynamic loader.
func isDynamic(r io.ReaderAt) (bool, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return false, err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true, nil
		}
	}
	return false, nil
}

// parseLdd returns the libraries in the output of ldd, the loader included.
func parseLdd(out string) ([]string, error) {
	var libs []string
	for line := range strings.Lines(out) {
		name, rest, found := strings.Cut(strings.TrimSpace(line), " => ")
		if found {
			name = rest
		}
		if strings.HasPrefix(name, "not found") {
			return nil, fmt.Errorf("library missing: %s", strings.TrimSpace(line))
		}
		if file, _, _ := strings.Cut(name, " "); strings.HasPrefix(file, "/") {
			libs = append(libs, file)
		}
	}
	return libs, nil
}

// findTool returns the absolute path of a program of the host, found like a
// shell would, but also where only root looks.
func findTool(name string) (string, error) {
	if strings.Contains(name, "/") {
		return filepath.Abs(name)
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":" + hostPath) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return filepath.Abs(file)
		}
	}
	return "", fmt.Errorf("tool %s: %w", name, exec.ErrNotFound)
}

// putTool adds a program of the host, found like a shell would, under its own
// path and as /bin/NAME.
func (a *archive) putTool(name string) error {
	file, err := findTool(name)
	if err != nil {
		return err
	}
	if err := a.putHostFile(file, file); err != nil {
		return err
	}
	if link := "/bin/" + filepath.Base(file); link != file {
		a.putLink(link, file)
	}
	return nil
}

// putTree adds a file or everything in a directory.
func (a *archive) putTree(dst, src string) error {
	return filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			a.putDir(to, 0o755)
			return nil
		case d.Type()&fs.ModeSymlink != 0 && name != src:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			a.putLink(to, target)
			return nil
		default:
			return a.putHostFile(to, name)
		}
	})
}
