// SPDX-License-Identifier: GPL-2.0-or-later

package fuseloop

import (
	"testing"
	"time"

	"mars/infra/env"
)

// TestIdleOpener: who opens the device and does nothing with it is found at once,
// and so is that he has gone. The times are invented: but for the sign of him there
// is no pass over /proc then.
func TestIdleOpener(t *testing.T) {
	r := newRig(t, 1<<20)
	if r == nil {
		return
	}
	d, err := r.host.create(env.DeviceConfig{Name: "lv", Size: r.disk.size(), BlockSize: 4096}, r.disk, r.exec.post)
	if err != nil {
		t.Fatal(err)
	}
	r.disk.setDev(d)
	d.fs.begin()
	now := time.Now()
	w := r.host.newWatcher(now)
	defer w.end()
	turn := func(after time.Duration) {
		now = now.Add(after)
		w.turn([]*device{d}, now)
	}
	calm := func() {
		for range 20 { // past what the last one has led to
			turn(scanEvery)
		}
		turn(0) // our own look rings, too
	}
	calm()
	cmd, in, line := child(t, "idler", d.Path())
	if line != "open" {
		t.Fatal(line)
	}
	turn(watchEvery / 2)
	if n := wait(t, "an opener is found", r.disk.counts); n != 1 {
		t.Errorf("open, but reported %d", n)
	}
	if len(w.own) > 0 {
		t.Error("who opens the device may want it for himself, and finds it opened exclusively by us")
	}
	calm()
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	turn(scanEvery / 2)
	if n := wait(t, "it is found that he has gone", r.disk.counts); n != 0 {
		t.Errorf("closed, but reported %d", n)
	}
	if err := r.close(d, false); err != nil {
		t.Error(err)
	}
	r.gone(d)
}
