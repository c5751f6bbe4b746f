package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// How long a lock is tried for: who only looks whether a marsd is running
// holds it for a moment.
const (
	lockTries = 10
	lockPause = 20 * time.Millisecond
)

// heldError says that somebody else holds a lock.
type heldError struct {
	What string // the directory
	PID  int    // of the holder, 0 if it is not known
}

// Error is one line for the administrator.
func (e *heldError) Error() string {
	who := "another marsd"
	if e.PID > 0 {
		who += fmt.Sprintf(" (pid %d)", e.PID)
	}
	return who + " is running on " + e.What
}

// locks are what a running marsd holds.
type locks struct{ run, tree *os.File }

// lockAll takes the lock in the run directory, which is made if needed, and
// then that on the directory of the symlink tree. The error is a *heldError
// where somebody else has one of them.
func lockAll(runDir, lockFile, marsDir string) (*locks, error) {
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	run, err := lockRun(runDir, lockFile)
	if err != nil {
		return nil, err
	}
	tree, err := lockTree(marsDir)
	if err != nil {
		release(run)
		return nil, err
	}
	return &locks{run, tree}, nil
}

// lockRun takes the lock file and writes the pid into it.
func lockRun(runDir, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &heldError{runDir, pidIn(f)}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err == nil {
			return f, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("write the pid to %s: %w", path, err)
}

// lockTree takes the lock on the directory of the symlink tree itself: two
// daemons with two run directories must not share it.
func lockTree(dir string) (*os.File, error) {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := flock(f); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &heldError{What: dir}
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func flock(f *os.File) error {
	for try := 1; ; try++ {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EWOULDBLOCK) || try == lockTries:
			return err
		default:
			time.Sleep(lockPause)
		}
	}
}

func pidIn(f *os.File) int {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// Close gives the locks back. The file stays, empty: to remove it would let
// two daemons lock two files of one name.
func (l *locks) Close() {
	_ = l.run.Truncate(0) // a wrong pid in a free lock misleads nobody but people
	release(l.run)
	release(l.tree)
}

// release closes a file whose lock goes with it.
func release(f *os.File) { _ = f.Close() }
