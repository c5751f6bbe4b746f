// SPDX-License-Identifier: GPL-2.0-or-later

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// application writes to a device without a pause, and notes what it sees.
type application struct {
	writes atomic.Int64
	worst  atomic.Int64 // longest write, nanoseconds
	stop   atomic.Bool
	done   chan error
}

// use starts an application on a node's device.
func (n *node) use() *application {
	n.t.Helper()
	f, err := openDirect(n.device(), os.O_RDWR)
	if err != nil {
		n.t.Fatal(err)
	}
	a := &application{done: make(chan error, 1)}
	buf := aligned(n.t, blockSize)
	go func() {
		var err error
		for i := int64(0); err == nil && !a.stop.Load(); i++ {
			buf[0], buf[1], buf[2] = byte(i), byte(i>>8), byte(i>>16)
			begun := time.Now()
			_, err = f.WriteAt(buf, i%(diskSize/blockSize)*blockSize)
			a.worst.Store(max(a.worst.Load(), int64(time.Since(begun))))
			a.writes.Add(1)
		}
		a.done <- errors.Join(err, unix.Fdatasync(int(f.Fd())), f.Close())
	}()
	n.t.Cleanup(func() { a.stop.Store(true) })
	return a
}

// goesOn waits for more writes.
func (a *application) goesOn(c *cluster) {
	c.t.Helper()
	before := a.writes.Load()
	c.await("the application to go on", func() string {
		if a.writes.Load() > before+100 {
			return ""
		}
		return "it waits"
	})
}

// end stops it; it must not have seen an error, nor have waited for long.
func (a *application) end(t *testing.T) {
	t.Helper()
	a.stop.Store(true)
	select {
	case err := <-a.done:
		if err != nil {
			t.Errorf("the application saw: %v", err)
		}
	case <-time.After(patience):
		t.Error("the application hangs")
	}
	if worst := time.Duration(a.worst.Load()); worst > 10*time.Second {
		t.Errorf("a write took %v", worst)
	}
}

// TestEmergency: a foreign file fills the /mars of the primary to the last block
// while its device is written to (manual 2.4). The application sees no error;
// the secondary stays behind the hole and says so; when the file is gone logging
// goes on by itself, and invalidate makes the disks equal.
func TestEmergency(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	small := a.loop("mars.img", 96<<20)
	for _, cmd := range [][]string{{"mkfs.ext4", "-q", "-F", small}, {"mount", small, a.path("mars")}} {
		if out, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
	}
	a.ok("create-cluster")
	b.ok("join-cluster", "A")
	for _, n := range c.nodes {
		n.start()
		n.makeDisk(diskSize)
	}
	a.ok("create-resource", res, a.disk)
	a.ok("wait-resource", res, "is-device")
	b.join(res)
	b.awaitUpToDate()

	app := a.use()
	foreign, err := os.Create(a.mars("foreign"))
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = foreign.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	foreign.Close()
	is := func(value string) func() string {
		return func() string {
			if v := a.link("resource-" + res + "/actual-A/is-emergency"); v != value {
				return "is-emergency is " + v
			}
			return ""
		}
	}
	c.await("emergency mode", is("1"))
	c.await("the live tunable to show it", func() string {
		v, _ := os.ReadFile(a.path("run", "sys", "mars_emergency_mode"))
		if strings.TrimSpace(string(v)) == "4" {
			return ""
		}
		return string(v)
	})
	app.goesOn(c)
	c.await("B to see the hole", func() string {
		if v := b.link("resource-" + res + "/actual-B/why"); !strings.Contains(v, "hole") {
			return v
		}
		return ""
	})
	if err := os.Remove(a.mars("foreign")); err != nil {
		t.Fatal(err)
	}
	c.await("logging to go on", is("0"))
	app.goesOn(c)
	app.end(t)
	b.ok("invalidate", res)
	b.awaitUpToDate()
	a.ok("secondary", res, "--timeout=30")
	b.awaitUpToDate()
	c.sameDisks()
}
