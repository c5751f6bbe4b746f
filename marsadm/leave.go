// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"

	"mars/infra/symtree"
)

// checkLeave: only a detached secondary leaves (manual 3.2.1). For a host that
// is lost, --force skips what only that host could change.
func checkLeave(j *job) error {
	if j.tree.Primary(j.res) == j.host {
		return &dying{role: true,
			text: fmt.Sprintf("operation 'leave-resource' cannot be executed on designated primary: %s -> %s", symtree.ToUser(symtree.PrimaryPath(j.res)), j.host),
			hint: fmt.Sprintf("make another host primary first: marsadm primary %s, with --force if '%s' is lost; or marsadm secondary %s", j.res, j.host, j.res)}
	}
	if err := j.deviceFree(); err != nil {
		return err
	}
	if j.opt.force {
		return nil
	}
	if err := j.secondary(); err != nil {
		return err
	}
	if j.todo(symtree.TodoAttach) {
		hint := fmt.Sprintf("marsadm down %s", j.res)
		if j.foreign() {
			hint += fmt.Sprintf(" on it; if it is lost: marsadm leave-resource %s --host=%s --force", j.res, j.host)
		}
		return dieHint(hint, "cannot leave resource '%s': its disk must be detached, but '%s' has value '1'", j.res, symtree.ToUser(symtree.TodoPath(j.res, j.host, symtree.TodoAttach)))
	}
	if j.foreign() {
		return nil
	}
	return j.await(func() (string, error) {
		if j.sys.Loaded() && j.actual(j.host, symtree.ActualIsAttached) {
			return fmt.Sprintf("the disk of resource '%s' is not yet detached", j.res), nil
		}
		return "", nil
	})
}

// leaveResource deletes what belongs to the member, in the whole cluster. The
// membership goes first.
func leaveResource(j *job) error {
	t, h := j.tree, j.host
	mine, _ := t.Value(symtree.ConnectPath(j.res, h))
	for _, other := range t.Members(j.res) {
		path := symtree.ConnectPath(j.res, other)
		if v, _ := t.Value(path); v != h || other == h {
			continue
		}
		if mine == "" || mine == other {
			j.order(path)
			continue
		}
		j.say("changing '%s' from '%s' to '%s'", symtree.ToUser(path), h, mine)
		j.set(path, mine)
	}
	for _, path := range []string{
		symtree.DataPath(j.res, h), symtree.ConnectPath(j.res, h), symtree.ReplayPath(j.res, h), symtree.SyncStatusPath(j.res, h),
		symtree.SyncPosPath(j.res, h), symtree.SyncFromPath(j.res, h), symtree.VerifyStatusPath(j.res, h), symtree.SkipCheckPath(j.res, h),
		symtree.DevicePath(j.res, h), symtree.ActSizePath(j.res, h), symtree.TodoDir(j.res, h), symtree.ActualDir(j.res, h),
		symtree.ResHostDefaultsDir(j.res, h), symtree.LocalDir(j.res, h),
	} {
		if t.Exists(path) {
			j.order(path)
		}
	}
	for _, v := range t.Versions(j.res) {
		if v.Host == h {
			j.order(symtree.VersionPath(j.res, v.Number, h))
		}
	}
	j.orderOwnLogs(false)
	j.say("host '%s' leaves resource '%s'", h, j.res)
	return nil
}

// orderOwnLogs deletes the logfiles that the host has written, except those
// that somebody else may still need. If discard, the host's version of the
// data is given up, and with it the logs that nobody else has begun.
func (j *job) orderOwnLogs(discard bool) {
	for _, l := range j.tree.Logs(j.res) {
		if l.Origin == j.host && !j.needed(l.Number, discard) {
			j.order(symtree.LogPath(j.res, l.Number, j.host))
		}
	}
}

// needed tells whether another member may still need the log of this number
// that the host has written. Whoever has not passed that number needs it,
// unless the history went another way there.
func (j *job) needed(number int, discard bool) bool {
	behind, taken, other := false, false, false
	for _, host := range j.tree.Replays(j.res) {
		if host == j.host {
			continue
		}
		r, ok := j.tree.Replay(j.res, host)
		behind = behind || !ok || r.Number <= number
		if ok && r.Number == number {
			taken, other = taken || r.Origin == j.host, other || r.Origin != j.host
		}
		value, _ := j.tree.Value(symtree.VersionPath(j.res, number, host))
		if v, err := symtree.ParseVersion(value); err == nil {
			taken, other = taken || v.Origin == j.host, other || v.Origin != j.host
		}
	}
	return behind && (taken || !other && !discard)
}
