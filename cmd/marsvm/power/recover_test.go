// SPDX-License-Identifier: GPL-2.0-or-later

package power

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// one makes a power cut at the state, recovers, and judges.
func (r *review) one(s *state, rng *rand.Rand) (err error) {
	dir := filepath.Join(r.dir, "cut")
	if err := os.MkdirAll(filepath.Join(dir, "mars.d"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if rerr := os.RemoveAll(dir); rerr != nil {
			r.t.Fatal(rerr)
		}
	}()
	var files [len(parts)]*os.File
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	for i, p := range parts {
		if files[i], err = copySparse(s.files[i], filepath.Join(dir, p.name)); err != nil {
			r.t.Fatal(err)
		}
	}
	f, err := s.cut(rng, &files)
	if err != nil {
		r.t.Fatal(err)
	}
	r.fates.kept, r.fates.lost, r.fates.torn = r.fates.kept+f.kept, r.fates.lost+f.lost, r.fates.torn+f.torn
	said, err := r.recoverImages(dir)
	if err == nil {
		err = s.judge.Check(files[1])
	}
	if err == nil {
		err = r.checkFiles(dir, s.synced)
	}
	if err != nil {
		err = fmt.Errorf("%w (%+v)\n%s", err, f, said)
	}
	return err
}

// command runs a program, returns its exit code and what it said, and has that
// in the error.
func command(name string, args ...string) (code int, said string, err error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out)
	}
	return cmd.ProcessState.ExitCode(), string(out), err
}

// recoverImages mounts /mars as the next boot would, and recovers both disks.
// It returns what the recovery said, and what is there for it.
func (r *review) recoverImages(dir string) (said string, err error) {
	mars := filepath.Join(dir, "mars.d")
	if _, _, err := command("mount", "-t", "ext4", "-o", "loop", filepath.Join(dir, "mars"), mars); err != nil {
		return "", fmt.Errorf("/mars cannot be mounted: %w", err)
	}
	defer func() {
		if uerr := unix.Unmount(mars, 0); uerr != nil {
			err = errors.Join(err, fmt.Errorf("umount: %w", uerr))
		}
	}()
	tree, err := listTree(filepath.Join(mars, "resource-raw"))
	if err != nil {
		return "", err
	}
	_, said, err = command(r.marsd, "recover", "--host", "A", "--mars-dir", mars,
		"--disk", "raw="+filepath.Join(dir, "raw"), "--disk", "fs="+filepath.Join(dir, "fs"))
	return said + tree, err
}

// listTree lists files and links.
func listTree(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "  %s %d", e.Name(), info.Size())
		if e.Type()&os.ModeSymlink != 0 {
			target, err := os.Readlink(filepath.Join(dir, e.Name()))
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, " -> %s", target)
		}
		text.WriteString("\n")
	}
	return text.String(), nil
}

// checkFiles checks the file system on the recovered disk, as the next boot
// would, and the files that were synced.
func (r *review) checkFiles(dir string, synced uint64) (err error) {
	image, mnt := filepath.Join(dir, "fs"), filepath.Join(dir, "mars.d")
	if code, _, err := command("e2fsck", "-p", "-E", "journal_only", image); code > 1 || code < 0 {
		return fmt.Errorf("its journal: %w", err)
	}
	if _, _, err := command("e2fsck", "-fn", image); err != nil {
		return fmt.Errorf("the file system is not clean: %w", err)
	}
	if _, _, err := command("mount", "-t", "ext4", "-o", "loop,ro", image, mnt); err != nil {
		return err
	}
	defer func() {
		if uerr := unix.Unmount(mnt, 0); uerr != nil {
			err = errors.Join(err, fmt.Errorf("umount: %w", uerr))
		}
	}()
	for n := uint64(1); n <= synced; n++ {
		got, err := os.ReadFile(filepath.Join(mnt, fmt.Sprintf("f%06d", n)))
		if err == nil && !bytes.Equal(got, plan.File(n)) {
			err = errors.New("another content than was written")
		}
		if err != nil {
			return fmt.Errorf("file %d of %d that were synced: %w", n, synced, err)
		}
	}
	return nil
}

// copySparse copies a file without its holes.
func copySparse(from *os.File, name string) (*os.File, error) {
	info, err := from.Stat()
	if err != nil {
		return nil, err
	}
	to, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := to.Truncate(info.Size()); err != nil {
		return to, err
	}
	for at := int64(0); ; {
		data, err := unix.Seek(int(from.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return to, nil
		}
		if err != nil {
			return to, err
		}
		hole, err := unix.Seek(int(from.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return to, err
		}
		if _, err := io.Copy(io.NewOffsetWriter(to, data), io.NewSectionReader(from, data, hole-data)); err != nil {
			return to, err
		}
		at = hole
	}
}
