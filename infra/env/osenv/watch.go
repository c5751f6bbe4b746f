// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"mars/infra/env"

	"golang.org/x/sys/unix"
)

// watchDelay is how long changes are gathered before they are reported.
const watchDelay = 3 * time.Millisecond

// Content written to log files is left out on purpose: the primary would wake
// itself at every record.
const watchEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO |
	unix.IN_ATTRIB | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF |
	unix.IN_ONLYDIR | unix.IN_EXCL_UNLINK

// watcher is one inotify instance. Its goroutine reads events, notes the
// directories and posts one report for what gathers within watchDelay.
type watcher struct {
	e    *Executor
	fn   func(string)
	file *os.File // non-blocking, so Close ends a Read
	fd   int
	done chan struct{}

	mu      sync.Mutex
	dirs    map[int32]string // by watch descriptor
	byName  map[string]int32
	changed map[string]bool
	timer   *time.Timer // runs while a report is due
	closed  bool
}

// watchSet are the open watchers of a node.
type watchSet struct {
	mu  sync.Mutex
	all map[*watcher]struct{}
}

func (s *watchSet) add(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*watcher]struct{})
	}
	s.all[w] = struct{}{}
}

func (s *watchSet) remove(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
}

func (s *watchSet) close() {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.all))
	s.mu.Unlock()
	for _, w := range all {
		w.Close()
	}
}

// deaf is the watcher where inotify is not to be had: its owner then notices
// changes only by looking from time to time.
type deaf struct{}

func (deaf) Add(string) bool { return false }
func (deaf) Close()          {}

// Watch reports changed directories of the tree, at most watchDelay late. If
// the kernel offers no watch, that is logged and nothing is ever reported.
func (e *Executor) Watch(fn func(dir string)) env.Watcher {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		e.log.Error("cannot watch the symlink tree", "err", err)
		return deaf{}
	}
	w := &watcher{e: e, fn: fn, fd: fd, file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}),
		dirs: make(map[int32]string), byName: make(map[string]int32), changed: make(map[string]bool)}
	e.node.watches.add(w)
	go w.read()
	return w
}

// Add starts watching when it returns, so that a scan after it misses nothing.
func (w *watcher) Add(dir string) (fresh bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.byName[dir]; ok || w.closed {
		return false
	}
	fd, err := w.e.node.tree.dir(dir, unix.O_PATH)
	if err != nil {
		if kind(err) != env.ErrNotExist {
			w.e.log.Warn("cannot watch", "dir", dir, "err", err)
		}
		return false
	}
	defer unix.Close(fd)
	wd, err := unix.InotifyAddWatch(w.fd, fmt.Sprintf("/proc/self/fd/%d", fd), watchEvents)
	if err != nil {
		w.e.log.Warn("cannot watch", "dir", dir, "err", err)
		return false
	}
	w.dirs[int32(wd)], w.byName[dir] = dir, int32(wd)
	return true
}

// Close ends the reports; none comes after it returns.
func (w *watcher) Close() {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.e.node.watches.remove(w)
	_ = w.file.Close() // nothing to lose
	<-w.done
}

func (w *watcher) read() {
	defer close(w.done)
	buf := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				w.e.log.Error("watch of the symlink tree ended", "err", err)
			}
			return
		}
		w.take(buf[:n])
	}
}

// take notes the directories of a buffer of events.
func (w *watcher) take(buf []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		name := int(binary.NativeEndian.Uint32(buf[12:]))
		buf = buf[unix.SizeofInotifyEvent+name:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			for dir := range w.byName {
				w.changed[dir] = true
			}
			continue
		}
		dir, ok := w.dirs[wd]
		if !ok {
			continue
		}
		w.changed[dir] = true
		if mask&unix.IN_MOVE_SELF != 0 && !w.closed {
			// It has another name now; the watch would tell lies.
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
		}
		if mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0 { // the directory is gone
			delete(w.dirs, wd)
			delete(w.byName, dir)
		}
	}
	if len(w.changed) > 0 && w.timer == nil && !w.closed {
		w.timer = time.AfterFunc(watchDelay, func() { w.e.Post(w.report) })
	}
}

// report runs on the executor.
func (w *watcher) report() {
	w.mu.Lock()
	w.timer = nil
	dirs := slices.Sorted(maps.Keys(w.changed))
	clear(w.changed)
	w.mu.Unlock()
	for _, dir := range dirs {
		if w.isClosed() {
			return
		}
		w.Add(dir) // it may have been made again before its end was known
		w.fn(dir)
	}
}

func (w *watcher) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}
