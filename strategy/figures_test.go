package strategy

import (
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
	"mars/infra/tunable"
)

// figures asks a node for them, and waits for the answer.
func (h *simHost) figures(wait func(string, func() bool)) *Figures {
	h.t.Helper()
	var got *Figures
	h.Env(0).Post(func() { h.st.Measure(true, func(f *Figures) { got = f }) })
	wait("the figures", func() bool { return got != nil })
	return got
}

// TestSimFigures: what nodes measure and what they publish for people, from
// the sync of a second host over a pause to the end.
func TestSimFigures(t *testing.T) {
	w := newWorld(t, 5)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	until := func(what string, cond func() bool) { t.Helper(); wait(t, w, what, cond) }
	w.RunFor(time.Second)
	b.st.cfg.Tunables = tunable.New()
	if err := b.st.cfg.Tunables.Assign("show_connections", "1"); err != nil {
		t.Fatal(err)
	}
	a.create()
	until("the device", func() bool { return a.device() != nil })
	for i := range int64(20) {
		a.write(w, i*8192, byte(i+1))
	}
	until("the resource on b", func() bool { return b.tree().Primary("r") == "a" })
	b.join("a")
	until("b to catch up", b.caughtUp("a"))

	f := a.figures(until)
	r := &f.Resources[0]
	if r.Name != "r" || r.Device.Writes < 20 || r.Logger.WriteBytes < 20*512 || r.Logger.BatchTime.Count() != uint64(r.Logger.Batches) || r.BufferLimit == 0 || r.Served == 0 {
		t.Errorf("primary: %+v", r)
	}
	if len(f.Peers) != 1 || !f.Peers[0].Connected || f.Entries == 0 || !strings.Contains(f.Info, "brick button=1 off=0 on=1 path='r/logger' type='trans_logger'\n") ||
		!strings.Contains(f.Info, "SUMMARY: brick_count=") || !strings.Contains(f.Info, "dent_count=") {
		t.Errorf("primary: %+v", f)
	}
	f = b.figures(until)
	r = &f.Resources[0]
	if r.Oldest != "resource-r/log-000000001-a" {
		t.Errorf("the oldest log is %q", r.Oldest)
	}
	if r.Received+r.Equal < diskSize || r.Fetched == 0 || r.Logger.ReplayBytes == 0 || r.Device.Writes != 0 {
		t.Errorf("secondary: %+v", r)
	}
	if at := f.Status.Resource("r").Member("b").Replay; r.SyncEnded == 0 || r.Equal == 0 || r.Differed == 0 || r.Differed%4096 != 0 || r.Differed > r.Received || !at.Known {
		t.Errorf("secondary: %+v", r)
	}
	if m := f.Status.Resource("r").Member("b"); m.Lag != 0 || m.LagSeconds == nil || *m.LagSeconds != 0 || m.FetchLagSeconds == nil || !m.UpToDate() {
		t.Errorf("secondary: %+v", m)
	}
	for path, want := range map[string]string{
		"actual-b/logfile-update": "1", "actual-b/copy-syncstatus-b": "0", "actual-b/replay-code": "0", "actual-a/logfile-update": "0",
		"local-b/connection-fetch-a": "1",
	} {
		if v, _ := b.tree().Value("resource-r/" + path); v != want {
			t.Errorf("%s -> %q, expected %q", path, v, want)
		}
	}
	v, _ := b.tree().Value(symtree.VerifyStatusPath("r", "b"))
	if n, err := symtree.ParseVerify(v); err != nil || n[0]+n[1] == 0 || (n[0]+n[1])*4096 > diskSize {
		t.Errorf("verifystatus %q: %v %v", v, n, err)
	}

	b.set(symtree.TodoPath("r", "b", symtree.TodoAllowReplay), "0")
	until("the pause", b.actual("is-replaying", "0"))
	for i := range int64(20) {
		a.write(w, i*8192, byte(i+50))
	}
	until("b to be behind", func() bool {
		m := b.figures(until).Status.Resource("r").Member("b")
		return m.Lag > 20*512 && *m.LagSeconds > 5 && m.Fetched == m.Lag && *m.FetchLagSeconds == 0
	})
	b.set(symtree.TodoPath("r", "b", symtree.TodoAllowReplay), "1")
	until("b to be level again", func() bool {
		m := b.figures(until).Status.Resource("r").Member("b")
		return m.Lag == 0 && *m.LagSeconds == 0
	})

	// Counters outlive the bricks that counted.
	before := a.figures(until).Resources[0]
	a.set(symtree.PrimaryPath("r"), symtree.None)
	until("a to give up the role", a.actual("is-primary", "0"))
	after := a.figures(until).Resources[0]
	if after.Device.Writes != before.Device.Writes || after.Logger.WriteBytes != before.Logger.WriteBytes || after.Logger.BatchTime.Count() < before.Logger.BatchTime.Count() {
		t.Errorf("before %+v\nafter  %+v", before, after)
	}
}

// TestSimRates: rates are published while something moves, and are 0 when it
// does not; an idle resource has no timer for them.
func TestSimRates(t *testing.T) {
	w := newWorld(t, 6)
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	w.RunFor(time.Second)
	a.create()
	wait(t, w, "the device", func() bool { return a.device() != nil })
	wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
	b.join("a")
	wait(t, w, "b to catch up", b.caughtUp("a"))
	rate := func(key string) int64 {
		n, ok := b.tree().Int(symtree.ActualPath("r", "b", key))
		if !ok {
			t.Fatalf("no link %s", key)
		}
		return n
	}
	i := int64(0)
	wait(t, w, "rates", func() bool {
		i++
		a.write(w, i%100*4096, byte(i))
		return rate(symtree.ActualFileRate) > 0 && rate(symtree.ActualReplayRate) > 0
	})
	wait(t, w, "no rates", func() bool { return rate(symtree.ActualFileRate) == 0 && rate(symtree.ActualReplayRate) == 0 })
	wait(t, w, "no timer", func() bool { return !b.st.find("r").w.tick.Armed() })
}
