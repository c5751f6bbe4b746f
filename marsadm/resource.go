// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"mars/infra/mutant"
	"mars/infra/symtree"
)

func resourceCommands() []command {
	const base = wantTree | wantLoaded
	return []command{
		{name: "create-resource", usage: "RES DISK [MARS_NAME] [SIZE]", group: grpResource, brief: "make a new resource of a local disk; this host becomes its primary",
			scope: newResource, min: 1, max: 3, needs: base | hereOnly, phases: one(createResource)},
		{name: "join-resource", usage: "RES DISK [MARS_NAME]", group: grpResource, brief: "add a replica on a local disk, whose content is overwritten",
			scope: newResource, min: 1, max: 2, needs: base | wantExisting | hereOnly, phases: one(joinResource)},
		{name: "leave-resource", usage: "RES", group: grpResource, brief: "give up the replica of this host (or of --host=NAME)",
			scope: oneOrAll, needs: base | wantExisting | wantMember | ofTheLost, phases: []phase{{"check preconditions", checkLeave}, {"switch state", leaveResource}}},
		{name: "primary", usage: "RES", group: grpResource, brief: "make this host primary; another one is asked to hand over",
			scope: oneOrAll, needs: onResource | reallyLoaded | wantFit, phases: primaryPhases()},
		{name: "secondary", usage: "RES", group: grpResource, brief: "make this host secondary",
			scope: oneOrAll, needs: onResource, phases: secondaryPhases()},
		{name: "resize", usage: "RES [SIZE]", group: grpResource, brief: "enlarge the resource to SIZE, or to its smallest disk",
			scope: oneOrAll, max: 1, needs: onResource | wantAttached | wantFit | hereOnly, phases: one(resize)},
	}
}

// minSize is a size that nothing sensible is smaller than, bytes.
const minSize = 65536

const sector = 4096

// leaveSizeOut is what to do about a bad size argument.
const leaveSizeOut = "leave it out to take the whole disk"

// diskArgs are the arguments of create-resource and join-resource.
type diskArgs struct {
	disk string
	name string // below /dev/mars
	size int64  // of the disk, bytes
	want int64  // size argument
	cut  bool   // there is one
}

// diskArguments checks them, and the disk itself.
func (j *job) diskArguments() (a diskArgs, err error) {
	a.disk, a.name = j.args[0], j.res
	rest := j.args[1:]
	// A size can stand in place of a name, since no name begins with a digit.
	if len(rest) > 0 && (rest[0] == "" || rest[0][0] < '0' || rest[0][0] > '9') {
		if err := symtree.CheckDevice(rest[0]); err != nil {
			return a, usage("%v", err)
		}
		a.name, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		if j.cmd.name != "create-resource" || len(rest) > 1 {
			return a, usage("surplus argument '%s': marsadm %s %s", rest[len(rest)-1], j.cmd.name, j.cmd.usage)
		}
		if a.want, err = symtree.ParseSizeArg(rest[0]); err != nil {
			return a, usage("%v", err)
		}
		a.cut = true
	}
	if !path.IsAbs(a.disk) || symtree.CheckValue(a.disk) != nil || strings.ContainsAny(a.disk, "\n\r") {
		return a, usage("disk argument '%s' is not an absolute path", a.disk)
	}
	if a.size, err = j.sys.Disk(a.disk); err != nil {
		return a, dieHint("it must be a block device that nobody else uses: not mounted, not in a RAID or LVM, not in another resource",
			"cannot open device '%s' for exclusive rw access: %v", a.disk, err)
	}
	j.say("block device '%s': determined size = %d bytes", a.disk, a.size)
	return a, j.checkDeviceName(a.name)
}

func (j *job) sayDevice(a diskArgs) {
	j.say("using existing device '%s'", a.disk)
	j.say("resource '%s' will appear as local device '/dev/mars/%s'", j.res, a.name)
}

// checkDeviceName: no two resources share a device name on one host.
func (j *job) checkDeviceName(name string) error {
	for _, res := range j.tree.Resources() {
		if res == j.res {
			continue
		}
		if v, ok := j.tree.Value(symtree.DevicePath(res, j.host)); ok && v == name && j.tree.IsMember(res, j.host) {
			return dieHint(fmt.Sprintf("choose another name: marsadm %s %s %s NAME", j.cmd.name, j.res, j.args[0]), "device '/dev/mars/%s' is already present in joined resource '%s'", name, res)
		}
	}
	if j.sys.Device(name) && !j.opt.force {
		return dieHint("choose another name, or remove it if it is a leftover", "device '%s' exists already", j.sys.Place().DevicePath(name))
	}
	for _, host := range j.tree.Members(j.res) {
		if v, ok := j.tree.Value(symtree.DevicePath(j.res, host)); ok && v != name && host != j.host {
			j.warn("the device is called '%s' on host '%s', but '%s' here", v, host, name)
		}
	}
	return nil
}

// createResource makes a resource (manual 3.2.1).
func createResource(j *job) error {
	first, err := j.freshNumber()
	if err != nil {
		return err
	}
	a, err := j.diskArguments()
	if err != nil {
		return err
	}
	size := a.size &^ (sector - 1)
	if a.want > a.size {
		return dieHint(leaveSizeOut, "size argument '%d' is larger than device size '%d'", a.want, a.size)
	}
	if a.cut {
		size = a.want
	}
	if size != a.size {
		j.say("reducing size from %d to %d", a.size, size)
	}
	if size <= minSize {
		return dieHint(leaveSizeOut, "implausible size %d: it must be larger than %d", size, minSize)
	}
	j.say("creating new resource '%s'", j.res)
	j.sayDevice(a)
	j.memberDirs()
	j.set(symtree.SizePath(j.res), symtree.FormatInt(size))
	j.set(symtree.DevicePath(j.res, j.host), a.name)
	j.switchesOn()
	j.set(symtree.PrimaryPath(j.res), j.host)
	j.set(symtree.SyncStatusPath(j.res, j.host), symtree.FormatInt(size))
	j.create(symtree.LogPath(j.res, first, j.host))
	j.set(symtree.VersionPath(j.res, first, j.host), symtree.InitialVersion(first, j.host))
	j.set(symtree.ReplayPath(j.res, j.host), symtree.ReplayLink{Number: first, Origin: j.host}.String())
	if err := j.becomeMember(a.disk); err != nil {
		return err
	}
	j.say("successfully created resource '%s'", j.res)
	return nil
}

// freshNumber refuses a name that is in use, and returns the number of the
// first logfile: no number of an earlier resource of that name is used again.
func (j *job) freshNumber() (int, error) {
	t := j.tree
	if members := t.Members(j.res); len(members) > 0 {
		return 0, dieHint("choose another name, or 'marsadm join-resource' it", "resource directory '%s' already exists; hosts '%s' are member of it", j.res, strings.Join(members, ","))
	}
	last := 0
	if n, ok := t.Int(symtree.MaxNrPath(j.res)); ok && n > 0 && n < symtree.MaxNumber {
		last = int(n)
	}
	remains := t.Replays(j.res)
	for _, v := range t.Versions(j.res) {
		last = max(last, v.Number)
		remains = append(remains, v.Host)
	}
	for _, l := range t.Logs(j.res) {
		last = max(last, l.Number)
		remains = append(remains, l.Origin)
	}
	// Own remains, as of an attempt that was cut short, are overwritten.
	remains = slices.DeleteFunc(remains, func(host string) bool { return host == j.host })
	for _, o := range t.Orders() {
		if n, err := symtree.Parse(o.Target); err == nil && n.Resource == j.res {
			last = max(last, n.Number)
		}
	}
	if len(remains) > 0 && !j.opt.force {
		return 0, dieHint("wait until the deletion is finished everywhere; you may override this via --force",
			"resource '%s' still has remains of its former members, like host '%s'", j.res, remains[0])
	}
	return last + 1, nil
}

// becomeMember commits what was collected, then the link data-HOST, which is
// the membership: a power cut never leaves half a member.
func (j *job) becomeMember(disk string) error {
	if err := j.commitNow(); err != nil {
		return err
	}
	j.set(symtree.DataPath(j.res, j.host), disk)
	return j.commitNow()
}

// memberDirs are the directories of a member.
func (j *job) memberDirs() {
	for _, dir := range []string{
		symtree.ResUserspaceDir(j.res), symtree.ResDefaultsDir(j.res), symtree.ResHostDefaultsDir(j.res, j.host),
		symtree.LocalDir(j.res, j.host), symtree.ActualDir(j.res, j.host), symtree.TodoDir(j.res, j.host),
	} {
		j.mkdir(dir)
	}
}

func (j *job) switchesOn() {
	for _, key := range []string{symtree.TodoAttach, symtree.TodoConnect, symtree.TodoSync, symtree.TodoAllowReplay} {
		j.set(symtree.TodoPath(j.res, j.host, key), "1")
	}
}

// source is where a replica starts from: a member to copy from, and the
// position in its logs from which on everything must be applied to a copy of
// its disk.
type source struct {
	host string
	at   symtree.ReplayLink // position 0
	prev string             // its version value of the log before; empty for the first
	own  string             // its version value of the log itself, if there is one
}

// findSource looks at the member host. What is missing may still arrive.
func (j *job) findSource(host string) (s source, missing string, err error) {
	path := symtree.ReplayPath(j.res, host)
	value, ok := j.tree.Value(path)
	if !ok {
		return s, fmt.Sprintf("symlink '%s' has not yet arrived", symtree.ToUser(path)), nil
	}
	r, err := symtree.ParseReplay(value)
	if err != nil {
		return s, "", die("replay link '%s' is not parsable: %v", symtree.ToUser(path), err)
	}
	if mutant.Is(mutant.SyncStartsLate) {
		for _, v := range j.tree.Versions(j.res) {
			if v.Host == host {
				r.Number = max(r.Number, v.Number)
			}
		}
	}
	s = source{host: host, at: symtree.ReplayLink{Number: r.Number, Origin: r.Origin}}
	s.own, _ = j.tree.Value(symtree.VersionPath(j.res, r.Number, host))
	if r.Number > 1 {
		before := symtree.VersionPath(j.res, r.Number-1, host)
		if s.prev, ok = j.tree.Value(before); !ok {
			if v, err := symtree.ParseVersion(s.own); err == nil && v.Prev == nil {
				return s, "", nil // the first log of all, with a higher number
			}
			return s, fmt.Sprintf("symlink '%s' has not yet arrived", symtree.ToUser(before)), nil
		}
		if _, err := symtree.ParseVersion(s.prev); err != nil {
			return s, "", die("version link '%s' is not parsable: %v", symtree.ToUser(before), err)
		}
	}
	return s, "", nil
}

// awaitSource waits for what findSource misses.
func (j *job) awaitSource(host string) (s source, err error) {
	err = j.await(func() (missing string, err error) {
		s, missing, err = j.findSource(host)
		return missing, err
	})
	return s, err
}

// awaitJoin waits until all that a replica starts from has arrived here: links
// travel one by one.
func (j *job) awaitJoin() (size int64, s source, err error) {
	err = j.await(func() (missing string, err error) {
		var ok bool
		if size, ok = j.tree.Size(j.res); !ok {
			return fmt.Sprintf("cannot read symlink '%s'", symtree.ToUser(symtree.SizePath(j.res))), nil
		}
		p, missing, err := j.joinTo()
		if err != nil || missing != "" {
			return missing, err
		}
		s, missing, err = j.findSource(p)
		return missing, err
	})
	return size, s, err
}

// joinResource makes this host a member (manual 3.2.1).
func joinResource(j *job) error {
	if j.tree.IsMember(j.res, j.host) {
		return dieHint("if it shall start over: marsadm invalidate "+j.res, "resource '%s' has been already joined by host '%s'; refusing dangerous operation", j.res, j.host)
	}
	a, err := j.diskArguments()
	if err != nil {
		return err
	}
	size, s, err := j.awaitJoin()
	if err != nil {
		return err
	}
	if a.size < size {
		return dieHint("take a larger disk", "size of new device is only %d, but should be %d; refusing to join due to bad size", a.size, size)
	}
	if a.size > size {
		j.say("Your physical device has size %d, which is larger than the logical resource size %d.", a.size, size)
		j.say("This does no harm, but you are wasting some space.")
	}
	p := s.host
	if p != j.tree.Primary(j.res) {
		j.say("using '%s' as primary", p)
	}
	j.say("joining to existing resource '%s'", j.res)
	j.sayDevice(a)
	j.memberDirs()
	j.set(symtree.DevicePath(j.res, j.host), a.name)
	j.switchesOn()
	j.say("creating new replaylink '%s' -> '%s'", symtree.ToUser(symtree.ReplayPath(j.res, j.host)), s.at)
	if s.prev != "" {
		j.set(symtree.VersionPath(j.res, s.at.Number-1, j.host), s.prev)
	}
	j.set(symtree.SyncStatusPath(j.res, j.host), "0")
	j.set(symtree.SyncFromPath(j.res, j.host), p)
	j.set(symtree.ConnectPath(j.res, j.host), p)
	if !j.tree.Exists(symtree.ConnectPath(j.res, p)) {
		j.set(symtree.ConnectPath(j.res, p), j.host)
	}
	j.set(symtree.ReplayPath(j.res, j.host), s.at.String())
	if err := j.becomeMember(a.disk); err != nil {
		return err
	}
	j.say("successfully joined resource '%s'", j.res)
	return nil
}

// joinTo chooses the member to join to: the designated primary; if there is
// none, the origin of the newest log that anybody replays. What is missing may
// still arrive.
func (j *job) joinTo() (p, missing string, err error) {
	value, ok := j.tree.Value(symtree.PrimaryPath(j.res))
	p = j.tree.Primary(j.res)
	switch {
	case p == j.host:
		return "", "", dieHint("wait until the deletion orders of its last leave-resource are carried out everywhere; or marsadm secondary on a member",
			"implausible state: host '%s' is primary of resource '%s', but not a member", j.host, j.res)
	case !ok:
		return "", fmt.Sprintf("symlink '%s' has not yet arrived", symtree.ToUser(symtree.PrimaryPath(j.res))), nil
	case p != "" && j.tree.IsMember(j.res, p):
		return p, "", nil
	case p != "":
		return "", fmt.Sprintf("resource '%s' has no primary to join to: symlink '%s' has not yet arrived", j.res, symtree.ToUser(symtree.DataPath(j.res, p))), nil
	case value != symtree.None:
		return "", "", die("symlink '%s' is damaged: it has the value '%s'", symtree.ToUser(symtree.PrimaryPath(j.res)), value)
	}
	var newest symtree.ReplayLink
	for _, host := range j.tree.Members(j.res) {
		if r, ok := j.tree.Replay(j.res, host); ok && r.Compare(newest) > 0 {
			newest, p = r, host
			if j.tree.IsMember(j.res, r.Origin) {
				p = r.Origin
			}
		}
	}
	if p == "" {
		return "", fmt.Sprintf("resource '%s' has no primary to join to, and no member that has logs; marsadm primary %s on a member makes one", j.res, j.res), nil
	}
	return p, "", nil
}
