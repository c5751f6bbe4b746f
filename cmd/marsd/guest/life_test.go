// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// load writes files until it is stopped, and knows what must be there.
type load struct {
	t    *testing.T
	dir  string
	sums map[string][32]byte
	n    atomic.Int64
	stop chan struct{}
	end  chan error
}

func startLoad(t *testing.T, dir string) *load {
	l := &load{t: t, dir: dir, sums: map[string][32]byte{}, stop: make(chan struct{}), end: make(chan error, 1)}
	go func() { l.end <- l.run() }()
	return l
}

func (l *load) run() error {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return nil
		default:
		}
		name := filepath.Join(l.dir, fmt.Sprint("f", i%200))
		data := make([]byte, 1+rng.IntN(200<<10))
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		if err := write(name, data); err != nil {
			return err
		}
		l.sums[name] = sha256.Sum256(data)
		l.n.Add(1)
	}
}

func write(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// finish ends the load, which must not have seen an error, and compares.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	select {
	case err := <-l.end:
		if err != nil {
			l.t.Fatalf("the application got an error: %v", err)
		}
	case <-time.After(patience):
		l.t.Fatal("the application hangs")
	}
	l.compare()
}

func (l *load) compare() {
	l.t.Helper()
	for name, want := range l.sums {
		data, err := os.ReadFile(name)
		if err != nil || sha256.Sum256(data) != want {
			l.t.Fatalf("%s is not what was written: %v", name, err)
		}
	}
}

// goesOn waits until the application has done more.
func (l *load) goesOn(h *host) {
	l.t.Helper()
	was := l.n.Load()
	h.until("the application to go on", func() bool {
		if len(l.end) > 0 {
			l.t.Fatalf("the application got an error: %v", <-l.end)
		}
		return l.n.Load() > was+3
	})
}

// Killing and restarting the daemon under a file system in use is a pause.
func TestKill(t *testing.T) {
	if !inGuest(t) {
		return
	}
	h := newHost(t)
	h.resource("mydata", 96)
	l := startLoad(t, h.mount("mydata"))
	for i, pause := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second, 0, time.Second} {
		l.goesOn(h)
		h.kill()
		<-time.After(pause)
		start := time.Now()
		h.start()
		l.goesOn(h)
		t.Logf("kill %d: back %v after the start", i, time.Since(start))
	}
	l.finish()
	h.umount()
	run(t, "mount", "-t", "ext4", h.device("mydata"), h.path("fs"))
	l.compare() // from the device, not from the cache
	h.umount()
	run(t, "e2fsck", "-fn", h.device("mydata"))
	h.until("the device to be closed", func() bool { return h.openCount("mydata") == "0" })
	h.ok("secondary", "mydata", "--timeout=60")
	h.until("the device to be gone", func() bool { return len(ublkDevices(t)) == 0 })
	h.stop()
}
