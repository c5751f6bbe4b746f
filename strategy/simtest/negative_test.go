package simtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/symtree"
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
		{"somebody writes another host's link", "which alone writes it", func(a, b *Host) {
			path := symtree.ReplayPath(Res, "a")
			value, fs := a.Link(path), b.FS()
			a.C.Must(fs.Remove(path), "remove %s", path)
			a.C.Must(fs.Symlink(value, path), "make %s", path)
			a.C.Must(fs.Lutimes(path, int64(1<<62)), "stamp %s", path)
		}},
	} {
		why := fails(t, func(t testing.TB) {
			k := NewCluster(t, 1, Options{}, "a", "b")
			defer k.Close()
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

// TestSimNegativeStatus: a status that says too much is found. Here the link of
// a host that is behind is made to say that it is not.
func TestSimNegativeStatus(t *testing.T) {
	why := fails(t, func(t testing.TB) {
		k := NewCluster(t, 1, Options{}, "a", "b")
		defer k.Close()
		a, others := k.pair()
		b := others[0]
		l := k.NewLoad(a, LoadOptions{Think: 5 * time.Millisecond})
		b.join(30)
		k.Wait("the sync", b.Synced)
		b.adm("pause-replay-local", Res)
		k.RunFor(2 * time.Second)
		l.End()
		a.insist("secondary", Res, "--timeout=60")
		k.Watch.Off = true
		path := symtree.ReplayPath(Res, "b")
		value, fs := a.Link(symtree.ReplayPath(Res, "a")), a.FS()
		k.Must(fs.Remove(path), "remove %s", path)
		k.Must(fs.Symlink(value, path), "make %s", path)
		k.Must(fs.Lutimes(path, int64(1<<62)), "stamp %s", path)
		k.agree(a, l.journal, b)
	})
	if want := "differ at rest"; !strings.Contains(why, want) {
		t.Errorf("found %.300q, want %q", why, want)
	}
}

// TestSimNegativeWindow: what replay must not write is told from what it may, and
// a step that no version link allows from one that follows.
func TestSimNegativeWindow(t *testing.T) {
	k := NewCluster(t, 1, Options{}, "a", "b")
	defer k.Close()
	a, others := k.pair()
	b := others[0]
	l := k.NewLoad(a, LoadOptions{Think: 5 * time.Millisecond})
	b.join(30)
	k.RunFor(time.Second)
	end := a.Replay("a")
	a.adm("log-rotate", Res)
	k.RunFor(time.Second)
	k.quiesce(a, l, b)

	w, x := k.Watch, k.Watch.hosts["b"]
	if w.Windows == 0 || w.Steps == 0 || w.Owned == 0 {
		t.Fatalf("%d windows, %d steps, %d owned entries were looked at", w.Windows, w.Steps, w.Owned)
	}
	at := b.Replay("b")
	records := 0
	for key, places := range x.seen {
		if key>>32 == 0 {
			continue
		}
		records++
		if err := w.window(x, int64(uint32(key)), key); err == nil {
			t.Fatalf("a record at %v may be written again, but %v is applied", places, at)
		}
	}
	key := uint64(1)<<40 | 7
	x.seen[key] = []recordAt{{symtree.ReplayLink{Number: at.Number, Origin: at.Origin}, at.Pos + 1<<30}}
	if err := w.window(x, 7, key); err == nil || records == 0 {
		t.Errorf("of %d records, one far behind the window may be written", records)
	}

	v, err := symtree.ParseVersion(b.Link(symtree.VersionPath(Res, 2, "b")))
	if err != nil || v.Prev == nil {
		t.Fatalf("version link of log 2 (after %v): %+v, %v", end, v, err)
	}
	from := symtree.ReplayLink{Number: 1, Origin: "a", Pos: v.Prev.Pos}
	next := symtree.ReplayLink{Number: 2, Origin: "a"}
	if err := w.step(x, from.String(), next.String()); err != nil {
		t.Errorf("a step that follows: %v", err)
	}
	short, third, back := from, next, from
	short.Pos, third.Origin, back.Pos = 100, "c", 100
	for _, s := range [][2]symtree.ReplayLink{{short, next}, {from, third}, {from, back}} {
		if err := w.step(x, s[0].String(), s[1].String()); err == nil {
			t.Errorf("from %v to %v: no error", s[0], s[1])
		}
	}
}
