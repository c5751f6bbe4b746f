// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"fmt"
	"strings"
	"testing"

	"mars/infra/env"
	"mars/infra/symtree"
)

// said is what a command has said, on both outputs.
func (s *fakeSys) said() string { return s.out.String() + s.err.String() }

// An unset variable in a script must not mean the whole disk.
func TestCreateResourceSizeZero(t *testing.T) {
	s := newPair(t, "B")
	s.disks["/dev/new"] = 1 << 20
	for _, line := range []string{"create-resource n /dev/new n 0", "create-resource n /dev/new 0", "create-resource n /dev/new n 0k"} {
		s.refused(line, 1, "implausible size 0")
	}
}

// Who waits for the end of a sync must not go on before it has begun.
func TestWaitForASyncThatIsDue(t *testing.T) {
	due := func() *fakeSys {
		s := newPair(t, "B")
		s.set("resource-r/syncstatus-B", "0")
		return s
	}
	s := due()
	s.refused("wait-resource r is-sync-off --timeout=2", 1, timeoutText)
	polls := 0
	s.react = func() {
		if polls++; polls == 5 {
			s.set("resource-r/syncstatus-B", "65536000")
		}
	}
	s.must("wait-resource r is-sync-off")
	if polls < 5 {
		t.Errorf("it was over after %d looks", polls)
	}
	for name, set := range map[string][]string{
		"paused":     {"resource-r/todo-B/sync", "0"},
		"detached":   {"resource-r/todo-B/attach", "0"},
		"no primary": {"resource-r/primary", "(none)"},
	} {
		s := due()
		s.set(set...)
		if code := s.adm("wait-resource r is-sync-off --timeout=0"); code != 0 {
			t.Errorf("%s: no sync will start, but it is waited for: %s", name, s.said())
		}
		s.refused("wait-resource r is-sync --timeout=0", 1, "waiting for is-sync")
	}
}

// The last good replica is not given up without a word about where the data is.
func TestInvalidateFromASilentPrimary(t *testing.T) {
	s := newPair(t, "B")
	s.must("invalidate r")
	if strings.Contains(s.err.String(), "no valid data") {
		t.Errorf("it warns of a primary of which nothing bad is known: %s", s.err.String())
	}
	s.set("alive-A", "0")
	s.must("invalidate r")
	if want := "host 'A' has the data that is to be synced, but its marsd is down"; !strings.Contains(s.err.String(), want) {
		t.Errorf("it does not say '%s': %s", want, s.err.String())
	}
	s.set("resource-r/todo-B/attach", "0", "resource-r/actual-B/is-attached", "0")
	s.must("invalidate r")
	if want := "starts as soon as you say marsadm up r"; !strings.Contains(s.out.String(), want) {
		t.Errorf("it does not say '%s': %s", want, s.out.String())
	}
}

// A role that facts tell which nobody renews is no news, and a host without
// marsd has a problem.
func TestInspectionWithoutMarsd(t *testing.T) {
	const old = "WARNING: no marsd is running on this host: what follows may be old\n"
	for _, word := range []string{"role", "state", "show-state", "mars-state", "dstate", "cstate"} {
		s := newPair(t, "B")
		if s.must(word + " r"); s.err.String() != "" {
			t.Errorf("%s: %s", word, s.err.String())
		}
		s.loaded = false
		if s.must(word + " r"); s.err.String() != old {
			t.Errorf("%s without marsd: %s", word, s.err.String())
		}
		if s.must(word + " r --host=A"); strings.Contains(s.err.String(), old) {
			t.Errorf("%s of another host: %s", word, s.err.String())
		}
	}
	s := newPair(t, "B")
	s.loaded = false
	if code := s.adm("show-errors r"); code != 1 || !strings.Contains(s.out.String(), "no marsd is running on this host") {
		t.Errorf("show-errors without marsd: exit status %d, %s", code, s.said())
	}
	s.must("down r --force")
	if n := strings.Count(s.err.String(), "no marsd is running here"); n != 1 {
		t.Errorf("it is said %d times that no marsd is running: %s", n, s.err.String())
	}
}

// A handover that can not succeed says why, and what is left to do.
func TestPrimaryAdvice(t *testing.T) {
	const force = "only if host 'A' is lost: marsadm primary r --force"
	s := newPair(t, "B")
	s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""), "resource-r/actual-B/why", "outdated: nobody has the log")
	s.react = func() { s.set("time-A", "1.0") } // it is there
	if code := s.adm("primary r"); code != 1 || !strings.Contains(s.err.String(), "(outdated: nobody has the log)") {
		t.Errorf("exit status %d, it does not tell marsd's reason: %s", code, s.said())
	}
	s.react = nil
	if strings.Contains(s.err.String(), force) {
		t.Errorf("A is there, but force is advised: %s", s.err.String())
	}
	s.refused("primary r", 1, force)

	s = newPair(t, "B") // who has fetched more than A has published of it
	s.set("resource-r/version-000000001-B", symtree.VersionValue(1, "A", 600, ""), "resource-r/replay-B", "log-000000001-A,600,0")
	s.refused("primary r", 1, "host 'A' has not yet told where its logs end: 'B' is at log-000000001-A,600,0, which is further than log-000000001-A,500")

	s = newPair(t, "B") // nobody stops being primary
	if code := s.adm("primary r"); code != 1 || !strings.Contains(s.err.String(), force) {
		t.Errorf("A does not answer: exit status %d, %s", code, s.said())
	}
	if strings.Contains(s.out.String(), "waiting: waiting") {
		t.Errorf("it stammers: %s", s.out.String())
	}
	s.has("resource-r/primary", "A")

	s = newPair(t, "B") // there is none, and A is silent
	s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0")
	s.refused("primary r", 1, force)
}

// Replay that has not yet passed the end of the sync is waited for, like all
// that is to be applied.
func TestPrimaryWaitsForTheEndOfTheSync(t *testing.T) {
	s := newPair(t, "B")
	s.follow()
	s.set("resource-r/syncpos-B", "log-000000001-A,600,0", "resource-r/version-000000001-A", symtree.VersionValue(1, "A", 600, ""))
	s.refused("primary r --timeout=0", 1, "without waiting")
	s.refused("primary r --force", 1, "replay has not yet passed its end")
	follow, polls := s.react, 0
	s.react = func() {
		if polls++; polls == 3 {
			s.set("resource-r/version-000000001-B", symtree.VersionValue(1, "A", 600, ""), "resource-r/replay-B", "log-000000001-A,600,0")
		}
		follow()
	}
	s.must("primary r")
	s.has("resource-r/primary", "B")
	s = newPair(t, "B")
	s.set("resource-r/syncpos-B", "log-000000001-A,600,0", "resource-r/todo-B/connect", "0")
	s.refused("primary r", 1, "marsadm connect r")
}

func TestSetReplayUnknownLog(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/todo-B/allow-replay", "0")
	s.refused("set-replay r 9 --force", 1, "no log with number 9 is known here")
}

// Who removes a lost host from the cluster first can still remove it from its
// resources; nothing else is done for it any more.
func TestLostHostInTheWrongOrder(t *testing.T) {
	s := newPair(t, "A")
	s.must("leave-cluster --host=B --force")
	if want := "marsadm leave-resource RES --host=B --force"; !strings.Contains(s.err.String(), want) {
		t.Errorf("it does not say '%s': %s", want, s.err.String())
	}
	s.remove("ips/ip-B") // as the orders do
	s.refused("leave-resource r --host=B", 1, "but not the resources r: marsadm leave-resource RES --host=B --force")
	s.refused("down r --host=B --force", 1, "is not a member of this cluster")
	s.refused("leave-resource r --host=C --force", 1, "has not yet joined")
	s.set("resource-r/primary", "(none)", "resource-r/actual-A/is-primary", "0")
	s.refused("primary r", 1, "it has left the cluster, but not the resource: marsadm leave-resource r --host=B --force")
	s.set("resource-r/primary", "A")
	s.must("leave-resource r --host=B --force")
	ordered := map[string]bool{}
	for _, o := range s.tree().Orders() {
		ordered[o.Target] = true
	}
	for _, path := range []string{"resource-r/data-B", "resource-r/replay-B", "resource-r/todo-B"} {
		if !ordered[path] {
			t.Errorf("%s is not ordered to be deleted: %v", path, ordered)
		}
	}
}

// Who has just enlarged a disk is faster than marsd; the primary need not give up
// its disk for it to be noticed.
func TestResizeWaitsForTheDisks(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actsize-A", "81920000")
	s.refused("resize r 81920000", 1, "new size 81920000 is higher than the minimum size of all volumes 65536000\n   HINT: enlarge the disk first on host(s) B;")
	s.refused("resize r", 1, "only increases of the size are possible: it is 65536000\n   HINT: enlarge the disk first on host(s) B;")
	s.refused("resize r 81920000 --timeout=0", 1, "is higher than the minimum size")
	was := s.mono
	s.refused("resize r 4k", 1, "only increases of the size are possible")
	if s.mono != was {
		t.Errorf("it waits for %v to make a resource smaller", s.mono-was)
	}
	polls := 0
	s.react = func() {
		if polls++; polls == 3 {
			s.set("resource-r/actsize-B", "81920000")
		}
	}
	s.must("resize r")
	s.has("resource-r/size", "81920000")
}

// A replica that has nothing to apply is where replay leads to: on a quiet system
// nothing else would ever come.
func TestWaitForReplayOnAQuietSystem(t *testing.T) {
	s := newPair(t, "B")
	s.must("wait-resource r is-replay --timeout=0")
	s.refused("wait-resource r is-replay-off --timeout=0", 1, "waiting for is-replay-off")
	for name, set := range map[string][]string{
		"paused":     {"resource-r/todo-B/allow-replay", "0"},
		"detached":   {"resource-r/actual-B/is-attached", "0"},
		"behind":     {"resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, "")},
		"designated": {"resource-r/primary", "B"},
		"primary":    {"resource-r/actual-B/is-primary", "1"},
	} {
		s := newPair(t, "B")
		s.set(set...)
		if s.adm("wait-resource r is-replay --timeout=0") == 0 || s.adm("wait-resource r is-replay-off --timeout=0") != 0 {
			t.Errorf("%s: it counts as replaying", name)
		}
	}
}

// Not even force takes a disk away below an open device of a living marsd.
func TestLeaveBelowAnOpenDevice(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/primary", "(none)", "resource-r/actual-A/open-count", "2")
	s.refused("leave-resource r --force", 1, "device '/dev/mars/r' is in use (2 times)\n   HINT: umount or close it")
	b := newPair(t, "B") // of a lost host that is just what was heard last
	b.set("resource-r/primary", "B", "resource-r/actual-A/open-count", "2")
	b.must("leave-resource r --host=A --force")
	s.set("resource-r/actual-A/open-count", "0")
	s.must("leave-resource r --force")
}

// An opener that is found late keeps the role where it is.
func TestSecondaryFindsAnOpener(t *testing.T) {
	s := newPair(t, "A")
	polls := 0
	s.react = func() {
		if polls++; s.get("resource-r/primary") == "(none)" && polls > 2 {
			s.set("resource-r/actual-A/open-count", "1")
			s.react = nil
		}
	}
	if code := s.adm("secondary r"); code != 1 || !strings.Contains(s.err.String(), "DYING: device '/dev/mars/r' for resource 'r' is 1 times in use\n   HINT: umount or close it") {
		t.Errorf("exit status %d, %s", code, s.said())
	}
	s.has("resource-r/primary", "A")
	s = newPair(t, "A") // just slow: it goes on by itself
	if code := s.adm("secondary r"); code != 1 || !strings.Contains(s.err.String(), timeoutText) {
		t.Errorf("exit status %d, %s", code, s.said())
	}
	s.has("resource-r/primary", "(none)")
}

// What is the name of a directory or of a file can be no link, with force or
// without.
func TestSetLinkOnAName(t *testing.T) {
	s := newPair(t, "B")
	for _, path := range []string{"/mars/resource-r", "/mars/resource-r/log-000000001-A", "/mars/ips"} {
		s.refused("set-link x "+path+" --force", 2, "your path '"+path+"' can not be used: it is the name of")
	}
	s.must("set-link 1 /mars/resource-r/todo-B/sync --force")
}

// A primary whose device is open keeps its role, which is what is wrong with
// detaching its disk; with all it is left out.
func TestDetachOnAPrimaryInUse(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actual-A/open-count", "1")
	for _, word := range []string{"down", "detach"} {
		s.refused(word+" r", 1, "cannot be executed on designated primary")
		s.must(word + " all")
		if !strings.Contains(s.out.String(), "skipping resource r: operation '"+word+"'") {
			t.Errorf("%s all: %s", word, s.said())
		}
		s.refused(word+" r --force --timeout=1", 1, "is in use (1 times)")
	}
	if s.mono > 3e9 {
		t.Errorf("it has waited %v", s.mono)
	}
}

// A host that died with its device open will never close it: who waits for that
// must be told.
func TestDeviceOfALostHost(t *testing.T) {
	const force = "only if host 'A' is lost: marsadm primary r --force"
	s := newPair(t, "B")
	s.set("resource-r/actual-A/open-count", "2")
	s.refused("primary r", 1, "marsadm wait-umount r")
	if strings.Contains(s.err.String(), force) {
		t.Errorf("A is there, but force is advised: %s", s.err.String())
	}
	s.refused("wait-umount r", 1, "is 2 times in use somewhere: on A\n")
	s.set("alive-A", "0")
	s.refused("primary r", 1, "; but its marsd is down: "+force)
	s.refused("wait-umount r", 1, "is 2 times in use somewhere: on A (its marsd is down)\n")
}

// fullFS has no space for a link any more.
type fullFS struct{ env.FS }

func (f fullFS) Symlink(_, name string) error {
	return fmt.Errorf("symlink %s: %w", name, env.ErrNoSpace)
}
func (f fullFS) Hold() (env.FS, func()) { return f, func() {} }

// When /mars is full, commands say what to do about it.
func TestFullDirectory(t *testing.T) {
	s := newPair(t, "B")
	s.fs = fullFS{s.fs}
	for _, line := range []string{"pause-sync r", "set-link v /mars/userspace/k", "pause-sync all"} {
		s.refused(line, 1, "is full, or has no inodes left")
	}
	if want := "df -i " + s.place.MarsDir; !strings.Contains(s.err.String(), want) {
		t.Errorf("it does not say '%s': %s", want, s.err.String())
	}
}

// Who has the wrong disk, as after names of devices have changed places, is told
// so, and can get rid of it.
func TestTooSmallADisk(t *testing.T) {
	small := func() *fakeSys {
		s := newPair(t, "B")
		s.set("resource-r/actsize-B", "4096")
		return s
	}
	for _, line := range []string{"up r", "primary r", "primary r --force", "invalidate r", "resume-sync r"} {
		small().refused(line, 1, "smaller than the logical resource size 65536000\n   HINT: marsadm down r; then put the disk back")
	}
	for _, line := range []string{"role r", "show-state r", "pause-sync r", "disconnect r", "connect-global r", "log-delete-all r", "wait-resource r is-attach", "leave-resource r --force"} {
		small().must(line)
	}
	s := small()
	if s.must("dstate r"); s.out.String() != "Inconsistent\n" {
		t.Errorf("the state of the disk is %s", s.out.String())
	}
	s.must("down r --timeout=0")
	s.set("resource-r/actual-B/is-attached", "0")
	s.must("up r --timeout=0") // the right one is back; the link is of the other one
	s.must("down r --timeout=0")
	s.set("resource-r/actual-B/is-attached", "0")
	s.must("leave-resource r")
}
