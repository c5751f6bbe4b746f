package strategy

import (
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// TestSimPlanFlaps: what is wanted changes, and changes back before the bricks of
// the first wish are gone, whenever that happens. Nothing stays half switched
// off: the secondary goes on at once.
func TestSimPlanFlaps(t *testing.T) {
	plan := func(r *resource, change func(p *Plan)) {
		r.wenv.Post(func() {
			p := r.w.want
			change(&p)
			r.w.setPlan(p, false)
		})
	}
	for _, c := range []struct {
		name string
		set  func(a, b *simHost, on bool)
	}{
		{"another peer to fetch from", func(_, b *simHost, on bool) {
			plan(b.st.resources[0], func(p *Plan) {
				f := *p.Fetch
				f.Peer.Addr = map[bool]string{true: "10.0.0.1", false: "10.9.9.9"}[on]
				p.Fetch = &f
			})
		}},
		{"not served", func(a, _ *simHost, on bool) { plan(a.st.resources[0], func(p *Plan) { p.Serve = on }) }},
		{"disconnected", func(_, b *simHost, on bool) {
			b.set(symtree.TodoPath("r", "b", symtree.TodoConnect), symtree.FormatBool(on))
		}},
		{"detached", func(_, b *simHost, on bool) {
			b.set(symtree.TodoPath("r", "b", symtree.TodoAttach), symtree.FormatBool(on))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 5)
			hosts := newHosts(t, w, "a", "b")
			a, b := hosts[0], hosts[1]
			w.RunFor(time.Second)
			a.create()
			wait(t, w, "the device", func() bool { return a.device() != nil })
			wait(t, w, "the resource on b", func() bool { return b.tree().Primary("r") == "a" })
			b.join("a")
			wait(t, w, "b to catch up", b.caughtUp("a"))
			if p := b.st.resources[0].w.want.Fetch; p == nil || p.Peer.Addr != "10.0.0.1" {
				t.Fatalf("b fetches %+v", p)
			}
			for i := range 100 {
				flap(t, w, a, b, i, c.set)
			}
		})
	}
}

func flap(t *testing.T, w *simenv.World, a, b *simHost, i int, set func(a, b *simHost, on bool)) {
	a.write(w, int64(i%64)*4096, byte(i+1))
	w.RunFor(time.Duration(i%7) * 300 * time.Microsecond)
	set(a, b, false)
	w.RunFor(time.Duration(i) * 50 * time.Microsecond)
	set(a, b, true)
	at, _ := b.tree().Replay("r", "b")
	a.write(w, int64(i%64)*4096, byte(i+2))
	err := w.Run(func() bool {
		now, _ := b.tree().Replay("r", "b")
		return b.caughtUp("a")() && now.Compare(at) > 0 && b.actual("is-attached", "1")() && a.st.resources[0].w.srv.On()
	}, 20*time.Second)
	if err != nil {
		t.Fatalf("after %d flaps b does not follow any more: %+v", i, b.st.resources[0].w.want)
	}
}
