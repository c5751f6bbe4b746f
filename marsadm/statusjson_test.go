// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mars/infra/status"
	"mars/infra/symtree"

	"github.com/google/go-cmp/cmp"
)

func TestStatusJSON(t *testing.T) {
	s := newPair(t, "B")
	s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""), "resource-r/actual-B/why", "replay is paused")
	s.must("status r --json")
	var got status.Status
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, s.out.String())
	}
	if got.Schema != "mars.status" || got.Version != 2 || got.Host != "B" || got.Cluster != testUUID || !got.Running || len(got.Hosts) != 3 {
		t.Errorf("%+v", got)
	}
	m := got.Resource("r").Member("B")
	if m == nil || m.Lag != 200 || m.Disk.State != "Outdated" || m.Why != "replay is paused" || m.LagSeconds != nil || !m.Local {
		t.Errorf("member B: %+v", m)
	}
	if a := got.Resource("r").Member("A"); a.Fetched.Known() || a.Local {
		t.Errorf("what A has fetched can not be known here: %+v", a)
	}
	s.must("status --json --host=A")
	if err := json.Unmarshal(s.out.Bytes(), &got); err != nil || got.Host != "A" {
		t.Errorf("%v %q", err, got.Host)
	}
	s.refused("role r --json", 2, "has no JSON output")
	s.refused("status q --json", 1, "does not exist")
}

// The device that the tree speaks of must be there, on the own host.
func TestStatusJSONDevice(t *testing.T) {
	s := newPair(t, "A")
	s.set("resource-r/actual-A/device-r", "1")
	for _, there := range []bool{true, false} {
		s.devices["r"] = there
		var got status.Status
		s.must("status r --json")
		if err := json.Unmarshal(s.out.Bytes(), &got); err != nil || got.Resource("r").Member("A").Device.Present != there {
			t.Errorf("%v: %v %s", there, err, s.out.String())
		}
	}
}

func TestExplainCommand(t *testing.T) {
	s := newPair(t, "B")
	s.set("time-A", "1.000000000", "time-B", "1.000000000")
	s.must("explain r")
	if !strings.Contains(s.out.String(), "Nothing to do.") {
		t.Error(s.out.String())
	}
	s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", 700, ""), "resource-r/todo-B/allow-replay", "0")
	s.must("explain r")
	if out := s.out.String(); !strings.Contains(out, "NO  replay is paused") || !strings.HasSuffix(out, "Next: marsadm resume-replay r\n") {
		t.Error(out)
	}
	s.must("explain r --host=A")
	if out := s.out.String(); !strings.Contains(out, "Next: marsadm up r") {
		t.Error(out)
	}
	s.must("explain --json")
	var list []status.Explanation
	if err := json.Unmarshal(s.out.Bytes(), &list); err != nil || len(list) != 1 || list[0].Command != "marsadm resume-replay r" || list[0].Healthy {
		t.Errorf("%v %+v", err, list)
	}
	s.refused("explain q", 1, "does not exist")
}

// events are the lines that watch has printed.
func events(t *testing.T, s *fakeSys) []status.Event {
	t.Helper()
	var list []status.Event
	for line := range strings.Lines(s.out.String()) {
		var e status.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		list = append(list, e)
	}
	return list
}

func TestWatch(t *testing.T) {
	s := newPair(t, "B")
	s.must("watch --timeout=0")
	first := events(t, s)
	if len(first) != 3+1+2 || first[0].Event != status.Exists || first[0].Object != "host" || first[5].Host != "B" || first[5].Resource != "r" {
		t.Fatalf("%+v", first)
	}
	steps := 0
	s.react = func() {
		switch steps++; steps {
		case 2:
			s.set("resource-r/actual-B/split-brain", "log 1 at 500: two follow")
		case 4:
			s.set("time-A", "1.000000000") // a sign of life is no event
		}
	}
	s.must("watch r --timeout=6")
	list := events(t, s)[6:]
	if len(list) != 2 || list[0].Object != "resource" || list[0].Changed[0] != "split_brain" {
		t.Fatalf("%+v", list)
	}
	if e := list[1]; e.Event != status.Change || e.Host != "B" || len(e.Alerts) != 1 || !strings.Contains(e.Alerts[0], "two follow") {
		t.Errorf("%+v", e)
	}
	if s.mono != 6*time.Second {
		t.Errorf("it watched for %v", s.mono)
	}
	s.refused("watch q", 1, "does not exist")
}

// deaf is a terminal that has gone.
type deaf struct{ *fakeSys }

func (d deaf) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestWatchEnds(t *testing.T) {
	s := newPair(t, "B")
	if code := s.adm("watch --timeout=1"); code != 0 {
		t.Errorf("exit status %d", code)
	}
	x := &run{sys: s}
	if err := x.sayEvents(nil, &status.Status{Hosts: []status.Host{{Name: "A"}}}, 1); err != nil {
		t.Error(err)
	}
	x.sys = deafSys{s}
	if err := x.sayEvents(nil, &status.Status{Hosts: []status.Host{{Name: "A"}}}, 1); err == nil {
		t.Error("it goes on although nobody listens")
	}
}

// TestNobodyReads: what is for programs must arrive; words need not.
func TestNobodyReads(t *testing.T) {
	for line, want := range map[string]int{
		"status --json": exitFailed, "get-link /mars/resource-r/size": exitFailed, "watch --timeout=0": exitFailed, "view": exitFailed, "help": exitFailed,
		"status": exitOK, "role r": exitOK, "pause-sync r": exitOK, "show-errors r": exitOK,
	} {
		if code := Run(deafSys{newPair(t, "B")}, strings.Fields(line)); code != want {
			t.Errorf("%s: exit status %d, expected %d", line, code, want)
		}
	}
}

type deafSys struct{ *fakeSys }

func (d deafSys) Stdout() io.Writer { return deaf{d.fakeSys} }

// TestStatusIndented: what is printed piece by piece is one value, as json.Indent
// would have it.
func TestStatusIndented(t *testing.T) {
	s := newBystander(t, "B")
	for range 3 {
		s.must("status --json")
		var got status.Status
		if err := json.Unmarshal(s.out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want, err := json.MarshalIndent(&got, "", indentStep)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want)+"\n", s.out.String()); d != "" {
			t.Errorf("%d resources (-want +got):\n%s", len(got.Resources), d)
		}
		s.set(fmt.Sprintf("resource-q%d/data-B", len(got.Resources)), "/dev/q", fmt.Sprintf("resource-q%d/primary", len(got.Resources)), "B")
	}
}
