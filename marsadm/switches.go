// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"

	"mars/infra/status"
	"mars/infra/symtree"
)

// switchDef is one of the four switches and the words that turn it.
type switchDef struct {
	key    string
	on     string // command
	off    string
	effect string // of a switched-off one, for help
	role   need   // wantSecondary where the manual asks for it
}

func switchDefs() []switchDef {
	return []switchDef{
		{symtree.TodoSync, "resume-sync", "pause-sync", "the initial or incremental sync", 0},
		{symtree.TodoAllowReplay, "resume-replay", "pause-replay", "applying logfiles", wantSecondary},
		{symtree.TodoConnect, "connect", "disconnect", "fetching logfiles", wantSecondary},
		{symtree.TodoConnect, "resume-fetch", "pause-fetch", "fetching logfiles", wantSecondary},
	}
}

// switchCommands are all commands that only turn switches (manual 3.2.2).
// The plain and the -local form ask for the role and for an attached disk; the
// -global one works for whoever is a member, whatever its role.
func switchCommands() []command {
	list := []command{
		{name: "attach", usage: "RES", group: grpSwitch, brief: "take the local disk into service", scope: oneOrAll, needs: onResource | wantFit, reads: readsSwitch, phases: attachPhases()},
		{name: "detach", usage: "RES", group: grpSwitch, brief: "release the local disk", scope: oneOrAll, needs: onResource, reads: readsSwitch, phases: detachPhases()},
		{name: "up", usage: "RES", group: grpSwitch, brief: "attach, connect, resume-replay and resume-sync", scope: oneOrAll, needs: onResource | wantFit, reads: readsSwitch, phases: upPhases()},
		{name: "down", usage: "RES", group: grpSwitch, brief: "pause-sync, disconnect, pause-replay and detach", scope: oneOrAll, needs: onResource, reads: readsSwitch, phases: downPhases()},
	}
	for _, s := range switchDefs() {
		for _, turn := range []struct {
			word string
			on   bool
			text string
		}{{s.on, true, "allow "}, {s.off, false, "stop "}} {
			for _, form := range []string{"", "-local", "-global"} {
				c := command{name: turn.word + form, usage: "RES", group: grpSwitch, scope: oneOrAll, reads: readsSwitch, needs: onResource | wantAttached | s.role}
				c.brief = turn.text + s.effect + " here"
				if turn.on {
					c.needs |= wantFit
				}
				if form == "-global" {
					c.reads, c.needs, c.brief = readsSwitches(s.key), onResource, turn.text+s.effect+" on all members"
				}
				key, on, global, name := s.key, turn.on, form == "-global", turn.word+form
				c.phases = one(func(j *job) error { return j.turnAll(name, key, on, global) })
				list = append(list, c)
			}
		}
	}
	return list
}

// turnAll turns one switch, here or on all members.
func (j *job) turnAll(name, key string, on, global bool) error {
	if !global {
		return j.turn(j.host, name, key, on)
	}
	for _, host := range j.tree.Members(j.res) {
		if err := j.turn(host, name, key, on); err != nil {
			return err
		}
	}
	return nil
}

// turn notes a switch to be written, unless it is on already and shall be.
func (j *job) turn(host, name, key string, on bool) error {
	path := symtree.TodoPath(j.res, host, key)
	old, ok := j.tree.Value(path)
	if !ok {
		j.warn("cannot read symlink '%s'; making it", symtree.ToUser(path))
	}
	if ok && on && old == "1" {
		j.say("%s on resource %s is already activated", name, j.res)
		return nil
	}
	j.set(path, symtree.FormatBool(on))
	j.say("successfully started %s on resource %s", name, j.res)
	return nil
}

func attachPhases() []phase {
	return []phase{
		{"check preconditions", (*job).checkFree},
		{"switch state", func(j *job) error { return j.turn(j.host, "attach", symtree.TodoAttach, true) }},
		{"wait for effect", waitAttached},
	}
}

func upPhases() []phase {
	return []phase{
		{"check preconditions", (*job).checkFree},
		{"switch state", func(j *job) error {
			for _, s := range []struct{ name, key string }{
				{"attach", symtree.TodoAttach}, {"connect", symtree.TodoConnect},
				{"resume-replay", symtree.TodoAllowReplay}, {"resume-sync", symtree.TodoSync},
			} {
				if err := j.turn(j.host, s.name, s.key, true); err != nil {
					return err
				}
			}
			return nil
		}},
		{"wait for effect", waitAttached},
	}
}

// checkFree: a disk that is to be attached must not be in use by anyone else.
func (j *job) checkFree() error {
	if j.foreign() || j.todo(symtree.TodoAttach) || j.actual(j.host, symtree.ActualIsAttached) {
		return nil
	}
	disk, ok := j.tree.Value(symtree.DataPath(j.res, j.host))
	if !ok {
		return nil // a sparse file in the tree's directory: marsd's alone
	}
	size, err := j.sys.Disk(disk)
	if err != nil {
		return dieHint("umount or stop whatever uses it", "cannot open device '%s' for exclusive rw access: %v", disk, err)
	}
	if logical, _ := j.tree.Size(j.res); size < logical {
		return dieHint("put the disk back that has joined; or marsadm leave-resource "+j.res+", and join with another one", "physical device '%s' has size %d, which is smaller than the logical resource size %d", disk, size, logical)
	}
	return nil
}

// waitAttached waits for marsd to open the disk.
func waitAttached(j *job) error {
	return j.effect(func() (string, error) {
		if j.actual(j.host, symtree.ActualIsAttached) {
			return "", nil
		}
		return fmt.Sprintf("the disk of resource %s on %s is not yet attached%s", j.res, j.host, j.because()), nil
	})
}

func downPhases() []phase {
	return []phase{
		{"check preconditions", checkDetach},
		{"switch state", func(j *job) error {
			for _, s := range []struct{ name, key string }{
				{"pause-sync", symtree.TodoSync}, {"disconnect", symtree.TodoConnect},
				{"pause-replay", symtree.TodoAllowReplay}, {"detach", symtree.TodoAttach},
			} {
				if err := j.turn(j.host, s.name, s.key, false); err != nil {
					return err
				}
			}
			return nil
		}},
		{"wait for effect", waitDetached},
	}
}

func detachPhases() []phase {
	return []phase{
		{"check preconditions", func(j *job) error {
			if err := checkDetach(j); err != nil || j.opt.force || !j.todo(symtree.TodoAttach) {
				return err
			}
			for _, s := range []struct{ key, pause string }{{symtree.TodoSync, "pause-sync"}, {symtree.TodoAllowReplay, "pause-replay"}} {
				if j.todo(s.key) {
					return dieHint(fmt.Sprintf("marsadm %s %s; or marsadm down %s, which does it all", s.pause, j.res, j.res),
						"cannot execute detach on resource %s: switch '%s' must have value '0', but actually has value '1'", j.res, symtree.ToUser(symtree.TodoPath(j.res, j.host, s.key)))
				}
			}
			return nil
		}},
		{"switch state", func(j *job) error { return j.turn(j.host, "detach", symtree.TodoAttach, false) }},
		{"wait for effect", waitDetached},
	}
}

// checkDetach: the disk of a primary stays (manual 3.2.2), and not even force
// takes it away below an open device. What is detached may be detached again.
func checkDetach(j *job) error {
	asks := !j.opt.force && j.todo(symtree.TodoAttach)
	if asks && j.tree.Primary(j.res) == j.host {
		return j.secondary() // its device may well be open: that is not what is wrong
	}
	if err := j.deviceFree(); err != nil || !asks {
		return err
	}
	return j.secondary()
}

// deviceFree refuses what would take the disk away below an open device. What is
// told of a host that is lost says nothing.
func (j *job) deviceFree() error {
	if !j.actual(j.host, symtree.ActualIsPrimary) || j.opt.force && (j.foreign() || !j.sys.Loaded()) {
		return nil
	}
	n, err := j.opened()
	if err == nil && n > 0 {
		err = dieHint("umount or close it", "device '/dev/mars/%s' is in use (%d times)", j.deviceName(), n)
	}
	return err
}

// waitDetached waits until the disk is closed and the device is gone.
func waitDetached(j *job) error {
	seen := 0
	err := j.effect(func() (string, error) {
		for _, key := range []string{symtree.ActualIsAttached, symtree.ActualIsReplaying, symtree.ActualIsSyncing} {
			if j.actual(j.host, key) {
				seen = 0
				return fmt.Sprintf("resource %s on %s is still %s%s", j.res, j.host, strings.TrimPrefix(key, "is-"), j.because()), nil
			}
		}
		// marsd may just be opening the disk, not having said so yet.
		if seen++; seen < settled && j.sys.Loaded() && !j.never {
			return "waiting until marsd has taken notice", nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	if err := j.awaitGone(); err != nil {
		return err
	}
	j.warnWindow()
	return nil
}

// warnWindow tells of a disk that was left in the middle of what was being
// applied, which happens only when it has not taken its writes: whoever detaches it
// to use it otherwise must know.
func (j *job) warnWindow() {
	m := status.MemberOf(j.tree, j.res, j.host)
	if m.Disk.Attached || !m.Torn() {
		return
	}
	j.warn("the disk %s of resource %s was detached in the middle of a write: %d bytes of logs behind %s,%d may be on it in part, so it is no version of the resource. "+
		"Attach it again to have them applied (marsadm up %s); if it is ill, replace it, then marsadm invalidate %s", m.Disk.Path, j.res, m.Replay.Dirty, m.Replay.Log, m.Replay.Position.Pos, j.res, j.res)
}

// deviceName is what the host calls the device of this resource.
func (j *job) deviceName() string { return j.tree.DeviceName(j.res, j.host) }

// deviceThere tells whether the device exists: its marsd says so, and on this
// host it can be seen too. Only the two together tell a device that works from
// what a daemon left behind that died.
func (j *job) deviceThere() bool {
	n, ok := j.tree.Int(symtree.ActualPath(j.res, j.host, "device-"+j.deviceName()))
	said := n != 0 || !ok && j.actual(j.host, symtree.ActualIsPrimary)
	return said && (j.foreign() || j.sys.Device(j.deviceName()))
}

func (j *job) deviceGone() (string, error) {
	if j.deviceThere() {
		return fmt.Sprintf("device '/dev/mars/%s' has not yet disappeared", j.deviceName()), nil
	}
	return "", nil
}

// awaitGone waits until the device is gone.
func (j *job) awaitGone() error {
	err := j.effect(j.deviceGone)
	if err == nil && !j.opt.dryRun && !j.deviceThere() {
		j.say("device '/dev/mars/%s' is no longer present", j.deviceName())
	}
	return err
}

func (j *job) devicePresent() (string, error) {
	if !j.deviceThere() {
		return fmt.Sprintf("device '/dev/mars/%s' not yet present%s", j.deviceName(), j.because()), nil
	}
	return "", nil
}
