// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"encoding/json"
	"strings"
	"testing"

	"mars/infra/symtree"

	"github.com/google/go-cmp/cmp"
)

const second = int64(1e9)

// begun is when the test trees were made.
const begun = 1_000_000 * second

// pairTree is a resource r of A (primary) and B (secondary), with 500 bytes
// logged and applied.
func pairTree() *symtree.Tree {
	t := symtree.New()
	set(t, "uuid", "u", "ips/ip-A", "192.0.2.1", "ips/ip-B", "192.0.2.2", "alive-A", "1", "alive-B", "1", "time-A", "1.0", "time-B", "1.0",
		"emergency-A", "0", "rest-space-A", "-3", "resource-r/size", "4096", "resource-r/primary", "A", "resource-r/actual-A/is-primary", "1",
		"resource-r/actual-A/device-r", "1")
	for _, h := range []string{"A", "B"} {
		for _, kv := range [][2]string{
			{"data-$", "/dev/disk"}, {"device-$", "r"}, {"replay-$", "log-000000001-A,500,0"}, {"syncstatus-$", "4096"}, {"actsize-$", "8192"},
			{"version-000000001-$", symtree.VersionValue(1, "A", 500, "")}, {"todo-$/attach", "1"}, {"todo-$/connect", "1"}, {"todo-$/sync", "1"},
			{"todo-$/allow-replay", "1"}, {"actual-$/is-attached", "1"},
		} {
			set(t, "resource-r/"+strings.ReplaceAll(kv[0], "$", h), kv[1])
		}
	}
	return t
}

func set(t *symtree.Tree, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		t.SetLink(pairs[i], pairs[i+1], begun)
	}
}

// in sets links of resource r.
func in(t *symtree.Tree, pairs ...string) *symtree.Tree {
	for i := 0; i < len(pairs); i += 2 {
		set(t, "resource-r/"+pairs[i], pairs[i+1])
	}
	return t
}

func longer(n int64) string { return symtree.VersionValue(1, "A", n, "") }

func running(t *symtree.Tree, host string) *Status {
	s := Of(t, host, host, nil)
	s.Running = true
	return s
}

func TestOf(t *testing.T) {
	s := running(pairTree(), "B")
	if s.Cluster != "u" || len(s.Hosts) != 2 || s.Newest != "1000000.000000000" {
		t.Errorf("%+v", s)
	}
	later := pairTree()
	later.SetLink("resource-r/todo-B/sync", "1", 2e15)
	if s := running(later, "B"); s.Newest != "1000000.000000000" {
		t.Errorf("newest %s of the cluster", s.Newest)
	}
	a, b := s.FindHost("A"), s.FindHost("B")
	if a.Alive != "yes" || a.RestSpace == nil || *a.RestSpace != -3 || b.RestSpace != nil || a.LastHeard != "1000000.000000000" {
		t.Errorf("hosts %+v %+v", a, b)
	}
	r := s.Resource("r")
	if r.Reference != "A" || r.End.Pos != 500 || r.End.Log != "log-000000001-A" || r.SplitBrain || len(r.Primaries) != 1 {
		t.Errorf("%+v", r)
	}
	m := r.Member("B")
	if !m.UpToDate() || m.Disk.State != "UpToDate" || m.Disk.Size != 8192 || m.Lag != 0 || m.Fetched != 0 || !m.Local {
		t.Errorf("%+v", m)
	}
	if m := r.Member("A"); m.Fetched.Known() || !m.Device.Present || m.Local {
		t.Errorf("%+v", m)
	}
	tree := pairTree()
	set(tree, "actual-B/devices", "no recovery")
	if got := running(tree, "A").FindHost("B").Devices; got != "no recovery" || b.Devices != "" {
		t.Errorf("devices %q, before %q", got, b.Devices)
	}
	if s.Resource("q") != nil || r.Member("C") != nil || s.FindHost("C") != nil {
		t.Error("found what is not there")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	s := running(in(pairTree(), "version-000000001-A", "rubbish", "actual-B/msg-disk", "broken"), "A")
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"lag_bytes":null`) || !strings.Contains(string(text), `"messages":[{"name":"disk","text":"broken"}]`) {
		t.Errorf("%s", text)
	}
	var back Status
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	var a Amount
	if a.UnmarshalJSON([]byte(`"x"`)) == nil {
		t.Error("a text was taken for an amount")
	}
}

// TestSchema holds the names of the fields of version 1: others may be added,
// but none may change without a new version.
func TestSchema(t *testing.T) {
	text, err := json.Marshal(running(pairTree(), "B"))
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				names[prefix+k] = true
				walk(prefix+k+".", x)
			}
		case []any:
			for _, x := range v {
				walk(prefix, x)
			}
		}
	}
	walk("", v)
	for _, n := range strings.Fields(`schema version host cluster marsd_running insecure_network newest_stamp hosts hosts.name hosts.address
		hosts.alive hosts.last_heard hosts.devices_note hosts.emergency_level hosts.rest_space_gib hosts.tree_version resources resources.name
		resources.size_bytes resources.designated_primary resources.actual_primaries resources.reference resources.reference_end
		resources.reference_end.log resources.reference_end.log_number resources.reference_end.position resources.split_brain
		resources.members resources.members.host resources.members.local resources.members.designated resources.members.primary
		resources.members.disk.state resources.members.disk.path resources.members.disk.size_bytes resources.members.disk.attached
		resources.members.device.name resources.members.device.present resources.members.device.open_count
		resources.members.switches.attach resources.members.switches.fetch resources.members.switches.sync resources.members.switches.replay
		resources.members.sync.active resources.members.sync.done_bytes resources.members.sync.total_bytes
		resources.members.sync.rate_bytes_per_second resources.members.sync.from resources.members.sync.passed
		resources.members.fetch.active resources.members.fetch.rate_bytes_per_second resources.members.replay.active
		resources.members.replay.rate_bytes_per_second resources.members.replay.log resources.members.replay.log_number
		resources.members.replay.position resources.members.replay.known resources.members.replay.dirty_bytes resources.members.replay.code
		resources.members.lag_bytes resources.members.fetched_ahead_bytes resources.members.lag_seconds resources.members.splits
		resources.members.why resources.members.messages resources.members.emergency_mode`) {
		if !names[n] {
			t.Errorf("field %s is gone", n)
		}
	}
}

func TestExplain(t *testing.T) {
	for name, c := range map[string]struct {
		host    string
		set     []string // of resource r
		cluster []string
		command string // next; empty: healthy
		on      string
		text    string // of the last fact
		later   int64  // seconds after all signs of life
	}{
		"up to date":        {host: "B", text: "up to date"},
		"primary":           {host: "A", text: "nothing stands in the way"},
		"a minute later":    {host: "B", later: SilentAfter, text: "up to date"},
		"primary silent":    {host: "B", later: SilentAfter + 1, command: "marsadm explain r", on: "A", text: "nothing has been heard of A, the designated primary, for 61 seconds"},
		"member silent":     {host: "A", later: 3600, command: "marsadm explain r", on: "B", text: "nothing has been heard of B, a member, for 3600 seconds"},
		"said that it goes": {host: "B", later: 3600, cluster: []string{"alive-A", "0"}, command: "marsd run", on: "A", text: "marsd on A is down"},
		"no member":         {host: "C", command: "marsadm join-resource r DISK", on: "C", text: "has not joined"},
		"detached":          {host: "B", set: []string{"todo-B/attach", "0"}, command: "marsadm attach r", on: "B", text: "detached"},
		"detached, torn":    {host: "B", set: []string{"todo-B/attach", "0", "actual-B/is-attached", "0", "replay-B", "log-000000001-A,100,300"}, command: "marsadm attach r", on: "B", text: "300 bytes of logs behind its position"},
		"not attached":      {host: "B", set: []string{"actual-B/is-attached", "0", "actual-B/why", "no such file"}, command: "marsadm show-errors r", on: "B", text: "no such file"},
		"split":             {host: "B", set: []string{"actual-B/split-brain", "two follow"}, command: "marsadm invalidate r", on: "B", text: "two follow"},
		"peer is split":     {host: "A", set: []string{"actual-B/split-brain", "two follow"}, command: "marsadm invalidate r", on: "B", text: "two follow"},
		"device in use":     {host: "A", set: []string{"primary", "B", "actual-A/open-count", "2"}, command: "marsadm wait-umount r", on: "A", text: "open (2 times)"},
		"leaves":            {host: "A", set: []string{"primary", "B"}, text: "about to become secondary"},
		"no device":         {host: "A", set: []string{"actual-A/device-r", "0", "actual-A/why", "no ublk"}, command: "marsadm show-errors r", on: "A", text: "no ublk"},
		"becomes primary":   {host: "B", set: []string{"primary", "B"}, text: "about to become primary"},
		"can not become":    {host: "B", set: []string{"primary", "B", "actual-B/why", "inconsistent"}, command: "marsadm status r", on: "B", text: "inconsistent"},
		"nobody designated": {host: "B", set: []string{"primary", "(none)"}, command: "marsadm primary r", on: "A", text: "no primary is designated"},
		"stranger":          {host: "B", set: []string{"primary", "C"}, command: "marsadm status", on: "B", text: "not in the cluster"},
		"down":              {host: "B", cluster: []string{"alive-A", "0"}, command: "marsd run", on: "A", text: "down"},
		"peer down":         {host: "A", set: []string{"version-000000001-A", longer(700)}, cluster: []string{"alive-B", "0"}, command: "marsd run", on: "B", text: "B is behind"},
		"peer paused":       {host: "A", set: []string{"version-000000001-A", longer(700), "todo-B/connect", "0"}, command: "marsadm up r", on: "B", text: "paused"},
		"peer detached":     {host: "A", set: []string{"version-000000001-A", longer(700), "todo-B/attach", "0"}, command: "marsadm up r", on: "B", text: "detached"},
		"peer is stuck":     {host: "A", set: []string{"version-000000001-A", longer(700), "actual-B/why", "damaged"}, command: "marsadm explain r", on: "B", text: "damaged"},
		"sync paused":       {host: "B", set: []string{"syncstatus-B", "1024", "todo-B/sync", "0"}, command: "marsadm resume-sync r", on: "B", text: "1024 of 4096"},
		"sync stands":       {host: "B", set: []string{"syncstatus-B", "1024"}, command: "marsadm wait-cluster", on: "B", text: "no reason"},
		"sync runs":         {host: "B", set: []string{"syncstatus-B", "1024", "actual-B/is-syncing", "1", "actual-B/sync_rate", "3"}, text: "3072 bytes/s"},
		"fetch off":         {host: "B", set: []string{"version-000000001-A", longer(700), "todo-B/connect", "0"}, command: "marsadm connect r", on: "B", text: "200 bytes"},
		"fetch off, level":  {host: "B", set: []string{"todo-B/connect", "0"}, command: "marsadm connect r", on: "B", text: "all that is known"},
		"fetch fails":       {host: "B", set: []string{"version-000000001-A", longer(700), "actual-B/why", "no route"}, command: "marsadm show-errors r", on: "B", text: "not fetched: no route"},
		"replay off":        {host: "B", set: []string{"version-000000001-A", longer(700), "todo-B/allow-replay", "0"}, command: "marsadm resume-replay r", on: "B", text: "paused"},
		"replay off, level": {host: "B", set: []string{"todo-B/allow-replay", "0"}, command: "marsadm resume-replay r", on: "B", text: "will not be applied"},
		"replay damaged":    {host: "B", set: []string{"actual-B/replay-code", "-1", "actual-B/why", "bad checksum"}, command: "marsadm invalidate r", on: "B", text: "bad checksum"},
		"replay stops":      {host: "B", set: []string{"version-000000001-A", longer(700), "actual-B/is-replaying", "1", "actual-B/why", "replay stopped: bad checksum"}, command: "marsadm invalidate r", on: "B", text: "bad checksum. The log is fetched again"},
		"outdated":          {host: "B", set: []string{"version-000000001-A", longer(700), "actual-B/why", "outdated: a hole"}, command: "marsadm invalidate r", on: "B", text: "a hole"},
		"peer is outdated":  {host: "A", set: []string{"version-000000001-A", longer(700), "actual-B/why", "outdated: a hole"}, command: "marsadm invalidate r", on: "B", text: "a hole"},
		"disk is ill":       {host: "B", set: []string{"actual-B/disk-error", "input/output error"}, command: "marsadm show-errors r", on: "B", text: "input/output error"},
		"peer's disk":       {host: "A", set: []string{"version-000000001-A", longer(700), "actual-B/disk-error", "input/output error"}, command: "marsadm show-errors r", on: "B", text: "input/output error"},
		"replaying":         {host: "B", set: []string{"version-000000001-A", longer(700), "actual-B/is-replaying", "1"}, text: "on its way"},
		"unknown distance":  {host: "B", set: []string{"version-000000001-A", "rubbish"}, text: "not known"},
		"not healed":        {host: "B", set: []string{"syncpos-B", "log-000000001-A,501,0"}, text: "on its way"},
		"emergency":         {host: "B", cluster: []string{"emergency-B", "1"}, command: "marsadm log-delete-all all", on: "B", text: "level 1"},
		"emergency 2":       {host: "B", cluster: []string{"emergency-B", "2"}, command: "marsadm log-delete-all all", on: "B", text: "level 2): logs are not fetched any more until there is space, and those that were applied here are removed"},
		"emergency 3":       {host: "B", cluster: []string{"emergency-B", "3"}, command: "marsadm log-delete-all all", on: "B", text: "level 3): logs are not fetched any more until there is space, and those that were applied here are removed"},
		"emergency 4":       {host: "B", cluster: []string{"emergency-B", "4"}, command: "marsadm log-delete-all all", on: "B", text: "level 4): logs are not fetched"},
		"filling":           {host: "A", cluster: []string{"emergency-A", "2"}, text: "nothing stands in the way"},
		"logs are removed":  {host: "A", cluster: []string{"emergency-A", "3"}, command: "marsadm log-delete-all all", on: "A", text: "members that are behind must be invalidated"},
		"own limit":         {host: "A", set: []string{"actual-A/has-emergency", "1"}, command: "marsadm log-delete-all all", on: "A", text: "emergency mode of this resource"},
		"jammed":            {host: "A", cluster: []string{"emergency-A", "4"}, command: "marsadm log-delete-all all", on: "A", text: "jammed"},
	} {
		t.Run(name, func(t *testing.T) {
			tree := in(pairTree(), c.set...)
			set(tree, c.cluster...)
			e := Explain(running(tree, c.host), "r", begun+c.later*1e9)
			last := e.Facts[len(e.Facts)-1]
			if e.Command != c.command || e.On != c.on || !strings.Contains(last.Text, c.text) || e.Healthy != (c.command == "") || last.OK != e.Healthy {
				t.Errorf("expected %q on %q, %q; found %+v", c.command, c.on, c.text, e)
			}
		})
	}
	s := Of(pairTree(), "B", "B", nil)
	if e := Explain(s, "r", begun); e.Command != "marsd run" || e.Healthy {
		t.Errorf("no marsd: %+v", e)
	}
	s.Running = true
	if e := Explain(s, "q", begun); e.Command != "marsadm status" || e.Healthy {
		t.Errorf("no resource: %+v", e)
	}
}

// Each chain ends: whatever single link is wrong, there is a last fact, and a
// command if and only if that is a bad one.
func TestExplainAnything(t *testing.T) {
	base := pairTree()
	for _, it := range base.Items() {
		if it.Kind != symtree.Link {
			continue
		}
		for _, v := range []string{"", "0", "1", "-7", "(none)", "rubbish"} {
			tree := base.Clone()
			tree.Delete(it.Path)
			if v != "" {
				tree.SetLink(it.Path, v, begun)
			}
			for _, host := range []string{"A", "B", "C"} {
				s := running(tree, host)
				e := Explain(s, "r", begun)
				if len(e.Facts) == 0 || e.Healthy == (e.Command != "") || e.Healthy != e.Facts[len(e.Facts)-1].OK {
					t.Errorf("%s -> %q at %s: %+v", it.Path, v, host, e)
				}
				if _, err := Diff(nil, s, begun); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func TestDiff(t *testing.T) {
	old := running(pairTree(), "B")
	for name, c := range map[string]struct {
		change func(*symtree.Tree)
		want   []string // event object resource/host: fields | alerts
	}{
		"nothing":      {func(*symtree.Tree) {}, nil},
		"sign of life": {func(t *symtree.Tree) { t.SetLink("time-A", "2.0", begun+second) }, nil},
		"down":         {func(t *symtree.Tree) { set(t, "alive-A", "0") }, []string{"change host /A: alive | marsd is down"}},
		"emergency":    {func(t *symtree.Tree) { set(t, "emergency-B", "2") }, []string{"change host /B: emergency_level | emergency level 2"}},
		"paused":       {func(t *symtree.Tree) { in(t, "todo-B/sync", "0") }, []string{"change member r/B: switches | "}},
		"damage": {func(t *symtree.Tree) { in(t, "actual-B/replay-code", "-1", "actual-B/msg-log", "bad") },
			[]string{"change member r/B: messages replay | replay stopped with code -1 log: bad"}},
		"leaves": {func(t *symtree.Tree) { t.Delete("resource-r/data-B") }, []string{"destroy member r/B:  | "}},
		"joins": {func(t *symtree.Tree) { in(t, "data-C", "/dev/x") },
			[]string{"exists member r/C:  | "}},
		"gone": {func(t *symtree.Tree) { t.Replace("resource-r", symtree.New()); t.Delete("resource-r") },
			[]string{"destroy resource r/:  | ", "destroy member r/A:  | ", "destroy member r/B:  | "}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := pairTree()
			c.change(tree)
			list, err := Diff(old, running(tree, "B"), tree.Newest())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, e.Event+" "+e.Object+" "+e.Resource+"/"+e.Host+": "+strings.Join(e.Changed, " ")+" | "+strings.Join(e.Alerts, " "))
				if e.Stamp != stampText(tree.Newest()) || (e.Value == nil) != (e.Event == Destroy) || e.Schema != EventSchema || e.Version != EventVersion {
					t.Errorf("%+v", e)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// A disk that is smaller than the resource holds no version of it.
func TestTooSmallADisk(t *testing.T) {
	m := running(in(pairTree(), "actsize-B", "512"), "B").Resource("r").Member("B")
	if m.UpToDate() || m.Consistent() || m.Disk.State != "Inconsistent" {
		t.Errorf("%+v", m)
	}
}
