// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"

	"mars/infra/mutant"
	"mars/infra/symtree"
)

func logCommands() []command {
	return []command{
		{name: "log-rotate", usage: "RES", group: grpLog, brief: "begin a new logfile (on the primary)", scope: oneOrAll, needs: onResource, reads: readsLogs, phases: one(logRotate)},
		{name: "log-delete", usage: "RES", group: grpLog, brief: "delete the oldest logfile that no member needs any more", scope: oneOrAll, needs: onResource, reads: readsLogs,
			phases: one(func(j *job) error { return j.logDelete(false) })},
		{name: "log-delete-all", usage: "RES", group: grpLog, brief: "delete all logfiles that no member needs any more", scope: oneOrAll, needs: onResource, reads: readsLogs,
			phases: one(func(j *job) error { return j.logDelete(true) })},
	}
}

// logRotate makes the next logfile, empty; the primary goes on in it (manual
// 3.2.3).
func logRotate(j *job) error {
	role := func(why string) error {
		return &dying{role: true, text: "for operation 'log-rotate'" + why, hint: "rotate on the primary; see 'marsadm role " + j.res + "'"}
	}
	if p := j.tree.Primary(j.res); p != j.host {
		return role(fmt.Sprintf(", I also must be the designated primary, which is '%s'", symtree.FormatPrimary(p)))
	}
	if !j.actual(j.host, symtree.ActualIsPrimary) {
		return role(" I need to be primary" + j.because())
	}
	if j.foreign() {
		return dieHint("run log-rotate there", "cannot make a logfile on another host")
	}
	var last symtree.Log
	top := 0
	for _, l := range j.tree.Logs(j.res) {
		top = max(top, l.Number)
		if l.Origin == j.host {
			last = l
		}
	}
	switch {
	case last.Number == 0:
		return dieHint("see what marsd says about this resource", "cannot find any logfiles of host '%s'", j.host)
	case last.Size == 0:
		j.say("an empty logfile '%s' already exists, nothing to do.", symtree.ToUser(symtree.LogPath(j.res, last.Number, j.host)))
		return nil
	case top > last.Number:
		return die("logfile number %d exists already, from another host, behind the last own number %d: wait until it is clear who is primary", top, last.Number)
	case last.Number == symtree.MaxNumber:
		return die("no logfile number is left behind %d", last.Number)
	}
	j.create(symtree.LogPath(j.res, last.Number+1, j.host))
	return nil
}

// logDelete deletes logfiles everywhere: those with numbers below all that
// replay links still name. Of the version links one more number stays, for the
// chain (manual 3.2.3).
func (j *job) logDelete(every bool) error {
	limit := 0
	for _, host := range j.tree.Replays(j.res) {
		r, ok := j.tree.Replay(j.res, host)
		if !ok {
			return dieHint("repair it: marsadm invalidate or leave-resource on that host", "replay link '%s' is not parsable, so that nothing can be deleted", symtree.ToUser(symtree.ReplayPath(j.res, host)))
		}
		if limit == 0 || (r.Number < limit) != mutant.Is(mutant.PausedIgnored) {
			limit = r.Number
		}
	}
	logs := j.tree.Logs(j.res)
	if limit == 0 || len(logs) == 0 || logs[0].Number >= limit {
		j.say("no logfiles are deletable.")
		return nil
	}
	j.say("min     deletable logfile number: %d", logs[0].Number)
	j.say("max non-deletable logfile number: %d", limit)
	if !every {
		limit = logs[0].Number + 1
	}
	for _, l := range logs {
		if l.Number < limit {
			path := symtree.LogPath(j.res, l.Number, l.Origin)
			j.say("chosen '%s' for deletion", symtree.ToUser(path))
			j.order(path)
		}
	}
	said := false
	for _, v := range j.tree.Versions(j.res) {
		if v.Number < limit-1 {
			if !said {
				j.say("removing left-over version symlinks...")
				said = true
			}
			j.order(symtree.VersionPath(j.res, v.Number, v.Host))
		}
	}
	return nil
}
