package simtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childVar makes TestDeterminismChild do its work.
const childVar = "MARS_SIM_CHILD"

// TestDeterminism: the same seeds in two processes, with other numbers of
// threads and another garbage collection, are the same runs.
func TestDeterminism(t *testing.T) {
	child := func(env ...string) string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDeterminismChild$", "-test.count=1")
		cmd.Env = append(append(os.Environ(), childVar+"=1"), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var lines []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "seed ") {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	one, two := child("GOMAXPROCS=1", "GOGC=20"), child("GOMAXPROCS=4", "GOGC=400")
	if n := strings.Count(one, "\n"); n != 20 {
		t.Fatalf("%d hashes, want 20:\n%s", n, one)
	}
	hashes := map[string]bool{}
	for line := range strings.Lines(one) {
		hashes[strings.Fields(line)[2]] = true
	}
	if len(hashes) != 20 {
		t.Errorf("only %d of 20 hashes differ: they do not tell runs apart", len(hashes))
	}
	if one != two {
		t.Errorf("two runs of the same seeds differ:\n%s\nand\n%s", one, two)
	}
}

// TestDeterminismChild prints the hashes of 20 seeds: half of them of one host,
// half of three.
func TestDeterminismChild(t *testing.T) {
	if os.Getenv(childVar) == "" {
		return
	}
	for seed := uint64(1); seed <= 10; seed++ {
		r := newCrashes(t, seed, nil, nil)
		r.points(4)
		r.end()
		r.points(4)
		fmt.Printf("seed %d: %016x after %d events\n", seed, r.c.World.Hash(), r.c.World.Events())
		r.c.Close()
	}
	for seed := uint64(11); seed <= 20; seed++ {
		o, lo := scene(seed)
		lo.Think = max(lo.Think, 5*time.Millisecond)
		c := NewCluster(t, seed, o, "a", "b", "c")
		a, others := c.pair()
		l := c.NewLoad(a, lo)
		for _, h := range others {
			h.join(30)
		}
		n := newNemesis(c, a, l, others...)
		n.run(6)
		fmt.Printf("seed %d: %016x after %d events\n", seed, c.World.Hash(), c.World.Events())
		c.Close()
	}
}
