// SPDX-License-Identifier: GPL-2.0-or-later

package ublkdev_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"mars/ublkdev"
)

// ramDisk is a Handler that serves from memory, at once.
type ramDisk []byte

func (d ramDisk) Request(r *ublkdev.Request) {
	switch r.Op {
	case ublkdev.Read:
		copy(r.Buf, d[r.Pos:])
	case ublkdev.Write:
		copy(d[r.Pos:], r.Buf)
	}
	r.Complete(nil) // also later, but on the thread of the loop
}

// A disk in memory, until the program is interrupted.
func Example() {
	ctl, err := ublkdev.Open(ublkdev.ControlOptions{})
	if err != nil {
		fmt.Println("no ublk here:", err) // and what to do about it
		return
	}
	defer ctl.Close()
	loop, err := ublkdev.NewReactor(ublkdev.ReactorOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loop.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	disk := make(ramDisk, 64<<20)
	dev, err := ublkdev.Create(ctx, ctl, loop, ublkdev.Config{ID: ublkdev.AutoID, Size: int64(len(disk))}, disk)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("serving", dev.Path())
	<-ctx.Done()
	if err := dev.Stop(context.Background(), false); err != nil {
		fmt.Println(err) // in use: it stays, for a successor
	}
}
