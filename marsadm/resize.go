// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"strings"

	"mars/infra/symtree"
)

// resize enlarges a resource (manual 3.2.2). The primary's own syncstatus goes
// first, durably, since its disk is the truth; the others sync what is new.
func resize(j *job) error {
	if j.tree.Primary(j.res) != j.host || !j.actual(j.host, symtree.ActualIsPrimary) {
		return &dying{role: true, text: "for operation 'resize' I need to be primary", hint: "run it there; see 'marsadm role " + j.res + "'"}
	}
	old, _ := j.tree.Size(j.res)
	size := old + sector // at least
	if len(j.args) > 0 {
		var err error
		if size, err = symtree.ParseSizeArg(j.args[0]); err != nil {
			return usage("%v", err)
		}
	}
	limit, small, err := j.awaitDisks(max(size, old))
	if err != nil {
		return err
	}
	if len(j.args) == 0 {
		size = limit
	}
	j.say("old_size=%d min_size=%d new_size=%d", old, limit, size)
	hint := fmt.Sprintf("enlarge the disk first on host(s) %s; marsd notices it within seconds, also while the disk is in use", strings.Join(small, " "))
	if size > limit {
		return dieHint(hint, "new size %d is higher than the minimum size of all volumes %d", size, limit)
	}
	if size <= old {
		if len(j.args) > 0 {
			hint = "leave it out to take what the smallest disk has"
		}
		return dieHint(hint, "only increases of the size are possible: it is %d", old)
	}
	if n, _ := j.tree.Int(symtree.SyncStatusPath(j.res, j.host)); n < old {
		return dieHint("wait for it: marsadm wait-resource "+j.res+" is-sync-off", "sync on %s has not yet finished: %d of %d", j.host, n, old)
	}
	j.set(symtree.SyncStatusPath(j.res, j.host), symtree.FormatInt(size))
	if err := j.commitNow(); err != nil {
		return err
	}
	j.set(symtree.SizePath(j.res), symtree.FormatInt(size))
	j.say("new size: %d bytes", size)
	return nil
}

// awaitDisks waits until all disks have the size that is needed: who has just
// enlarged them is faster than marsd. It returns the size of the smallest, and
// whose are too small even now.
func (j *job) awaitDisks(need int64) (limit int64, small []string, err error) {
	look := func() (string, error) {
		limit, small = -1, nil
		for _, host := range j.tree.Members(j.res) {
			n, ok := j.tree.Int(symtree.ActSizePath(j.res, host))
			if !ok {
				return "", dieHint("its disk must be attached once", "the size of the disk of host '%s' is not known: no symlink '%s'", host, symtree.ToUser(symtree.ActSizePath(j.res, host)))
			}
			n &^= sector - 1
			if limit < 0 || n < limit {
				limit = n
			}
			if n < need {
				small = append(small, host)
			}
		}
		return "", nil
	}
	if _, err := look(); err != nil || len(small) == 0 || j.never {
		return limit, small, err
	}
	j.sys.Trigger(3)
	err = j.await(func() (string, error) {
		if _, err := look(); err != nil || len(small) == 0 {
			return "", err
		}
		return fmt.Sprintf("the disk of resource '%s' is too small on host(s) %s, as far as is known", j.res, strings.Join(small, " ")), nil
	})
	if errors.Is(err, errTimeout) {
		err = nil // the caller has better words for it
	}
	return limit, small, err
}
