package simtest

import (
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// split makes B primary by force while A still is, and both write.
func (r *explainRig) split() {
	r.c.World.Isolate(r.b.Node)
	r.c.RunFor(5 * time.Second)
	r.b.adm("primary", explained, "--force", "--timeout=60")
	r.c.Wait("the device on B", func() bool { return r.b.Device(explained) != nil })
	r.write(r.a)
	r.write(r.b)
	r.c.RunFor(5 * time.Second)
	r.c.World.HealAll()
}

// fails lets all requests of a kind to a disk fail until it is called off.
func (r *explainRig) fails(h *Host, kind env.Kind) (mend func()) {
	ill := true
	h.Disk("/dev/lv-x/mydata").Fail(func(io *env.IO) error {
		if ill && io.Kind == kind {
			return simenv.ErrIO
		}
		return nil
	})
	return func() { ill = false }
}

// jam fills /mars of A until nothing is logged, and lets it write.
func (r *explainRig) jam() {
	r.a.fill(gib)
	r.c.Wait("emergency mode", func() bool { return r.a.Link("resource-"+explained+"/actual-A/is-emergency") == "1" })
	r.write(r.a)
}

// badTroubles are what no switch makes.
func badTroubles() []explainTrouble {
	var mend func()
	space := func(r *explainRig) { r.a.fill(32 * gib); r.b.fill(32 * gib) }
	return []explainTrouble{
		{name: "split brain, seen by the loser", on: "A", make: (*explainRig).split, fact: "split brain", next: "Next: marsadm invalidate mydata"},
		{name: "split brain, seen by the winner", on: "B", make: (*explainRig).split, fact: "member A is in split brain", next: "Next on host A: marsadm invalidate mydata"},
		{name: "emergency of a secondary", on: "B", make: func(r *explainRig) { r.b.fill(7 * gib) }, fact: "emergency level 1", next: "Next: marsadm log-delete-all all", helps: space},
		{name: "jammed", on: "A", make: (*explainRig).jam, fact: "/mars is jammed", next: "Next: marsadm log-delete-all all", helps: space},
		{name: "outdated", on: "B", make: func(r *explainRig) {
			r.jam()
			space(r)
			r.c.Wait("B to see the hole", func() bool {
				return strings.Contains(r.b.Link(symtree.ActualPath(explained, "B", "why")), "hole")
			})
		}, fact: "hole", next: "Next: marsadm invalidate mydata"},
		{name: "disk error", on: "B", make: func(r *explainRig) {
			mend = r.fails(r.b, env.Write)
			r.write(r.a)
		}, fact: simenv.ErrIO.Error(), next: "Next: marsadm show-errors mydata", helps: func(*explainRig) { mend() }},
		{name: "log damaged", on: "B", make: func(r *explainRig) {
			r.behind()
			r.damage(r.a, r.b)
			r.b.insist("resume-replay", explained, "--timeout=0")
		}, fact: "replay stopped: ", next: "Next: marsadm invalidate mydata"},
	}
}
