// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strconv"
	"strings"
	"testing"
)

// screen is a host with a terminal.
type screen struct {
	*fakeSys
	columns int
}

func (s screen) Columns() int           { return s.columns }
func (s screen) StdoutIsTerminal() bool { return s.columns > 0 }

// TestProgress: on a terminal a wait shows how far the sync, then the replay
// is, with the rate that was seen; elsewhere it does not.
func TestProgress(t *testing.T) {
	for _, columns := range []int{0, 100, 30} {
		f := newPair(t, "B")
		s := screen{f, columns}
		f.set("resource-r/syncstatus-B", "0", "resource-r/actual-B/is-syncing", "1", "resource-r/actual-B/sync_rate", "1", "resource-r/syncpos-B", "log-000000001-A,500,0",
			"resource-r/replay-B", "log-000000001-A,0,0")
		done := 0
		f.react = func() {
			done += 65536000 / 100
			if done <= 65536000 {
				f.set("resource-r/syncstatus-B", strconv.Itoa(done))
				return
			}
			n := min((done-65536000)/65536, 500)
			f.set("resource-r/actual-B/is-syncing", "0", "resource-r/replay-B", "log-000000001-A,"+strconv.Itoa(n)+",0", "resource-r/todo-B/attach", "1")
			if n == 500 {
				f.set("resource-r/actual-B/is-attached", "0")
			}
		}
		if code := Run(s, strings.Fields("wait-resource r is-attach-off --timeout=60")); code != 0 {
			t.Fatalf("exit status %d %s", code, f.err.String())
		}
		err := f.err.String()
		if columns == 0 {
			if err != "" {
				t.Errorf("without a terminal: %q", err)
			}
			continue
		}
		for l := range strings.SplitSeq(err, "\r") {
			if text := strings.TrimSuffix(l, "\x1b[K"); len(text) >= columns {
				t.Errorf("a line of %d characters in %d columns: %q", len(text), columns, text)
			}
		}
		if !strings.HasSuffix(err, "\r\x1b[K") {
			t.Errorf("the line stays: %q", err)
		}
		if columns == 100 && (!strings.Contains(err, "r sync [=") || !strings.Contains(err, "to go") || !strings.Contains(err, "r replay [")) {
			t.Errorf("%q", err)
		}
		if columns == 100 && !strings.Contains(err, "12.500 MiB/s") {
			t.Errorf("one per cent in 50 ms is 12.5 MiB a second: %q", err)
		}
	}
}
