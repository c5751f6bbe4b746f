// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mars/infra/symtree"
)

// numbers are the logfiles of mydata at a node.
func (v *tour) numbers(n *node) (list []int) {
	v.t.Helper()
	for _, name := range n.logs() {
		k, err := strconv.Atoi(strings.TrimPrefix(name, "log-")[:9])
		if err != nil {
			v.t.Fatal(err)
		}
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// awaitNumbers waits until both members have logs from one number up to another
// and no other ones.
func (v *tour) awaitNumbers(from, to int) {
	v.t.Helper()
	for _, n := range []*node{v.a, v.b} {
		v.c.await(fmt.Sprintf("%s to have just the logs %d to %d", n.name, from, to), func() string {
			if got := v.numbers(n); len(got) == 0 || got[0] != from || got[len(got)-1] != to {
				return fmt.Sprint(got)
			}
			return ""
		})
	}
}

// rotate begins a new log, which is used at once, and returns its number.
func (v *tour) rotate() int {
	v.t.Helper()
	last := slices.Max(v.numbers(v.a))
	v.does(v.a, "log-rotate mydata")
	v.c.await("A to use a new log", func() string {
		if got := slices.Max(v.numbers(v.a)); got != last+1 {
			return fmt.Sprint(got)
		}
		return ""
	})
	v.write(4)
	name := fmt.Sprintf("log-%09d-A", last+1)
	for _, host := range []string{"A", "B"} {
		v.c.await("the replay link of "+host+" to name "+name, func() string {
			for _, n := range []*node{v.a, v.b} {
				if l := n.link(symtree.ReplayPath(res, host)); !strings.HasPrefix(l, name) {
					return n.name + ": " + l
				}
			}
			return ""
		})
	}
	return last + 1
}

// logfiles are begun by the primary alone, and deleted when nobody needs them any
// more (manual 3.2.3).
func (v *tour) logfiles() {
	v.refuses(v.b, refusal{"log-rotate mydata", "I also must be the designated primary, which is 'A'", "marsadm role mydata"})
	v.does(v.b, "log-rotate all", "skipping resource mydata", "skipping resource other")
	v.rotate()
	v.does(v.a, "log-delete-all mydata")
	n := slices.Max(v.numbers(v.a))
	v.awaitNumbers(n, n)
	v.does(v.a, "log-delete mydata", "no logfiles are deletable.")
	v.rotate()
	v.rotate()
	name := fmt.Sprintf("/mars/resource-mydata/log-%09d-A", n)
	v.does(v.b, "log-delete mydata", fmt.Sprintf("min     deletable logfile number: %d", n), fmt.Sprintf("max non-deletable logfile number: %d", n+2), "chosen '"+name+"' for deletion")
	v.awaitNumbers(n+1, n+2)
	v.does(v.b, "pause-replay mydata")
	v.b.awaitFact("B", "why", "replay is paused")
	v.does(v.a, "log-rotate mydata")
	v.w.write(3)
	v.fetched()
	v.does(v.a, "log-delete-all mydata", fmt.Sprintf("chosen '/mars/resource-mydata/log-%09d-A' for deletion", n+1))
	v.awaitNumbers(n+2, n+3)
	v.does(v.a, "log-delete-all mydata", "no logfiles are deletable.") // B still needs the first of two
	v.does(v.b, "resume-replay mydata")
	v.b.awaitVersion(v.w.acked.Load())
	last := fmt.Sprintf("log-%09d-A", n+3)
	v.a.awaitReplays(last)
	v.write(3)
	v.does(v.a, "log check "+v.a.mars(filepath.Join("resource-mydata", last)), "of resource mydata", "sound up to")
	v.does(v.b, "log-purge-all mydata", "nothing is left over.")
	v.does(v.a, "cron --timeout=0")
}

// invalidate repairs a disk that somebody has written to (manual 3.2.4).
func (v *tour) invalidate() {
	a, b := v.a, v.b
	v.refuses(a, refusal{"invalidate mydata", "cannot be executed on designated primary", "marsadm secondary mydata"},
		refusal{"invalidate nodata", "does not exist", "show all"})
	v.does(b, "down mydata")
	b.fill(b.disk, 9, 2<<20)
	v.does(b, "invalidate mydata", "the local data is marked as inconsistent", "starts as soon as you say marsadm up mydata")
	b.awaitLink("resource-mydata/syncstatus-B", "0")
	v.prints(b, "show-state mydata", "secondary inconsistent (0 bytes of 16777216)\n")
	v.refuses(b, refusal{"primary mydata", "sync has not yet finished, only 0 / 16777216 bytes transferred", "wait-resource mydata is-sync-off"},
		refusal{"primary mydata --force", "sync has not yet finished", "fake-sync mydata"})
	v.does(b, "up mydata")
	v.does(b, "wait-resource mydata is-sync-off")
	b.awaitUpToDate()
	v.sameAsPrimary()
	v.does(a, "invalidate mydata --host=B --timeout=30", "acting as if I were host 'B'", "running it on host 'B'", "a full sync from host 'A' will start")
	v.does(b, "wait-resource mydata is-sync-off")
	v.sameAsPrimary()
	v.fails(b, "invalidate mydata --host=A", "only host 'A' itself can do this", "cannot be executed on designated primary")
	v.write(4)
}

// sameAsPrimary compares what A's device and B's disk hold.
func (v *tour) sameAsPrimary() {
	v.t.Helper()
	v.b.awaitVersion(v.w.acked.Load())
	v.b.awaitUpToDate()
	if got, want := v.b.sumUpTo(v.b.disk, 2*diskSize), v.a.sumUpTo(v.a.device(), 2*diskSize); got != want {
		v.t.Error("the disk of B is not what the device of A shows")
	}
}

// fakeSync believes a disk without looking; set-replay goes back to a log, whose
// writes are applied once more (manual 3.2.4).
func (v *tour) fakeSync() {
	a, b := v.a, v.b
	v.refuses(a, refusal{"fake-sync mydata", "cannot be executed on designated primary", "marsadm secondary mydata"},
		refusal{"set-replay mydata 1", "cannot be executed on designated primary", "marsadm secondary mydata"})
	v.does(b, "pause-sync mydata")
	v.does(b, "invalidate mydata", "starts as soon as you say resume-sync")
	v.does(b, "fake-sync mydata", "is now treated as if it were consistent; that it is so is on you")
	b.awaitLink("resource-mydata/syncstatus-B", "16777216")
	v.isTodo(b, "B", "sync", "0")
	v.does(b, "resume-sync mydata")
	b.awaitUpToDate()
	v.write(4)

	n := v.rotate()
	v.refuses(b, refusal{"set-replay mydata 1", "'allow-replay' must have value '0'", "marsadm pause-replay mydata"},
		refusal{"set-replay mydata", "argument is missing", usageHint}, refusal{"set-replay mydata one", "numeric logfile number", usageHint})
	v.does(b, "pause-replay mydata")
	b.awaitFact("B", "why", "replay is paused")
	v.refuses(b, refusal{fmt.Sprintf("set-replay mydata %d", n+1), "is behind the present one", "--force"},
		refusal{"set-replay mydata 777 --force", "no log with number 777 is known here", "show which logs"})
	v.does(b, fmt.Sprintf("set-replay mydata %d", n-1), fmt.Sprintf("creating new replaylink '/mars/resource-mydata/replay-B' -> 'log-%09d-A,0,0'", n-1))
	b.awaitLink("resource-mydata/skip-check-B", strconv.Itoa(n-1))
	v.does(b, "resume-replay mydata")
	v.write(4)
	v.sameAsPrimary()
}
