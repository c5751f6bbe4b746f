package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mars/infra/tunable"

	"golang.org/x/sys/unix"
)

// triggerName is the file that is written to, never read.
const triggerName = "trigger"

// emptyRefreshes is how long a file may be empty before its value is put back:
// the last refresh is then at least one period after the first.
const emptyRefreshes = 2

// sysDir is RUN_DIR/sys: one file for each tunable, the trigger, and live
// files. A file that is written to has its value assigned; a value that is no
// good is put back. It belongs to one user at a time.
type sysDir struct {
	dir     string
	set     *tunable.Set
	log     *slog.Logger
	changed func()          // a tunable was assigned; may be nil
	trigger func(level int) // may be nil
	shown   map[string]string
	empty   map[string]int // found empty, and since how many refreshes: perhaps somebody is about to write
}

// newSysDir makes the directories and writes every file.
func newSysDir(dir string, set *tunable.Set, log *slog.Logger) (*sysDir, error) {
	s := &sysDir{dir: dir, set: set, log: log, shown: map[string]string{}, empty: map[string]int{}}
	for _, d := range s.dirs() {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("directory of the tunables: %w", err)
		}
		if err := os.Chmod(d, 0o700); err != nil {
			return nil, fmt.Errorf("directory of the tunables: %w", err)
		}
	}
	for _, d := range tunable.Defs() {
		if err := s.put(d.Name, s.text(d), fileMode(d)); err != nil {
			return nil, err
		}
	}
	return s, s.put(triggerName, "", 0o600)
}

// dirs are the directory and those below it, whose names tunables have.
func (s *sysDir) dirs() []string { return []string{s.dir, filepath.Join(s.dir, "tuning")} }

func fileMode(d tunable.Def) fs.FileMode {
	if d.Mode == tunable.ReadWrite {
		return 0o600
	}
	return 0o400
}

// text is the content of a tunable's file.
func (s *sysDir) text(d tunable.Def) string { return strconv.FormatInt(s.set.Int(d.ID), 10) + "\n" }

// put replaces a file by rename, so that a reader sees the old content or the
// new one.
func (s *sysDir) put(name, text string, mode fs.FileMode) error {
	path := filepath.Join(s.dir, name)
	tmp := filepath.Join(filepath.Dir(path), ".tmp."+filepath.Base(path))
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write tunable %s: %w", name, err)
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return fmt.Errorf("write tunable %s: %w", name, err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("write tunable %s: %w", name, err)
	}
	s.shown[name] = text
	return nil
}

// touched looks at a file that somebody has written, replaced or removed.
// Names that are none of ours are ignored. written tells a write from a mere
// appearance.
func (s *sysDir) touched(name string, written bool) {
	if name == triggerName {
		s.pull(written)
		return
	}
	d, ok := tunable.Lookup(name)
	if !ok {
		if text, live := s.shown[name]; live {
			s.restore(name, text, 0o400)
		}
		return
	}
	if d.Mode != tunable.ReadWrite {
		s.restore(name, s.text(d), fileMode(d))
		return
	}
	text, err := readTunable(filepath.Join(s.dir, name))
	if err == nil && strings.TrimSpace(text) == "" && s.empty[name] < emptyRefreshes {
		s.empty[name] += 0 // refresh looks again
		return
	}
	delete(s.empty, name)
	if err == nil {
		old := s.set.Int(d.ID)
		if err = s.set.Assign(name, text); err == nil {
			s.shown[name] = text
			s.tell(d, old)
			return
		}
	}
	s.log.Warn("a tunable is put back", "name", name, "value", s.set.Int(d.ID), "err", err)
	s.logged(s.put(name, s.text(d), fileMode(d)))
}

func (s *sysDir) tell(d tunable.Def, old int64) {
	now := s.set.Int(d.ID)
	if now == old {
		return
	}
	s.log.Info("a tunable was set", "name", d.Name, "old", old, "new", now)
	if s.changed != nil {
		s.changed()
	}
}

// restore writes a file that nobody else should write, if somebody did.
func (s *sysDir) restore(name, text string, mode fs.FileMode) {
	// One byte more, so that a longer file is not taken for the same.
	if found, err := readShown(filepath.Join(s.dir, name), len(s.shown[name])+1); err != nil || found != s.shown[name] {
		s.log.Warn("a read-only tunable is put back", "name", name)
		s.logged(s.put(name, text, mode))
	}
}

// pull carries out what was written to the trigger.
func (s *sysDir) pull(written bool) {
	text, err := readTunable(filepath.Join(s.dir, triggerName))
	if err != nil {
		s.logged(s.put(triggerName, "", 0o600))
		return
	}
	text = strings.TrimSpace(text)
	if !written || text == "" {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		s.log.Warn("trigger is ignored", "expected", "a number from 1 on", "found", shorten(text))
		return
	}
	if s.trigger != nil {
		s.trigger(n)
	}
}

func shorten(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// refresh rewrites the measured values that have changed since the last call,
// and gives up on files that stay empty. Those are not put back at once: a
// shell truncates a file before it writes to it, and the value would go to the
// file that was replaced.
func (s *sysDir) refresh() {
	for _, name := range slices.Sorted(maps.Keys(s.empty)) {
		s.empty[name]++
		s.touched(name, false)
	}
	for _, d := range tunable.Defs() {
		if d.Mode == tunable.ReadOnly {
			s.show(d.Name, s.text(d))
		}
	}
}

// show rewrites a live file if its text is new.
func (s *sysDir) show(name, text string) {
	if old, ok := s.shown[name]; ok && old == text {
		return
	}
	s.logged(s.put(name, text, 0o400))
}

func (s *sysDir) logged(err error) {
	if err != nil {
		s.log.Error("cannot write tunables", "err", err)
	}
}
