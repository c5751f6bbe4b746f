// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"maps"
	"slices"

	"mars/infra/symtree"
)

// logID is one log, whoever has a copy of it.
type logID struct {
	number int
	origin string
}

// logPurgeAll deletes what no way leads to any more: version links and logfiles
// of branches that were given up, as after the end of a split brain. What any
// replay link comes from or can go on to stays. Of others' links and logs only
// with --force.
func logPurgeAll(j *job) error {
	keep, err := j.reachable()
	if err != nil {
		return err
	}
	purge := func(path string, id logID, owner string) {
		switch {
		case keep[id]:
			j.detail("  ok '%s'", symtree.ToUser(path))
		case owner != j.host && !j.opt.force:
			j.detail("  skipping foreign object '%s'", symtree.ToUser(path))
		default:
			if owner != j.host {
				j.warn("deleting foreign object from peer '%s' because you said --force", owner)
			}
			j.say("chosen '%s' for deletion", symtree.ToUser(path))
			j.order(path)
		}
	}
	for _, v := range j.tree.Versions(j.res) {
		id := logID{v.Number, ""}
		if link, err := symtree.ParseVersion(v.Value); err == nil {
			id.origin = link.Origin
		}
		purge(symtree.VersionPath(j.res, v.Number, v.Host), id, v.Host)
	}
	for _, l := range j.tree.Logs(j.res) {
		purge(symtree.LogPath(j.res, l.Number, l.Origin), logID{l.Number, l.Origin}, l.Origin)
	}
	if len(j.orders) == 0 {
		j.say("nothing is left over.")
	}
	return nil
}

// detail is for --verbose only.
func (j *job) detail(format string, a ...any) {
	if j.opt.verbose {
		j.say(format, a...)
	}
}

// reachable are the logs that any member comes from, stands in or may go on to.
func (j *job) reachable() (map[logID]bool, error) {
	before, after := map[logID][]logID{}, map[logID][]logID{}
	for _, v := range j.tree.Versions(j.res) {
		link, err := symtree.ParseVersion(v.Value)
		if err != nil {
			return nil, dieHint("wait until marsd of that host has renewed it, or delete it: marsadm delete-file --force", "version link '%s' is not parsable, so that nothing can be purged: %v", symtree.ToUser(symtree.VersionPath(j.res, v.Number, v.Host)), err)
		}
		if link.Prev != nil {
			this, prev := logID{link.Number, link.Origin}, logID{link.Prev.Number, link.Prev.Origin}
			before[this], after[prev] = append(before[this], prev), append(after[prev], this)
		}
	}
	keep, back, on := map[logID]bool{}, map[logID]bool{}, map[logID]bool{}
	for _, host := range j.tree.Replays(j.res) {
		r, ok := j.tree.Replay(j.res, host)
		if !ok {
			return nil, dieHint("repair it: marsadm invalidate or leave-resource on that host", "replay link '%s' is not parsable, so that nothing can be purged", symtree.ToUser(symtree.ReplayPath(j.res, host)))
		}
		spread(back, logID{r.Number, r.Origin}, before)
		spread(on, logID{r.Number, r.Origin}, after)
		if !j.actual(host, symtree.ActualIsPrimary) && j.tree.Primary(j.res) != host {
			continue
		}
		// What a primary writes next is not linked yet.
		for _, l := range j.tree.Logs(j.res) {
			if l.Origin == host && l.Number >= r.Number {
				keep[logID{l.Number, l.Origin}] = true
			}
		}
	}
	if len(on) == 0 {
		return nil, die("resource '%s' has no replay links, so that nothing can be purged", j.res)
	}
	maps.Copy(keep, back)
	maps.Copy(keep, on)
	return keep, nil
}

// spread marks all that can be reached from id.
func spread(keep map[logID]bool, id logID, next map[logID][]logID) {
	if keep[id] {
		return
	}
	keep[id] = true
	for _, n := range next[id] {
		spread(keep, n, next)
	}
}

// belongs lists whom something in a resource belongs to, in order, and how much
// of that is ordered to be deleted already.
func (j *job) belongs() (hosts []string, all, ordered int) {
	orders := map[string]int64{}
	for _, o := range j.tree.Orders() {
		orders[o.Target] = max(orders[o.Target], o.Stamp)
	}
	for _, i := range j.tree.List(symtree.ResourceDir(j.res)) {
		n, _ := symtree.Parse(i.Path)
		if n.Kind != symtree.KindData && n.Kind != symtree.KindDevice && n.Kind != symtree.KindReplay {
			continue
		}
		if !slices.Contains(hosts, n.Host) {
			hosts = append(hosts, n.Host)
		}
		all++
		if stamp, ok := orders[i.Path]; ok && (stamp >= i.Stamp || i.Kind != symtree.Link) {
			ordered++
		}
	}
	return hosts, all, ordered
}

// awaitLeft waits for what leave-resource has ordered: a moment ago everybody
// may have left.
func (j *job) awaitLeft() error {
	return j.await(func() (string, error) {
		hosts, all, ordered := j.belongs()
		if j.opt.force || all == 0 || ordered < all {
			return "", nil
		}
		if !j.sys.Loaded() {
			return "", dieHint("start it: marsd run (or by your init system)", "hosts '%s' have left resource '%s', but no marsd is running here that would delete their links", joinComma(hosts), j.res)
		}
		return fmt.Sprintf("the links of hosts '%s', which have left resource '%s', are still being deleted (%d are there)", joinComma(hosts), j.res, all), nil
	})
}

// deleteResource removes what is left of a resource that nobody is member of.
// The highest log number survives, so that none is ever used again.
func deleteResource(j *job) error {
	if err := j.awaitLeft(); err != nil {
		return err
	}
	hosts, _, _ := j.belongs()
	if err := j.mayDelete(hosts); err != nil {
		return err
	}
	t := j.tree
	last := 0
	t.WalkDir(symtree.ResourceDir(j.res), func(path string, _ symtree.Entry) bool {
		if n, _ := symtree.Parse(path); n.Kind == symtree.KindLog || n.Kind == symtree.KindVersion {
			last = max(last, n.Number)
		}
		return true
	})
	if old, _ := t.Int(symtree.MaxNrPath(j.res)); int64(last) > old {
		j.set(symtree.MaxNrPath(j.res), fmt.Sprint(last))
	}
	var targets []string
	t.WalkDir(symtree.ResourceDir(j.res), func(path string, _ symtree.Entry) bool {
		n, err := symtree.Parse(path)
		dir, _ := symtree.Parse(symtree.Parent(path))
		// The order against a directory of keys is one against all in it.
		if err == nil && n.Kind != symtree.KindMaxNr && (dir.Kind == symtree.KindResourceDir || dir.Kind == symtree.KindResUserspaceDir || dir.Kind == symtree.KindResUserspace) {
			targets = append(targets, path)
		}
		return true
	})
	for i := len(targets) - 1; i >= 0; i-- { // contents before directories
		j.order(targets[i])
	}
	j.say("resource '%s' is deleted; only '%s' stays", j.res, symtree.ToUser(symtree.MaxNrPath(j.res)))
	return nil
}

// mayDelete: nobody may be left, but for what --force destroys.
func (j *job) mayDelete(hosts []string) error {
	if len(hosts) == 0 {
		return nil
	}
	for _, host := range hosts {
		if n, _ := j.tree.Int(symtree.ActualPath(j.res, host, symtree.ActualOpenCount)); n > 0 && host == j.sys.Place().Host {
			return dieHint("umount or close it", "device '/dev/mars/%s' is in use here (%d times)", j.deviceName(), n)
		}
	}
	if !j.opt.force {
		return dieHint(fmt.Sprintf("marsadm down %[1]s and marsadm leave-resource %[1]s on each; for one that is lost with --host=NAME --force", j.res),
			"resource '%s' is not empty: first remove the hosts '%s' via leave-resource", j.res, joinComma(hosts))
	}
	j.warn("BRUTE FORCE resource destruction: '%s' disappears below the hosts '%s'", j.res, joinComma(hosts))
	return nil
}
