package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"mars/infra/tunable"

	"golang.org/x/sys/unix"
)

// refreshEvery is how often live files are brought up to date.
const refreshEvery = time.Second

// sysEvents: a write counts when the file is closed, so that nobody's
// half-written value is taken.
const sysEvents = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ONLYDIR

// touch is one event of a file in sysDir; an empty name is "look at all".
type touch struct {
	name    string // as in tunable.Def
	written bool
}

// liveFile is a file that shows what is at the moment.
type liveFile struct{ name, text string }

// sysServer keeps a sysDir in step with the world until Close. It owns it.
type sysServer struct {
	s      *sysDir
	live   func(stop <-chan struct{}) []liveFile
	file   *os.File // inotify
	prefix map[int32]string
	events chan touch
	stop   chan struct{}
	wg     sync.WaitGroup
}

// serve starts watching. live gives further files to show, and publishes
// measured tunables, each second; it must return when stop is closed. It may be
// nil.
func (s *sysDir) serve(live func(stop <-chan struct{}) []liveFile) (*sysServer, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the tunables: %w", err)
	}
	w := &sysServer{s: s, live: live, file: os.NewFile(uintptr(fd), "inotify"), prefix: map[int32]string{},
		events: make(chan touch), stop: make(chan struct{})}
	for _, d := range s.dirs() {
		wd, err := unix.InotifyAddWatch(fd, d, sysEvents)
		if err != nil {
			w.file.Close()
			return nil, fmt.Errorf("watch the tunables in %s: %w", d, err)
		}
		rel, err := filepath.Rel(s.dir, d)
		if err != nil {
			w.file.Close()
			return nil, err
		}
		w.prefix[int32(wd)] = rel
	}
	w.wg.Add(2)
	go w.read()
	go w.run()
	return w, nil
}

// Close ends the service. The files stay: they are what the next start takes.
func (w *sysServer) Close() {
	close(w.stop)
	_ = w.file.Close() // nothing to lose
	w.wg.Wait()
}

func (w *sysServer) run() {
	defer w.wg.Done()
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	w.touched(touch{}) // what was written before there was a watch
	w.refresh()
	for {
		select {
		case t := <-w.events:
			w.touched(t)
		case <-tick.C:
			w.refresh()
		case <-w.stop:
			return
		}
	}
}

func (w *sysServer) touched(t touch) {
	if t.name != "" {
		w.s.touched(t.name, t.written)
		return
	}
	for _, d := range tunable.Defs() {
		w.s.touched(d.Name, false)
	}
}

func (w *sysServer) refresh() {
	if w.live != nil {
		for _, f := range w.live(w.stop) {
			w.s.show(f.name, f.text)
		}
	}
	w.s.refresh()
}

func (w *sysServer) read() {
	defer w.wg.Done()
	buf := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return // closed
		}
		for _, t := range w.decode(buf[:n]) {
			select {
			case w.events <- t:
			case <-w.stop:
				return
			}
		}
	}
}

// decode reads the kernel's events.
func (w *sysServer) decode(buf []byte) (list []touch) {
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if end > len(buf) {
			return list
		}
		name := string(bytes.TrimRight(buf[unix.SizeofInotifyEvent:end], "\x00"))
		buf = buf[end:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			list = append(list, touch{})
			continue
		}
		dir, ok := w.prefix[wd]
		if ok && name != "" {
			list = append(list, touch{path.Join(dir, name), mask&unix.IN_CLOSE_WRITE != 0})
		}
	}
	return list
}
