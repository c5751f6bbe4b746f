package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Places of kernels in the cache: that of the main target, and the newest one
// Debian has, whose driver offers more.
const (
	kernelDir = "kernel"
	newestDir = "newest"
)

// newestSuite is where the newest kernel is that is meant for a stable release.
const newestSuite = "trixie-backports"

// chosenKernel is the place of the kernel to boot: $MARS_VM_KERNEL.
func chosenKernel() (string, error) {
	switch dir := os.Getenv("MARS_VM_KERNEL"); dir {
	case "":
		return kernelDir, nil
	case newestDir:
		return newestDir, nil
	default:
		return "", fmt.Errorf("MARS_VM_KERNEL is %q: expected nothing (6.12) or %q", dir, newestDir)
	}
}

// fetchKernel downloads and unpacks the newest 6.12 cloud kernel.
func (p *private) fetchKernel(cache string) error {
	_, all, err := suites()
	if err != nil {
		return err
	}
	var failed error
	for _, suite := range all {
		if err = p.use(suite); err == nil {
			err = p.unpackKernel(cache)
		}
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", suite, err))
	}
	return failed
}

// fetchNewest downloads and unpacks the newest cloud kernel.
func (p *private) fetchNewest(cache string) error {
	if err := p.use(newestSuite); err != nil {
		return err
	}
	show, err := output("apt-cache", append(p.options(), "show", "linux-image-cloud-amd64")...)
	if err != nil {
		return err
	}
	name, ok := kernelPackage(show, "")
	if !ok {
		return fmt.Errorf("no cloud kernel in %s", p.suite)
	}
	return p.installKernel(cache, name, newestDir)
}

// unpackKernel takes the 6.12 kernel of the suite in use.
func (p *private) unpackKernel(cache string) error {
	show, err := output("apt-cache", append(p.options(), "show", "linux-image-cloud-amd64")...)
	if err != nil {
		return err
	}
	name, ok := kernelPackage(show, "6.12.")
	if !ok {
		return errors.New("no 6.12 cloud kernel in there")
	}
	return p.installKernel(cache, name, kernelDir)
}

// installKernel unpacks a kernel's package and puts it into the cache. Kernels from
// 6.19 on come in parts, the image among the modules.
func (p *private) installKernel(cache, name, place string) error {
	version := strings.TrimPrefix(name, "linux-image-")
	depends, err := output("apt-cache", append(p.options(), "depends", name)...)
	if err != nil {
		return err
	}
	done := filepath.Join(p.dir, "kernel")
	if err := os.RemoveAll(done); err != nil {
		return err
	}
	parts := []string{name}
	for _, dep := range dependencies(depends, "linux-") {
		if strings.HasSuffix(dep, "-"+version) {
			parts = append(parts, dep)
		}
	}
	for _, part := range parts {
		root, err := p.unpack(part)
		if err != nil {
			return err
		}
		// The package uses one of two places; depmod finds both.
		for _, dir := range []string{"boot", "lib/modules", "usr/lib/modules"} {
			if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
				continue
			}
			if err := os.CopyFS(filepath.Join(done, strings.TrimPrefix(dir, "usr/")), os.DirFS(filepath.Join(root, dir))); err != nil {
				return err
			}
		}
	}
	image := filepath.Join(done, "boot", "vmlinuz-"+version)
	if _, err := os.Stat(image); err != nil {
		if err := errors.Join(os.MkdirAll(filepath.Dir(image), 0o755), os.Rename(filepath.Join(done, "lib/modules", version, "vmlinuz"), image)); err != nil {
			return err
		}
	}
	if _, err := output("depmod", "-b", done, version); err != nil {
		return err
	}
	return replace(done, filepath.Join(cache, place))
}
