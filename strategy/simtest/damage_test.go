package simtest

import (
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
)

// damage flips bytes of a log behind what B has applied of it, on some hosts; what
// it returns mends them.
func (r *explainRig) damage(hosts ...*Host) (mend func()) {
	link, err := symtree.ParseReplay(r.b.Link(symtree.ReplayPath(explained, "B")))
	r.c.Must(err, "replay link")
	path, at := "resource-"+explained+"/"+link.LogName(), link.Pos+600
	old := make([]byte, 4)
	_, err = hosts[0].FS().ReadAt(path, old, at)
	r.c.Must(err, "read %s", path)
	poke := func(p []byte) {
		for _, h := range hosts {
			r.c.Must(h.Poke(path, p, at), "damage %s", path)
		}
	}
	poke([]byte{^old[0], ^old[1], ^old[2], ^old[3]})
	return func() { hosts = hosts[:1]; poke(old) }
}

// behind has A write while B fetches, and does not apply.
func (r *explainRig) behind() {
	r.b.adm("pause-replay", explained, "--timeout=30")
	r.c.Wait("replay to be paused", func() bool { return r.b.Link(symtree.ActualPath(explained, "B", "why")) == "replay is paused" })
	r.write(r.a)
	r.c.RunFor(5 * time.Second)
}

func (r *explainRig) upToDate(h *Host, within time.Duration) {
	at := r.c.World.Now()
	r.c.WaitFor("B to be up to date", within, r.a.upTo(explained, h))
	r.c.T.Logf("up to date after %v", r.c.World.Now()-at)
}

// TestSimDamagedCopy: a copy of a log that is damaged while it waits to be applied
// is found, cut and fetched again, by itself.
func TestSimDamagedCopy(t *testing.T) {
	r := newExplainRig(t)
	defer r.c.Close()
	for range 3 {
		r.behind()
		r.damage(r.b)
		r.b.adm("resume-replay", explained, "--timeout=0")
		r.upToDate(r.b, 10*time.Second)
	}
}

// TestSimDamagedEverywhere: where no holder has a sound log nothing is applied and
// the reason is told; it is fetched again less and less often, and when the log
// is sound again all goes on.
func TestSimDamagedEverywhere(t *testing.T) {
	r := newExplainRig(t)
	defer r.c.Close()
	r.behind()
	mend := r.damage(r.a, r.b)
	r.b.adm("resume-replay", explained, "--timeout=0")
	r.c.RunFor(10 * time.Second)
	ops := r.b.FSOps()
	said := 0
	for range 100 {
		r.c.RunFor(time.Second)
		if r.says(r.b, "replay stopped: ") {
			said++
		}
	}
	if ops = r.b.FSOps() - ops; ops > 2000 || said < 95 {
		t.Errorf("%d operations on the tree in 100 s, the reason was told %d times of 100", ops, said)
	}
	mend()
	r.upToDate(r.b, 3*time.Minute)
}

// TestSimDamagedOriginalOnly: where another member has a sound copy it is fetched
// from there.
func TestSimDamagedOriginalOnly(t *testing.T) {
	r := newExplainRig(t)
	defer r.c.Close()
	r.x.insist("join-resource", explained, "/dev/lv-x/mydata", "--timeout=30")
	r.upToDate(r.x, time.Minute)
	r.behind()
	r.damage(r.a, r.b)
	r.b.adm("resume-replay", explained, "--timeout=0")
	r.upToDate(r.b, time.Minute)
	if at := r.a.Link(symtree.ReplayPath(explained, "A")); !strings.Contains(at, "log-") {
		t.Errorf("replay link %q", at)
	}
}

// TestSimDamagedOnce: what was read wrong once is not cut: it may be the last copy.
func TestSimDamagedOnce(t *testing.T) {
	r := newExplainRig(t)
	defer r.c.Close()
	r.behind()
	r.a.Kill()
	mend := r.damage(r.b)
	r.b.insist("resume-replay", explained, "--timeout=0")
	r.c.Wait("the damage to be seen", func() bool {
		return strings.HasPrefix(r.b.Link(symtree.ActualPath(explained, "B", "why")), "replay stopped: ")
	})
	mend()
	want := r.b.Link(symtree.ReplayPath(explained, "A"))
	r.c.WaitFor("B to apply all", 5*time.Second, func() bool { return r.b.Link(symtree.ReplayPath(explained, "B")) == want })
}
