package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fallbackSuite has a 6.12 kernel for good.
const fallbackSuite = "trixie"

// prepare fetches what is missing, a database and the newest kernel only if they
// are wanted; it may run twice at a time.
func prepare(postgres, newest bool) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(cache, "lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("%s: %w", lock.Name(), err)
	}
	if err := installPackages(); err != nil {
		return err
	}
	p := &private{dir: filepath.Join(cache, "apt")}
	if _, err := findKernel(cache, kernelDir); err != nil {
		if err := p.fetchKernel(cache); err != nil {
			return err
		}
	}
	if _, err := findKernel(cache, newestDir); err != nil && newest {
		if err := p.fetchNewest(cache); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(cache, drbdDir)); err != nil {
		if err := p.fetchDRBD(cache); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(cache, postgresDir)); err != nil && postgres {
		if err := p.fetchPostgres(cache); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	return probe()
}

// output runs a program and returns its standard output; the error holds what
// it said.
func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "PATH="+os.Getenv("PATH")+":"+hostPath)
	full, err := findTool(name)
	if err != nil {
		return "", err
	}
	cmd = &exec.Cmd{Path: full, Args: cmd.Args, Env: cmd.Env}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
}

// hostTools are programs that the suites need on the host or take into the
// guest, with their Debian packages.
var hostTools = [...]struct{ program, pkg string }{
	{"qemu-system-x86_64", "qemu-system-x86"}, {"depmod", "kmod"}, {"fio", "fio"}, {"ip", "iproute2"}, {"tc", "iproute2"},
	{"mkfs.ext4", "e2fsprogs"}, {"debugfs", "e2fsprogs"}, {"losetup", "mount"}, {"mount", "mount"}, {"nsenter", "util-linux"}, {"dmsetup", "dmsetup"}, {"sqlite3", "sqlite3"},
}

// installPackages installs the programs that are missing.
func installPackages() error {
	var need []string
	for _, t := range hostTools {
		if _, err := findTool(t.program); err != nil && !contains(need, t.pkg) {
			need = append(need, t.pkg)
		}
	}
	if need == nil {
		return nil
	}
	if _, err := findTool("apt-get"); err != nil {
		return fmt.Errorf("missing, and no apt-get to install them with: %s", strings.Join(need, " "))
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("missing and not installable without root: %s", strings.Join(need, " "))
	}
	fmt.Fprintf(os.Stderr, "marsvm: installing %s\n", strings.Join(need, " "))
	if _, err := output("apt-get", "update", "-qq"); err != nil {
		return err
	}
	_, err := output("apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, need...)...)
	return err
}

// private is an apt of its own: the machine's keys and mirror, but other
// suites, lists and archives.
type private struct {
	dir   string
	suite string // set up for this one
}

// options point apt to the private directories.
func (p *private) options() []string {
	return []string{
		"-o", "Dir::Etc::sourcelist=" + filepath.Join(p.dir, "private.sources"),
		"-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + filepath.Join(p.dir, "lists"),
		"-o", "Dir::Cache=" + filepath.Join(p.dir, "cache"),
		"-o", "APT::Sandbox::User=root",
	}
}

// use sets the private apt up for one suite of the machine's own mirror; an empty
// one is the suite that the machine runs.
func (p *private) use(suite string) error {
	codename, _, err := suites()
	if err != nil {
		return err
	}
	if suite == "" {
		suite = codename
	}
	if p.suite == suite {
		return nil
	}
	m, err := machineMirror(codename)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(p.dir, "private.sources"), []byte(m.sourceText(suite)), 0o644); err != nil {
		return err
	}
	if _, err := output("apt-get", append(p.options(), "update", "-qq")...); err != nil {
		return err
	}
	p.suite = suite
	return nil
}

// machineMirror reads the machine's apt sources.
func machineMirror(codename string) (mirror, error) {
	files := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"/etc/apt/sources.list.d/*.sources", "/etc/apt/sources.list.d/*.list"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			return mirror{}, err
		}
		files = append(files, more...)
	}
	var texts []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return mirror{}, err
		}
		texts = append(texts, string(text))
	}
	m, ok := findMirror(texts, codename)
	if !ok {
		return mirror{}, fmt.Errorf("apt's sources name no mirror of %q", codename)
	}
	return m, nil
}

// suites returns what may have a 6.12 kernel, best first, and the codename the
// machine runs.
func suites() (codename string, all []string, err error) {
	text, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", nil, err
	}
	codename = osCodename(string(text))
	if codename != fallbackSuite {
		all = append(all, codename+"-backports")
	}
	return codename, append(all, fallbackSuite), nil
}

// drbdDir holds DRBD's programs in the cache, for comparisons; they are not
// installed, since their package starts services.
const drbdDir = "drbd-utils"

// fetchDRBD downloads and unpacks the programs of DRBD.
func (p *private) fetchDRBD(cache string) error {
	if err := p.use(""); err != nil {
		return err
	}
	root, err := p.unpack("drbd-utils")
	if err != nil {
		return err
	}
	return replace(root, filepath.Join(cache, drbdDir))
}

// unpack downloads a package and unpacks it into an empty directory.
func (p *private) unpack(name string) (root string, err error) {
	root = filepath.Join(p.dir, "root")
	debs := filepath.Join(p.dir, "debs")
	if err := errors.Join(os.RemoveAll(root), os.RemoveAll(debs), os.MkdirAll(root, 0o755), os.MkdirAll(debs, 0o755)); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "marsvm: fetching %s of %s\n", name, p.suite)
	args := append([]string{"-c", `cd "$0" && exec apt-get "$@"`, debs}, p.options()...)
	if _, err := output("sh", append(args, "-t", p.suite, "-qq", "download", name)...); err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", fmt.Errorf("got %d packages, want one", len(files))
	}
	_, err = output("dpkg-deb", "-x", files[0], root)
	return root, err
}

// replace puts a finished directory in its place.
func replace(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}
