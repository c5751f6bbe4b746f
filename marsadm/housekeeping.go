// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mars/infra/symtree"
)

func housekeepingCommands() []command {
	const member = wantTree | wantExisting | wantMember
	return []command{
		{name: "cron", usage: "[RES|all]", group: grpLog, brief: "what is to be done regularly: log-rotate, then log-delete-all", scope: anyResource, needs: onResource, reads: readsLogs, timeout: 30 * time.Second, phases: []phase{
			{"clean up", cronClean}, {"log-rotate", cronRotate}, {"log-delete-all", cronDelete},
		}},
		{name: "log-purge-all", usage: "RES", group: grpLog, brief: "delete logfiles of branches that were given up", scope: oneOrAll, needs: onResource, reads: readsBranches, phases: one(logPurgeAll)},
		{name: "delete-resource", usage: "RES", group: grpResource, brief: "remove what is left of a resource when all hosts have left it", scope: oneOrAll, needs: wantTree | wantExisting | hereOnly, phases: one(deleteResource)},
		{name: "set-emergency-limit", usage: "RES PERCENT", group: grpResource, brief: "how much of /mars must be free, or the resource enters emergency mode by itself (0: no limit of its own)", scope: oneOrAll, min: 1, max: 1, needs: member, reads: readsOwn, phases: one(setEmergencyLimit)},
		{name: "get-emergency-limit", usage: "RES", group: grpResource, brief: "show that limit", scope: oneOrAll, needs: member | inspects, reads: readsOwn, phases: one(getEmergencyLimit)},
	}
}

func joinComma(list []string) string { return strings.Join(list, ",") }

// staleTemp is how old a temporary name is that nobody will rename any more.
const staleTemp = time.Hour

// cronClean removes what commands that were killed have left.
func cronClean(j *job) error {
	if j.cleaned || j.opt.dryRun || j.foreign() {
		return nil
	}
	j.run.cleaned = true
	return j.store.Clean(j.sys.Wall() - int64(staleTemp))
}

// cronRotate is log-rotate where this host is primary, and nothing elsewhere:
// cron runs on all hosts.
func cronRotate(j *job) error {
	err := logRotate(j)
	var d *dying
	if errors.As(err, &d) && d.role {
		return nil
	}
	return err
}

// cronPause is how long the primary gets to go on in the new log: only then
// the old one can be deleted once it is applied.
const cronPause = 7 * time.Second

// cronDelete waits once for all resources.
func cronDelete(j *job) error {
	if !j.paused && !j.opt.dryRun && !j.never {
		j.run.paused = true
		if err := j.sys.Sleep(cronPause); err != nil {
			return err
		}
		if err := j.reload(); err != nil {
			return err
		}
	}
	return j.logDelete(true)
}

func setEmergencyLimit(j *job) error {
	text := j.args[0]
	n, err := strconv.Atoi(text)
	if err != nil {
		return usage("percent argument '%s' isn't numeric", text)
	}
	if n < 0 || n > 100 {
		return usage("percent argument '%s' isn't between 0 and 100%%", text)
	}
	j.set(symtree.TodoPath(j.res, j.host, symtree.TodoEmergencyLimit), strconv.Itoa(n))
	j.say("emergency limit of resource '%s' on host '%s' is %d%%", j.res, j.host, n)
	return nil
}

func getEmergencyLimit(j *job) error {
	path := symtree.TodoPath(j.res, j.host, symtree.TodoEmergencyLimit)
	v, ok := j.tree.Value(path)
	if !ok {
		return dieHint(fmt.Sprintf("marsadm set-emergency-limit %s PERCENT sets it; without it only the limits of the host count", j.res), "cannot read symlink '%s'", symtree.ToUser(path))
	}
	j.say("%s", v)
	return nil
}
