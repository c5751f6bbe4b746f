// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// inspection tells the truth on both members, and who is none is told so (manual
// 3.3.1).
func (v *tour) inspection() {
	a, b := v.a, v.b
	v.write(3)
	v.b.awaitUpToDate()
	for _, x := range []struct{ line, atA, atB string }{
		{"role mydata", "I am actually primary\n", "I am actually secondary and A is primary\n"},
		{"state mydata", "I am actually primary\n", "I am actually secondary and A is primary\n"},
		{"cstate mydata", "Replicating\n", "Replaying\n"},
		{"dstate mydata", "UpToDate\n", "UpToDate\n"},
		{"show-state mydata", "is_primary\n", "secondary uptodate\n"},
		{"mars-state mydata", "is_primary\n", "secondary uptodate\n"},
		{"show-errors mydata", "no errors/warnings are reported.\n", "no errors/warnings are reported.\n"},
	} {
		v.prints(a, x.line, x.atA)
		v.prints(b, x.line, x.atB)
	}
	v.does(a, "status", "resource mydata  16.000 MiB  [2/3]  designated primary: A", "resource other", "host      A is primary", "peer      B is secondary, up to date")
	v.does(b, "status mydata", "host      B is secondary", "disk      UpToDate, "+b.disk)
	var s struct{ Resources []struct{ Name string } }
	if err := json.Unmarshal([]byte(v.does(b, "status --json")), &s); err != nil || len(s.Resources) != 2 {
		v.t.Errorf("status --json: %v, %v", err, s)
	}
	v.does(b, "show mydata", "ips/ip-B="+b.ip, "resource-mydata/primary=A\n", "resource-mydata/size=16777216\n", "resource-mydata/actual-B/is-attached=1\n", "resource-mydata/todo-B/sync=1\n")
	v.does(v.n, "show", "ips/ip-C="+v.n.ip, "resource-other/size=4194304")
	for _, word := range []string{"show-info mydata", "mars-info mydata", "cat /mars/resource-mydata/logstatus-B.status"} {
		v.does(b, word, "info: resource host=B resource=mydata state=")
	}
	if out := v.does(b, "cat /mars/5.total.status"); !regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}`).MatchString(out) {
		v.t.Errorf("cat shows no readable times: %s", out)
	}
	v.prints(b, "cat /mars/no-such-file", "")
	var none []refusal
	for _, word := range []string{"role", "state", "cstate", "dstate", "show-state", "show-info", "mars-info", "show-errors", "show", "status", "explain"} {
		none = append(none, refusal{word + " nodata", "resource 'nodata' does not exist", "show all"})
	}
	none = append(none, refusal{"role mydata", "host 'C' has not yet joined to resource 'mydata'", "join-resource mydata DISK"},
		refusal{"cat", "argument is missing", usageHint}, refusal{"cat /etc/passwd", "not below /mars", usageHint},
		refusal{"role mydata --json", "has no JSON output", usageHint}, refusal{"role", "resource argument is missing", usageHint})
	v.refuses(v.n, none...)
}

// holds is what is reached and what is asked for in the end of the last section.
func (v *tour) holds() (atA, atB map[string]bool) {
	return map[string]bool{"attach": true, "primary": true, "device": true, "sync": true, "replay": true, "connect": true, "is-attach": true, "is-primary": true, "is-device": true, "is-sync": false, "is-replay": false, "is-connect": false},
		map[string]bool{"attach": true, "primary": false, "device": false, "sync": true, "replay": true, "connect": true, "is-attach": true, "is-primary": false, "is-device": false, "is-sync": false, "is-replay": true, "is-connect": true}
}

// conditions: {is-,}{attach,primary,device,...}{,-on,-off}, each as it is (manual
// 3.3.2).
func (v *tour) conditions() {
	atA, atB := v.holds()
	for n, holds := range map[*node]map[string]bool{v.a: atA, v.b: atB} {
		for word, want := range holds {
			for suffix, want := range map[string]bool{"": want, "-on": want, "-off": !want} {
				r := v.run(n, "wait-resource mydata "+word+suffix+" --timeout=0")
				if (r.code == 0) != want {
					v.t.Errorf("%s# wait-resource mydata %s%s: exit status %d, expected it to hold: %v\n%s", n.name, word, suffix, r.code, want, r.err)
				}
			}
		}
	}
	v.refuses(v.b,
		refusal{"wait-resource", "resource argument is missing", usageHint},
		refusal{"wait-resource mydata nonsense", "button 'nonsense' does not exist: known are attach, connect", usageHint},
		refusal{"wait-resource mydata is-nonsense", "actual indicator 'nonsense' does not exist: known are attach, connect", usageHint},
		refusal{"wait-resource nodata is-attach", "resource 'nodata' does not exist", "show all"},
		refusal{"wait-resource mydata is-attach-off --timeout=0", "waiting for is-attach-off", "--timeout=SECONDS"},
	)
}

// waiting: a wait is over when the condition comes true, and not before.
func (v *tour) waiting() {
	a, b := v.a, v.b
	v.does(b, "wait-cluster", "all 2 peer(s) seem to be alive")
	v.does(b, "wait-connect mydata", "all 1 peer(s) seem to be alive")
	v.does(b, "wait-resource mydata", "all 1 peer(s) seem to be alive")
	v.does(b, "wait-umount all", "OK, device for resource 'mydata' is not in use.", "OK, device for resource 'other' is not in use.")
	for _, x := range []struct{ cond, by string }{
		{"is-attach-off", "down mydata"}, {"is-attach", "up mydata"}, {"sync-off", "pause-sync mydata"}, {"sync-on", "resume-sync mydata"},
		{"is-connect-off", "disconnect mydata"}, {"is-connect-on", "connect mydata"}, {"replay-off", "pause-replay mydata"}, {"replay", "resume-replay mydata"},
	} {
		v.during(b, "wait-resource mydata "+x.cond, func() { v.does(b, x.by) })
	}
	for _, cond := range []string{"is-device-off", "is-primary-off", "primary-off"} {
		v.during(a, "wait-resource other "+cond, func() { v.does(a, "secondary other --timeout=30") })
		v.during(a, "wait-resource other "+strings.TrimSuffix(cond, "-off"), func() { v.does(a, "primary other --timeout=30") })
	}
	v.fails(b, "wait-resource mydata is-primary --timeout=1", "Timeout reached. You may retry with --timeout=-1", "waiting for is-primary")
}

// lowLevel: links of one's own, in the whole cluster (manual 3.3.3).
func (v *tour) lowLevel() {
	const mine, its = "/mars/userspace/key", "/mars/resource-mydata/userspace/key"
	below := "must be inside /mars/userspace/ or /mars/resource-*/userspace/"
	v.refuses(v.b,
		refusal{"set-link value", "argument is missing", usageHint},
		refusal{"set-link value " + mine + " more", "you did not supply a symlink destination for source 'more'", usageHint},
		refusal{"set-link value userspace/key", "not below /mars", usageHint},
		refusal{"set-link value /mars/uuid", below, "--force"},
		refusal{"set-link value /mars/resource-mydata --force", "it is the name of a directory or of a file", usageHint},
		refusal{"set-link value /mars/resource-nodata/userspace/key", "directory '/mars/resource-nodata' does not exist", "show all"},
		refusal{"delete-file", "argument is missing", usageHint},
		refusal{"delete-file /mars/resource-mydata/size", below, "--force"},
		refusal{"delete-file /mars/userspace/../uuid", "/mars/userspace/../uuid", usageHint},
		refusal{"get-link /mars/userspace/none", "cannot read symlink '/mars/userspace/none'", "show"},
	)
	v.does(v.b, "set-link 192.0.2.1 "+mine+" a/b "+its)
	for _, n := range v.c.nodes {
		n.awaitLink("userspace/key", "192.0.2.1")
		n.awaitLink("resource-mydata/userspace/key", "a/b")
		v.prints(n, "get-link "+mine+" "+its, "192.0.2.1\na/b\n")
	}
	for range 2 { // what is gone may be deleted again
		v.does(v.n, "delete-file "+mine+" "+its)
	}
	for _, n := range v.c.nodes {
		n.awaitLink("userspace/key", "")
		n.awaitLink("resource-mydata/userspace/key", "")
		n.awaitOrders()
	}
}

// fromDRBD: what makes no sense succeeds and says why, what is forbidden does not
// and says what to do instead (manual 3.3.4 to 3.3.6).
func (v *tour) fromDRBD() {
	thaw := v.b.freeze()
	before := v.b.snapshot()
	for _, word := range []string{"syncer", "get-gi", "show-gi", "outdate", "adjust", "check-resize", "hidden-commands"} {
		v.does(v.b, word+" mydata", "ignoring command '"+word+"' on resource 'mydata' (")
	}
	for _, word := range []string{"new-current-uuid", "create-md", "dump-md", "dump"} {
		v.does(v.b, word+" mydata", "command '"+word+"' makes no sense with MARS (ignoring on resource 'mydata': ")
	}
	v.does(v.b, "adjust all", "on resource 'mydata'", "on resource 'other'")
	v.does(v.b, "hidden-commands", "on resource 'mydata'", "on resource 'other'")
	if d := before.diff(v.b.snapshot()); d != "" {
		v.t.Errorf("words that are ignored have changed the tree:\n%s", d)
	}
	thaw()
	const danger = "cannot be used with MARS (might affect too many hosts, lead to undesired consequences)"
	v.refuses(v.b,
		refusal{"invalidate-remote mydata", danger, "marsadm invalidate mydata' on the one host that you mean, or here with --host=NAME"},
		refusal{"verify mydata", danger, "marsadm invalidate mydata' on a secondary compares all blocks"},
		refusal{"verify all", danger, "on a secondary compares all blocks"},
		refusal{"adjust nodata", "resource 'nodata' does not exist", "show all"},
		refusal{"outdate", "resource argument is missing", usageHint},
		refusal{"drbd-overview", "unknown command 'drbd-overview'", usageHint},
	)
}

// options of almost any command (manual 3).
func (v *tour) options() {
	v.does(v.b, "pause-sync mydata --verbose", "using lamport timestamp ", "created symlink '/mars/resource-mydata/todo-B/sync' -> '0'")
	v.does(v.b, "--force resume-sync mydata", "Using FORCE option")
	v.does(v.b, "force-pause-sync mydata -v", "Using FORCE option", "created symlink")
	v.sameLink("resource-mydata/todo-B/sync") // what is not known there is not changed
	v.does(v.a, "resume-sync mydata --host=B", "ATTENTION: acting as if I were host 'B'", "some commands require local knowledge", "use this at your risk!")
	v.b.awaitLink("resource-mydata/todo-B/sync", "1")
	v.does(v.a, "down mydata --host=B --timeout=30", "successfully started detach")
	v.b.awaitFact("B", "is-attached", "0")
	v.does(v.a, "up mydata --host=B --timeout=30")
	v.b.awaitFact("B", "is-attached", "1")
	v.does(v.a, "primary other --host=B --timeout=30", "changed from '(none)' to 'B'")
	v.prints(v.b, "role other", "I am actually primary\n")
	v.does(v.a, "primary other --timeout=30")
	v.refuses(v.b, refusal{"log-rotate mydata --host=A", "cannot make a logfile on another host", "run log-rotate there"})
	v.does(v.b, "down mydata --dry-run", "would change symlink '/mars/resource-mydata/todo-B/attach' -> '0' (now '1')")
	v.isTodo(v.b, "B", "attach", "1", "sync", "1")
	v.does(v.b, "down mydata --timeout=0", "not waiting (--timeout=0)")
	v.does(v.b, "up mydata --timeout=-1")
	v.b.awaitFact("B", "is-attached", "1")
	v.refuses(v.b,
		refusal{"up mydata --timeout=soon", "--timeout must be a number of seconds, or -1", usageHint},
		refusal{"up mydata --timeout=-2", "--timeout must be a number of seconds, or -1", usageHint},
		refusal{"up mydata --timeout", "needs a value", usageHint},
		refusal{"up mydata --host=Z", "host 'Z' is not a member of this cluster", "join-cluster"},
		refusal{"up mydata --host=", "--host: ", usageHint},
		refusal{"up all --force", "Combination of 'all' with --force is disallowed", usageHint},
		refusal{"up mydata --fast", "unknown option '--fast'", usageHint},
		refusal{"up mydata now", "surplus argument 'now'", usageHint},
		refusal{"up my;data", "disallowed characters", usageHint},
	)
	v.write(3)
}

// laterCommands are not in chapter 3, but in the table.
func (v *tour) laterCommands() {
	v.does(v.a, "version", "symlink tree 0.1")
	v.does(v.a, "help wait-resource", "usage: marsadm wait-resource RES")
	v.does(v.b, "view all", "UpToDate Replaying")
	v.does(v.b, "explain mydata", "ok  marsd is running")
	v.does(v.b, "watch --timeout=0", `"event":"exists"`)
	v.does(v.b, "completion bash", "complete -o default -F _marsadm marsadm")
	v.does(v.b, "complete bash -- up myd", "mydata")
	v.does(v.b, "man mars-log", ".TH")
	v.refuses(v.b, refusal{"get-emergency-limit mydata", "cannot read symlink", "set-emergency-limit mydata PERCENT"}, refusal{"set-emergency-limit mydata much", "isn't numeric", usageHint})
	v.does(v.b, "set-emergency-limit mydata 1")
	v.prints(v.b, "get-emergency-limit mydata", "1\n")
}

// withoutDaemon: what is only a wish, or of the past, is told so.
func (v *tour) withoutDaemon() {
	b := v.b
	v.does(b, "pause-replay mydata")
	b.awaitFact("B", "why", "replay is paused")
	b.stop()
	var list []refusal
	for _, line := range []string{"attach", "detach", "up", "down", "primary", "primary --force", "secondary", "invalidate", "fake-sync", "resume-replay", "connect-global", "log-delete-all", "wait-umount", "wait-connect", "leave-resource", "cron"} {
		word, more, _ := strings.Cut(line, " ")
		list = append(list, refusal{strings.TrimSpace(word + " mydata " + more), "no marsd is running on this host", "marsd run"})
	}
	v.refuses(b, append(list, refusal{"wait-cluster", "no marsd is running on this host", "marsd run"})...)
	v.does(b, "role mydata", "no marsd is running on this host: what follows may be old")
	v.does(b, "status mydata", "no marsd is running on this host")
	v.fails(b, "show-errors mydata", "no marsd is running on this host: nothing is replicated here")
	v.does(b, "explain mydata", "Next: marsd run")
	v.does(v.a, "status mydata", "peer      B is secondary", "its marsd is down")
	v.does(b, "resume-replay mydata --force", "successfully started resume-replay")
	r := v.run(b, "down mydata --force")
	if said := strings.Count(r.err, "no marsd is running here: the change takes effect when it is started"); r.code != 0 || said > 1 {
		v.t.Errorf("down --force without marsd: exit status %d, %s", r.code, r.err)
	}
	v.does(b, "up mydata --force")
	v.w.write(6)
	b.start()
	b.awaitVersion(v.w.acked.Load())
	b.awaitUpToDate()
	v.prints(b, "show-errors mydata", "no errors/warnings are reported.\n")
	v.prints(b, "show-state mydata", fmt.Sprintln("secondary uptodate"))
}

// sameLink waits until A knows the last of what B has made of a link.
func (v *tour) sameLink(rel string) {
	v.t.Helper()
	v.c.await("A to know the last "+rel, func() string {
		a, err := os.Lstat(v.a.path("mars", rel))
		if err != nil {
			return err.Error()
		}
		b, err := os.Lstat(v.b.path("mars", rel))
		if err != nil {
			return err.Error()
		}
		if !a.ModTime().Equal(b.ModTime()) {
			return a.ModTime().String()
		}
		return ""
	})
}
