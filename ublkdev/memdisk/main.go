// SPDX-License-Identifier: GPL-2.0-or-later

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"mars/ublkdev"

	"golang.org/x/sys/unix"
)

// stamp marks our devices, so that no other's are taken over.
const stamp = 0x6d656d6469736b01

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "memdisk:", err)
		os.Exit(1)
	}
}

type options struct {
	size                 int64
	id                   uint32
	recover, list, probe bool
}

func parse(args []string) (options, error) {
	fs := flag.NewFlagSet("memdisk", flag.ContinueOnError)
	size := fs.String("size", "64M", "capacity in bytes, with K, M or G")
	id := fs.Int64("id", -1, "number of the device; -1: any")
	var o options
	fs.BoolVar(&o.recover, "recover", false, "take over the device -id")
	fs.BoolVar(&o.list, "list", false, "show all devices")
	fs.BoolVar(&o.probe, "probe", false, "show what the kernel offers")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.size, err = parseSize(*size); err != nil {
		return o, err
	}
	o.id = uint32(*id)
	if *id < -1 || *id >= int64(ublkdev.AutoID) || o.recover && *id < 0 {
		return o, fmt.Errorf("-id %d does not name a device", *id)
	}
	return o, nil
}

func parseSize(s string) (int64, error) {
	shift := 0
	for i, unit := range []string{"K", "M", "G"} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			s, shift = n, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return 0, fmt.Errorf("bad size %q", s)
	}
	return n << shift, nil
}

func run(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	ctl, err := ublkdev.Open(ublkdev.ControlOptions{})
	if err != nil {
		return err
	}
	defer ctl.Close()
	switch {
	case o.probe:
		fmt.Fprintf(out, "kernel %v: %v\nfeatures: %v\n", ctl.Caps().Release, ctl.Plan().Level, ctl.Caps().Features)
		for _, w := range ctl.Plan().Warnings {
			fmt.Fprintln(out, "warning:", w)
		}
		return nil
	case o.list:
		return list(ctl, out)
	}
	return serve(ctl, o, out)
}

func list(ctl *ublkdev.Control, out io.Writer) error {
	devs, err := ctl.List(context.Background())
	for _, d := range devs {
		fmt.Fprintf(out, "%d %v pid %d depth %d flags %v stamp %#x\n", d.ID, d.State, d.PID, d.Depth, d.Flags, d.Stamp)
	}
	return err
}

func serve(ctl *ublkdev.Control, o options, out io.Writer) (err error) {
	// Failure of these leaves only dangers under low memory, and in containers.
	for _, err := range []error{ublkdev.Protect(), ublkdev.CheckNamespace()} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "memdisk: warning:", err)
		}
	}
	loop, err := ublkdev.NewReactor(ublkdev.ReactorOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loop.Close()) }()
	sig := make(chan os.Signal, 2)
	signal.Notify(sig, unix.SIGINT, unix.SIGTERM)
	ctx := context.Background()
	dev, err := bringUp(ctx, ctl, loop, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, dev.Path())
	for force := false; ; force = true {
		select {
		case <-sig:
			err := dev.Stop(ctx, force)
			if err == nil {
				return nil
			}
			fmt.Fprintln(os.Stderr, "memdisk:", err)
		case <-dev.Done():
			return errors.Join(dev.Err(), dev.Stop(ctx, true))
		}
	}
}

func bringUp(ctx context.Context, ctl *ublkdev.Control, loop ublkdev.Loop, o options) (*ublkdev.Device, error) {
	if !o.recover {
		cfg := ublkdev.Config{ID: o.id, Size: o.size, Stamp: stamp, MaxDiscard: 1 << 30, MaxWriteZeroes: 1 << 30}
		return ublkdev.Create(ctx, ctl, loop, cfg, newDisk(o.size))
	}
	size, err := ctl.Size(ctx, o.id)
	if err != nil {
		return nil, err
	}
	return ublkdev.Recover(ctx, ctl, loop, o.id, stamp, newDisk(size))
}

// disk is the content. Memory that was never written is not taken.
type disk struct{ mem []byte }

func newDisk(size int64) *disk { return &disk{mem: make([]byte, size)} }

// Request serves at once: memory does not block, and is as durable as it gets.
func (d *disk) Request(r *ublkdev.Request) {
	switch r.Op {
	case ublkdev.Read:
		copy(r.Buf, d.mem[r.Pos:])
	case ublkdev.Write:
		copy(d.mem[r.Pos:], r.Buf)
	case ublkdev.Discard, ublkdev.WriteZeroes:
		clear(d.mem[r.Pos : r.Pos+r.Len])
	}
	r.Complete(nil)
}
