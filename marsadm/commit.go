// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"

	"mars/infra/symtree"
)

// maxRetries bounds how often a commit is tried against others who write the
// same links.
const maxRetries = 20

// commit makes changes with one stamp, in order, then the deletion orders, and
// tells marsd. Either all of it or, if it is refused, nothing takes effect.
func (x *run) commit(changes []symtree.Change, orders []string) error {
	if len(changes)+len(orders) == 0 {
		return nil
	}
	x.out.flush() // who is killed from here on has said what was begun
	var err error
	for range maxRetries {
		if len(orders) > 0 {
			// The numbers of orders must not be those of another command.
			if err := x.rescan(symtree.TodoGlobalDir()); err != nil {
				return err
			}
		}
		var batch symtree.Batch
		batch.Add(changes...)
		made, err2 := symtree.NewOrder(x.tree, x.sys.Place().Host, orders)
		if err2 != nil {
			return err2
		}
		batch.Add(made...)
		stamp := symtree.BatchStamp(x.sys.Wall(), x.tree, x.markers)
		if x.opt.dryRun {
			return x.pretend(batch.Changes(stamp))
		}
		if err = x.store.CommitBatch(&batch, stamp); errors.Is(err, symtree.ErrStale) {
			if err := x.reload(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		x.tell(batch.Changes(stamp), stamp)
		symtree.Apply(x.tree, x.markers, batch.Changes(stamp))
		x.sys.Trigger(2)
		return nil
	}
	return err
}

// rescan reads one directory of the tree anew.
func (x *run) rescan(dir string) error {
	now, markers, err := x.store.Rescan(dir)
	if err != nil {
		return err
	}
	x.tree.Replace(dir, now)
	symtree.ReplaceMarkers(x.markers, dir, markers)
	symtree.Apply(x.tree, x.markers, x.pretended)
	return nil
}

func (x *run) tell(changes []symtree.Change, stamp int64) {
	if !x.opt.verbose {
		return
	}
	x.say("using lamport timestamp %d.%09d", stamp/1e9, stamp%1e9)
	for _, c := range changes {
		if c.Op == symtree.OpSet {
			x.say("created symlink '%s' -> '%s'", symtree.ToUser(c.Path), c.Value)
		}
	}
}

// pretend is what --dry-run does in place of a commit: later phases see a tree
// with the changes in it.
func (x *run) pretend(changes []symtree.Change) error {
	for _, c := range changes {
		old, had := x.tree.Value(c.Path)
		switch {
		case c.Op == symtree.OpSet && had && old == c.Value:
			x.say("would renew symlink '%s' -> '%s'", symtree.ToUser(c.Path), c.Value)
		case c.Op == symtree.OpSet && had:
			x.say("would change symlink '%s' -> '%s' (now '%s')", symtree.ToUser(c.Path), c.Value, old)
		case c.Op == symtree.OpSet:
			x.say("would create symlink '%s' -> '%s'", symtree.ToUser(c.Path), c.Value)
		case c.Op == symtree.OpMkdir && !x.tree.Exists(c.Path):
			x.say("would create directory '%s'", symtree.ToUser(c.Path))
		case c.Op == symtree.OpCreate:
			x.say("would create empty logfile '%s'", symtree.ToUser(c.Path))
		}
	}
	x.pretended = append(x.pretended, changes...)
	symtree.Apply(x.tree, x.markers, changes)
	return nil
}
