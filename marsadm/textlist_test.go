// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

// saidRow is a command in a situation, and what it says there, in this order: words
// of the original that administrators and their scripts know. Without a host there
// is no tree yet.
type saidRow struct {
	host string
	prep func(s *fakeSys)
	line string
	code int
	out  []string
	err  string
}

// links is a situation that links make; a path without a value is removed.
func links(pairs ...string) func(*fakeSys) {
	return func(s *fakeSys) {
		for i := 0; i < len(pairs); i += 2 {
			path := strings.Replace(pairs[i], "R/", "resource-r/", 1)
			if pairs[i+1] == "" {
				s.remove(path)
				continue
			}
			s.set(path, pairs[i+1])
		}
	}
}

func said(lines ...string) []string { return lines }

func clusterSaid() []saidRow {
	unloaded := func(s *fakeSys) { s.loaded = false }
	return []saidRow{
		{"", nil, "create-cluster", 0, said("New cluster UUID is '"), ""},
		{"", func(s *fakeSys) { s.place.IP = "" }, "create-cluster", 0, said("Using IP '192.0.2.7'", "New cluster UUID is '"), ""},
		{"", func(s *fakeSys) { s.loaded = true }, "create-cluster", 1, nil, "marsd is running on this host"},
		{"A", unloaded, "create-cluster", 1, nil, "cluster is already created"},
		{"A", unloaded, "create-cluster --force", 1, nil, "cluster is already created"},
		{"A", unloaded, "join-cluster A", 1, nil, "Cannot join myself (peer='A', host='A')"},
		{"A", unloaded, "join-cluster B", 1, nil, "cannot join a cluster: cluster is already created"},
		{"", nil, "join-cluster B", 1, said("joining cluster via ssh (peer='B')"), "oops, cannot join over host 'B'"},
		{"B", nil, "leave-cluster", 1, nil, "member of some resources"},
		{"A", unloaded, "leave-cluster", 1, nil, "no marsd is running"},
		{"B", func(s *fakeSys) { s.uid = 1000 }, "up r", 1, nil, "only root may use this tool"},
		{"B", nil, "nonsense r", 2, nil, "unknown command 'nonsense'"},
		{"B", nil, "", 2, nil, "command argument is missing"},
		{"B", nil, "up", 2, nil, "resource argument is missing"},
		{"B", nil, "h", 0, said("marsadm [OPTION]... COMMAND"), ""},
		{"B", nil, "v", 0, said("marsadm "), ""},
		{"B", nil, "up r --timeout=x", 2, nil, "--timeout must be a number of seconds"},
		{"B", nil, "up all --force", 2, nil, "For safety reasons, --force is only allowed on explicitly named resources. Combination of 'all' with --force is disallowed!"},
		{"B", nil, "join-resource all /dev/disk", 2, nil, "Cannot combine command 'join-resource' with 'all' existing resources - you must explicitly name a single new resource"},
		{"B", nil, "up q", 1, nil, "resource 'q' does not exist"},
		{"C", nil, "up r", 1, nil, "has not yet joined to resource 'r'"},
		{"B", links("R/size", ""), "up r", 1, nil, "cannot read symlink '/mars/resource-r/size'"},
		{"B", links("R/actsize-B", "4096"), "up r", 1, nil, "physical device on host 'B' has size 4096, which is smaller than the logical resource size 65536000"},
		{"B", nil, "up 1r", 2, nil, "has disallowed characters"},
		{"B", nil, "up " + strings.Repeat("r", 64), 2, nil, "is too long"},
		{"B", func(s *fakeSys) { s.fs = nil }, "up r", 1, nil, "directory does not exist."},
	}
}

func resourceSaid() []saidRow {
	return []saidRow{
		{"A", nil, "create-resource q /dev/disk", 0, said("block device '/dev/disk': determined size = 65536000 bytes", "creating new resource 'q'", "using existing device '/dev/disk'",
			"resource 'q' will appear as local device '/dev/mars/q'", "successfully created resource 'q'"), ""},
		{"A", nil, "create-resource q /dev/disk name 32m", 0, said("reducing size from 65536000 to 33554432", "resource 'q' will appear as local device '/dev/mars/name'"), ""},
		{"A", nil, "create-resource q /dev/disk 64k", 1, nil, "implausible size 65536"},
		{"A", nil, "create-resource q /dev/disk 64m", 1, nil, "is larger than device size '65536000'"},
		{"A", nil, "create-resource q /dev/disk 64x", 2, nil, "size argument '64x' must be a number, optionally followed by suffix k or m or g or t or p"},
		{"A", nil, "create-resource q /dev/disk 4097", 2, nil, "size '4097' is not a multiple of 4k"},
		{"A", nil, "create-resource q /dev/none", 1, nil, "cannot open device '/dev/none' for exclusive rw access"},
		{"A", nil, "create-resource q disk", 2, nil, "is not an absolute path"},
		{"A", nil, "create-resource q", 2, nil, "argument is missing"},
		{"A", nil, "create-resource q /dev/disk r", 1, nil, "device '/dev/mars/r' is already present in joined resource 'r'"},
		{"A", nil, "create-resource r /dev/disk", 1, nil, "resource directory 'r' already exists"},
		{"C", nil, "join-resource r /dev/disk", 0, said("joining to existing resource 'r'", "using existing device '/dev/disk'", "resource 'r' will appear as local device '/dev/mars/r'",
			"creating new replaylink '/mars/resource-r/replay-C' -> 'log-000000001-A,0,0'", "successfully joined resource 'r'"), ""},
		{"C", func(s *fakeSys) { s.disks["/dev/disk"] = 1 << 30 }, "join-resource r /dev/disk", 0,
			said("Your physical device has size 1073741824, which is larger than the logical resource size 65536000.", "This does no harm, but you are wasting some space."), ""},
		{"C", func(s *fakeSys) { s.disks["/dev/disk"] = 1 << 20 }, "join-resource r /dev/disk", 1, nil, "size of new device is only 1048576, but should be 65536000; refusing to join due to bad size"},
		{"C", links("R/primary", "(none)"), "join-resource r /dev/disk", 0, said("using 'A' as primary"), ""},
		{"C", links("R/primary", "C"), "join-resource r /dev/disk", 1, nil, "implausible state: "},
		{"C", links("ips/ip-C", ""), "join-resource r /dev/disk", 1, nil, "host 'C' is not a member of this cluster"},
		{"B", nil, "join-resource r /dev/disk", 1, nil, "refusing dangerous operation"},
		{"B", links("R/todo-B/attach", "0", "R/actual-B/is-attached", "0", "R/data-C", "/dev/c", "R/connect-C", "B", "R/connect-B", "A"), "leave-resource r", 0,
			said("changing '/mars/resource-r/connect-C' from 'B' to 'A'"), ""},
		{"A", nil, "leave-resource r --force", 1, nil, "operation 'leave-resource' cannot be executed on designated primary"},
	}
}

func switchSaid() []saidRow {
	off := links("R/todo-B/sync", "0", "R/todo-B/allow-replay", "0", "R/actual-B/is-attached", "0")
	return []saidRow{
		{"B", nil, "attach r", 0, said("attach on resource r is already activated"), ""},
		{"B", off, "detach r", 0, said("successfully started detach on resource r", "device '/dev/mars/r' is no longer present"), ""},
		{"A", links("R/primary", "(none)", "R/actual-A/open-count", "2"), "detach r --timeout=0", 1, nil, "device '/dev/mars/r' is in use"},
		{"A", nil, "detach r", 1, nil, "operation 'detach' cannot be executed on designated primary"},
		{"B", links("R/todo-B/sync", ""), "resume-sync r", 0, said("successfully started resume-sync on resource r"), "cannot read symlink '/mars/resource-r/todo-B/sync'"},
		{"B", nil, "resume-fetch r", 0, said("resume-fetch on resource r is already activated"), ""},
		{"A", nil, "disconnect-global r", 0, said("successfully started disconnect-global on resource r", "successfully started disconnect-global on resource r"), ""},
		{"A", nil, "pause-replay r", 1, nil, "operation 'pause-replay' cannot be executed on designated primary"},
		{"B", func(s *fakeSys) { s.loaded = false }, "primary r", 1, nil, "cannot execute primary: no marsd is running"},
		{"B", (*fakeSys).follow, "primary r", 0, said("OK, it seems that sync has finished on B.", "all preconditions OK for resource 'r'", "designated primary changed from 'A' to '(none)'",
			"for other primary host (A) to disappear....", "designated primary changed from '(none)' to 'B'", "device '/dev/mars/r' not yet present", "device '/dev/mars/r' is present"), ""},
		{"B", links("R/todo-B/allow-replay", "0"), "primary r", 1, nil, "switch '/mars/resource-r/todo-B/allow-replay' must have value '1', but actually has value '0'"},
		{"A", (*fakeSys).follow, "secondary r", 0, said("designated primary changed from 'A' to '(none)'", "device '/dev/mars/r' has not yet disappeared", "device '/dev/mars/r' is no longer present"), ""},
	}
}

func logSaid() []saidRow {
	secondLog := func(s *fakeSys) {
		first, second := symtree.VersionValue(1, "A", 500, ""), ""
		second = symtree.VersionValue(2, "A", 500, first)
		for _, h := range []string{"A", "B"} {
			s.set("resource-r/version-000000002-"+h, second, "resource-r/version-000000003-"+h, symtree.VersionValue(3, "A", 0, second), "resource-r/replay-"+h, "log-000000003-A,0,0")
		}
		s.file("resource-r/log-000000002-A", 500)
		s.file("resource-r/log-000000003-A", 0)
	}
	paused := links("R/todo-B/allow-replay", "0")
	return []saidRow{
		{"A", links("R/actual-A/is-primary", "0"), "log-rotate r", 1, nil, "for operation 'log-rotate' I need to be primary"},
		{"A", secondLog, "log-rotate r", 0, said("an empty logfile '/mars/resource-r/log-000000003-A' already exists, nothing to do."), ""},
		{"A", func(s *fakeSys) { _ = s.fs.Remove("resource-r/log-000000001-A") }, "log-rotate r", 1, nil, "cannot find any logfiles"},
		{"A", secondLog, "log-delete-all r", 0, said("min     deletable logfile number: 1", "max non-deletable logfile number: 3", "chosen '/mars/resource-r/log-000000001-A' for deletion",
			"chosen '/mars/resource-r/log-000000002-A' for deletion", "removing left-over version symlinks..."), ""},
		{"A", secondLog, "log-delete r --verbose", 0, said("chosen '/mars/resource-r/log-000000001-A' for deletion", "created symlink '/mars/todo-global/delete-000000002-A' -> '/mars/resource-r/log-000000001-A'"), ""},
		{"B", nil, "invalidate r", 0, said("successfully started invalidate on resource r", "successfully started invalidate on resource r"), ""},
		{"A", nil, "invalidate r", 1, nil, "operation 'invalidate' cannot be executed on designated primary"},
		{"A", links("R/primary", "B"), "invalidate r", 1, nil, "operation 'invalidate' cannot be executed on primary"},
		{"B", nil, "fake-sync r", 0, said("successfully started fake-sync on resource r"), ""},
		{"B", nil, "set-replay r 1", 1, nil, "switch 'allow-replay' must have value '0', but actually has value '1'"},
		{"B", paused, "set-replay r x", 2, nil, "you must supply a numeric logfile number as third argument."},
		{"B", paused, "set-replay r 5", 1, nil, "you would need --force if you really know what you are doing."},
		{"B", paused, "set-replay r 1", 0, said("creating new replaylink '/mars/resource-r/replay-B' -> 'log-000000001-A,0,0'"), ""},
		{"A", nil, "resize r 4k", 1, said("old_size=65536000", "min_size=65536000", "new_size=4096"), "only increases of the size are possible"},
		{"B", nil, "resize r", 1, nil, "for operation 'resize' I need to be primary"},
		{"A", links("R/actsize-A", "131072000", "R/actsize-B", "131072000", "R/syncstatus-A", "4096"), "resize r", 1, nil, "sync on A has not yet finished: "},
		{"A", links("R/actsize-B", ""), "resize r", 1, nil, "/mars/resource-r/actsize-B"},
	}
}

func lookSaid() []saidRow {
	answer := func(s *fakeSys) { s.react = func() { s.heard() } }
	return []saidRow{
		{"B", answer, "wait-cluster", 0, said("all 2 peer(s) seem to be alive"), ""},
		{"B", answer, "wait-connect r", 0, said("all 1 peer(s) seem to be alive"), ""},
		{"B", answer, "wait-resource r", 0, said("all 1 peer(s) seem to be alive"), ""},
		{"B", nil, "wait-resource r is-attach", 0, said("OK, '/mars/resource-r/actual-B/is-attached' has acceptable value '1'"), ""},
		{"B", nil, "wait-resource r replay-on", 0, said("OK, '/mars/resource-r/todo-B/allow-replay' has acceptable value '1'"), ""},
		{"B", nil, "wait-resource r is-copying-off", 0, said("OK, '/mars/resource-r/actual-B/is-copying' has acceptable value '0'"), ""},
		{"B", nil, "wait-resource r secondary", 0, said("OK, '/mars/resource-r/primary' has acceptable value 'A'"), ""},
		{"B", nil, "wait-resource r is-device-off", 0, said("device '/dev/mars/r' is no longer present"), ""},
		{"A", nil, "wait-resource r is-device", 0, said("device '/dev/mars/r' is present"), ""},
		{"B", nil, "wait-resource r is-nonsense", 2, nil, "actual indicator 'nonsense' does not exist"},
		{"B", nil, "wait-resource r nonsense-on", 2, nil, "button 'nonsense' does not exist"},
		{"A", nil, "role r", 0, said("I am actually primary\n"), ""},
		{"B", nil, "role r", 0, said("I am actually secondary and A is primary\n"), ""},
		{"A", links("R/primary", "B"), "state r", 0, said("I am actually primary and B should be primary\n"), ""},
		{"B", links("R/primary", "B"), "role r", 0, said("I am actually secondary and I should be primary\n"), ""},
		{"B", links("R/primary", "(none)", "R/actual-A/is-primary", "0"), "role r", 0, said("I am actually secondary and (none) is primary\n"), ""},
		{"A", nil, "show-state r", 0, said("is_primary\n"), ""},
		{"B", links("R/primary", "B"), "mars-state r", 0, said("becoming_primary\n"), ""},
		{"B", links("R/syncstatus-B", "4096"), "show-state r", 0, said("secondary inconsistent (4096 bytes of 65536000)\n"), ""},
		{"B", nil, "show-state r", 0, said("secondary uptodate\n"), ""},
		{"B", links("R/replay-B", "log-000000001-A,5,0"), "show-state r", 0, said("secondary outdated (log-000000001-A,5,0 instead of log-000000001-A,500,0)\n"), ""},
		{"B", func(s *fakeSys) {
			_ = s.fs.WriteFile("resource-r/logstatus-B.status", []byte("error: 1795348399.123456789 it failed\n"))
		}, "show-errors r", 1, said("error: " + readableTimes("1795348399.123456789") + " it failed\n"), "resource r has some (old) problems."},
		{"B", nil, "cat /mars/5.total.status", 0, nil, ""},
		{"B", nil, "set-link v /mars/userspace/x w", 2, nil, "you did not supply a symlink destination for source 'w'"},
		{"B", nil, "set-link v userspace/x", 2, nil, "symlink target 'userspace/x' is not an absolute path"},
		{"B", nil, "set-link v /mars/resource-q/userspace/x", 1, nil, "directory '/mars/resource-q' does not exist"},
		{"B", nil, "delete-file userspace/x", 2, nil, "cannot delete: 'userspace/x' is no absolute path"},
		{"B", nil, "delete-file /mars/resource-r/size", 1, nil, "your path '/mars/resource-r/size' must be inside /mars/userspace/ or /mars/resource-*/userspace/"},
		{"B", nil, "set-emergency-limit r x", 2, nil, "percent argument 'x' isn't numeric"},
		{"B", nil, "set-emergency-limit r 101", 2, nil, "percent argument '101' isn't between 0 and 100%"},
		{"B", nil, "get-emergency-limit r", 1, nil, "cannot read symlink '/mars/resource-r/todo-B/emergency-limit'"},
		{"B", nil, "delete-resource r", 1, nil, "resource 'r' is not empty: first remove the hosts 'A,B' via leave-resource"},
		{"B", nil, "verify r", 1, nil, "command 'verify' on resource 'r' cannot be used with MARS (might affect too many hosts, lead to undesired consequences)"},
	}
}

// TestSaid holds the words of the original, command by command.
func TestSaid(t *testing.T) {
	for _, w := range senselessWords() {
		checkSaid(t, saidRow{"B", nil, w.name + " r", 0, said("ignoring command '" + w.name + "' on resource 'r'"), ""})
	}
	for _, w := range pointlessWords() {
		checkSaid(t, saidRow{"B", nil, w.name + " r", 0, said("command '" + w.name + "' makes no sense with MARS (ignoring on resource 'r'"), ""})
	}
	for _, row := range slices.Concat(clusterSaid(), resourceSaid(), switchSaid(), logSaid(), lookSaid()) {
		checkSaid(t, row)
	}
}

func checkSaid(t *testing.T, row saidRow) {
	t.Helper()
	s := newSys(t, "A")
	if row.host != "" {
		s = newPair(t, row.host)
	}
	if row.prep != nil {
		row.prep(s)
	}
	code := s.adm(row.line)
	rest := s.out.String()
	for _, text := range row.out {
		_, behind, ok := strings.Cut(rest, text)
		if !ok {
			t.Errorf("marsadm %s on %s does not say %q in its place:\n%s", row.line, row.host, text, s.out.String())
		}
		rest = behind
	}
	if code != row.code || !strings.Contains(s.err.String(), row.err) || code != 0 && !strings.Contains(s.err.String(), "DYING: ") {
		t.Errorf("marsadm %s on %s: exit status %d, expected %d and %q; found\n%s%s", row.line, row.host, code, row.code, row.err, s.out.String(), s.err.String())
	}
}
