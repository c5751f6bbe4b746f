package strategy

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"mars/infra/env/simenv"
	"mars/infra/symtree"
)

// simSeeds is how many seeds a simulation runs, from the environment: one,
// MARS_SIM_SEED, or MARS_SIM_SEEDS of them from MARS_SIM_FIRST on.
func simSeeds(def int) (from, to uint64) {
	n, first := def, 1
	if testing.Short() { // with the race detector; a simulation is one goroutine at a time
		n = (def + 3) / 4
	}
	if v, err := strconv.Atoi(os.Getenv("MARS_SIM_SEEDS")); err == nil {
		n = v
	}
	if v, err := strconv.Atoi(os.Getenv("MARS_SIM_FIRST")); err == nil {
		first = v
	}
	if v, err := strconv.Atoi(os.Getenv("MARS_SIM_SEED")); err == nil {
		n, first = 1, v
	}
	return uint64(first), uint64(first + n)
}

// load drives a device with random stamped writes and rotates the log now and
// then. hook is called between events.
func load(w *simenv.World, h *simHost, j *journal, writes int, hook func() error) error {
	logs, total := 1, len(j.writes)+writes
	var failed error
	for len(j.writes) < total || len(j.flying) > 0 {
		if len(j.writes) < total && len(j.flying) < 6 && w.Intn(3) > 0 {
			page := int64(w.Intn(40))
			if !j.flying[page] {
				from := int64(w.Intn(8))
				n := 1 + int64(w.Intn(int(8-from)))
				if len(j.writes) == total-1 {
					n = 1 // the last write is one sector
				}
				j.submit(h.device(), page*4096+from*512, n*512, func(err error) { failed = err })
			}
		}
		if w.Intn(60) == 0 && logs < 4 {
			var b symtree.Batch
			next := logs + 1
			if _, err := h.FS().Lstat(symtree.LogPath("r", next, h.Host())); err != nil {
				b.Create(symtree.LogPath("r", next, h.Host()))
				h.commit(&b)
				logs++
			}
		}
		if !w.Step() {
			return fmt.Errorf("nothing is left to happen, with %d writes in flight", len(j.flying))
		}
		if failed != nil {
			return fmt.Errorf("a write failed: %w", failed)
		}
		if err := hook(); err != nil {
			return err
		}
	}
	return nil
}

// crashRun loads one primary and cuts the power, on paper, at random events:
// each image is recovered offline and judged.
func crashRun(t *testing.T, seed uint64, semantics string) (images int, err error) {
	w := worldOfSeed(seed)
	defer w.Close()
	a := newHosts(t, w, "a")[0]
	if semantics != "" {
		if err := a.st.cfg.Tunables.Assign("logger_completion_semantics", semantics); err != nil {
			t.Fatal(err)
		}
	}
	a.create()
	wait(t, w, "the device", func() bool { return a.ready && a.device() != nil })
	j := &journal{flying: map[int64]bool{}}
	err = load(w, a, j, 40, func() error {
		if w.Intn(25) != 0 {
			return nil
		}
		images++
		return judge(w, a, j)
	})
	if err == nil {
		images++
		err = judge(w, a, j)
	}
	return images, err
}

// judge recovers what a power cut now would leave and compares it with what
// was acknowledged, and with what the logs say.
func judge(w *simenv.World, a *simHost, j *journal) error {
	models := simenv.Models()
	model := models[w.Intn(len(models))]
	img := a.CrashImage(w.Rand(), model)
	content, number, end, err := recoverOffline(img, a.Host())
	if err != nil {
		return fmt.Errorf("%v: recover: %w", model, err)
	}
	if err := j.check(content, j.events); err != nil {
		return fmt.Errorf("%v: %w", model, err)
	}
	// Log before disk, and flush before the replay link: replaying all logs
	// onto an empty disk gives the same.
	want, wantEnd, err := stateAt(img.FS(), func(int) string { return a.Host() }, number, -1)
	if err != nil {
		return fmt.Errorf("%v: replay from the beginning: %w", model, err)
	}
	if !bytes.Equal(content, want) || end != wantEnd {
		return fmt.Errorf("%v: the recovered disk is not what the logs say", model)
	}
	return nil
}

func TestSimCrash(t *testing.T) {
	images := 0
	from, to := simSeeds(40)
	for seed := from; seed < to; seed++ {
		n, err := crashRun(t, seed, "")
		if images += n; err != nil {
			t.Fatalf("seed %d: %v\nreproduce: MARS_SIM_SEED=%d go test ./strategy -run 'TestSimCrash$' -v", seed, err, seed)
		}
	}
	if images < int(to-from) {
		t.Fatalf("only %d crash images in %d seeds", images, to-from)
	}
	t.Logf("%d seeds, %d crash images", to-from, images)
}

// TestSimCrashControl: the oracle finds a logger that acknowledges before the
// record is durable.
func TestSimCrashControl(t *testing.T) {
	for seed := uint64(1); seed < 40; seed++ {
		if _, err := crashRun(t, seed, "0"); err != nil {
			if !strings.Contains(err.Error(), "lost") {
				t.Fatalf("seed %d: found something else: %v", seed, err)
			}
			return
		}
	}
	t.Error("acknowledging before the log is durable was not noticed in 40 seeds")
}

// TestSimPrefix: a secondary that is paused at any moment holds exactly the
// state after a prefix of the primary's log.
func TestSimPrefix(t *testing.T) {
	from, to := simSeeds(6)
	to = min(to, from+200)
	pauses := 0
	for seed := from; seed < to; seed++ {
		w := worldOfSeed(seed)
		hosts := newHosts(t, w, "a", "b")
		a, b := hosts[0], hosts[1]
		a.create()
		wait(t, w, "the device", func() bool { return a.ready && a.device() != nil })
		wait(t, w, "the resource on b", func() bool { return b.ready && b.tree().Primary("r") == "a" })
		j := &journal{flying: map[int64]bool{}}
		if err := load(w, a, j, 10, func() error { return nil }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		b.join("a")
		wait(t, w, "b to be consistent", b.caughtUp("a"))
		for range 6 {
			err := load(w, a, j, 10, func() error { return nil })
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			w.RunFor(time.Duration(w.Intn(300)) * time.Millisecond)
			b.set(symtree.TodoPath("r", "b", symtree.TodoAllowReplay), "0")
			wait(t, w, "replay to pause", b.resting)
			r, _ := b.tree().Replay("r", "b")
			want, _, err := stateAt(a.FS(), func(int) string { return "a" }, r.Number, r.Pos)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if r.Len != 0 || !bytes.Equal(want, b.content()) {
				t.Fatalf("seed %d: paused at %v the disk is not the state there", seed, r)
			}
			pauses++
			b.set(symtree.TodoPath("r", "b", symtree.TodoAllowReplay), "1")
		}
		w.Close()
	}
	if pauses == 0 {
		t.Fatal("nothing was ever paused")
	}
}

// resting tells whether the worker of h does nothing with the disk and all it
// said is published.
func (h *simHost) resting() bool {
	r := h.st.find("r")
	return r != nil && r.state.Mode == Idle && len(r.positions) == 0 && !r.stepping && h.st.pipe.idle() && r.sent.Mode == Idle && h.actual("is-replaying", "0")()
}

// hashOf runs a cluster with everything in it and returns the trace's hash.
func hashOf(t *testing.T, seed uint64) uint64 {
	w := worldOfSeed(seed)
	defer w.Close()
	hosts := newHosts(t, w, "a", "b")
	a, b := hosts[0], hosts[1]
	a.create()
	wait(t, w, "the device", func() bool { return a.ready && a.device() != nil })
	wait(t, w, "the resource on b", func() bool { return b.ready && b.tree().Primary("r") == "a" })
	b.join("a")
	j := &journal{flying: map[int64]bool{}}
	if err := load(w, a, j, 30, func() error { return nil }); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	b.Kill()
	b.Start()
	b.boot()
	if err := load(w, a, j, 10, func() error { return nil }); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	wait(t, w, "b to catch up", b.caughtUp("a"))
	return w.Hash()
}

const hashEnv = "MARS_SIM_PRINT_HASHES"

// TestDeterminism runs 20 seeds in two processes with different settings of
// the runtime: the traces must have equal hashes.
func TestDeterminism(t *testing.T) {
	const seeds = 20
	if os.Getenv(hashEnv) != "" {
		for seed := uint64(1); seed <= seeds; seed++ {
			fmt.Printf("hash %d %016x\n", seed, hashOf(t, seed))
		}
		return
	}
	var runs [2][]string
	for i, set := range [][]string{{"GOMAXPROCS=1", "GOGC=20"}, {"GOMAXPROCS=4", "GOGC=400"}} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestDeterminism$")
		cmd.Env = append(append(os.Environ(), hashEnv+"=1"), set...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", set, err, out)
		}
		for _, line := range strings.Split(string(out), "\n") {
			if strings.HasPrefix(line, "hash ") {
				runs[i] = append(runs[i], line)
			}
		}
	}
	if len(runs[0]) != seeds || strings.Join(runs[0], "\n") != strings.Join(runs[1], "\n") {
		t.Errorf("traces differ between two runs of the same seeds:\n%v\n%v", runs[0], runs[1])
	}
	if runs[0][0][6:] == runs[0][1][6:] {
		t.Error("two seeds have the same trace")
	}
}
