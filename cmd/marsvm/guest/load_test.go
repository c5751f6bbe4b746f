// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// load is work on devices that goes on until it is told to stop. The first
// error ends it.
type load struct {
	stopped atomic.Bool
	rounds  atomic.Int64 // finished pieces of work
	wg      sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// run repeats a piece of work until it is told to stop.
func (l *load) run(work func(round int) error) { l.repeat(math.MaxInt, work) }

// repeat does a piece of work n times at most.
func (l *load) repeat(n int, work func(round int) error) {
	l.wg.Go(func() {
		for i := 0; i < n && !l.stopped.Load(); i++ {
			if err := work(i); err != nil {
				l.mu.Lock()
				l.failed = errors.Join(l.failed, err)
				l.mu.Unlock()
				return
			}
			l.rounds.Add(1)
		}
	})
}

// err is the error so far.
func (l *load) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// finish lets the pieces at hand end.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stopped.Store(true)
	l.wg.Wait()
	if l.failed != nil {
		t.Error(l.failed)
	}
}

// fioRound writes a part of a device at random, and reads it back verified.
func fioRound(dev string, size string, more ...string) func(int) error {
	return func(round int) error {
		args := fioVerify(dev, "--name=round", "--size="+size, "--fdatasync=16", "--randseed="+itoa(round+1), "--bssplit=512/20:4k/60:64k/20")
		args = append(args, more...)
		out, err := exec.Command("fio", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("fio, round %d: %w\n%s", round, err, out)
		}
		return nil
	}
}

// files is an application that keeps its word in a directory: files are written
// under another name, made safe, renamed, and read again later.
type files struct {
	dir  string
	held map[string][]byte
	rng  *rand.Rand
}

func newFiles(dir string) *files {
	return &files{dir: dir, held: map[string][]byte{}, rng: rand.New(rand.NewPCG(5, 6))}
}

// round writes one file and reads another one.
func (f *files) round(i int) error {
	data := make([]byte, 1+f.rng.IntN(64<<10))
	for j := range data {
		data[j] = byte(f.rng.Uint32())
	}
	name := fmt.Sprintf("f%02d", i%40)
	if err := f.put(name, data); err != nil {
		return err
	}
	f.held[name] = data
	return f.check(fmt.Sprintf("f%02d", f.rng.IntN(min(i+1, 40))))
}

// put replaces a file such that it is the old or the new one at any time.
func (f *files) put(name string, data []byte) error {
	temp := filepath.Join(f.dir, name+".new")
	out, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(f.dir, name))
}

// check reads a file, not from the page cache if it can be helped.
func (f *files) check(name string) error {
	got, err := os.ReadFile(filepath.Join(f.dir, name))
	if err == nil && !bytes.Equal(got, f.held[name]) {
		err = fmt.Errorf("%s has another content than was written", name)
	}
	return err
}

// checkAll reads all files.
func (f *files) checkAll(t *testing.T) {
	t.Helper()
	for name := range f.held {
		if err := f.check(name); err != nil {
			t.Error(err)
		}
	}
}
