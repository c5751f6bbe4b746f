// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"time"
)

// scope says whether a command takes a resource.
type scope uint8

const (
	noResource  scope = iota
	anyResource       // a resource, or all, or nothing: all
	oneOrAll          // a resource, or all
	newResource       // a resource that is about to be made or joined
)

// need is what must be the case before a command runs.
type need uint16

const (
	wantDir       need = 1 << iota // the directory exists and is mounted
	wantTree                       // and holds a tree, with the acting host in it
	wantLoaded                     // a marsd runs here; --force skips it
	reallyLoaded                   // not even --force
	wantExisting                   // the resource exists
	wantMember                     // the acting host has joined it
	wantSecondary                  // it is secondary there; --force skips it
	wantAttached                   // its disk is attached; --force skips it
	inspects                       // only shows something
	anyone                         // not only for root
	hereOnly                       // not with --host
	hidden                         // not in help
	speaksJSON                     // understands --json
	readsOthers                    // not only the resource that is named
	ofTheLost                      // with --force also for a host that has left the cluster
	wantFit                        // its disk is not too small

	// onResource is what operations on resources have in common.
	onResource = wantTree | wantLoaded | wantExisting | wantMember
)

// command is one line of the table.
type command struct {
	name     string
	usage    string // its arguments
	group    string // heading in help
	brief    string
	scope    scope
	min, max int // arguments behind the resource; max -1: any number
	needs    need
	timeout  time.Duration // 0: the default
	reads    reader        // nil: everything
	run      func(x *run) error
	phases   []phase
}

func (c *command) has(n need) bool { return c.needs&n != 0 }

// Headings of help.
const (
	grpCluster  = "cluster"
	grpResource = "resource"
	grpSwitch   = "switches"
	grpLog      = "logfiles"
	grpConsist  = "consistency"
	grpInspect  = "inspection"
	grpWait     = "waiting"
	grpLow      = "low-level helpers"
	grpDRBD     = "DRBD"
	grpTool     = "internal"
)

// commandTable lists all commands.
func commandTable() []command {
	return slices.Concat(clusterCommands(), resourceCommands(), switchCommands(), logCommands(), housekeepingCommands(), logFileCommands(), consistencyCommands(),
		waitCommands(), inspectCommands(), statusCommands(), linkCommands(), drbdCommands(), toolCommands(), completionCommands())
}

func findCommand(name string) *command {
	switch name { // short forms of the original
	case "h":
		name = "help"
	case "v":
		name = "version"
	}
	table := commandTable()
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return viewNamed(name)
}

// one makes the phases of a command that has just one.
func one(fn func(j *job) error) []phase { return []phase{{"switch state", fn}} }
