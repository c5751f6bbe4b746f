package simtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
)

// TestSimNegative: what is known to be unsafe must be found.
func TestSimNegative(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*Options)
		spoil      func(h *Host)
	}{
		{"answers before the log is durable", "was answered and is not there", func(o *Options) { o.Set = append(o.Set, "logger_completion_semantics=0") }, nil},
		{"log disk that lies", "", nil, func(h *Host) {
			for i := 1; i < 9; i++ {
				h.File(fmt.Sprintf("resource-r/log-%09d-a", i)).Lie(true)
			}
		}},
		{"data disk that lies", "", nil, func(h *Host) { h.Data().Lie(true) }},
		{"log that is not synced", "", nil, func(h *Host) {
			h.File("resource-r/log-000000001-a").Fail(func(io *env.IO) error { io.Durable = false; return nil })
		}},
	} {
		found := 0
		for seed := uint64(1); seed <= 20; seed++ {
			why := fails(t, func(t testing.TB) {
				r := newCrashes(t, seed, c.change, c.spoil)
				r.points(20)
				r.c.Close()
			})
			if why != "" && !strings.Contains(why, c.want) {
				t.Errorf("%s, seed %d: found %q", c.name, seed, why)
			}
			if why != "" {
				found++
			}
		}
		t.Logf("%s: found with %d of 20 seeds", c.name, found)
		if found < 5 {
			t.Errorf("%s: found with %d of 20 seeds only", c.name, found)
		}
	}
}

// TestSimNegativePair: what the watch looks for between hosts must be found.
func TestSimNegativePair(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(a, b *Host)
	}{
		{"origin's log lies about durability", "at its origin", func(a, _ *Host) {
			for i := 1; i < 9; i++ {
				a.File(fmt.Sprintf("resource-r/log-%09d-a", i)).Lie(true)
			}
		}},
		{"secondary's disk lies", "the replay link moved", func(_, b *Host) { b.Data().Lie(true) }},
		{"secondary's log lies", "not durable in a log", func(_, b *Host) { b.File("resource-r/log-000000001-a").Lie(true) }},
		{"a second primary", "2 hosts have the device", func(a, b *Host) {
			c := a.C
			c.Wait("the sync", b.Synced)
			c.World.Isolate(b.Node)
			b.adm("primary", Res, "--force")
			c.Wait("the second device", b.Serving)
		}},
	} {
		why := fails(t, func(t testing.TB) {
			k := NewCluster(t, 1, Options{}, "a", "b")
			defer k.Close()
			k.Watch.Every = 1
			a, others := k.pair()
			l := k.NewLoad(a, LoadOptions{Think: 5 * time.Millisecond})
			others[0].join(30)
			c.spoil(a, others[0])
			k.RunFor(2 * time.Second)
			k.quiesce(a, l, others[0])
		})
		if !strings.Contains(why, c.want) {
			t.Errorf("%s: found %.300q, want %q", c.name, why, c.want)
		}
	}
}
