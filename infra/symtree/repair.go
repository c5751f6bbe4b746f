// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

// Repair answers what Merge has refused, so that the trees of all hosts become
// equal again after a host has come back with an old /mars, or has lost its
// own:
//
//   - what was deleted and is still somewhere, though its order is finished, is
//     ordered to be deleted again, with the stamp of the old order;
//   - an entry of this host's own that others have newer is written anew;
//   - an entry of this host's own that only others have is ordered to be
//     deleted.
//
// now is a fresh Lamport stamp of this host; the caller's clock must have taken
// note of the stamps that were refused. The changes carry their stamps. They must
// be in t before Repair is called again: it gives numbers to orders. What is
// mended already it leaves alone.
func Repair(t *Tree, markers map[string]int64, me string, now int64, refused []Refusal) []Change {
	var list []Change
	var pending, all map[string]int64
	next := 0
	done := map[string]bool{}
	for _, r := range refused {
		if r.Verdict != RefuseDeleted && r.Verdict != RefuseOwn || done[r.Path] {
			continue
		}
		done[r.Path] = true
		if old, ok := t.Get(r.Path); ok && r.Verdict == RefuseOwn {
			if old.Kind == Link && r.Newer(old) {
				list = append(list, Set(r.Path, old.Value, max(now, r.Stamp+1)))
			}
			continue
		}
		if pending == nil {
			pending, all, next = blocks(t, nil), blocks(t, markers), t.lastOrder()+1
		}
		target := r.Path
		stamp, ordered := pending[target]
		if dir := Parent(target); !ordered || stamp < r.Stamp {
			if s, ok := pending[dir]; ok && deletesContents(dir) {
				stamp, ordered = s, true
			}
		}
		if ordered && stamp >= r.Stamp || next > MaxNumber || CheckTarget(target) != nil {
			continue // it is under way
		}
		list = append(list, Set(DeletePath(next, me), ToUser(target), max(all[target], r.Stamp)))
		next++
	}
	return list
}

// deletesContents reports whether to delete this directory is to delete what
// is in it.
func deletesContents(dir string) bool {
	n, err := Parse(dir)
	return err == nil && leafDir(n.Kind)
}
