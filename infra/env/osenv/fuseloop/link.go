// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"mars/infra/env"
)

// makeLink makes or replaces the symlink at path; it is never missing or
// half made meanwhile. Anything but a symlink is left alone.
func makeLink(target, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := onlyLink(path); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// removeLink removes the symlink at path; a missing one is fine.
func removeLink(path string) error {
	if err := onlyLink(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func onlyLink(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && st.Mode()&fs.ModeSymlink == 0 {
		err = fmt.Errorf("%s is no symlink: %w", path, env.ErrExist)
	}
	return err
}
