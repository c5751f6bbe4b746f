package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// diskSize is the size of the disk below the logger, in bytes.
const diskSize = 256 << 20

// partNames are the measurements, in order. The first has a process of its own,
// after the last the rig is of no more use.
var partNames = []string{"idle", "append", "growth", "latency", "allocs", "mixed", "device", "replay"}

// choose reads the names of parts; they come in the order of partNames.
func choose(only string) ([]string, error) {
	if only == "" {
		return partNames, nil
	}
	want := map[string]bool{}
	for name := range strings.SplitSeq(only, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(partNames, name) {
			return nil, fmt.Errorf("no part %q; there are: %s", name, strings.Join(partNames, " "))
		}
		want[name] = true
	}
	return slices.DeleteFunc(slices.Clone(partNames), func(s string) bool { return !want[s] }), nil
}

// measure makes the stage and runs the parts on it. A part that fails is noted
// and ends the run: its rig may be in any state.
func measure(ctx context.Context, base string, parts []string, rounds int, rep *report) (variant string, err error) {
	if parts[0] == "idle" {
		parts = parts[1:]
		if err := measureIdle(ctx, base, rep); err != nil {
			rep.fail("idle", err)
		}
	}
	devices, noDevices := frontEnds(base)
	r, err := newRig(ctx, base, diskSize, devices)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	align, err := r.align()
	if err != nil {
		return "", err
	}
	b, err := newBare(filepath.Join(base, "bare"), padded(align))
	if err != nil {
		return "", err
	}
	defer b.close()
	run := map[string]func() error{
		"append":  func() error { return measureAppend(r, b, rounds, rep) },
		"growth":  func() error { return measureGrowth(r, rep) },
		"latency": func() error { return measureLatency(r, b, rep) },
		"allocs":  func() error { return measureAllocs(r, rep) },
		"mixed":   func() error { return measureMixed(r, rep) },
		"replay":  func() error { return measureReplay(r, rep) },
		"device": func() error {
			if noDevices != nil {
				rep.add("FUSE and loop", 0, "writes/s", "not measured: "+noDevices.Error())
				return nil
			}
			return measureDevice(r, rep)
		},
	}
	for _, name := range parts {
		if err := run[name](); err != nil {
			rep.fail(name, err)
			break
		}
	}
	return r.node.IOVariant(), nil
}
