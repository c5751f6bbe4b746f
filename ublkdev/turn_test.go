// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A command that waits for others that hang is not timed out before it was sent.
func TestWaitForTurn(t *testing.T) {
	f := newFake(t)
	const timeout = 500 * time.Millisecond
	ctl, err := openControl(f, ControlOptions{Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.Close()
	for id := range uint32(4) {
		if _, err := ctl.add(context.Background(), devInfo{devID: id, nrHWQueues: 1, queueDepth: 1, maxIOBufBytes: minIOBytes}); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	begun := time.Now()
	for id := range uint32(3) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := ctl.start(context.Background(), id); err == nil {
				t.Error("started without a server")
			}
		}()
	}
	for range 20 { // some of them come behind all three
		if _, err := ctl.Info(context.Background(), 3); err != nil {
			t.Fatalf("after %v: %v", time.Since(begun), err)
		}
	}
}

// What an earlier Stop could not delete, the next one does.
func TestStopDeletesLater(t *testing.T) {
	r := newRig(t)
	d := r.create()
	r.script[opDelDevAsync] = []unix.Errno{unix.ENOMEM}
	if err := d.Stop(context.Background(), false); err == nil {
		t.Fatal("the failure is not told")
	}
	if err := d.Stop(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	if n := len(r.sent(opDelDevAsync)); n != 2 {
		t.Errorf("%d commands", n)
	}
	if err := d.Stop(context.Background(), false); err != nil || len(r.sent(opDelDevAsync)) != 2 {
		t.Errorf("a third time: %v", err)
	}
}
