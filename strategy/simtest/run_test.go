package simtest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// recorder is a testing.TB that takes a failure as a result, and tells the run
// which steps of its nemesis to leave out.
type recorder struct {
	testing.TB
	skip    []int
	steps   int // of the nemesis, so far
	failure string
	dir     string // where artefacts go, "" for nowhere
	trace   io.Writer
}

// Fatalf implements testing.TB.
func (r *recorder) Fatalf(format string, a ...any) {
	r.failure = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

// try runs f with the recorder and returns how it fails, "" if it does not.
func (r *recorder) try(f func(t testing.TB)) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failure
}

// fails tells how a run fails, empty if it does not.
func fails(t testing.TB, run func(t testing.TB)) string { return (&recorder{TB: t}).try(run) }

// maxTries bounds how many runs a failing seed is minimised by.
const maxTries = 60

// runSeeds runs a simulation with each of the seeds and adds up what happened.
// A seed that fails is made smaller by leaving out steps of its nemesis, and
// told with the one command that repeats it. MARS_SIM_SKIP are the steps to be
// left out, MARS_SIM_ARTEFACTS is a directory for trees, trace and messages.
func runSeeds(t *testing.T, list []uint64, run func(t testing.TB, seed uint64) map[string]int) total {
	t.Helper()
	sum := total{}
	for _, seed := range list {
		var did map[string]int
		f := func(t testing.TB) { did = run(t, seed) }
		first := &recorder{TB: t, skip: skipped(t)}
		if why := first.try(f); why != "" {
			small, why := minimise(t, first, why, f)
			artefacts(t, seed, small, f)
			t.Fatalf("%s\nreproduce, with the steps left out that it fails without:\nMARS_SIM_SEED=%d MARS_SIM_SKIP=%s go test -count=1 -run '^%s$' ./strategy/simtest/", why, seed, numbers(small), t.Name())
		}
		sum.add(did)
	}
	return sum
}

func skipped(t testing.TB) (list []int) {
	for s := range strings.SplitSeq(os.Getenv("MARS_SIM_SKIP"), ",") {
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("MARS_SIM_SKIP: %v", err)
		}
		list = append(list, n)
	}
	return list
}

func numbers(list []int) string {
	var s []string
	for _, n := range list {
		s = append(s, strconv.Itoa(n))
	}
	return strings.Join(s, ",")
}

// minimise leaves out steps, many at once and then fewer, as long as the run
// goes on to fail, whatever the failure. It returns the steps that are not
// needed, and how the run fails without them.
func minimise(t testing.TB, first *recorder, why string, f func(t testing.TB)) ([]int, string) {
	skip := first.skip
	tries := 0
	for size := max(first.steps/2, 1); first.steps > 0; size /= 2 {
		for from := 0; from < first.steps && tries < maxTries; from += size {
			more := slices.Clone(skip)
			for i := from; i < min(from+size, first.steps); i++ {
				if !slices.Contains(more, i) {
					more = append(more, i)
				}
			}
			if len(more) == len(skip) {
				continue
			}
			tries++
			r := &recorder{TB: t, skip: more}
			if got := r.try(f); got != "" {
				skip, why = more, got
			}
		}
		if size == 1 || tries >= maxTries {
			break
		}
	}
	slices.Sort(skip)
	return skip, why
}

// artefacts runs once more what fails, and keeps all that can be known of it.
func artefacts(t testing.TB, seed uint64, skip []int, f func(t testing.TB)) {
	top := os.Getenv("MARS_SIM_ARTEFACTS")
	if top == "" {
		return
	}
	dir := filepath.Join(top, fmt.Sprintf("%s-%d", t.Name(), seed))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Errorf("artefacts: %v", err)
		return
	}
	var trace bytes.Buffer
	r := &recorder{TB: t, skip: skip, dir: dir, trace: &trace}
	why := r.try(f)
	for name, text := range map[string]string{"failure.txt": why, "trace.txt": trace.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Errorf("artefacts: %v", err)
		}
	}
	t.Logf("artefacts are in %s", dir)
}

// keep writes the trees of all hosts of a cluster that has failed.
func (r *recorder) keep(c *Cluster) {
	if r.dir == "" {
		return
	}
	for _, h := range c.Hosts {
		if err := os.WriteFile(filepath.Join(r.dir, h.Node.Host()+".tree"), []byte(h.listing()), 0o644); err != nil {
			r.Errorf("artefacts: %v", err)
		}
	}
}

// dice are the choices of one step of a nemesis: they do not depend on whether
// other steps are left out.
func dice(seed uint64, step int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(step)+1))
}

// next counts a step of the nemesis and tells whether it is to be left out.
func next(t testing.TB) (step int, skip bool) {
	r, ok := t.(*recorder)
	if !ok {
		return 0, false
	}
	step = r.steps
	r.steps++
	return step, slices.Contains(r.skip, step)
}

// TestMinimise: of many steps those that make a run fail are left.
func TestMinimise(t *testing.T) {
	run := func(t testing.TB) {
		did := map[int]bool{}
		for range 32 {
			if step, skip := next(t); !skip {
				did[step] = true
			}
		}
		if did[5] && did[21] {
			t.Fatalf("5 and 21 together")
		}
	}
	first := &recorder{TB: t}
	why := first.try(run)
	skip, why := minimise(t, first, why, run)
	if len(skip) != 30 || slices.Contains(skip, 5) || slices.Contains(skip, 21) || why == "" {
		t.Errorf("left out %v: %q", skip, why)
	}
}

// TestArtefacts: what is kept of a seed that fails.
func TestArtefacts(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("MARS_SIM_ARTEFACTS", dir)
	artefacts(t, 7, nil, func(t testing.TB) {
		var o Options
		watching(t, &o)
		c := NewCluster(t, 7, o, "a", "b")
		c.RunFor(1e9)
		c.Fatalf("on purpose")
	})
	for name, want := range map[string]string{"failure.txt": "on purpose", "trace.txt": "a/0", "a.tree": "ips/ip-b -> 10.0.0.2", "b.tree": "alive-a -> 1"} {
		text, err := os.ReadFile(filepath.Join(dir, "TestArtefacts-7", name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v, %d bytes, want %q in it", name, err, len(text), want)
		}
	}
}
