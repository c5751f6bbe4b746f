// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"

	"mars/infra/symtree"
)

// The planned handover (manual 1.4.2.1 and 3.2.2). The old primary keeps its
// role until all of its logs are applied here; whenever a wait fails
// afterwards, it gets the role back.
func primaryPhases() []phase {
	return []phase{
		{"check preconditions", checkPrimary},
		{"leave primary state", leavePrimary},
		{"switch to primary", becomePrimary},
		{"wait for device", waitPrimary},
	}
}

// checkPrimary asks whether this host may become primary, and waits until it
// has applied all logs of the present one.
func checkPrimary(j *job) error {
	t := j.tree
	j.primary = t.Primary(j.res)
	if j.primary == j.host {
		j.say("host '%s' is the designated primary of resource '%s' already", j.host, j.res)
		if j.opt.force {
			// So it is believed here; others may have heard otherwise.
			j.warnForced()
		}
		return nil
	}
	if err := j.checkDisk(); err != nil {
		return err
	}
	if j.opt.force {
		if missing := j.notPassed(); missing != "" {
			return dieHint(fmt.Sprintf("let replay go on: marsadm up %s", j.res), "%s", missing)
		}
		j.warnForced()
		return nil
	}
	j.say("OK, it seems that sync has finished on %s.", j.host)
	if err := j.attached(); err != nil {
		return err
	}
	if err := j.checkSplit(); err != nil {
		return err
	}
	old := j.ahead()
	if old == "" {
		return j.await(func() (string, error) { return j.notPassed(), nil })
	}
	for _, s := range []struct{ key, cmd string }{{symtree.TodoConnect, "connect"}, {symtree.TodoAllowReplay, "resume-replay"}} {
		if !j.todo(s.key) {
			return dieHint(fmt.Sprintf("marsadm %s %s", s.cmd, j.res), "cannot execute primary on resource %s: switch '%s' must have value '1', but actually has value '0'",
				j.res, symtree.ToUser(symtree.TodoPath(j.res, j.host, s.key)))
		}
	}
	if err := j.notInUse(old); err != nil {
		return err
	}
	if alive, _ := t.Value(symtree.AlivePath(old)); j.never && (j.actual(old, symtree.ActualIsPrimary) || alive != "0") {
		return dieHint("give it time: --timeout=SECONDS", "cannot take over from primary '%s' without waiting", old)
	}
	sign, asked := j.lastSign(old), false
	err := j.await(func() (string, error) {
		if err := j.checkSplit(); err != nil {
			return "", err
		}
		if missing := caughtUp(j.tree, j.res, j.host, old); missing != "" {
			if !asked {
				j.sys.Trigger(3) // a living one gives a sign
			}
			asked = true
			return missing + j.because(), nil
		}
		return j.notPassed(), nil
	})
	if err == nil {
		j.say("all preconditions OK for resource '%s'", j.res)
		return nil
	}
	if j.lastSign(old) <= sign {
		return j.orForce(err, old)
	}
	return err
}

// orForce adds to a wait for a host that ran out of time what is left to do when
// that host does not come back (manual 1.4.2.2).
func (j *job) orForce(err error, host string) error {
	var t timeoutError
	switch {
	case !errors.As(err, &t):
	case !j.tree.Exists(symtree.IPPath(host)):
		t.hint += fmt.Sprintf("; it has left the cluster, but not the resource: marsadm leave-resource %s --host=%s --force", j.res, host)
	default:
		t.hint += fmt.Sprintf("; only if host '%s' is lost: marsadm primary %s --force, which leads to a SPLIT BRAIN if it goes on writing", host, j.res)
	}
	return err
}

// present is who is primary now: designated, or still actually. Empty for
// nobody but this host.
func (j *job) present() string {
	if p := j.tree.Primary(j.res); p != "" && p != j.host {
		return p
	}
	for _, host := range j.tree.Members(j.res) {
		if host != j.host && j.actual(host, symtree.ActualIsPrimary) {
			return host
		}
	}
	return ""
}

// ahead is whose logs must be applied before this host becomes primary: those
// of the present primary, or, after a "secondary" there, of whoever has got
// furthest. Empty if that is this host.
func (j *job) ahead() string {
	if old := j.present(); old != "" {
		return old
	}
	if best := leader(j.tree, j.res); best != j.host {
		return best
	}
	return ""
}

// checkDisk: the local disk must be consistent and in service. This is local
// state, which not even --force skips: marsd would refuse too.
func (j *job) checkDisk() error {
	m := stateOf(j.tree, j.res, j.host)
	if m.synced < m.size {
		return dieHint(fmt.Sprintf("wait for the sync: marsadm wait-resource %s is-sync-off; only if the data of the other side does not matter: marsadm fake-sync %s", j.res, j.res),
			"sync has not yet finished, only %d / %d bytes transferred", m.synced, m.size)
	}
	if !j.todo(symtree.TodoAttach) {
		return dieHint(fmt.Sprintf("marsadm up %s", j.res), "cannot execute primary on resource %s: its disk is detached", j.res)
	}
	return nil
}

// notPassed tells what a disk still lacks whose sync has finished; nothing, if it
// is consistent.
func (j *job) notPassed() string {
	m := stateOf(j.tree, j.res, j.host)
	if m.passed {
		return ""
	}
	pos, _ := j.tree.Value(symtree.SyncPosPath(j.res, j.host))
	return fmt.Sprintf("sync has finished, but replay has not yet passed its end: %s must reach '%s', found '%s'; the disk is inconsistent%s",
		symtree.ToUser(symtree.ReplayPath(j.res, j.host)), pos, m.replay, j.because())
}

// checkSplit refuses in a split brain (manual 3.2.2).
func (j *job) checkSplit() error {
	hint := fmt.Sprintf("decide for one version (manual 1.4.3): there 'marsadm primary %s --force', on the others 'marsadm invalidate %s'", j.res, j.res)
	if way, ok := walkFrom(j.tree, j.res, j.host); ok && way.Split != nil {
		return dieHint(hint, "split brain detected on resource '%s' since log %d at %d: %s", j.res, way.Split.Number, way.Split.Pos, way.Split.Why)
	}
	said, _ := j.tree.Value(symtree.ActualPath(j.res, j.host, actualSplit))
	if reason(said) != "" {
		return dieHint(hint, "split brain detected on resource '%s': %s", j.res, said)
	}
	return nil
}

// notInUse refuses while the device is open at a primary.
func (j *job) notInUse(host string) error {
	n, _ := j.tree.Int(symtree.ActualPath(j.res, host, symtree.ActualOpenCount))
	if n == 0 {
		return nil
	}
	j.warn("device '/dev/mars/%s' for resource '%s' is %d times in use on primary host '%s'", j.deviceName(), j.res, n, host)
	hint := fmt.Sprintf("then wait until it is known here: marsadm wait-umount %s", j.res)
	if why := silence(j.tree, host, j.sys.Wall()); why != "" {
		hint += fmt.Sprintf("; but %s: only if host '%s' is lost: marsadm primary %s --force, which leads to a SPLIT BRAIN if it goes on writing", why, host, j.res)
	}
	return dieHint(hint, "first you must umount/close the device (on host '%s')", host)
}

func (j *job) warnForced() {
	old := j.present()
	if old == "" {
		return
	}
	if n, _ := j.tree.Int(symtree.ActualPath(j.res, old, symtree.ActualOpenCount)); n != 0 {
		j.warn("device '/dev/mars/%s' for resource '%s' is %d times in use on primary host '%s'", j.deviceName(), j.res, n, old)
	}
	if missing := caughtUp(j.tree, j.res, j.host, old); missing != "" {
		j.warn("%s", missing)
	}
	j.warn("if host '%s' continues to write, this leads to a SPLIT BRAIN", old)
	if j.actual(old, symtree.ActualIsPrimary) {
		j.warn("if its marsd is down: see to it that it reaches this host when it is started again. It waits some seconds to hear who is primary; if it hears nothing it goes on as primary, which it was")
	}
}

// leavePrimary asks the old primary to become secondary.
func leavePrimary(j *job) error {
	if j.opt.force || j.primary == j.host || j.primary == "" {
		return nil
	}
	// Somebody may have opened it, or another one taken the role, meanwhile.
	if now := j.tree.Primary(j.res); now != j.primary {
		return die("designated primary has changed from '%s' to '%s' meanwhile", j.primary, symtree.FormatPrimary(now))
	}
	if err := j.notInUse(j.primary); err != nil {
		return err
	}
	j.set(symtree.PrimaryPath(j.res), symtree.None)
	j.say("designated primary changed from '%s' to '%s'", j.primary, symtree.None)
	return nil
}

// becomePrimary waits until the old primary is secondary and all of its logs
// are applied, then takes the role. With force the link is always written:
// this host may be designated by nobody's but its own knowledge, and must win
// against what the others have heard (manual 1.4.3.1, step 2).
func becomePrimary(j *job) error {
	if j.primary == j.host && !j.opt.force {
		return nil
	}
	old := j.primary
	if old == "" && !j.opt.force {
		if err := j.hearAll(); err != nil {
			return err
		}
		old = j.ahead()
	}
	if !j.opt.force && old != "" {
		stamp, _ := j.tree.Stamp(symtree.PrimaryPath(j.res))
		seen := j.primary == "" || j.actual(old, symtree.ActualIsPrimary)
		sign := j.lastSign(old)
		err := j.await(func() (string, error) {
			if now := j.tree.Primary(j.res); now != "" {
				return "", die("designated primary has changed to '%s' meanwhile", now)
			}
			if err := j.checkSplit(); err != nil {
				return "", err
			}
			if err := j.notInUse(old); err != nil { // it has just become known
				return "", err
			}
			return j.handedOver(old, seen, stamp), nil
		})
		if err != nil && j.lastSign(old) <= sign {
			err = j.orForce(err, old)
		}
		if err != nil {
			return j.handBack(err, symtree.None)
		}
	}
	j.set(symtree.PrimaryPath(j.res), j.host)
	j.say("designated primary changed from '%s' to '%s'", symtree.FormatPrimary(j.tree.Primary(j.res)), j.host)
	return nil
}

// hearAll waits until every other member has said something new. While nobody
// is designated, any of them may have been primary since it was heard last: who
// takes the role on old knowledge would leave its logs behind.
func (j *job) hearAll() error {
	since, silent := j.tree.Newest(), ""
	j.sys.Trigger(3)
	err := j.await(func() (string, error) {
		silent = ""
		if now := j.tree.Primary(j.res); now != "" {
			return "", die("designated primary has changed to '%s' meanwhile", now)
		}
		for _, host := range j.tree.Members(j.res) {
			alive, ok := j.tree.Value(symtree.AlivePath(host))
			if host != j.host && !(ok && alive == "0") && j.lastSign(host) <= since {
				silent = host
				return fmt.Sprintf("host '%s' has not answered yet", host), nil
			}
		}
		return "", nil
	})
	if silent != "" {
		return j.orForce(err, silent)
	}
	return err
}

// handedOver tells what is missing until the old primary has let go. If a
// designated one was not seen as an actual one, an old value could be all that
// is known of it, so that a sign of life is asked for, unless it said that it
// is down.
func (j *job) handedOver(old string, seen bool, since int64) string {
	for _, host := range j.tree.Members(j.res) {
		if host != j.host && j.actual(host, symtree.ActualIsPrimary) {
			return fmt.Sprintf("waiting for other primary host (%s) to disappear....", host)
		}
	}
	if alive, ok := j.tree.Value(symtree.AlivePath(old)); !seen && !(ok && alive == "0") && j.lastSign(old) <= since {
		return fmt.Sprintf("host '%s' has not answered yet", old)
	}
	return caughtUp(j.tree, j.res, j.host, old)
}

// lastSign is the newest stamp of what the host's marsd alone writes.
func (j *job) lastSign(host string) int64 {
	newest := int64(0)
	for _, path := range []string{
		symtree.TimePath(host), symtree.AlivePath(host), symtree.ActualPath(j.res, host, symtree.ActualIsPrimary),
		symtree.ActualPath(j.res, host, symtree.ActualOpenCount), symtree.ReplayPath(j.res, host),
	} {
		if s, ok := j.tree.Stamp(path); ok {
			newest = max(newest, s)
		}
	}
	return newest
}

// handBack gives the role back to the old primary after a failure, if it is
// still where this command has put it.
func (j *job) handBack(cause error, left string) error {
	if j.primary == "" || j.primary == j.host || j.opt.force {
		return cause
	}
	if err := j.reload(); err != nil {
		return errors.Join(cause, err)
	}
	if now, _ := j.tree.Value(symtree.PrimaryPath(j.res)); now != left {
		return cause
	}
	j.changes, j.orders = nil, nil
	j.set(symtree.PrimaryPath(j.res), j.primary)
	if err := j.commitNow(); err != nil {
		return errors.Join(cause, fmt.Errorf("cannot hand the role back to '%s': %w", j.primary, err))
	}
	j.warn("resource '%s': the handover has failed; the role was handed back: designated primary is '%s' again", j.res, j.primary)
	return cause
}

// waitPrimary waits for the device. With force nobody waits.
func waitPrimary(j *job) error {
	if j.opt.force {
		return nil
	}
	if err := j.effect(func() (string, error) {
		if now := j.tree.Primary(j.res); now != j.host {
			return "", die("designated primary has changed to '%s' meanwhile", symtree.FormatPrimary(now))
		}
		return j.devicePresent()
	}); err != nil {
		return j.handBack(err, j.host)
	}
	if !j.never {
		j.say("device '/dev/mars/%s' is present", j.deviceName())
	}
	return nil
}

// keepRole takes the role back that "secondary" has given up, when it turns out
// that the device is in use: an opener that does nothing is found only when the
// device is to be taken away.
func (j *job) keepRole(cause error) error {
	n, _ := j.tree.Int(symtree.ActualPath(j.res, j.host, symtree.ActualOpenCount))
	now, _ := j.tree.Value(symtree.PrimaryPath(j.res))
	if j.primary != j.host || n == 0 || now != symtree.None || !errors.Is(cause, errTimeout) {
		return cause
	}
	j.set(symtree.PrimaryPath(j.res), j.host)
	if err := j.commitNow(); err != nil {
		return errors.Join(cause, fmt.Errorf("cannot take the role back: %w", err))
	}
	j.warn("resource '%s': the role was taken back: designated primary is '%s' again", j.res, j.host)
	return dieHint("umount or close it", "device '/dev/mars/%s' for resource '%s' is %d times in use", j.deviceName(), j.res, n)
}

func secondaryPhases() []phase {
	return []phase{
		{"check preconditions", func(j *job) error {
			if j.opt.force || !j.actual(j.host, symtree.ActualIsPrimary) && j.tree.Primary(j.res) != j.host {
				return nil
			}
			n, err := j.opened()
			if n == 0 || err != nil {
				return err
			}
			return dieHint("umount or close it", "device '/dev/mars/%s' for resource '%s' is %d times in use", j.deviceName(), j.res, n)
		}},
		{"leave primary state", func(j *job) error {
			if j.tree.Primary(j.res) != j.host {
				j.say("host '%s' is not the designated primary of resource '%s'", j.host, j.res)
				return nil
			}
			j.primary = j.host
			j.set(symtree.PrimaryPath(j.res), symtree.None)
			j.say("designated primary changed from '%s' to '%s'", j.host, symtree.None)
			return nil
		}},
		{"wait for device to disappear", func(j *job) error {
			if j.opt.force {
				return nil
			}
			if err := j.awaitGone(); err != nil {
				return j.keepRole(err)
			}
			return j.effect(func() (string, error) {
				if j.actual(j.host, symtree.ActualIsPrimary) {
					return fmt.Sprintf("host '%s' is still actually primary of resource '%s'%s", j.host, j.res, j.because()), nil
				}
				return "", nil
			})
		}},
	}
}
