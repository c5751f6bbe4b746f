// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import "fmt"

// drbdWord is a command of DRBD that MARS has no use for (manual 3.3.4).
type drbdWord struct {
	name string
	why  string // and what to do instead
}

func senselessWords() []drbdWord {
	return []drbdWord{
		{"syncer", "rates and limits are tunables: see /run/mars/sys/, and /etc/sysctl.d"},
		{"get-gi", "versions are told by links: marsadm show, marsadm status"},
		{"show-gi", "versions are told by links: marsadm show, marsadm status"},
		{"outdate", "a secondary knows by itself how old it is: marsadm status"},
		{"adjust", "there is no configuration file that could differ: every marsadm command takes effect by itself"},
		{"hidden-commands", "marsadm help lists all commands"},
		{"check-resize", "say marsadm resize when all disks have grown"},
	}
}

func pointlessWords() []drbdWord {
	return []drbdWord{
		{"create-md", "nothing is kept on the disk: marsadm create-resource or join-resource take it as it is"},
		{"dump-md", "nothing is kept on the disk: marsadm show tells what is known about it"},
		{"dump", "there is no configuration file: marsadm show tells what is known"},
		{"new-current-uuid", "a new version begins with each log: to skip the initial sync say marsadm fake-sync on the secondary"},
	}
}

// drbdCommands are what DRBD knows and MARS has no use for (manual 3.3.4), or
// must not have (3.3.5). Those of the first kind succeed, so that scripts made
// for DRBD go on.
func drbdCommands() []command {
	var list []command
	add := func(name, brief string, needs need, fn func(j *job) error) {
		c := command{name: name, usage: "RES", group: grpDRBD, brief: brief, scope: oneOrAll, max: -1, needs: wantTree | wantExisting | wantMember | needs, reads: readsOwn, phases: one(fn)}
		if name == "hidden-commands" {
			c.usage, c.scope = "[RES]", anyResource
		}
		list = append(list, c)
	}
	for _, w := range senselessWords() {
		add(w.name, "ignored: "+w.why, 0, func(j *job) error {
			j.say("ignoring command '%s' on resource '%s' (%s)", j.cmd.name, j.res, w.why)
			return nil
		})
	}
	for _, w := range pointlessWords() {
		add(w.name, "makes no sense with MARS: "+w.why, 0, func(j *job) error {
			j.say("command '%s' makes no sense with MARS (ignoring on resource '%s': %s)", j.cmd.name, j.res, w.why)
			return nil
		})
	}
	add("invalidate-remote", "forbidden: use invalidate with --host=NAME", 0, forbidden("run 'marsadm invalidate %[1]s' on the one host that you mean, or here with --host=NAME"))
	add("verify", "forbidden: invalidate does it", 0, forbidden("'marsadm invalidate %[1]s' on a secondary compares all blocks, and corrects what differs"))
	return list
}

// forbidden refuses; hint is a format for the resource.
func forbidden(hint string) func(*job) error {
	return func(j *job) error {
		return dieHint(fmt.Sprintf(hint, j.res), "command '%s' on resource '%s' cannot be used with MARS (might affect too many hosts, lead to undesired consequences)", j.cmd.name, j.res)
	}
}
