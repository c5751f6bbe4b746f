// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestIdle: fifty resources that nobody uses cost next to nothing.
func TestIdle(t *testing.T) {
	if !ready(t) {
		return
	}
	const (
		resources = 50
		window    = 5 * time.Second
		maxShare  = 0.03 // of a core
	)
	c := founded(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	for i := range resources {
		name := fmt.Sprintf("idle%02d", i)
		a.ok("create-resource", name, a.loop(name+".img", 1<<20))
		b.disk = b.loop(name+".img", 1<<20)
		b.join(name)
	}
	c.await("all resources to be in sync", func() string {
		up := strings.Count(b.adm("status").out, "disk      UpToDate")
		devices := strings.Count(a.adm("status").out, ", not in use")
		if up != resources || devices != resources {
			return fmt.Sprintf("%d are up to date at B, %d have a device at A", up, devices)
		}
		return ""
	})
	a.settle()
	before := []usage{a.usage(), b.usage()}
	start := time.Now()
	<-time.After(window)
	for i, n := range c.nodes {
		u := n.usage()
		share := float64(u.cpu-before[i].cpu) / float64(time.Since(start))
		t.Logf("%s with %d idle resources: %.2f %% of a core, %d MiB", n.name, resources, 100*share, u.rss>>20)
		if share > maxShare || u.rss > maxRSS {
			t.Errorf("%s: at most %.0f %% of a core and %d MiB are allowed", n.name, 100*maxShare, maxRSS>>20)
		}
	}
}
