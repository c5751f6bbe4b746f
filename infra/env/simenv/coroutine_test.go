package simenv

import (
	"errors"
	"testing"
	"time"

	"mars/infra/env"
)

func TestCoroutine(t *testing.T) {
	r := newRig(t, 1)
	var took time.Duration
	c := r.n.Go(func(c *Coroutine) {
		start := c.Mono()
		for {
			if _, err := c.FS().Readlink("go"); err == nil {
				break
			}
			if err := c.Sleep(time.Second); err != nil {
				t.Error(err)
				return
			}
		}
		took = c.Mono() - start
	})
	r.w.In(5500*time.Millisecond, func() { must(t, r.n.FS().Symlink("now", "go")) })
	r.wait(c.Done)
	if took < 5500*time.Millisecond || took > 6600*time.Millisecond {
		t.Fatal(took)
	}
}

// Two coroutines that change the tree come in between each other.
func TestCoroutinesInterleave(t *testing.T) {
	r := newRig(t, 2)
	order := ""
	run := func(name string) *Coroutine {
		return r.n.Go(func(c *Coroutine) {
			for i := range 10 {
				must(t, c.FS().Symlink("x", name+string(rune('0'+i))))
				order += name
			}
		})
	}
	a, b := run("a"), run("b")
	r.wait(func() bool { return a.Done() && b.Done() })
	turns := 0
	for i := 1; i < len(order); i++ {
		if order[i] != order[i-1] {
			turns++
		}
	}
	if len(order) != 20 || turns < 3 {
		t.Fatal(order)
	}
}

func TestCoroutineDiesWithItsNode(t *testing.T) {
	r := newRig(t, 3)
	var sleep, fs error
	c := r.n.Go(func(c *Coroutine) {
		sleep = c.Sleep(time.Hour)
		fs = c.FS().Mkdir("late")
		if c.Sleep(time.Hour) == nil {
			t.Error("slept after death")
		}
	})
	r.w.RunFor(time.Second)
	r.n.Kill() // the daemon's death is nothing to it
	r.w.RunFor(time.Second)
	if c.Done() {
		t.Fatal("killed with the daemon")
	}
	r.n.Crash(Zero())
	if !c.Done() || !errors.Is(sleep, env.ErrCrashed) || !errors.Is(fs, env.ErrCrashed) {
		t.Fatal(sleep, fs)
	}
	// A crash point in the middle of one.
	r.n.Start()
	r.n.CrashAtFSOp(2, Zero())
	n := 0
	c = r.n.Go(func(c *Coroutine) {
		for c.FS().Mkdir(string(rune('a'+n))) == nil {
			n++
		}
	})
	r.wait(c.Done)
	if n != 1 || r.n.Up() {
		t.Fatal(n, r.n.Up())
	}
}
