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
	"sync"

	"mars/cmd/marsvm/stamp"

	"golang.org/x/sys/unix"
)

// cutDisk is a disk after a power cut, and what it must hold.
type cutDisk struct {
	name   string
	dir    string
	fate   fate
	judge  *stamp.Judge
	synced uint64
	err    error // of making it
}

// bench judges disks, several at a time. Who takes and who closes is one.
type bench struct {
	r    *review
	todo chan cutDisk
	free chan string // directories
	wg   sync.WaitGroup
	mu   sync.Mutex
	bad  []error
}

// newBench starts the judges.
func newBench(r *review, judges int) *bench {
	b := &bench{r: r, todo: make(chan cutDisk), free: make(chan string, judges+1)}
	for i := range judges + 1 { // one disk is made meanwhile
		b.free <- filepath.Join(r.dir, fmt.Sprintf("cut%d", i))
	}
	for range judges {
		b.wg.Go(func() {
			for d := range b.todo {
				b.note(d.name, r.one(d))
				b.free <- d.dir
			}
		})
	}
	return b
}

// note keeps what is wrong.
func (b *bench) note(name string, err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bad = append(b.bad, fmt.Errorf("%s: %w", name, err))
}

// found is how many disks were wrong so far.
func (b *bench) found() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.bad)
}

// take makes a power cut at the state and has it judged.
func (b *bench) take(s *state, rng *rand.Rand, name string) {
	d := cutDisk{name: name, dir: <-b.free, judge: s.judge.Clone(), synced: s.synced}
	d.fate, d.err = b.r.makeDisk(s, rng, d.dir)
	f := &b.r.fates
	f.kept, f.lost, f.torn = f.kept+d.fate.kept, f.lost+d.fate.lost, f.torn+d.fate.torn
	b.todo <- d
}

// close waits for the judges and returns what they found.
func (b *bench) close() []error {
	close(b.todo)
	b.wg.Wait()
	return b.bad
}

// makeDisk makes the images of a disk after a power cut at the state.
func (r *review) makeDisk(s *state, rng *rand.Rand, dir string) (f fate, err error) {
	if err := os.MkdirAll(filepath.Join(dir, "mars.d"), 0o700); err != nil {
		return f, err
	}
	var files [len(parts)]*os.File
	defer func() {
		for _, file := range files {
			if file != nil {
				err = errors.Join(err, file.Close())
			}
		}
	}()
	for i, p := range parts {
		if files[i], err = copySparse(s.files[i], filepath.Join(dir, p.name)); err != nil {
			return f, err
		}
	}
	return s.cut(rng, &files)
}

// one recovers a disk, judges it, and removes it.
func (r *review) one(d cutDisk) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if d.err != nil {
		return fmt.Errorf("make the disk: %w", d.err)
	}
	said, err := r.recoverImages(d.dir)
	if err == nil {
		err = checkRaw(filepath.Join(d.dir, "raw"), d.judge)
	}
	if err == nil {
		err = r.checkFiles(d.dir, d.synced)
	}
	if err != nil {
		err = fmt.Errorf("%w (%+v)\n%s", err, d.fate, said)
	}
	return err
}

// checkRaw checks the bare disk.
func checkRaw(name string, judge *stamp.Judge) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return judge.Check(f)
}

// command runs a program, returns its exit code and what it said, and has that
// in the error.
func (r *review) command(name string, args ...string) (code int, said string, err error) {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := r.start(cmd); err != nil {
		return -1, "", err
	}
	if err = cmd.Wait(); err != nil {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String(), err
}

// start starts a program while no file of a mount is open here: the child would
// have it open, too, until it is that program, and the mount would be busy.
func (r *review) start(cmd *exec.Cmd) error {
	r.open.Lock()
	defer r.open.Unlock()
	return cmd.Start()
}

// recoverImages mounts /mars as the next boot would, and recovers both disks.
// It returns what the recovery said, and what is there for it.
func (r *review) recoverImages(dir string) (said string, err error) {
	mars := filepath.Join(dir, "mars.d")
	if _, _, err := r.command("mount", "-t", "ext4", "-o", "loop", filepath.Join(dir, "mars"), mars); err != nil {
		return "", fmt.Errorf("/mars cannot be mounted: %w", err)
	}
	defer func() {
		err = errors.Join(err, unmount(mars))
	}()
	r.open.RLock()
	tree, err := listTree(filepath.Join(mars, "resource-raw"))
	r.open.RUnlock()
	if err != nil {
		return "", err
	}
	_, said, err = r.command(r.marsd, "recover", "--host", "A", "--mars-dir", mars,
		"--disk", "raw="+filepath.Join(dir, "raw"), "--disk", "fs="+filepath.Join(dir, "fs"))
	return said + tree, err
}

// unmount ends a mount of which nothing is open. A mount that cannot end is an
// error, but in nobody's way afterwards.
func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	if err != nil {
		err = errors.Join(fmt.Errorf("umount: %w", err), unix.Unmount(dir, unix.MNT_DETACH))
	}
	return err
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
	if code, _, err := r.command("e2fsck", "-p", "-E", "journal_only", image); code > 1 || code < 0 {
		return fmt.Errorf("its journal: %w", err)
	}
	if _, _, err := r.command("e2fsck", "-fn", image); err != nil {
		return fmt.Errorf("the file system is not clean: %w", err)
	}
	if _, _, err := r.command("mount", "-t", "ext4", "-o", "loop,ro", image, mnt); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, unmount(mnt))
	}()
	r.open.RLock()
	defer r.open.RUnlock() // before the end of the mount
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
