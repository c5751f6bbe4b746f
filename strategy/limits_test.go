package strategy

import (
	"testing"
	"time"

	"mars/infra/symtree"
)

// TestSimLimits: a limit of the traffic at the receiver, or of the disk IO on
// behalf of peers at the sender, makes a sync as slow as it says, and one
// that is taken away while it runs has no effect any more.
func TestSimLimits(t *testing.T) {
	took := map[string]time.Duration{}
	for _, c := range []struct {
		name, onA, onB string
		lift           bool
	}{
		{name: "none"}, {name: "traffic", onB: "tuning/traffic_limit_kb"}, {name: "server", onA: "tuning/server_io_limit_kb"},
		{name: "lifted", onB: "tuning/traffic_limit_kb", lift: true},
	} {
		w := newWorld(t, 7)
		hosts := newHosts(t, w, "a", "b")
		a, b := hosts[0], hosts[1]
		w.RunFor(time.Second)
		limit := func(h *simHost, name, value string) {
			if name == "" {
				return
			}
			if err := h.st.cfg.Tunables.Assign(name, value); err != nil {
				t.Fatal(err)
			}
			h.Env(0).Post(h.st.Retune)
		}
		a.create()
		wait(t, w, "the device", func() bool { return a.device() != nil })
		for i := range int64(120) {
			a.write(w, i*8192, byte(i+1))
		}
		wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
		limit(a, c.onA, "64")
		limit(b, c.onB, "64")
		begin := w.Now()
		b.join("a")
		if c.lift {
			wait(t, w, "the sync to begin", func() bool {
				n, _ := b.tree().Int(symtree.ActualPath("r", "b", symtree.ActualIsSyncing))
				return n == 1
			})
			w.RunFor(2 * time.Second)
			limit(b, c.onB, "0")
		}
		wait(t, w, "the sync", func() bool { n, _ := b.tree().Int(symtree.SyncStatusPath("r", "b")); return n == diskSize })
		took[c.name] = w.Now() - begin
		w.Close()
	}
	t.Log(took)
	// Some 900 KiB differ and travel: that is 14 s at 64 KiB/s. The source also
	// reads for the two rounds of digests: that is 45 s.
	if d := took["none"]; d > 3*time.Second {
		t.Errorf("without a limit the sync takes %v", d)
	}
	if d := took["traffic"]; d < 10*time.Second || d > 25*time.Second {
		t.Errorf("with the traffic limited the sync takes %v", d)
	}
	if d := took["server"]; d < 30*time.Second || d > 80*time.Second {
		t.Errorf("with the source limited the sync takes %v", d)
	}
	if took["lifted"] >= took["traffic"] {
		t.Errorf("a limit that was lifted still limits: %v", took)
	}
}

func TestBufferShare(t *testing.T) {
	for _, c := range []struct {
		memory             int64
		percent, resources int
		want               int64
	}{
		{0, 20, 3, mostBuffer}, // nobody knows
		{16 << 30, 20, 1, mostBuffer},
		{1 << 30, 20, 0, mostBuffer},
		{1 << 30, 20, 10, (1 << 30) / 100 * 20 / 10},
		{1 << 30, 0, 1, leastBuffer},
		{1 << 30, 20, 1000, leastBuffer},
	} {
		if got := bufferShare(c.memory, c.percent, c.resources); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
