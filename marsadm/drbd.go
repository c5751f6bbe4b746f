// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

// drbdCommands are what DRBD knows and MARS has no use for (manual 3.3.4), or
// must not have (3.3.5).
func drbdCommands() []command {
	var list []command
	add := func(brief string, fn func(j *job) error, names ...string) {
		for _, name := range names {
			list = append(list, command{name: name, usage: "RES", group: grpDRBD, brief: brief, scope: oneOrAll, max: -1, needs: wantTree | wantExisting | wantMember, phases: one(fn)})
		}
	}
	add("ignored", func(j *job) error {
		j.say("ignoring command '%s' on resource '%s'", j.cmd.name, j.res)
		return nil
	}, "syncer", "get-gi", "show-gi", "outdate", "adjust", "hidden-commands")
	add("makes no sense with MARS: ignored", func(j *job) error {
		j.say("command '%s' makes no sense with MARS (ignoring on resource '%s')", j.cmd.name, j.res)
		return nil
	}, "create-md", "dump-md", "dump", "new-current-uuid")
	add("forbidden: use --host=NAME with invalidate", forbidden("run 'marsadm invalidate' on the one host that you mean"), "invalidate-remote")
	add("forbidden: invalidate does it", forbidden("'marsadm invalidate' on a secondary compares all blocks and corrects what differs"), "verify")
	return list
}

func forbidden(hint string) func(*job) error {
	return func(j *job) error {
		return dieHint(hint, "command '%s' on resource '%s' cannot be used with MARS (might affect too many hosts, lead to undesired consequences)", j.cmd.name, j.res)
	}
}
