package simtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// conv is a cluster whose symlink trees are written to, deleted from, torn
// apart and set back, and the truth about it.
type conv struct {
	c       *Cluster
	truth   map[string]fact // by path
	did     map[string]int
	kinds   []func(*conv) // a swarm: what may happen with this seed
	backups map[*Host]*backup
	ahead   time.Duration // sum of the clocks' jumps within the window
	far     map[*Host]bool
	rng     *rand.Rand // of the present step
}

// fact is the newest event of a path.
type fact struct {
	value string // empty: deleted
	stamp int64
	by    *Host
	at    int  // number of the event
	lost  bool // it may have got lost, with a backup that was put back
}

type backup struct {
	img *simenv.Image
	at  int
}

// window is how far a clock may leap and still be believed.
const window = 30 * 24 * time.Hour

func newConv(t testing.TB, seed uint64) *conv {
	var o Options
	watching(t, &o)
	n := 2 + int(seed%6)
	names := []string{"h1", "h2", "h3", "h4", "h5", "h6", "h7"}[:n]
	odd := seed%4 == 3 // names that look like other things of the tree, or begin like each other
	if odd {
		names = []string{"h1", "log", "000000001-h1", "replay-h1", "h", "h1.x", "A-h1"}[:n]
	}
	for i := range names {
		o.World.Latency = []simenv.Span{{}, {}, {Min: time.Millisecond, Max: 80 * time.Millisecond}}[(int(seed)+i)%3]
	}
	v := &conv{c: NewCluster(t, seed, o, names...), truth: map[string]fact{}, did: map[string]int{}, backups: map[*Host]*backup{}, far: map[*Host]bool{}, rng: dice(seed, 1<<20)}
	if odd {
		v.did["odd names"]++
	}
	all := []func(*conv){(*conv).cut, (*conv).isolate, (*conv).heal, (*conv).end, (*conv).save, (*conv).restore, (*conv).restore, (*conv).clock, (*conv).leap, (*conv).reset}
	for _, f := range all {
		if v.rng.IntN(3) > 0 {
			v.kinds = append(v.kinds, f)
		}
	}
	v.kinds = append(v.kinds, (*conv).heal)
	v.c.Wait("the daemons", func() bool { return !slices.ContainsFunc(v.c.Hosts, func(h *Host) bool { return !h.Ready }) })
	return v
}

func (v *conv) note(what string, a ...any) {
	v.did[what]++
	v.c.Note("%s %v", what, fmt.Sprint(a...))
}

func (v *conv) any() *Host { return v.c.Hosts[v.rng.IntN(len(v.c.Hosts))] }

// paths are those that all write to; each host also has one of its own.
func (v *conv) path(h *Host) string {
	list := []string{"userspace/x", "userspace/d/y", "defaults/k", symtree.SizePath("x"), symtree.TodoPath("x", "h1", "sync"), symtree.TodoPath("x", "h1", "attach"),
		symtree.DevicePath("x", h.Node.Host())}
	return list[v.rng.IntN(len(list))]
}

// event notes the newest event of a path. Of equal stamps a deletion wins over
// a value, and the larger value over the smaller one.
func (v *conv) event(path, value string, stamp int64, by *Host) {
	old, ok := v.truth[path]
	if !ok || stamp > old.stamp || stamp == old.stamp && old.value != "" && (value == "" || value > old.value) {
		v.truth[path] = fact{value: value, stamp: stamp, by: by, at: v.step()}
	}
}

func (v *conv) step() int { return v.did["events"] }

// commit writes as marsadm does. What it stamps too far ahead the daemon has to
// stamp anew.
func (v *conv) commit(h *Host, b *symtree.Batch, paths ...string) {
	store := symtree.NewStore(h.FS(), symtree.AdmTemp)
	tree, markers, err := store.Load()
	v.c.Must(err, "load the tree of %s", h.Node.Host())
	stamp := symtree.BatchStamp(h.Wall(), tree, markers)
	err = store.CommitBatch(b, stamp)
	if errors.Is(err, symtree.ErrStale) {
		return
	}
	v.c.Must(err, "commit on %s", h.Node.Host())
	v.did["events"]++
	changes := b.Changes(stamp)
	if v.far[h] {
		for _, c := range changes {
			v.c.WaitFor("an implausible stamp to be replaced", 5*time.Second, func() bool {
				fi, err := h.FS().Lstat(c.Path)
				stamp = fi.MtimeNS
				return err != nil || fi.MtimeNS != c.Stamp
			})
			v.note("stamped anew", c.Path)
		}
	}
	for _, path := range paths {
		value := ""
		if changes[0].Path == path {
			value = changes[0].Value
		}
		v.event(path, value, stamp, h)
	}
}

func (v *conv) write(h *Host, path string) {
	if v.far[h] && !h.Ready {
		return
	}
	value := fmt.Sprintf("%s-%d", h.Node.Host(), v.rng.IntN(1000))
	var b symtree.Batch
	b.Set(path, value)
	v.note("write", h.Node.Host(), " ", path, " ", value)
	v.commit(h, &b, path)
}

// order deletes a path, or a directory of keys with all in it.
func (v *conv) order(h *Host, path string) {
	if v.far[h] && !h.Ready {
		return
	}
	tree, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
	v.c.Must(err, "load the tree of %s", h.Node.Host())
	target, paths := path, []string{path}
	if strings.Contains(path, "/todo-") && v.rng.IntN(2) == 0 {
		target = symtree.Parent(path)
		paths = []string{symtree.TodoPath("x", "h1", "sync"), symtree.TodoPath("x", "h1", "attach")}
	}
	orders, err := symtree.NewOrder(tree, h.Node.Host(), []string{target})
	v.c.Must(err, "order to delete %s", target)
	if len(orders) == 0 {
		return
	}
	var b symtree.Batch
	b.Add(orders...)
	v.note("delete", h.Node.Host(), " ", target)
	v.commit(h, &b, paths...)
}

func (v *conv) cut() {
	a, b := v.any(), v.any()
	if a != b {
		v.note("cut", a.Node.Host(), " ", b.Node.Host())
		v.c.World.Cut(a.Node, b.Node, v.rng.IntN(3) == 0)
	}
}

func (v *conv) isolate() {
	h := v.any()
	v.note("isolate", h.Node.Host())
	v.c.World.Isolate(h.Node)
}

func (v *conv) heal() {
	v.note("heal")
	v.c.World.HealAll()
}

func (v *conv) reset() {
	a, b := v.any(), v.any()
	if a != b {
		v.note("reset")
		v.c.World.Reset(a.Node, b.Node)
	}
}

// end ends a daemon or the power, for a while.
func (v *conv) end() {
	h := v.any()
	if !h.Up() {
		return
	}
	if v.rng.IntN(2) == 0 {
		v.note("kill", h.Node.Host())
		h.Kill()
	} else {
		models := simenv.Models()
		m := models[v.rng.IntN(len(models))]
		v.note("crash", h.Node.Host(), " ", m)
		h.Crash(m)
	}
	v.c.World.In(time.Duration(v.rng.IntN(int(20*time.Second))), func() {
		if !h.Up() {
			h.Restart()
		}
	})
}

// save makes a backup of /mars.
func (v *conv) save() { v.backup(v.any()) }

func (v *conv) backup(h *Host) {
	v.note("save", h.Node.Host())
	h.SyncAll()
	v.backups[h] = &backup{h.CrashImage(1, simenv.Zero()), v.step()}
}

// restore puts a backup of /mars back. What this host alone knew is lost, and
// what it wrote of its own links since then.
func (v *conv) restore() {
	h := v.any()
	b := v.backups[h]
	if b == nil {
		v.backup(h)
		return
	}
	if !h.Up() {
		return
	}
	v.note("restore", h.Node.Host())
	h.Kill()
	h.RestoreFS(b.img)
	for path, f := range v.truth { // order does not matter: each by itself
		own := path == symtree.DevicePath("x", h.Node.Host())
		if f.by == h && f.at >= b.at || own {
			f.lost = true
			v.truth[path] = f
		}
	}
	h.Restart()
}

// clock lets a clock jump within the window.
func (v *conv) clock() {
	h := v.any()
	d := []time.Duration{time.Hour, -time.Hour, -24 * time.Hour, 24 * time.Hour, 5 * 24 * time.Hour}[v.rng.IntN(5)]
	if v.ahead+max(d, 0) > window/2 || v.far[h] {
		return
	}
	v.ahead += max(d, 0)
	v.note("clock", h.Node.Host(), " ", d)
	h.JumpClock(d)
}

// leap sets a clock far beyond the window, or back to the truth.
func (v *conv) leap() {
	h := v.any()
	d := 10 * 365 * 24 * time.Hour
	if v.far[h] {
		d = -d
	} else if !h.Ready || len(v.far) > 0 {
		return // two that leap the same way believe each other
	}
	if v.far[h] {
		delete(v.far, h)
	} else {
		v.far[h] = true
	}
	v.note("leap", h.Node.Host(), " ", d)
	h.JumpClock(d)
}

func (v *conv) run(count int) {
	for range count {
		step, skip := next(v.c.T)
		v.rng = dice(v.c.World.Seed(), step)
		if skip {
			continue
		}
		h := v.any()
		switch v.rng.IntN(4) {
		case 0, 1:
			v.write(h, v.path(h))
		case 2:
			v.order(h, v.path(v.any()))
		default:
			v.kinds[v.rng.IntN(len(v.kinds))](v)
		}
		longest := []time.Duration{time.Millisecond, 300 * time.Millisecond, 30 * time.Second}[v.rng.IntN(3)]
		v.c.RunFor(time.Duration(v.rng.IntN(int(longest))))
	}
}

// links are a host's replicated links but for the signs of life, which change
// all the time, and its orders.
func (h *Host) links() (links []symtree.Item, orders int) {
	t, _, err := symtree.NewStore(h.FS(), symtree.AdmTemp).Load()
	h.C.Must(err, "load the tree of %s", h.Node.Host())
	links = slices.DeleteFunc(t.Links(), func(i symtree.Item) bool {
		return strings.HasPrefix(i.Path, "alive-") || strings.HasPrefix(i.Path, "time-")
	})
	return links, len(t.Orders())
}

// converged tells whether all trees are equal and all orders done.
func (c *Cluster) converged() bool {
	var first []symtree.Item
	for i, h := range c.Hosts {
		if !h.Ready {
			return false
		}
		links, orders := h.links()
		if i == 0 {
			first = links
		}
		if orders > 0 || !slices.Equal(first, links) {
			return false
		}
	}
	return true
}

// settle waits until all trees are equal.
func (v *conv) settle() {
	v.c.World.HealAll()
	for _, h := range v.c.Hosts {
		if !h.Up() {
			h.Restart()
		}
	}
	// A connection that is dead unnoticed takes 25 s, a new one 5, and each
	// round of the protocol of deletions less than a second.
	limit := v.c.World.Now() + 90*time.Second
	for !v.c.converged() {
		if v.c.World.Now() > limit {
			v.c.Fatalf("the trees do not become equal:\n%s", v.trees())
		}
		v.c.RunFor(500 * time.Millisecond)
	}
}

// trees lists what differs.
func (v *conv) trees() string {
	var b strings.Builder
	common := map[symtree.Item]int{}
	for _, h := range v.c.Hosts {
		links, _ := h.links()
		for _, l := range links {
			common[l]++
		}
	}
	for _, h := range v.c.Hosts {
		fmt.Fprintf(&b, "--- %s ready %v\n", h.Node.Host(), h.Ready)
		links, _ := h.links()
		for _, l := range links {
			if common[l] < len(v.c.Hosts) || strings.HasPrefix(l.Path, "todo-global/delete-") {
				fmt.Fprintf(&b, "%s -> %s @%d\n", l.Path, l.Value, l.Stamp)
			}
		}
	}
	return b.String()
}

// check compares all that is certain with the trees.
func (v *conv) check() {
	for path, f := range v.truth { // order does not matter: the first failure ends the test
		if got := v.c.Hosts[0].Link(path); !f.lost && got != f.value {
			v.c.Fatalf("%s is %q, but its newest event (%d, on %s) made it %q", path, got, f.stamp, f.by.Node.Host(), f.value)
		}
		if f.value == "" && !f.lost {
			v.did["stayed deleted"]++
		}
	}
}

// again makes everything that was deleted anew: it must stay.
func (v *conv) again() {
	var gone []string
	for path := range v.truth { // order does not matter: sorted below
		if v.c.Hosts[0].Link(path) == "" {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	for _, path := range gone {
		h := v.any()
		if n, _ := symtree.Parse(path); n.Owner() != "" {
			h = v.c.Host(n.Owner())
		}
		v.write(h, path)
		v.did["made again"]++
	}
	v.c.RunFor(5 * time.Second)
	v.settle()
	v.check()
}

// TestSimConverge: two to seven hosts write, delete and make links again, while
// they are cut off, killed, set back to old backups, and their clocks jump. In
// the end all trees are equal within a bounded time, nothing deleted is there,
// no order is left, and what was deleted can be made again.
func TestSimConverge(t *testing.T) {
	list := seeds(t, 24, 0.35)
	sum := runSeeds(t, list, func(t testing.TB, seed uint64) map[string]int {
		v := newConv(t, seed)
		v.run(20 + v.rng.IntN(60))
		v.settle()
		v.check()
		v.again()
		v.c.Close()
		return v.did
	})
	sum.check(t, len(list))
}
