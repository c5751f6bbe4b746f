// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mars/infra/status"
	"mars/infra/symtree"
)

func consistencyCommands() []command {
	return []command{
		{name: "invalidate", usage: "RES", group: grpConsist, brief: "give up the local data and sync it anew from the primary", scope: oneOrAll, needs: onResource | wantFit, phases: []phase{
			{"check preconditions", checkInvalidate},
			{"stop old replay", func(j *job) error { j.stopAll(symtree.TodoSync, symtree.TodoAllowReplay); return nil }},
			{"wait for replay off", invalidate},
			{"start again", (*job).startAgain},
		}},
		{name: "fake-sync", usage: "RES", group: grpConsist, brief: "declare the local data consistent (dangerous)", scope: oneOrAll, needs: onResource | wantFit, phases: []phase{
			{"check preconditions", checkFakeSync},
			{"stop sync", func(j *job) error { j.stopAll(symtree.TodoSync); return nil }},
			{"wait for sync off", fakeSync},
			{"start again", (*job).startAgain},
		}},
		{name: "set-replay", usage: "RES NUMBER", group: grpConsist, brief: "continue replay at another logfile (for hackers only)", scope: oneOrAll, min: 1, max: 1,
			needs: onResource | wantSecondary | wantFit | hidden | hereOnly, phases: one(setReplay)},
	}
}

// passed are the options that a command run on another host gets too. Nothing in
// them needs quoting from the shell there.
func (o *options) passed() (words []string) {
	if o.force {
		words = append(words, "--force")
	}
	if o.verbose {
		words = append(words, "--verbose")
	}
	if o.timeout != nil {
		words = append(words, fmt.Sprintf("--timeout=%d", *o.timeout/time.Second))
	}
	return words
}

// elsewhere runs the command on the host that --host names, over ssh: only a
// host itself writes the links about its own state. It reports whether it did.
func (j *job) elsewhere() (bool, error) {
	if !j.foreign() {
		return false, nil
	}
	j.dead = true // nothing is left to do here
	words := append([]string{"marsadm", j.cmd.name, j.res}, j.opt.passed()...)
	if j.opt.dryRun {
		j.say("would run '%s' on host '%s'", strings.Join(words, " "), j.host)
		return true, nil
	}
	j.say("running it on host '%s'", j.host)
	out, err := j.sys.SSH(j.host, nil, maxRequest, words...)
	if err != nil {
		return true, dieHint(fmt.Sprintf("run '%s' on host '%s'", strings.Join(words, " "), j.host), "only host '%s' itself can do this, and it could not be reached or refused: %v", j.host, err)
	}
	j.say("%s", strings.TrimSpace(string(out)))
	return true, nil
}

func checkInvalidate(j *job) error {
	if done, err := j.elsewhere(); done {
		return err
	}
	if err := j.secondary(); err != nil {
		return err
	}
	p := j.tree.Primary(j.res)
	if p == "" || !j.tree.IsMember(j.res, p) {
		return dieHint(fmt.Sprintf("say 'marsadm primary %s' on the host with the right data (with --force in a split brain)", j.res),
			"cannot invalidate resource '%s': nobody is designated primary, so that there is nothing to sync from", j.res)
	}
	if _, err := j.awaitSource(p); err != nil {
		return err
	}
	return j.mayStop(symtree.ActualIsSyncing, symtree.ActualIsReplaying)
}

// mayStop refuses what would have to wait until marsd has stopped, where nobody
// wants to wait: then nothing at all is done (manual 3, --timeout=0).
func (j *job) mayStop(keys ...string) error {
	for _, key := range keys {
		if j.never && !j.opt.dryRun && j.sys.Loaded() && j.actual(j.host, key) {
			return dieHint("give it time: --timeout=SECONDS", "cannot execute %s: '%s' of resource '%s' must reach the value '0' first", j.cmd.name, key, j.res)
		}
	}
	return nil
}

// stopAll switches off, for the duration of a command.
func (j *job) stopAll(keys ...string) {
	for _, key := range keys {
		j.was[key] = j.todo(key)
		j.say("successfully started %s on resource %s", j.cmd.name, j.res)
		j.set(symtree.TodoPath(j.res, j.host, key), "0")
	}
}

// startAgain puts the switches back to what they were.
func (j *job) startAgain() error {
	for _, key := range []string{symtree.TodoAllowReplay, symtree.TodoSync} {
		if j.was[key] {
			j.set(symtree.TodoPath(j.res, j.host, key), "1")
		}
	}
	return nil
}

// settled is how often in a row marsd must be seen stopped: it may just have
// been about to start when the switch was written.
const settled = 3

// awaitStopped waits until marsd has stopped what writes the links that are
// about to be replaced. If that fails, the switches go back.
func (j *job) awaitStopped(keys ...string) error {
	seen := 0
	err := j.await(func() (string, error) {
		if !j.sys.Loaded() {
			return "", nil
		}
		for _, key := range keys {
			if j.actual(j.host, key) {
				seen = 0
				return fmt.Sprintf("waiting until '%s' of resource '%s' reaches the value '0'...", key, j.res), nil
			}
		}
		if seen++; seen < settled && !j.never {
			return "waiting until marsd has taken notice", nil
		}
		return "", nil
	})
	if err == nil {
		return nil
	}
	j.changes, j.orders = nil, nil
	if err2 := j.startAgain(); err2 != nil {
		return errors.Join(err, err2)
	}
	return errors.Join(err, j.commitNow())
}

// invalidate makes the member start like one that has just joined (manual
// 3.2.4): nothing of its own past is left, neither on its disk nor in its
// version links nor in logs that nobody else has begun.
func invalidate(j *job) error {
	if err := j.awaitStopped(symtree.ActualIsSyncing, symtree.ActualIsReplaying); err != nil {
		return err
	}
	p := j.tree.Primary(j.res)
	if p == "" || p == j.host {
		return errors.Join(die("the designated primary has changed to '%s' meanwhile", symtree.FormatPrimary(p)), j.startAgain(), j.commitNow())
	}
	s, missing, err := j.findSource(p)
	if err == nil && missing != "" {
		err = die("%s", missing)
	}
	if err != nil {
		return errors.Join(err, j.startAgain(), j.commitNow())
	}
	// First of all the disk counts as inconsistent, durably: the rest would be
	// a lie about it.
	h, n := j.host, s.at.Number
	j.set(symtree.SyncStatusPath(j.res, h), "0")
	if err := j.commitNow(); err != nil {
		return err
	}
	j.set(symtree.SyncFromPath(j.res, h), p)
	if path := symtree.SkipCheckPath(j.res, h); j.tree.Exists(path) {
		j.order(path) // the whole past is void now
	}
	if j.tree.Exists(symtree.SyncPosPath(j.res, h)) {
		j.set(symtree.SyncPosPath(j.res, h), s.at.String())
	}
	if s.prev != "" {
		j.set(symtree.VersionPath(j.res, n-1, h), s.prev)
	}
	if s.own != "" {
		j.set(symtree.VersionPath(j.res, n, h), s.own)
	}
	j.set(symtree.ReplayPath(j.res, h), s.at.String())
	for _, v := range j.tree.Versions(j.res) {
		copied := v.Number == n && s.own != "" || v.Number == n-1 && s.prev != ""
		if v.Host == h && !copied {
			j.order(symtree.VersionPath(j.res, v.Number, h))
		}
	}
	j.orderOwnLogs(true)
	j.say("resource '%s': the local data is marked as inconsistent; a full sync from host '%s' %s", j.res, p, j.startsWhen())
	if why := silence(j.tree, p, j.sys.Wall()); why != "" {
		j.warn("host '%s' has the data that is to be synced, but %s; until it is back, resource '%s' has no valid data here. Only if it is lost for good, and what was here will do: marsadm fake-sync %s", p, why, j.res, j.res)
	}
	return nil
}

// startsWhen tells what a sync still needs.
func (j *job) startsWhen() string {
	switch {
	case !j.todo(symtree.TodoAttach):
		return fmt.Sprintf("starts as soon as you say marsadm up %s", j.res)
	case !j.was[symtree.TodoSync]:
		return "starts as soon as you say resume-sync"
	}
	return "will start"
}

// silence tells why a host can not be counted on: nothing, if it can.
func silence(t *symtree.Tree, host string, now int64) string {
	h := status.HostOf(t, host)
	if h.Alive == "no" {
		return "its marsd is down"
	}
	if age := h.Silent(now); age > 0 {
		return fmt.Sprintf("nothing has been heard of it for %d s", age)
	}
	return ""
}

func checkFakeSync(j *job) error {
	if done, err := j.elsewhere(); done {
		return err
	}
	if err := j.secondary(); err != nil {
		return err
	}
	return j.mayStop(symtree.ActualIsSyncing)
}

// fakeSync marks the disk as if the sync had finished.
func fakeSync(j *job) error {
	if err := j.awaitStopped(symtree.ActualIsSyncing); err != nil {
		return err
	}
	size, _ := j.tree.Size(j.res)
	j.set(symtree.SyncStatusPath(j.res, j.host), symtree.FormatInt(size))
	if j.tree.Exists(symtree.SyncPosPath(j.res, j.host)) {
		if r, ok := j.tree.Replay(j.res, j.host); ok {
			r.Len = 0
			j.set(symtree.SyncPosPath(j.res, j.host), r.String())
		}
	}
	j.warn("resource '%s' is now treated as if it were consistent; that it is so is on you", j.res)
	return nil
}

// setReplay puts the replay link to the beginning of another log.
func setReplay(j *job) error {
	n, err := strconv.Atoi(j.args[0])
	if err != nil || n < 1 || n > symtree.MaxNumber {
		return usage("you must supply a numeric logfile number as third argument.")
	}
	if j.todo(symtree.TodoAllowReplay) {
		return dieHint("marsadm pause-replay "+j.res, "cannot execute set-replay: switch 'allow-replay' must have value '0', but actually has value '1'")
	}
	if old, ok := j.tree.Replay(j.res, j.host); ok && n > old.Number && !j.opt.force {
		return dieHint("with --force you may do it all the same", "log %d is behind the present one, %s: what is in between would be lost; you would need --force if you really know what you are doing.", n, old.LogName())
	}
	origins := map[string]bool{}
	origin := ""
	for _, l := range j.tree.Logs(j.res) {
		if l.Number == n {
			origins[l.Origin], origin = true, l.Origin
		}
	}
	for _, v := range j.tree.Versions(j.res) {
		if link, err := symtree.ParseVersion(v.Value); err == nil && link.Number == n {
			origins[link.Origin], origin = true, link.Origin
		}
	}
	if p := j.tree.Primary(j.res); origins[p] {
		origin = p
	} else if len(origins) == 0 {
		return dieHint("'marsadm cat' and ls of /mars/resource-"+j.res+" show which logs and version links there are", "no log with number %d is known here", n)
	} else if len(origins) != 1 {
		return die("%d hosts have written a log with number %d: Cannot select between them -- no primary preference given.", len(origins), n)
	}
	to := symtree.ReplayLink{Number: n, Origin: origin}
	j.say("creating new replaylink '%s' -> '%s'", symtree.ToUser(symtree.ReplayPath(j.res, j.host)), to)
	if prev, ok := j.tree.Value(symtree.VersionPath(j.res, n-1, origin)); ok && n > 1 {
		j.set(symtree.VersionPath(j.res, n-1, j.host), prev)
	}
	j.set(symtree.ReplayPath(j.res, j.host), to.String())
	j.set(symtree.SkipCheckPath(j.res, j.host), strconv.Itoa(n))
	return nil
}
