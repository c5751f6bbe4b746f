package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mars/infra/tunable"

	"golang.org/x/sys/unix"
)

// loadTunables fills a Set at start: sysctl.d below root ("/" outside of
// tests), then what an earlier marsd has left in saved, then pairs, a later one
// winning. What is wrong in files is logged and left out; a wrong pair is an
// error, for whoever gave it is there to correct it.
func loadTunables(set *tunable.Set, root, saved string, pairs []string, log *slog.Logger) error {
	for _, path := range sysctlFiles(root) {
		text, err := os.ReadFile(path)
		if err != nil {
			log.Warn("cannot read tunables", "err", err)
			continue
		}
		for _, err := range set.ApplySysctl(path, string(text)) {
			log.Warn("a line is ignored", "err", err)
		}
	}
	loadSaved(set, saved, log)
	for _, pair := range pairs {
		err := set.AssignPair(pair)
		switch {
		case errors.Is(err, tunable.ErrObsolete):
			log.Warn("--set is ignored", "err", err)
		case err != nil:
			return fmt.Errorf("--set %s: %w", pair, err)
		}
	}
	return nil
}

// sysctlFiles lists the files to read, in their order: those of all
// directories by name, where of one name the first directory counts
// (sysctl.d(5)), and sysctl.conf in the end.
func sysctlFiles(root string) []string {
	byName := map[string]string{}
	for _, dir := range []string{"etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d"} {
		list, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			continue // most hosts lack some of them
		}
		for _, e := range list {
			if _, seen := byName[e.Name()]; !seen && strings.HasSuffix(e.Name(), ".conf") {
				byName[e.Name()] = filepath.Join(root, dir, e.Name())
			}
		}
	}
	var files []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		files = append(files, byName[name])
	}
	last := filepath.Join(root, "etc/sysctl.conf")
	if _, err := os.Stat(last); err == nil {
		files = append(files, last)
	}
	return files
}

// loadSaved takes the values that were in force when the last marsd ended.
// Those that can be set at start only come from the start's own sources.
func loadSaved(set *tunable.Set, dir string, log *slog.Logger) {
	for _, d := range tunable.Defs() {
		if d.Mode != tunable.ReadWrite {
			continue
		}
		text, err := readTunable(filepath.Join(dir, d.Name))
		if err == nil {
			err = set.Assign(d.Name, text)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("a saved tunable is ignored", "err", err)
		}
	}
}

// maxTunable is how much of a file is read that holds a value, bytes.
const maxTunable = 4096

// readTunable reads one file of RUN_DIR/sys, and nothing that is none.
func readTunable(path string) (string, error) { return readShown(path, maxTunable) }

// readShown reads at most so many bytes of a file of RUN_DIR/sys.
func readShown(path string, most int) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(most)))
	return string(b), err
}
