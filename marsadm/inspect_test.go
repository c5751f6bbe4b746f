// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
)

func TestDiskWord(t *testing.T) {
	for name, c := range map[string]struct {
		host string
		set  []string
		want string // first word behind disk
		line string // somewhere in the status
	}{
		"primary":       {"A", nil, "UpToDate", "host      A is primary"},
		"secondary":     {"B", nil, "UpToDate", "peer      A is primary, up to date"},
		"behind":        {"B", []string{"version-000000001-A", symtree.VersionValue(1, "A", 700, "")}, "Outdated", "200 bytes behind 'A'"},
		"syncing":       {"B", []string{"syncstatus-B", "16384000", "actual-B/is-syncing", "1", "actual-B/sync_rate", "1000"}, "Inconsistent", "[=====...............] 25.0 % (15.625 MiB of 62.500 MiB), 1000.000 KiB/s, 00:00:48 to go"},
		"sync paused":   {"B", []string{"syncstatus-B", "16384000", "todo-B/sync", "0"}, "Inconsistent", ", paused"},
		"not healed":    {"B", []string{"syncpos-B", "log-000000001-A,501,0"}, "Inconsistent", "replay has not yet passed its end"},
		"bad syncpos":   {"B", []string{"syncpos-B", "rubbish"}, "Inconsistent", ""},
		"no replay":     {"B", []string{"replay-B", "rubbish"}, "Inconsistent", "no replay link"},
		"detached":      {"B", []string{"todo-B/attach", "0", "actual-B/is-attached", "0"}, "Detached", ""},
		"split":         {"B", []string{"actual-B/split-brain", "log 1 at 500: two follow"}, "Outdated", "SPLIT BRAIN, says host 'B': log 1 at 500"},
		"no split":      {"B", []string{"actual-B/split-brain", "(none)"}, "UpToDate", ""},
		"why":           {"B", []string{"actual-B/why", "the sync is paused"}, "UpToDate", "why       the sync is paused"},
		"unknown":       {"B", []string{"version-000000001-A", "rubbish"}, "Outdated", "distance to 'A' unknown"},
		"designated":    {"B", []string{"primary", "B"}, "UpToDate", "B is secondary, about to become primary"},
		"still primary": {"A", []string{"primary", "B"}, "UpToDate", "A is still primary, but not designated"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t, c.host)
			for i := 0; i < len(c.set); i += 2 {
				s.set("resource-r/"+c.set[i], c.set[i+1])
			}
			s.must("status r")
			out := s.out.String()
			_, disk, _ := strings.Cut(out, "disk      ")
			if !strings.HasPrefix(disk, c.want) || !strings.Contains(out, c.line) {
				t.Errorf("expected %q and %q, found\n%s", c.want, c.line, out)
			}
			if n := strings.Count(out, "UpToDate"); n > 1 || n == 1 && c.want != "UpToDate" {
				t.Errorf("UpToDate is there %d times:\n%s", n, out)
			}
			s.must("dstate r")
			if got := strings.TrimSpace(s.out.String()); got != c.want {
				t.Errorf("dstate says %s, expected %s", got, c.want)
			}
		})
	}
}

func TestStatusFindsSplit(t *testing.T) {
	s := newSplit(t)
	s.must("status")
	if out := s.out.String(); !strings.Contains(out, "SPLIT BRAIN at host 'B', since log 1 at 500") || strings.Contains(out, "UpToDate") {
		t.Error(out)
	}
	if code := s.adm("show-errors r"); code != 1 || !strings.Contains(s.out.String(), "SPLIT BRAIN") {
		t.Errorf("show-errors: %d %s", code, s.out.String())
	}
}

// TestShowErrorsOfHosts: what the hosts say of their disks, logs and space.
func TestShowErrorsOfHosts(t *testing.T) {
	for link, want := range map[string]string{
		"resource-r/actual-A/disk-error":    "disk-error, says host 'A': 1",
		"resource-r/actual-B/log-error":     "log-error, says host 'B': 1",
		"resource-r/actual-A/has-emergency": "host 'A' is in emergency mode",
	} {
		s := newPair(t, "B")
		s.set("resource-r/actual-A/disk-error", "(none)", "resource-r/actual-B/log-error", "(none)")
		if code := s.adm("show-errors r"); code != 0 {
			t.Errorf("nothing wrong: %d %s", code, s.out.String())
		}
		s.set(link, "1")
		if code := s.adm("show-errors r"); code != 1 || !strings.Contains(s.out.String(), want) {
			t.Errorf("%s: %d %s", link, code, s.out.String())
		}
	}
}

// TestShowErrorsAfterJoin: a host asks for logs as soon as it has joined, often
// before the others have heard of it. That is over when they have.
func TestShowErrorsAfterJoin(t *testing.T) {
	s := newPair(t, "A")
	say := func(lines string) {
		if err := os.WriteFile(filepath.Join(s.place.MarsDir, "resource-r", "logstatus-A.status"), []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const joined, here = "warn: refused a request peer=B resource=r err=not a member\n", "warn: refused a request host=A peer=B resource=r err=<nil>\n"
	say(joined + here)
	if code := s.adm("show-errors r"); code != 0 || strings.Contains(s.out.String(), "refused") {
		t.Errorf("after a join: %d %s", code, s.out.String())
	}
	for _, line := range []string{
		"warn: refused a request peer=C resource=r err=not a member", // which has not joined
		"warn: refused a request peer=B resource=r err=version mismatch: x is not a request",
		"warn: refused a request", "warn: refused a request peer=../B resource=r err=not a member",
		"warn: the disk is slow peer=B resource=r err=not a member",
	} {
		s.out.Reset()
		say(joined + line + "\n")
		if code := s.adm("show-errors r"); code != 1 || !strings.Contains(s.out.String(), line) || strings.Contains(s.out.String(), strings.TrimSpace(joined)) {
			t.Errorf("%s: %d %s", line, code, s.out.String())
		}
	}
}

func TestStatusElsewhere(t *testing.T) {
	s := newPair(t, "C")
	s.must("status all")
	if !strings.Contains(s.out.String(), "host C has not joined") {
		t.Error(s.out.String())
	}
	s.must("status --host=B")
	if !strings.Contains(s.out.String(), "host      B is secondary") {
		t.Error(s.out.String())
	}
	s.refused("status q", 1, "does not exist")
}

func TestRole(t *testing.T) {
	for _, c := range []struct{ host, a, b, primary, want string }{
		{"A", "1", "0", "A", "I am actually primary"},
		{"B", "1", "0", "A", "I am actually secondary and A is primary"},
		{"A", "1", "0", "B", "I am actually primary and B should be primary"},
		{"B", "0", "0", "B", "I am actually secondary and I should be primary"},
		{"B", "0", "0", "(none)", "I am actually secondary and (none) is primary"},
		{"B", "1", "0", "(none)", "I am actually secondary and (none) should be primary"},
		{"B", "1", "1", "A", "I am actually primary and A should be primary"},
	} {
		s := newPair(t, c.host)
		s.set("resource-r/actual-A/is-primary", c.a, "resource-r/actual-B/is-primary", c.b, "resource-r/primary", c.primary)
		for _, word := range []string{"role", "state"} {
			s.must(word + " r")
			if got := strings.TrimSpace(s.out.String()); got != c.want {
				t.Errorf("%+v: %s says %q", c, word, got)
			}
		}
	}
}

func TestShowState(t *testing.T) {
	for _, c := range []struct {
		host string
		set  []string
		want string
		cst  string
	}{
		{"A", nil, "is_primary", "Replicating"},
		{"B", nil, "secondary uptodate", "Replaying"},
		{"B", []string{"resource-r/primary", "B"}, "becoming_primary", "NotYetPrimary"},
		{"B", []string{"resource-r/syncstatus-B", "4096"}, "secondary inconsistent (4096 bytes of 65536000)", "Syncing"},
		{"B", []string{"resource-r/replay-B", "log-000000001-A,5,0", "resource-r/todo-B/connect", "0"}, "secondary outdated (log-000000001-A,5,0 instead of log-000000001-A,500,0)", "PausedFetch"},
	} {
		s := newPair(t, c.host)
		if c.set != nil {
			s.set(c.set...)
		}
		s.must("show-state r")
		if got := strings.TrimSpace(s.out.String()); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		s.must("cstate r")
		if got := strings.TrimSpace(s.out.String()); got != c.cst {
			t.Errorf("%+v: cstate %q", c, got)
		}
	}
}

func TestCat(t *testing.T) {
	s := newPair(t, "B")
	s.uid = 1000
	text := "info 1795348399.123456789 it works 12.5\n"
	if err := s.fs.WriteFile("5.total.status", []byte(text)); err != nil {
		t.Fatal(err)
	}
	s.must("cat /mars/5.total.status")
	want := "info " + time.Unix(1795348399, 0).Format("2006-01-02 15:04:05") + ".123456789 it works 12.5\n"
	if s.out.String() != want {
		t.Errorf("%q, expected %q", s.out.String(), want)
	}
	s.must("cat " + s.place.MarsDir + "/5.total.status")
	if s.out.String() != want {
		t.Errorf("by the real directory: %q", s.out.String())
	}
	s.must("cat /mars/none.status")
}

func TestNumbersForPeople(t *testing.T) {
	for got, want := range map[string]string{
		percent(1, 3): "33.3 %", percent(999999, 1000000): "99.9 %", percent(5, 5): "100.0 %", percent(0, 0): "100.0 %",
		bytesText(1023): "1023 B", bytesText(1536): "1.500 KiB", bytesText(1 << 62): "4096.000 PiB",
		bar(0, 10): "[....................] 0.0 %", bar(20, 10): "[====================] 200.0 %",
		progress(100, 0): "", progress(7200, 1): ", 1 B/s, 02:00:00 to go",
	} {
		if got != want {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
