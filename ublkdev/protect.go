// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Protect takes this process off the OOM killer's list: killing the server of a
// device frees no memory and blocks those who wait for it. Needs privilege.
func Protect() error { return newSystem().protect() }

func (s *system) protect() error {
	err := os.WriteFile(filepath.Join(s.proc, "self", "oom_score_adj"), []byte("-1000"), 0)
	if err != nil {
		return fmt.Errorf("ublk: keep the OOM killer away: %w", err)
	}
	return nil
}

// ErrNamespace is matched by the error of CheckNamespace.
var ErrNamespace = errors.New("ublk: the server has a mount namespace of its own")

// CheckNamespace tells when this process has another mount namespace than
// process 1 (PrivateMounts=, containers). A file system on its own device that
// is mounted there is unmounted only by the end of the process, which then waits
// for itself: such a process must not see its devices mounted. Nil also where it
// cannot be found out.
func CheckNamespace() error { return newSystem().checkNamespace() }

func (s *system) checkNamespace() error {
	own, err1 := os.Readlink(filepath.Join(s.proc, "self", "ns", "mnt"))
	host, err2 := os.Readlink(filepath.Join(s.proc, "1", "ns", "mnt"))
	if err1 == nil && err2 == nil && own != host {
		return fmt.Errorf("%w: %s, not %s; run it without PrivateMounts= and the like", ErrNamespace, own, host)
	}
	return nil
}
