package simtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// nemesis does things to a cluster with a primary under load, at random, one
// after the other; some last while the next ones happen.
type nemesis struct {
	c    *Cluster
	p    *Host // primary
	rest []*Host
	l    *Load
	kill []func(*nemesis) // what it may do
	did  map[string]int

	rng  *rand.Rand     // of the present step
	lost map[*Host]bool // crashed or without device: to be resolved
	runs int            // times that it was calm
}

func newNemesis(c *Cluster, p *Host, l *Load, rest ...*Host) *nemesis {
	n := &nemesis{rng: dice(c.World.Seed(), 1<<20), c: c, p: p, l: l, rest: rest, did: map[string]int{}, lost: map[*Host]bool{}}
	all := []func(*nemesis){
		(*nemesis).rotate, (*nemesis).deleteLogs, (*nemesis).end, (*nemesis).cut, (*nemesis).reset, (*nemesis).pauseReplay,
		(*nemesis).pauseFetch, (*nemesis).slow, (*nemesis).image, (*nemesis).clock, (*nemesis).detach, (*nemesis).pauseSync,
		(*nemesis).both, (*nemesis).stall, (*nemesis).flap, (*nemesis).leap, (*nemesis).logError, (*nemesis).diskError, (*nemesis).crashAtOp, (*nemesis).cron,
	}
	// A swarm: each seed knows only some of the faults, so that they do not
	// cover each other.
	for _, f := range all {
		if n.intn(2) == 0 {
			n.kill = append(n.kill, f)
		}
	}
	if len(n.kill) == 0 {
		n.kill = all
	}
	return n
}

func (n *nemesis) log(what string, a ...any) {
	n.did[what]++
	n.c.Note("%s %v", what, fmt.Sprint(a...))
}

// run does so many things.
func (n *nemesis) run(count int) {
	for range count {
		step, skip := next(n.c.T)
		n.rng = dice(n.c.World.Seed(), step)
		if skip {
			continue
		}
		n.c.Note("step %d", step)
		n.kill[n.intn(len(n.kill))](n)
		n.c.RunFor(n.while(200 * time.Millisecond))
	}
}

// intn is a choice of the present step.
func (n *nemesis) intn(k int) int { return n.rng.IntN(k) }

func (n *nemesis) while(longest time.Duration) time.Duration {
	return time.Duration(n.intn(int(longest)))
}

func (n *nemesis) any() *Host {
	all := append([]*Host{n.p}, n.rest...)
	return all[n.intn(len(all))]
}

func (n *nemesis) secondary() *Host { return n.rest[n.intn(len(n.rest))] }

// adm tries a command; it may be refused.
func (n *nemesis) adm(h *Host, args ...string) bool {
	if !h.Up() {
		return false
	}
	ok, out := h.try(args...)
	n.log(h.Node.Host()+": "+args[0], ok)
	if !ok && strings.Contains(out, "panic") {
		n.c.Fatalf("%s", out)
	}
	return ok
}

func (n *nemesis) rotate()     { n.adm(n.p, "log-rotate", Res) }
func (n *nemesis) deleteLogs() { n.adm(n.any(), "log-delete-all", Res) }

// end ends the daemon or the power of a host, for a while.
func (n *nemesis) end() {
	h := n.any()
	if n.intn(2) == 0 {
		n.log(h.Node.Host() + ": kill")
		h.Kill()
		if h == n.p && n.c.opt.Node.FuseDevices {
			n.l.drop()
			n.lost[h] = true
		}
	} else {
		models := simenv.Models()
		m := models[n.intn(len(models))]
		n.log(h.Node.Host()+": crash", m)
		h.Crash(m)
		n.lost[h] = n.lost[h] || h == n.p
	}
	n.c.RunFor(n.while(time.Second))
	n.restart(h)
}

// restart brings a host back and lets the load go on.
func (n *nemesis) restart(h *Host) {
	h.Restart()
	n.c.Wait("the daemon", func() bool { return h.Ready })
	if h != n.p {
		return
	}
	n.c.Wait("the device after a restart", h.Serving)
	if n.lost[h] {
		n.lost[h] = false
		n.c.Must(n.l.journal.Resolve(h.ReadDev()), "device after a restart")
		n.l.Begin()
	}
}

func (n *nemesis) cut() {
	h := n.secondary()
	oneWay := n.intn(3) == 0
	from, to := n.p, h
	if oneWay && n.intn(2) == 0 {
		from, to = to, from
	}
	n.log("cut", from.Node.Host(), to.Node.Host(), oneWay)
	n.c.World.Cut(from.Node, to.Node, oneWay)
	longest := 500 * time.Millisecond
	if n.intn(4) == 0 {
		longest = time.Minute
	}
	run := n.runs
	n.c.World.In(n.while(longest), func() {
		if run == n.runs {
			n.c.World.HealAll()
		}
	})
}

func (n *nemesis) reset() {
	h := n.secondary()
	n.log("reset", h.Node.Host())
	n.c.World.Reset(n.p.Node, h.Node)
}

// pauseReplay stops a secondary and looks at its disk, which is at rest then.
func (n *nemesis) pauseReplay() {
	h := n.secondary()
	if !n.adm(h, "pause-replay", Res) {
		return
	}
	n.c.Wait("replay to stop", h.Actual(symtree.ActualIsReplaying, "0"))
	if h.Actual(symtree.ActualIsSyncing, "0")() && h.Synced() {
		n.log("prefix", h.Node.Host())
		n.c.Must(n.l.journal.Prefix(h.Data()), "disk of %s, paused", h.Node.Host())
	}
	n.c.RunFor(n.while(100 * time.Millisecond))
	n.adm(h, "resume-replay", Res)
}

func (n *nemesis) pauseFetch() {
	h := n.secondary()
	n.adm(h, "pause-fetch", Res)
	n.c.RunFor(n.while(500 * time.Millisecond))
	n.adm(h, "resume-fetch", Res)
}

func (n *nemesis) pauseSync() {
	h := n.secondary()
	n.adm(h, "pause-sync", Res)
	n.c.RunFor(n.while(500 * time.Millisecond))
	n.adm(h, "resume-sync", Res)
}

// detach releases the disk, looks at it, and takes it back.
func (n *nemesis) detach() {
	h := n.secondary()
	if !n.adm(h, "down", Res) {
		return
	}
	// A daemon that was about to attach it when the command looked needs a moment.
	n.c.WaitFor("the disk to be free", 5*time.Second, func() bool { return !h.Data().Held() })
	if h.Synced() {
		n.log("prefix", h.Node.Host())
		n.c.Must(n.l.journal.Prefix(h.Data()), "disk of %s, detached", h.Node.Host())
	}
	n.adm(h, "up", Res)
}

func (n *nemesis) slow() {
	h := n.any()
	n.log("slow", h.Node.Host())
	h.Data().SetSlow(20)
	n.c.World.In(n.while(time.Second), func() { h.Data().SetSlow(1) })
}

// clock lets the wall clock of a host jump.
func (n *nemesis) clock() {
	h := n.any()
	d := []time.Duration{time.Second, -time.Second, time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}[n.intn(6)]
	n.log("clock", h.Node.Host(), d)
	h.JumpClock(d)
}

// image checks what a power cut would leave of any host.
func (n *nemesis) image() {
	models := simenv.Models()
	m := models[n.intn(len(models))]
	h := n.any()
	img := h.CrashImage(n.c.World.Rand(), m)
	var err error
	if h == n.p {
		_, err = CheckImage(img, n.l.journal)
	} else {
		_, err = CheckReplica(img, n.l.journal)
	}
	n.log("image", h.Node.Host(), m)
	n.c.Must(err, "crash image of %s, model %v", h.Node.Host(), m)
}

// calm ends what is still going on, and switches everything on again.
func (n *nemesis) calm() {
	n.runs++
	n.c.World.HealAll()
	for _, h := range append([]*Host{n.p}, n.rest...) {
		h.Data().SetSlow(1)
		if h != n.p {
			h.adm("up", Res, "--timeout=60")
		}
	}
}
