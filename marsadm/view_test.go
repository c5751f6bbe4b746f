// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"strings"
	"testing"

	"mars/infra/symtree"
)

// heard makes all hosts alive.
func (s *fakeSys) heard() {
	s.set("time-A", "1.000000000", "time-B", "1.000000000", "time-C", "1.000000000", "alive-A", "1", "alive-B", "1", "alive-C", "1")
}

func TestViewDefault(t *testing.T) {
	a := newPair(t, "A")
	a.heard()
	a.must("view r")
	if want := "  LocalDevice /dev/mars/r [Closed]\n  r [2/3] UpToDate Replicating DCASFR Primary A \n"; a.out.String() != want {
		t.Errorf("%q, expected %q", a.out.String(), want)
	}
	a.set("resource-r/actual-A/open-count", "1")
	a.must("view all")
	if want := "--------- resource r 62.500 MiB [2/3]\n  LocalDevice /dev/mars/r [Opened]\n  r [2/3] UpToDate Replicating DCASFR Primary A \n"; a.out.String() != want {
		t.Errorf("%q, expected %q", a.out.String(), want)
	}
	b := newPair(t, "B")
	b.heard()
	b.must("view r")
	if want := "  r [2/3] UpToDate Replaying dCASFR Secondary A \n"; b.out.String() != want {
		t.Errorf("%q, expected %q", b.out.String(), want)
	}
	b.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 5500, ""), "resource-r/actual-B/file_rate", "1")
	b.must("view r")
	want := "  r [2/3] OutDated[F] Replaying dCASfR Secondary A \n" +
		"     replaying: [=>..................]  9.09%  (0/5)KiB  logs: [1]\n" +
		"       > fetch: 4.883 KiB rate: 1.000 KiB/s remaining: 00:00:04\n" +
		"       > replay: 0 B age: 00:00:00 rate: 0 B/s remaining: 00:00:00\n"
	if b.out.String() != want {
		t.Errorf("%q\nexpected\n%q", b.out.String(), want)
	}
	b.set("resource-r/syncstatus-B", "4096", "resource-r/actual-B/is-syncing", "1")
	b.must("view r")
	if out := b.out.String(); !strings.Contains(out, "  r [2/3] InConsistent Syncing dcAsfR Secondary A \n     syncing: [>...................]  0.01%  (0/62)MiB  rate: 0.00 B/sec  remaining: --:--:-- hrs\n       > sync: 0.004/62.500 MiB rate: 0 B/sec  remaining: --:--:-- hrs\n") {
		t.Errorf("%q", out)
	}
}

// The words of each state, by what makes it.
func TestViewStates(t *testing.T) {
	for _, c := range []struct {
		host      string
		set       []string
		disk      string
		repl      string
		flags     string
		role      string
		unloaded  bool
		otherHost string
	}{
		{host: "A", disk: "UpToDate", repl: "Replicating", flags: "DCASFR", role: "Primary"},
		{host: "B", disk: "UpToDate", repl: "Replaying", flags: "dCASFR", role: "Secondary"},
		{host: "C", disk: "NotJoined", repl: "NotJoined", flags: "------", role: "None"},
		{host: "B", unloaded: true, disk: "UpToDate", repl: "ModuleNotLoaded", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"todo-B/attach", "0"}, disk: "Detaching", repl: "Replaying", flags: "dCaSFR", role: "Secondary"},
		{host: "B", set: []string{"todo-B/attach", "0", "actual-B/is-attached", "0"}, disk: "Detached", repl: "NotStarted", flags: "dC-SFR", role: "Secondary"},
		{host: "B", set: []string{"actual-B/is-attached", "0"}, disk: "NoAttach", repl: "NotStarted", flags: "dCaSFR", role: "Secondary"},
		{host: "B", set: []string{"todo-B/connect", "0"}, disk: "UpToDate", repl: "PausedFetch", flags: "dCAS-R", role: "Secondary"},
		{host: "B", set: []string{"todo-B/allow-replay", "0"}, disk: "UpToDate", repl: "PausedReplay", flags: "dCASF-", role: "Secondary"},
		{host: "B", set: []string{"todo-B/sync", "0", "syncstatus-B", "0"}, disk: "InConsistent", repl: "PausedSync", flags: "dcA-FR", role: "Secondary"},
		{host: "B", set: []string{"primary", "(none)"}, disk: "UpToDate", repl: "NoPrimaryDesignated", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"primary", "B"}, disk: "UpToDate", repl: "NotYetPrimary", flags: "dCASFR", role: "NotYetPrimary"},
		{host: "A", set: []string{"primary", "B"}, disk: "UpToDate", repl: "Replaying", flags: "DCASFR", role: "RemainsPrimary"},
		{host: "B", set: []string{"actual-B/split-brain", "log 1"}, disk: "UpToDate", repl: "SplitBrain", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"actual-B/replay-code", "-5"}, disk: "DefectiveLog[-5]", repl: "Replaying", flags: "dCASFR", role: "Secondary"},
		{host: "A", set: []string{"actual-A/is-emergency", "1"}, disk: "EmergencyMode", repl: "EmergencyMode", flags: "DCASFR", role: "Primary"},
		{host: "A", set: []string{"replay-A", "log-000000001-A,300,0"}, disk: "WriteBack[200 B]", repl: "Replicating", flags: "DCASFR", role: "Primary"},
		{host: "B", set: []string{"replay-B", "log-000000001-C,300,0"}, disk: "Orphan", repl: "SplitBrain", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"actual-B/replay-code", "-11"}, disk: "IncompleteLog[-11]", repl: "Replaying", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"actual-B/disk-error", "a write failed"}, disk: "DISK_ERROR=-5 UpToDate", repl: "Replaying", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"actual-B/disk-error", "-28"}, disk: "DISK_ERROR=-28 UpToDate", repl: "Replaying", flags: "dCASFR", role: "Secondary"},
		{host: "B", set: []string{"replay-B", "log-000000001-A,100,0"}, disk: "OutDated[R]", repl: "Replaying", flags: "dCASFr", role: "Secondary"},
	} {
		s := newPair(t, c.host)
		s.heard()
		for i := 0; i < len(c.set); i += 2 {
			s.set("resource-r/"+c.set[i], c.set[i+1])
		}
		s.loaded = !c.unloaded
		for name, want := range map[string]string{"diskstate": c.disk, "replstate": c.repl, "flags": c.flags, "role": c.role} {
			s.must("view-" + name + " r")
			if got := strings.TrimSpace(s.out.String()); got != want {
				t.Errorf("%s, %v: %s is %s, expected %s", c.host, c.set, name, got, want)
			}
		}
	}
}

func TestViewSilentPrimary(t *testing.T) {
	s := newPair(t, "B")
	s.heard()
	s.wall += 100e9
	s.must("view-replstate r")
	if s.out.String() != "PrimaryUnreachable\n" {
		t.Error(s.out.String())
	}
	s.must("view all")
	if !strings.Contains(s.err.String(), "no metadata is arriving from peer 'A', age = 00:01:40") {
		t.Error(s.err.String())
	}
	s.must("view-replstate r --host=A")
	if s.out.String() != "UnResponsive\n" {
		t.Error(s.out.String())
	}
}

func TestViewMacros(t *testing.T) {
	for macro, want := range map[string]string{
		"%{res} %{host} %{real_host} %{resdir} %{ip}":                "r B B /mars/resource-r 192.0.2.2",
		"%foreach{h}{%resource-peers{}}{\n}{%{h}%is-primary{%{h}} }": "A1 B0 ",
		"%count-cluster-peers{}%count-resource-peers{}":              "32",
		"%my-resources{}":                                                       "r\n",
		"%readlink{/mars/resource-r/size}":                                      "65536000",
		"%readlink{/mars/resource-r/none}.":                                     ".",
		"%get-glob{/mars/ips/*}{p}{,}":                                          "/mars/ips/ip-A,/mars/ips/ip-B,/mars/ips/ip-C",
		"%foreach-glob{/mars/ips/*}{p}{%readlink{%{p}} }":                       "192.0.2.1 192.0.2.2 192.0.2.3 ",
		"%sync-size{} %sync-pos{} %sync-rest{} %sync-percent{} %sync-reached{}": "65536000 65536000 0 100 1",
		"%replay-pos{} %fetch-pos{} %work-size{} %replay-lognr{} %replay-vector{} %summary-vector{}":        "500 500 500 1 500,500 500,500,500",
		"%get-primary{} %actual-primary{} %todo-primary{} %todo-secondary{} %todo{sync} %does{attach}":      "A A 0 1 1 1",
		"%is-attach{A}%is-consistent{}%is-split-brain{}%is-orphan{}%is-member{}%is-member{C}%is-guest{}":    "1100100",
		"%get-disk{} %get-device{} %disk-size{} %device-size{A} %resource-possible-size{} %device-opened{}": "/dev/disk r 65536000 65536000 65536000 0",
		"%wait-is-attach-on{}%wait-is-primary-on{}%wait-resource{is-attach}":                                "101",
		"%occupied-size{} %deletable-size{}":                                                                "500 0",
		"%errno-text{-5}%uuid{}":                                                                            "error 5" + testUUID,
		"%call{mine}{x}%my-own{y}%mine{z}":                                                                  "<x><y><z>",
		"%primitive-flags{}":                                                                                "dCASFR",
		"%include{flags1and1}":                                                                              "dCASFR",
	} {
		s := newPair(t, "B")
		s.heard()
		s.macros = map[string]string{"mine": "# a comment\\\n\n/* one more */<%{1}>", "myown": "<%{1}>"}
		s.out.Reset()
		s.err.Reset()
		if code := Run(s, []string{"view-x", "r", "--macro=" + macro}); code != 0 {
			t.Errorf("%s: exit status %d, %s", macro, code, s.err.String())
		}
		if got := strings.ReplaceAll(s.out.String(), "\n\n<", "<"); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s\ngives    %q\nexpected %q", macro, got, want)
		}
	}
}

// What a macro puts out may steer the terminal, what a link holds may not.
func TestViewMakesValuesVisible(t *testing.T) {
	s := newPair(t, "A")
	s.plant("resource-r/device-A", "\x1b[2J")
	s.must("view r")
	if out := s.out.String(); strings.Contains(out, "\x1b") || !strings.Contains(out, `\x1b[2J`) {
		t.Errorf("%q", out)
	}
	s.must(`view-x r --macro=\e[1m%get-device{}`)
	if out := s.out.String(); out != "\x1b[1m\\x1b[2J\n" {
		t.Errorf("%q", out)
	}
}

func TestViewRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"view-nonsense r":       "cannot find macro 'nonsense'",
		"view-x r --macro=%{":   "'{' without '}'",
		"view-x r --macro=%y{}": "cannot find macro 'y'",
		"view-../x r":           "can not be the name",
		"view q":                "resource 'q' does not exist",
		"view ../r":             "disallowed characters",
		"view-x r --macro=%setlink{a}{/mars/resource-r/size}": "a macro changes nothing",
		"view-x r --macro=%die{enough}":                       "enough",
	} {
		s := newPair(t, "B")
		before := s.dump()
		code := s.adm(line)
		if code == 0 || !strings.Contains(s.err.String(), want) || s.dump() != before {
			t.Errorf("%s: exit status %d, %s, expected %s", line, code, s.err.String(), want)
		}
	}
	s := newPair(t, "B")
	s.uid = 1000
	s.must("view r")
}

// TestViewHeader: the text before all resources is the macro's own header, or
// the one for all; without features to tell of there is none.
func TestViewHeader(t *testing.T) {
	s := newPair(t, "B")
	s.must("view-flags all")
	if got := s.out.String(); !strings.HasPrefix(got, "--------- resource r ") {
		t.Errorf("without features: %q", got)
	}
	s.set("actual-B/features", "4,5,0x1")
	s.must("view-flags all")
	if got := s.out.String(); !strings.HasPrefix(got, `used-log-compression="`) {
		t.Errorf("with features: %q", got)
	}
	s.macros = map[string]string{"flagsheader": "its own\n", "defaultheader": "of all\n", "defaultfooter": "unused\n"}
	for name, want := range map[string]string{"flags": "its own\n", "role": "of all\n"} {
		s.must("view-" + name + " all")
		if got := s.out.String(); !strings.HasPrefix(got, want+"--------- resource r ") {
			t.Errorf("view-%s: %q", name, got)
		}
	}
}

// FuzzTemplate: a file with a macro may hold anything.
func FuzzTemplate(f *testing.F) {
	for _, text := range []string{"# a\n%{1}", "/* x */ %flags{}", "// y\n%if{%is-member{}}{\\n}", "a\\\nb", "\\", "/*", "%dump-vars{}", "%foreach{h}{%cluster-peers{}}{\\n}{%is-alive{%{h}}}", "%call{x}{}"} {
		f.Add(text)
	}
	s := newPair(f, "B")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "sleep") || strings.Contains(text, "wait") || strings.Contains(text, "timeout") {
			return
		}
		if out := stripComments(text); len(out) > len(text) {
			t.Errorf("%q becomes %q", text, out)
		}
		s.t, s.mono, s.macros = t, 0, map[string]string{"x": text}
		s.out.Reset()
		s.err.Reset()
		if code := Run(s, []string{"view-x", "r", "--dry-run", "--timeout=0"}); code < 0 || code > 2 {
			t.Errorf("%q: exit status %d", text, code)
		}
	})
}
