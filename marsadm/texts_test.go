// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"
	"testing"
)

// textRow is what a command of the manual says and writes; scripts look for it.
type textRow struct {
	host string
	set  []string // links before
	line string
	code int
	out  string   // on stdout
	err  string   // on stderr
	has  []string // links afterwards
}

func textRows() []textRow {
	off := func(key string) []string { return []string{"resource-r/todo-B/" + key, "0"} }
	replica := "resource-r/todo-B/"
	return []textRow{
		{"B", nil, "resume-sync r", 0, "resume-sync on resource r is already activated", "", nil},
		{"B", nil, "pause-sync r", 0, "successfully started pause-sync on resource r", "", off("sync")},
		{"B", off("sync"), "pause-sync-local r", 0, "successfully started pause-sync-local on resource r", "", off("sync")},
		{"B", off("sync"), "resume-sync r", 0, "successfully started resume-sync on resource r", "", []string{replica + "sync", "1"}},
		{"B", nil, "pause-replay r", 0, "successfully started pause-replay on resource r", "", off("allow-replay")},
		{"B", nil, "disconnect r", 0, "successfully started disconnect on resource r", "", off("connect")},
		{"B", off("connect"), "connect r", 0, "successfully started connect on resource r", "", []string{replica + "connect", "1"}},
		{"A", nil, "pause-replay-global r", 0, "successfully started pause-replay-global on resource r\nsuccessfully started pause-replay-global on resource r\n", "",
			[]string{"resource-r/todo-A/allow-replay", "0", replica + "allow-replay", "0"}},
		{"B", nil, "down r --timeout=0", 0, "successfully started pause-sync on resource r\nsuccessfully started disconnect on resource r\nsuccessfully started pause-replay on resource r\nsuccessfully started detach on resource r\n", "",
			[]string{replica + "sync", "0", replica + "connect", "0", replica + "allow-replay", "0", replica + "attach", "0"}},
		{"B", nil, "up r", 0, "attach on resource r is already activated\nconnect on resource r is already activated\nresume-replay on resource r is already activated\nresume-sync on resource r is already activated\n", "", nil},
		{"A", nil, "primary r", 0, "host 'A' is the designated primary of resource 'r' already", "", []string{"resource-r/primary", "A"}},
		{"B", []string{"resource-r/syncstatus-B", "4096"}, "primary r", 1, "", "sync has not yet finished, only 4096 / 65536000 bytes transferred", []string{"resource-r/primary", "A"}},
		{"B", []string{"resource-r/actual-A/open-count", "2"}, "primary r", 1, "", "first you must umount/close the device (on host 'A')", []string{"resource-r/primary", "A"}},
		{"B", []string{"resource-r/actual-A/open-count", "2"}, "primary r", 1, "", "WARNING: device '/dev/mars/r' for resource 'r' is 2 times in use on primary host 'A'", nil},
		{"B", []string{"resource-r/actual-A/open-count", "2"}, "primary r --force --timeout=0", 0, "designated primary changed from 'A' to 'B'", "Using FORCE option", []string{"resource-r/primary", "B"}},
		{"A", nil, "secondary r --timeout=0", 0, "designated primary changed from 'A' to '(none)'", "", []string{"resource-r/primary", "(none)"}},
		{"A", []string{"resource-r/actual-A/open-count", "1"}, "secondary r --timeout=0", 1, "", "device '/dev/mars/r' for resource 'r' is 1 times in use", []string{"resource-r/primary", "A"}},
		{"B", nil, "secondary r", 0, "host 'B' is not the designated primary", "", []string{"resource-r/primary", "A"}},
		{"B", nil, "log-delete r", 0, "no logfiles are deletable.", "", nil},
		{"B", nil, "log-delete-all r", 0, "no logfiles are deletable.", "", nil},
		{"B", nil, "log-rotate r", 1, "", "for operation 'log-rotate', I also must be the designated primary", nil},
		{"B", nil, "log-rotate all", 0, "skipping resource r: for operation 'log-rotate'", "", nil},
		{"A", []string{"resource-r/actsize-A", "98304000", "resource-r/actsize-B", "81920000"}, "resize r", 0, "old_size=65536000 min_size=81920000 new_size=81920000", "", []string{"resource-r/size", "81920000", "resource-r/syncstatus-A", "81920000"}},
		{"A", []string{"resource-r/actsize-A", "98304000", "resource-r/actsize-B", "81920000"}, "resize r 81924096", 1, "", "new size 81924096 is higher than the minimum size of all volumes 81920000", []string{"resource-r/size", "65536000"}},
		{"B", nil, "wait-umount r", 0, "OK, device for resource 'r' is not in use.", "", nil},
		{"B", []string{"resource-r/actual-A/open-count", "3"}, "wait-umount r --timeout=1", 1, "device for resource 'r' is 3 times in use somewhere", "Timeout reached. You may retry with --timeout=-1", nil},
		{"B", nil, "wait-resource r is-attach", 0, "", "", nil},
		{"B", nil, "wait-resource r primary-off", 0, "", "", nil},
		{"B", nil, "wait-resource r device-off", 0, "", "", nil},
		{"B", nil, "wait-resource r is-attach-off --timeout=1", 1, "", "Timeout reached.", nil},
		{"B", nil, "wait-cluster --timeout=1", 1, "", "0 peer(s) seem to be alive, and 2 peer(s) seem to be dead / not reachable", nil},
		{"B", nil, "wait-cluster --timeout=1 --force", 0, "", "seem to be dead / not reachable", nil},
		{"B", nil, "wait-connect r --timeout=1", 1, "", "0 peer(s) seem to be alive, and 1 peer(s) seem to be dead / not reachable", nil},
		{"B", nil, "syncer r", 0, "ignoring command 'syncer' on resource 'r'", "", nil},
		{"B", nil, "adjust all", 0, "ignoring command 'adjust' on resource 'r'", "", nil},
		{"B", nil, "create-md r", 0, "command 'create-md' makes no sense with MARS (ignoring on resource 'r'", "", nil},
		{"B", nil, "new-current-uuid r", 0, "command 'new-current-uuid' makes no sense with MARS (ignoring on resource 'r'", "", nil},
		{"B", nil, "invalidate-remote r", 1, "", "command 'invalidate-remote' on resource 'r' cannot be used with MARS", nil},
		{"B", nil, "leave-resource r", 1, "", "its disk must be detached", []string{"resource-r/data-B", "/dev/disk"}},
		{"B", nil, "join-resource r /dev/disk", 1, "", "has been already joined", nil},
		{"B", nil, "create-resource all /dev/disk", 2, "", "you must explicitly name a single new resource", nil},
		{"B", nil, "pause-sync r --host=A", 0, "ATTENTION: acting as if I were host 'A'", "WARNING: some commands require local knowledge not available here.\nWARNING: thus something may fail or go wrong - use this at your risk!\n", []string{"resource-r/todo-A/sync", "0", replica + "sync", "1"}},
		{"B", nil, "force-pause-sync r", 0, "successfully started pause-sync on resource r", "Using FORCE option", off("sync")},
		{"B", nil, "pause-sync r --verbose", 0, "created symlink '/mars/resource-r/todo-B/sync' -> '0'", "", nil},
		{"B", nil, "show-errors r", 0, "no errors/warnings are reported.", "", nil},
		{"B", nil, "show-info r", 0, "", "", nil},
		{"B", nil, "set-link v /mars/uuid", 1, "", "must be inside /mars/userspace/ or /mars/resource-*/userspace/", nil},
		{"C", nil, "pause-sync all", 0, "I am not member of any resource", "", nil},
		{"B", nil, "show r", 0, "ips/ip-B=192.0.2.2\nresource-r/device-B=r\nresource-r/primary=A\nresource-r/size=65536000\nresource-r/actsize-B=65536000\nresource-r/syncstatus-B=65536000\nresource-r/replay-B=log-000000001-A,500,0\n", "", nil},
	}
}

func TestTexts(t *testing.T) {
	for _, row := range textRows() {
		t.Run(row.host+"/"+row.line, func(t *testing.T) {
			s := newPair(t, row.host)
			if row.set != nil {
				s.set(row.set...)
			}
			code := s.adm(row.line)
			if code != row.code || !strings.Contains(s.out.String(), row.out) || !strings.Contains(s.err.String(), row.err) || code != 0 && !strings.Contains(s.err.String(), "DYING: ") {
				t.Errorf("exit status %d, expected %d, %q and %q; found\n%s%s", code, row.code, row.out, row.err, s.out.String(), s.err.String())
			}
			s.has(row.has...)
		})
	}
}
