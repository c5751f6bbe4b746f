// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	// patience is how long a wait bears a state that does not change.
	patience = 20 * time.Second
	pollTime = 20 * time.Millisecond
)

// hopeless marks what a wait need not wait for.
const hopeless = "\x00"

func fatal(why string) string { return hopeless + why }

// await polls until look has nothing more to ask for. What look returns is what
// is still missing; as long as that changes, there is progress.
func (c *cluster) await(what string, look func() string) {
	c.t.Helper()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	last, since := "", time.Now()
	for {
		missing := look()
		if missing == "" {
			return
		}
		if missing != last {
			last, since = missing, time.Now()
		}
		if why, ok := strings.CutPrefix(missing, hopeless); ok {
			c.t.Fatalf("waited for %s in vain: %s", what, why)
		}
		if time.Since(since) > patience {
			c.t.Fatalf("waited for %s; for %v nothing changed: %s", what, patience, missing)
		}
		<-tick.C
	}
}

// awaitStatus waits until the status shows all of the words.
func (n *node) awaitStatus(words ...string) string {
	n.t.Helper()
	var text string
	n.c.await(strings.Join(words, ", ")+" in the status of "+n.name, func() string {
		r := n.adm("status", res)
		text = r.out
		for _, w := range words {
			if r.code != 0 || !strings.Contains(text, w) {
				return text + r.err
			}
		}
		return ""
	})
	return text
}

// awaitUpToDate waits until the node has applied all that it knows of.
func (n *node) awaitUpToDate() { n.t.Helper(); n.awaitStatus("  disk      UpToDate, ") }

// awaitLink waits until a link has a value; empty means that it is gone.
func (n *node) awaitLink(rel, value string) {
	n.t.Helper()
	n.c.await("the link "+rel+" at "+n.name+" to be '"+value+"'", func() string {
		if got := n.link(rel); got != value {
			return "it is '" + got + "'"
		}
		return ""
	})
}

// awaitFact waits for a fact about a host in the tree of this node.
func (n *node) awaitFact(host, key, value string) {
	n.t.Helper()
	n.awaitLink("resource-"+res+"/actual-"+host+"/"+key, value)
}

// pauseReplay waits until replay has taken notice.
func (n *node) pauseReplay() {
	n.t.Helper()
	n.ok("pause-replay", res)
	n.awaitFact(n.name, "why", "replay is paused")
	n.awaitFact(n.name, "is-replaying", "0")
}

// awaitVersion waits until the node's disk holds exactly the stamped writes up
// to number m. What a disk holds while replay is under way does not count.
func (n *node) awaitVersion(m uint64) {
	n.t.Helper()
	n.c.await(fmt.Sprintf("the disk of %s to hold write %d", n.name, m), func() string {
		got, err := version(n, n.disk)
		if err == nil && got == m {
			return ""
		}
		return fmt.Sprintf("it holds %d, %v", got, err)
	})
}

// calm is how often in a row a tree must look the same to be at rest.
const calm = 12

// settle waits until nothing in the node's tree changes any more.
func (n *node) settle() snapshot {
	n.t.Helper()
	last, seen := n.snapshot(), 0
	n.c.await("the tree of "+n.name+" to be at rest", func() string {
		now := n.snapshot()
		d := last.diff(now)
		if seen++; d != "" {
			seen = 0
		}
		if last = now; seen >= calm {
			return ""
		}
		return fmt.Sprintf("%d looks without a change %s", seen, d)
	})
	return last
}

// awaitIn waits until the node's replay stands in a logfile.
func (n *node) awaitIn(log string) {
	n.t.Helper()
	n.c.await("the replay of "+n.name+" to stand in "+log, func() string {
		if v := n.link("resource-" + res + "/replay-" + n.name); !strings.HasPrefix(v, log+",") {
			return "it is at " + v
		}
		return ""
	})
}

// restVersion is the version that the node's disk holds when its replay has
// come to rest; what a disk holds while replay is under way does not count.
func (n *node) restVersion() (m uint64) {
	n.t.Helper()
	n.c.await("the disk of "+n.name+" to hold a past version", func() string {
		var err error
		if m, err = version(n, n.disk); err != nil {
			return err.Error()
		}
		return ""
	})
	return m
}

// awaitOrders waits until every host has carried out all deletion orders that
// the node knows of: until then acknowledgements arrive at their own time.
func (n *node) awaitOrders() {
	n.t.Helper()
	n.c.await("the deletion orders at "+n.name+" to be carried out", func() string {
		list, err := filepath.Glob(n.mars("todo-global/delete-*"))
		if err != nil {
			return fatal(err.Error())
		}
		return strings.Join(list, " ")
	})
}
