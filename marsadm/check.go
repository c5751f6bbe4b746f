// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"

	"mars/infra/symtree"
)

// all, in place of a resource, means every resource that the host is a member
// of.
const all = "all"

// jobs finds the resources of the command line.
func (x *run) jobs() ([]*job, error) {
	make1 := func(res string) *job { return &job{run: x, res: res, was: map[string]bool{}} }
	if x.word != all {
		if err := symtree.CheckResource(x.word); err != nil {
			return nil, usage("%v", err)
		}
		return []*job{make1(x.word)}, nil
	}
	if x.cmd.scope == newResource {
		return nil, usage("Cannot combine command '%s' with 'all' existing resources - you must explicitly name a single new resource", x.cmd.name)
	}
	if x.opt.force {
		return nil, usage("For safety reasons, --force is only allowed on explicitly named resources. Combination of 'all' with --force is disallowed!")
	}
	var jobs []*job
	for _, res := range x.tree.Resources() {
		if x.tree.IsMember(res, x.host) {
			jobs = append(jobs, make1(res))
		}
	}
	if len(jobs) == 0 {
		x.say("I am not member of any resource")
	}
	return jobs, nil
}

// check tests the preconditions that the table names, in a fixed order.
func (j *job) check() error {
	t, c := j.tree, j.cmd
	if c.has(wantExisting) && !t.Exists(symtree.ResourceDir(j.res)) {
		return dieHint("'marsadm show all' lists what is known here; a new resource needs some time to appear on other hosts", "resource '%s' does not exist", j.res)
	}
	if c.has(wantMember) && !t.IsMember(j.res, j.host) {
		return dieHint(fmt.Sprintf("see 'marsadm join-resource %s DISK'", j.res), "sorry, host '%s' has not yet joined to resource '%s'", j.host, j.res)
	}
	if c.has(wantMember) {
		if err := j.checkSizes(); err != nil {
			return err
		}
	}
	if j.opt.force {
		return nil
	}
	if c.has(wantAttached) {
		if err := j.attached(); err != nil {
			return err
		}
	}
	if c.has(wantSecondary) {
		return j.secondary()
	}
	return nil
}

func (j *job) checkSizes() error {
	size, ok := j.tree.Size(j.res)
	if !ok {
		return dieHint("wait until the resource has arrived here completely", "cannot read symlink '%s'", symtree.ToUser(symtree.SizePath(j.res)))
	}
	actual, ok := j.tree.Int(symtree.ActSizePath(j.res, j.host))
	// Who has the wrong disk must be able to get rid of it. That of a detached one
	// is looked at when it is attached.
	if !j.cmd.has(wantFit) || !ok || actual >= size || !j.actual(j.host, symtree.ActualIsAttached) {
		return nil
	}
	return dieHint(fmt.Sprintf("marsadm down %[1]s; then put the disk back that has joined, and say marsadm up %[1]s; or marsadm leave-resource %[1]s, and join with another one", j.res),
		"physical device on host '%s' has size %d, which is smaller than the logical resource size %d", j.host, actual, size)
}

// actual is a fact about a member of this resource; missing ones are off.
func (j *job) actual(host, key string) bool {
	n, _ := j.tree.Int(symtree.ActualPath(j.res, host, key))
	return n != 0
}

func (j *job) todo(key string) bool { return j.tree.Bool(symtree.TodoPath(j.res, j.host, key)) }

// attached: all operations but attach itself start in attached state (manual
// 3.2.2). A disk that is about to be attached is waited for.
func (j *job) attached() error {
	if !j.todo(symtree.TodoAttach) {
		return dieHint(fmt.Sprintf("marsadm attach %s", j.res), "cannot execute %s on resource %s: its disk is detached", j.cmd.name, j.res)
	}
	return j.await(func() (string, error) {
		if j.actual(j.host, symtree.ActualIsAttached) {
			return "", nil
		}
		return fmt.Sprintf("the disk of resource %s on %s is not yet attached%s", j.res, j.host, j.because()), nil
	})
}

// because is marsd's reason why nothing is happening, to be put behind a
// message.
func (j *job) because() string {
	if why, _ := j.tree.Value(symtree.ActualPath(j.res, j.host, actualWhy)); reason(why) != "" {
		return " (" + why + ")"
	}
	return ""
}

// secondary: neither designated nor actually primary. The actual role follows
// the designated one after a while, which is waited for.
func (j *job) secondary() error {
	if j.tree.Primary(j.res) == j.host {
		return &dying{
			text: fmt.Sprintf("operation '%s' cannot be executed on designated primary: %s -> %s", j.cmd.name, symtree.ToUser(symtree.PrimaryPath(j.res)), j.host),
			hint: fmt.Sprintf("make it secondary first: marsadm secondary %s, or marsadm primary %s on another host", j.res, j.res), role: true}
	}
	return j.await(func() (string, error) {
		if !j.actual(j.host, symtree.ActualIsPrimary) {
			return "", nil
		}
		n, _ := j.tree.Int(symtree.ActualPath(j.res, j.host, symtree.ActualOpenCount))
		return fmt.Sprintf("operation '%s' cannot be executed on primary: host %s is still actually primary of resource %s (its device is %d times in use)", j.cmd.name, j.host, j.res, n), nil
	})
}
