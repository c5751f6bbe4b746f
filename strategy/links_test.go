package strategy

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
)

// daemonLinks are all links that the original's daemon writes, with the form
// of their values and what is to be seen after a sync and some replication:
// $ is a host, and who says on whose copy of the tree and for which hosts. The
// catalogue with their meanings is in the documentation of package symtree.
var daemonLinks = []struct {
	path, value string
	only        string // of these hosts; empty: of all
	local       bool   // it does not travel
}{
	{"alive-$", `1`, "", false},
	{"time-$", `\d+\.\d{9}`, "", false},
	{"tree-$", `0\.1`, "", false},
	{"emergency-$", `0`, "", false},
	{"rest-space-$", `\d+`, "", false},
	{"todo-global/deleted-$", `00000000[1-9]`, "", false},
	{"resource-r/actsize-$", `1048576`, "", false},
	{"resource-r/syncstatus-$", `1048576`, "", false},
	{"resource-r/verifystatus-$", `\d+,\d+`, "b", false},
	{"resource-r/syncpos-$", `log-00000000\d-a,\d+,\d+`, "b", false},
	{"resource-r/replay-$", `log-000000001-a,\d+,\d+`, "", false},
	{"resource-r/version-000000001-$", `[0-9a-f]{32},log-000000001-a,\d+:`, "", false},
	{"resource-r/actual-$/is-attached", `1`, "", false},
	{"resource-r/actual-$/is-primary", `1`, "a", false},
	{"resource-r/actual-$/is-primary", `0`, "b", false},
	{"resource-r/actual-$/open-count", `0`, "", false},
	{"resource-r/actual-$/is-replaying", `1`, "b", false},
	{"resource-r/actual-$/is-replaying", `0`, "a", false},
	{"resource-r/actual-$/is-copying", `1`, "b", false},
	{"resource-r/actual-$/is-copying", `0`, "a", false},
	{"resource-r/actual-$/is-syncing", `0`, "", false},
	{"resource-r/actual-$/replay_rate", `\d+`, "", false},
	{"resource-r/actual-$/file_rate", `\d+`, "", false},
	{"resource-r/actual-$/sync_rate", `0`, "", false},
	{"resource-r/actual-$/logfile-update", `1`, "b", false},
	{"resource-r/actual-$/logfile-update", `0`, "a", false},
	{"resource-r/actual-$/copy-syncstatus-$", `0`, "", false},
	{"resource-r/actual-$/device-r", `1`, "a", false},
	{"resource-r/actual-$/device-r", `0`, "b", false},
	{"resource-r/actual-$/replay-code", `0`, "", false},
	{"resource-r/actual-$/has-emergency", `0`, "", false},
	{"resource-r/actual-$/is-emergency", `0`, "", false},
	{"resource-r/actual-$/split-brain", `\(none\)`, "", false},
	{"resource-r/actual-$/disk-error", `\(none\)`, "", false},
	{"resource-r/actual-$/log-error", `\(none\)`, "", false},
	{"resource-r/actual-$/why", `.+`, "", false},
	{"resource-r/local-$/connection-fetch-a", `1`, "b", true},
}

// TestSimLinks: every one of them is there, on both hosts where it travels.
func TestSimLinks(t *testing.T) {
	w := newWorld(t, 11)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	w.RunFor(time.Second)
	if err := b.st.cfg.Tunables.Assign("show_connections", "1"); err != nil {
		t.Fatal(err)
	}
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
	b.join("a")
	a.write(w, 8192, 7)
	wait(t, w, "b to catch up", b.caughtUp("a"))
	order, err := symtree.NewOrder(a.tree(), "a", []string{symtree.UserspacePath("x")})
	if err != nil {
		t.Fatal(err)
	}
	a.set(order[0].Path, order[0].Value)
	missing := ""
	if err := w.Run(func() bool { missing = lackingLinks(t, hosts); return missing == "" }, time.Minute); err != nil {
		t.Errorf("%v\n%s", err, missing)
	}
}

// lackingLinks lists the links that are not as they should be.
func lackingLinks(t *testing.T, hosts []*simHost) string {
	t.Helper()
	bad := ""
	for _, seen := range hosts {
		tree := seen.tree()
		for _, l := range daemonLinks {
			for _, of := range hosts {
				if l.only != "" && l.only != of.Host() || l.local && seen != of {
					continue
				}
				path := strings.ReplaceAll(l.path, "$", of.Host())
				if v, _ := tree.Value(path); !regexp.MustCompile("^(" + l.value + ")$").MatchString(v) {
					bad += "on " + seen.Host() + ": " + path + " -> " + v + ", expected " + l.value + "\n"
				}
				if _, err := symtree.Parse(path); err != nil {
					bad += err.Error() + "\n"
				}
			}
		}
	}
	return bad
}

// TestSimDriven: what the original's marsadm writes moves these nodes: its
// switches, its word for no primary, its form of a deletion order.
func TestSimDriven(t *testing.T) {
	w := newWorld(t, 12)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	w.RunFor(time.Second)
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
	b.join("a")
	wait(t, w, "b to catch up", b.caughtUp("a"))
	for _, c := range []struct{ todo, value, actual, becomes string }{
		{"allow-replay", "0", "is-replaying", "0"}, {"allow-replay", "1", "is-replaying", "1"}, {"connect", "0", "is-copying", "0"}, {"connect", "1", "is-copying", "1"},
		{"attach", "0", "is-attached", "0"}, {"attach", "1", "is-attached", "1"},
	} {
		a.set(symtree.TodoPath("r", "b", c.todo), c.value) // from another host
		a.write(w, 4096, 1)
		wait(t, w, c.todo+" "+c.value, b.actual(c.actual, c.becomes))
	}
	a.set(symtree.PrimaryPath("r"), "(none)")
	wait(t, w, "a to give up the role", a.actual("is-primary", "0"))
	b.set(symtree.PrimaryPath("r"), "b")
	wait(t, w, "b to be primary", b.actual("is-primary", "1"))

	b.set(symtree.UserspacePath("y"), "1")
	wait(t, w, "a link to travel", func() bool { return a.tree().Exists(symtree.UserspacePath("y")) })
	a.set("todo-global/delete-000000009", "/mars/userspace/y")
	for _, h := range hosts {
		wait(t, w, "a deletion", func() bool {
			tree := h.tree()
			v, _ := tree.Value(symtree.DeletedPath("b"))
			return !tree.Exists(symtree.UserspacePath("y")) && v == "000000009"
		})
	}
}
