package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// maxTree bounds what is copied, in bytes, so that it fits the disk.
const maxTree = 160 << 20

// goSource finds the source of the Go standard library.
func goSource(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("find the Go source tree to copy (or name one with -tree): %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}

// copier copies a tree file by file. A file counts as safe once fsync of it
// and of its directory succeeded: from then on no crash may lose it.
type copier struct {
	src, dst string
	list     []string            // relative paths of the files to copy, in order
	sums     map[string][32]byte // of the source
	safe     atomic.Int64        // the first safe files of list are safe
	total    int64               // bytes of all files
}

// newCopier lists the tree and its checksums.
func newCopier(src, dst string) (*copier, error) {
	c := &copier{src: src, dst: dst, sums: map[string][32]byte{}}
	err := filepath.WalkDir(src, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if c.total+info.Size() > maxTree {
			return fs.SkipAll
		}
		c.total += info.Size()
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		sum, err := sumFile(p)
		c.sums[rel] = sum
		c.list = append(c.list, rel)
		return err
	})
	if err == nil && len(c.list) == 0 {
		err = fmt.Errorf("%s holds no files", src)
	}
	return c, err
}

// copyFrom copies the files from number first on, until stop says so. Every
// syncEach files it makes what it copied safe.
func (c *copier) copyFrom(first int, stop func(copied int) bool) error {
	const syncEach = 200
	var open []*os.File
	flush := func(upTo int) error {
		err := syncAll(open)
		open = open[:0]
		if err == nil {
			c.safe.Store(int64(upTo))
		}
		return err
	}
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	for i := first; i < len(c.list); i++ {
		if stop(i) {
			return flush(i)
		}
		f, err := c.copyOne(c.list[i])
		if err != nil {
			return err
		}
		open = append(open, f)
		if len(open) == syncEach {
			if err := flush(i + 1); err != nil {
				return err
			}
		}
	}
	return flush(len(c.list))
}

// syncAll makes files safe and closes them, many at a time as a busy server
// does: their file system gathers concurrent fsyncs into few commits.
func syncAll(files []*os.File) error {
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	for i, f := range files {
		wg.Go(func() { errs[i] = errors.Join(f.Sync(), f.Close()) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *copier) copyOne(rel string) (*os.File, error) {
	in, err := os.Open(filepath.Join(c.src, rel))
	if err != nil {
		return nil, err
	}
	defer in.Close()
	name := filepath.Join(c.dst, rel)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return nil, err
	}
	out, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// verify compares the first n files with the source.
func (c *copier) verify(n int) error {
	for _, rel := range c.list[:n] {
		sum, err := sumFile(filepath.Join(c.dst, rel))
		if err != nil {
			return fmt.Errorf("a file that was safe is damaged: %w", err)
		}
		if sum != c.sums[rel] {
			return fmt.Errorf("a file that was safe is damaged: %s has another SHA-256 than its source", rel)
		}
	}
	return nil
}

func sumFile(name string) (sum [32]byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}
