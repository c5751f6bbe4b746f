// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"time"

	"mars/infra/symtree"
)

// phase is one step of a command on a resource. What it writes is committed
// when it has been run for all resources.
type phase struct {
	title string
	run   func(j *job) error
}

// job is a command on one resource.
type job struct {
	*run
	res  string
	dead bool // a phase failed: the later ones are left out

	changes []symtree.Change
	orders  []string // what is to be deleted in the whole cluster

	primary string // remembered between phases: the designated primary
	was     map[string]bool
}

func (j *job) set(path, value string) {
	j.changes = append(j.changes, symtree.Set(path, value, 0))
}
func (j *job) mkdir(path string)       { j.changes = append(j.changes, symtree.Mkdir(path)) }
func (j *job) create(path string)      { j.changes = append(j.changes, symtree.Create(path)) }
func (j *job) order(targets ...string) { j.orders = append(j.orders, targets...) }

// freshFor is how long what was read of the tree is good for the next phase, too:
// what the command itself has written is in it. To read a large tree again costs
// as much as the whole command.
const freshFor = 20 * time.Millisecond

// runPhases runs the phases of a resource command.
func (x *run) runPhases() error {
	jobs, err := x.jobs()
	if err != nil {
		return err
	}
	for i, ph := range x.cmd.phases {
		if x.opt.verbose {
			x.say("---------------------------- %s:", ph.title)
		}
		if i > 0 && x.sys.Mono()-x.readAt > freshFor {
			if err := x.reload(); err != nil {
				return err
			}
		}
		for _, j := range jobs {
			if j.dead {
				continue
			}
			if x.word == all && (i == 0 || x.opt.verbose) {
				x.say("--------- resource %s", j.res)
			}
			if err := j.runPhase(i, ph); err != nil {
				if x.word != all {
					return err
				}
				j.setAside(err)
			}
		}
		if err := x.commitJobs(jobs); err != nil {
			return err
		}
	}
	return nil
}

// runPhase runs one phase; before the first one the common preconditions are
// checked.
func (j *job) runPhase(i int, ph phase) error {
	if i == 0 {
		if err := j.check(); err != nil {
			return err
		}
	}
	j.focus = j
	err := ph.run(j)
	j.focus = nil
	if err != nil {
		j.changes, j.orders = nil, nil
	}
	return err
}

// setAside reports why one of all resources is left out.
func (j *job) setAside(err error) {
	j.dead = true
	var d *dying
	if errors.As(err, &d) && d.role {
		j.say("skipping resource %s: %v", j.res, err)
		return
	}
	j.fail(fmt.Errorf("resource %s: %w", j.res, err))
	j.failed++
}

// commitJobs writes what the phase has collected.
func (x *run) commitJobs(jobs []*job) error {
	var changes []symtree.Change
	var orders []string
	for _, j := range jobs {
		changes, orders = append(changes, j.changes...), append(orders, j.orders...)
		j.changes, j.orders = nil, nil
	}
	return x.commit(changes, orders)
}

// commit writes what this job alone has collected, at once.
func (j *job) commitNow() error { return j.commitJobs([]*job{j}) }
