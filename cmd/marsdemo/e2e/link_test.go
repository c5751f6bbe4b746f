// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestLinkPropagation: what is set at one node is at the other in well under a
// second (manual 2.3).
func TestLinkPropagation(t *testing.T) {
	if !ready(t) {
		return
	}
	const (
		rounds     = 20
		maxMedian  = 200 * time.Millisecond
		maxSlowest = 2 * time.Second
	)
	c := founded(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	a.ok("wait-cluster")
	a.ok("set-link", "v", "/mars/userspace/k-A") // the directory is there and connections are up
	b.awaitLink("userspace/k-A", "v")
	var took []time.Duration
	for i := range rounds {
		value := fmt.Sprintf("v%d", i)
		start := time.Now()
		a.ok("set-link", value, "/mars/userspace/k-A")
		for b.link("userspace/k-A") != value {
			if time.Since(start) > maxSlowest {
				t.Fatalf("round %d: after %v it is '%s' at B", i, maxSlowest, b.link("userspace/k-A"))
			}
			<-time.After(time.Millisecond)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	median, slowest := took[rounds/2], took[rounds-1]
	t.Logf("set-link at A until it is at B: median %v, slowest %v of %d", median, slowest, rounds)
	if median > maxMedian || slowest > maxSlowest {
		t.Errorf("the median must not exceed %v, the slowest %v", maxMedian, maxSlowest)
	}
	a.ok("delete-file", "/mars/userspace/k-A")
	for _, n := range c.nodes {
		n.awaitLink("userspace/k-A", "")
	}
}
