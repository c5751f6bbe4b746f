// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
)

func TestCreateResource(t *testing.T) {
	s := newMember(t, "A")
	s.must("create-resource mydata /dev/disk")
	at := "resource-mydata/"
	s.has(at+"size", "1048576", at+"primary", "A", at+"data-A", "/dev/disk", at+"device-A", "mydata", at+"syncstatus-A", "1048576",
		at+"replay-A", "log-000000001-A,0,0", at+"version-000000001-A", strings.Repeat("0", 32)+",log-000000001-A,0:",
		at+"todo-A/attach", "1", at+"todo-A/connect", "1", at+"todo-A/sync", "1", at+"todo-A/allow-replay", "1", at+"connect-A", "")
	for _, dir := range []string{"userspace", "defaults", "defaults-A", "local-A", "actual-A", "todo-A", "log-000000001-A"} {
		if !s.tree().Exists(at + dir) {
			t.Errorf("no %s", dir)
		}
	}
	stamps := map[int64]bool{}
	s.tree().WalkDir("resource-mydata", func(path string, e symtree.Entry) bool {
		if e.Kind == symtree.Link {
			stamps[e.Stamp] = true
		}
		return true
	})
	if len(stamps) != 2 { // the membership has one of its own
		t.Errorf("%d stamps, expected two common ones", len(stamps))
	}
	if len(s.triggers) != 2 || s.triggers[0] != 2 {
		t.Errorf("triggers %v", s.triggers)
	}
	s.refused("create-resource mydata /dev/disk", 1, "already exists")
	s.refused("create-resource mydata /dev/disk --force", 1, "already exists")
}

func TestCreateResourceArguments(t *testing.T) {
	for line, want := range map[string][2]string{ // size, device name
		"create-resource r /dev/disk other":      {"1048576", "other"},
		"create-resource r /dev/disk other 512k": {"524288", "other"},
		"create-resource r /dev/disk 512K":       {"524288", "r"},
		"create-resource r /dev/odd":             {"1048576", "r"},
		"force-create-resource r /dev/disk":      {"1048576", "r"},
	} {
		s := newMember(t, "A")
		s.disks["/dev/odd"] = 1<<20 + 512
		s.must(line)
		s.has("resource-r/size", want[0], "resource-r/device-A", want[1])
	}
}

func TestCreateResourceRefusals(t *testing.T) {
	for _, c := range []struct {
		line string
		code int
		text string
	}{
		{"create-resource", 2, "resource argument is missing"},
		{"create-resource r", 2, "argument is missing"},
		{"create-resource 1r /dev/disk", 2, "disallowed characters"},
		{"create-resource ../r /dev/disk", 2, "disallowed characters"},
		{"create-resource all /dev/disk", 2, "Cannot combine"},
		{"create-resource r disk", 2, "is not an absolute path"},
		{"create-resource r /dev/busy", 1, "cannot open device '/dev/busy' for exclusive rw access"},
		{"create-resource r /dev/disk a/b", 2, "disallowed characters"},
		{"create-resource r /dev/disk x 2m", 1, "is larger than device size '1048576'"},
		{"create-resource r /dev/disk x 5000", 2, "is not a multiple of 4k"},
		{"create-resource r /dev/disk x y", 2, "size argument 'y' must be a number"},
		{"create-resource r /dev/disk x 4k", 1, "implausible size 4096"},
		{"create-resource r /dev/disk there", 1, "exists already"},
		{"create-resource r /dev/disk taken", 1, "already present in joined resource 'other'"},
		{"create-resource r /dev/disk --host=B", 2, "can not be combined"},
		{"create-resource old /dev/disk", 1, "still has remains"},
	} {
		t.Run(c.line, func(t *testing.T) {
			s := newMember(t, "A")
			s.devices["there"] = true
			s.set("resource-other/data-A", "/dev/x", "resource-other/device-A", "taken", "resource-old/replay-B", "log-000000007-B,1,0")
			s.refused(c.line, c.code, c.text)
		})
	}
	s := newMember(t, "A")
	s.loaded = false
	s.refused("create-resource r /dev/disk", 1, "no marsd is running")
	s.loaded = true
	s.remove("ips/ip-A")
	s.refused("create-resource r /dev/disk", 1, "host 'A' is not a member of this cluster")
}

// A name that was used before gets numbers that were not.
func TestCreateResourceAgain(t *testing.T) {
	s := newMember(t, "A")
	s.set("resource-r/maxnr", "7", "todo-global/delete-000000003-B", "/mars/resource-r/log-000000012-B")
	s.must("create-resource r /dev/disk")
	s.has("resource-r/replay-A", "log-000000013-A,0,0", "resource-r/version-000000013-A", symtree.InitialVersion(13, "A"))
}

// newJoin is B, which has heard of a resource r of A at log 2.
func newJoin(t *testing.T) *fakeSys {
	s := newMember(t, "B")
	v1 := symtree.VersionValue(1, "A", 900, "")
	s.set("resource-r/size", "1048576", "resource-r/primary", "A", "resource-r/data-A", "/dev/x", "resource-r/device-A", "r",
		"resource-r/replay-A", "log-000000002-A,77,3", "resource-r/version-000000001-A", v1,
		"resource-r/version-000000002-A", symtree.VersionValue(2, "A", 80, v1))
	return s
}

func TestJoinResource(t *testing.T) {
	s := newJoin(t)
	s.must("join-resource r /dev/disk")
	at := "resource-r/"
	s.has(at+"data-B", "/dev/disk", at+"device-B", "r", at+"syncstatus-B", "0", at+"syncfrom-B", "A", at+"replay-B", "log-000000002-A,0,0",
		at+"version-000000001-B", s.get(at+"version-000000001-A"), at+"version-000000002-B", "", at+"connect-B", "A", at+"connect-A", "B",
		at+"todo-B/attach", "1", at+"todo-B/sync", "1", at+"primary", "A")
	s.refused("join-resource r /dev/disk", 1, "already joined")
}

func TestJoinFirstLog(t *testing.T) {
	s := newJoin(t)
	s.set("resource-r/replay-A", "log-000000001-A,5,0", "resource-r/connect-A", "C")
	s.must("join-resource r /dev/disk dev")
	s.has("resource-r/replay-B", "log-000000001-A,0,0", "resource-r/version-000000001-B", "", "resource-r/connect-A", "C", "resource-r/device-B", "dev")
	if !strings.Contains(s.err.String(), "the device is called 'r' on host 'A'") {
		t.Errorf("no warning about the name: %s", s.err.String())
	}
}

// The predecessor's version link may still be on its way.
func TestJoinWaitsForVersion(t *testing.T) {
	s := newJoin(t)
	v := s.get("resource-r/version-000000001-A")
	s.remove("resource-r/version-000000001-A")
	s.refused("join-resource r /dev/disk", 1, timeoutText)
	s.refused("join-resource r /dev/disk --timeout=0", 1, "has not yet arrived")
	s.react = func() { s.set("resource-r/version-000000001-A", v); s.react = nil }
	s.must("join-resource r /dev/disk")
	s.has("resource-r/version-000000001-B", v)
}

func TestJoinRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(s *fakeSys)
		line  string
		text  string
	}{
		"no such":    {func(s *fakeSys) {}, "join-resource q /dev/disk", "resource 'q' does not exist"},
		"small":      {func(s *fakeSys) { s.disks["/dev/disk"] = 4096 }, "join-resource r /dev/disk", "size of new device is only 4096, but should be 1048576"},
		"busy":       {func(s *fakeSys) {}, "join-resource r /dev/busy", "exclusive rw access"},
		"no size":    {func(s *fakeSys) { s.remove("resource-r/size") }, "join-resource r /dev/disk", "cannot read symlink '/mars/resource-r/size'"},
		"impossible": {func(s *fakeSys) { s.set("resource-r/primary", "B") }, "join-resource r /dev/disk", "implausible state"},
		"nobody":     {func(s *fakeSys) { s.remove("resource-r/data-A") }, "join-resource r /dev/disk", "no primary to join to"},
		"damaged":    {func(s *fakeSys) { s.set("resource-r/replay-A", "rubbish") }, "join-resource r /dev/disk", "is not parsable"},
		"no name":    {func(s *fakeSys) { s.set("resource-r/primary", "a b") }, "join-resource r /dev/disk", "is damaged"},
		"never":      {func(s *fakeSys) { s.set("resource-r/primary", "(none)"); s.remove("resource-r/data-A") }, "join-resource r /dev/disk", "no member that has logs"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newJoin(t)
			c.spoil(s)
			s.refused(c.line, 1, c.text)
		})
	}
}

// Links travel one by one: what has not arrived yet is waited for.
func TestJoinWaitsForTheRest(t *testing.T) {
	for _, late := range []string{"size", "primary", "data-A", "replay-A", "version-000000001-A"} {
		t.Run(late, func(t *testing.T) {
			s := newJoin(t)
			path := "resource-r/" + late
			value := s.get(path)
			s.remove(path)
			s.refused("join-resource r /dev/disk", 1, timeoutText)
			s.refused("join-resource r /dev/disk --timeout=0", 1, "DYING")
			s.react = func() { s.set(path, value); s.react = nil }
			s.must("join-resource r /dev/disk")
			s.has("resource-r/data-B", "/dev/disk", "resource-r/syncfrom-B", "A")
		})
	}
}

// Without a designated primary one joins to whoever wrote the newest log.
func TestJoinWithoutPrimary(t *testing.T) {
	s := newJoin(t)
	s.set("resource-r/primary", "(none)", "resource-r/data-C", "/dev/x", "resource-r/replay-C", "log-000000001-A,900,0")
	s.must("join-resource r /dev/disk")
	s.has("resource-r/syncfrom-B", "A")
}

func TestLeaveResource(t *testing.T) {
	s := newPair(t, "B")
	s.refused("leave-resource r", 1, "its disk must be detached")
	s.set("resource-r/todo-B/attach", "0")
	s.refused("leave-resource r", 1, timeoutText)
	s.set("resource-r/actual-B/is-attached", "0", "resource-r/connect-A", "B", "resource-r/connect-B", "C", "resource-r/syncpos-B", "log-000000001-A,5,0")
	s.file("resource-r/log-000000002-B", 10)
	s.must("leave-resource r")
	s.has("resource-r/connect-A", "C")
	want := []string{"data-B", "connect-B", "replay-B", "syncstatus-B", "syncpos-B", "device-B", "actsize-B", "todo-B", "actual-B", "version-000000001-B"}
	for i := range want {
		want[i] = "resource-r/" + want[i]
	}
	if got := s.targets(); !slices.Equal(got, want) {
		t.Errorf("orders for %v, expected %v", got, want)
	}
	if s.get("todo-global/delete-000000002-B") != "/mars/resource-r/data-B" {
		t.Errorf("the first order is not number 2: %s", s.tree())
	}
}

func TestLeavePrimary(t *testing.T) {
	s := newPair(t, "A")
	s.refused("leave-resource r", 1, "cannot be executed on designated primary")
	s.refused("leave-resource r --force", 1, "cannot be executed on designated primary")
	b := newPair(t, "B")
	b.set("resource-r/primary", "B", "resource-r/actual-A/is-attached", "1")
	b.refused("leave-resource r --host=A", 1, timeoutText)
	b.must("leave-resource r --host=A --force")
	if got := b.targets(); !slices.Contains(got, "resource-r/replay-A") {
		t.Errorf("orders for %v", got)
	}
}

// A logfile that another member has not applied yet stays.
func TestLeaveKeepsLogsThatOthersNeed(t *testing.T) {
	for name, c := range map[string]struct {
		replayA, versionA string
		discard, needed   bool
	}{
		"passed":                  {"log-000000006-A,1,0", "", false, false},
		"standing in it":          {"log-000000005-B,1,0", "", true, true},
		"behind, begun":           {"log-000000004-B,1,0", symtree.VersionValue(5, "B", 3, ""), true, true},
		"behind, another branch":  {"log-000000004-B,1,0", symtree.VersionValue(5, "A", 3, ""), false, false},
		"behind, nobody began":    {"log-000000004-B,1,0", "", false, true},
		"behind, and it is given": {"log-000000004-B,1,0", "", true, false},
		"damaged":                 {"rubbish", "", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t, "B")
			s.set("resource-r/replay-A", c.replayA)
			if c.versionA != "" {
				s.set("resource-r/version-000000005-A", c.versionA)
			}
			j := &job{run: &run{sys: s, host: "B", tree: s.tree()}, res: "r"}
			if got := j.needed(5, c.discard); got != c.needed {
				t.Errorf("needed: %v, expected %v", got, c.needed)
			}
		})
	}
}

func TestResize(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actsize-A", "131072000", "resource-r/actsize-B", "98304000")
	s.refused("resize r 200m", 1, "is higher than the minimum size of all volumes 98304000")
	s.refused("resize r 61440k", 1, "only increases of the size are possible")
	s.refused("resize r big", 2, "must be a number")
	s.must("resize r 92000k")
	s.has("resource-r/size", "94208000", "resource-r/syncstatus-A", "94208000", "resource-r/syncstatus-B", "65536000")
	s.must("resize r")
	s.has("resource-r/size", "98304000")
	s.refused("resize r", 1, "only increases")
	s.remove("resource-r/actsize-B")
	s.refused("resize r", 1, "is not known")
	b := newPair(t, "B")
	b.refused("resize r", 1, "I need to be primary")
}
