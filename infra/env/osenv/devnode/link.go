// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mars/infra/env"
)

// MakeLink makes or replaces the symlink at path; it is never missing or
// half made meanwhile. Anything but a symlink is left alone.
func MakeLink(target, path string) error {
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

// RemoveLink removes the symlink at path; a missing one is fine.
func RemoveLink(path string) error {
	if err := onlyLink(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveLinkTo removes the symlink at path if it leads to a name that begins with
// prefix; anything else is left alone.
func RemoveLinkTo(prefix, path string) error {
	if target, err := os.Readlink(path); err != nil || !strings.HasPrefix(target, prefix) {
		return nil
	}
	return RemoveLink(path)
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

// CheckName accepts what can be a file name in the directory of device names,
// visible and short.
func CheckName(name string) error {
	if name == "" || name[0] == '.' || len(name) > 200 {
		return fmt.Errorf("bad device name %q", name)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == '/' || c == '\\' || c == ',' || c == 0x7f {
			return fmt.Errorf("bad device name %q", name)
		}
	}
	return nil
}
