// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import "mars/infra/symtree"

// resize enlarges a resource (manual 3.2.2). The primary's own syncstatus goes
// first, durably, since its disk is the truth; the others sync what is new.
func resize(j *job) error {
	t := j.tree
	if t.Primary(j.res) != j.host || !j.actual(j.host, symtree.ActualIsPrimary) {
		return &dying{role: true, text: "for operation 'resize' I need to be primary", hint: "run it there; see 'marsadm role " + j.res + "'"}
	}
	old, _ := t.Size(j.res)
	limit := int64(-1)
	for _, host := range t.Members(j.res) {
		n, ok := t.Int(symtree.ActSizePath(j.res, host))
		if !ok {
			return dieHint("its disk must be attached once", "the size of the disk of host '%s' is not known: no symlink '%s'", host, symtree.ToUser(symtree.ActSizePath(j.res, host)))
		}
		if limit < 0 || n < limit {
			limit = n
		}
	}
	limit &^= sector - 1
	size := limit
	if len(j.args) > 0 {
		var err error
		if size, err = symtree.ParseSizeArg(j.args[0]); err != nil {
			return usage("%v", err)
		}
	}
	j.say("old_size=%d min_size=%d new_size=%d", old, limit, size)
	if size > limit {
		return dieHint("enlarge the disks first; marsd takes notice when they are attached anew", "new size %d is higher than the minimum size of all volumes %d", size, limit)
	}
	if size <= old {
		return die("only increases of the size are possible: it is %d", old)
	}
	if n, _ := t.Int(symtree.SyncStatusPath(j.res, j.host)); n < old {
		return die("sync on %s has not yet finished: %d of %d", j.host, n, old)
	}
	j.set(symtree.SyncStatusPath(j.res, j.host), symtree.FormatInt(size))
	if err := j.commitNow(); err != nil {
		return err
	}
	j.set(symtree.SizePath(j.res), symtree.FormatInt(size))
	j.say("new size: %d bytes", size)
	return nil
}
