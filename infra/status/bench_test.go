// SPDX-License-Identifier: GPL-2.0-or-later

package status

import (
	"encoding/json"
	"fmt"
	"testing"

	"mars/infra/symtree"
)

// bigTree has 100 resources of 4 hosts, with 3 logs each.
func bigTree() *symtree.Tree {
	t := symtree.New()
	set(t, "uuid", "u")
	hosts := []string{"A", "B", "C", "D"}
	for _, h := range hosts {
		set(t, "ips/ip-"+h, "192.0.2.1", "alive-"+h, "1", "time-"+h, "1.0")
	}
	for i := range 100 {
		res := fmt.Sprintf("resource-r%02d/", i)
		set(t, res+"size", "4096", res+"primary", "A")
		for _, h := range hosts {
			prev := ""
			for n := 1; n <= 3; n++ {
				prev = symtree.VersionValue(n, "A", 500, prev)
				set(t, fmt.Sprintf("%sversion-%09d-%s", res, n, h), prev)
			}
			set(t, res+"data-"+h, "/dev/x", res+"replay-"+h, "log-000000003-A,500,0", res+"syncstatus-"+h, "4096", res+"actsize-"+h, "4096")
			for _, k := range []string{"todo-" + h + "/attach", "todo-" + h + "/connect", "todo-" + h + "/sync", "todo-" + h + "/allow-replay", "actual-" + h + "/is-attached",
				"actual-" + h + "/is-replaying", "actual-" + h + "/open-count", "actual-" + h + "/why"} {
				set(t, res+k, "1")
			}
		}
	}
	return t
}

// BenchmarkOf is the status of 100 resources of 4 hosts, as JSON.
func BenchmarkOf(b *testing.B) {
	t := bigTree()
	for b.Loop() {
		s := Of(t, "A", "A", nil)
		if _, err := json.Marshal(s); err != nil {
			b.Fatal(err)
		}
	}
}
